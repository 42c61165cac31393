"""The HTTP actor with a face of fakes on a real port, and clients of it that speak in bytes."""

from __future__ import annotations

import contextlib
import http.client
import socket

import pykka

from tests.support.wait import eventually
from web.server import HttpActor, HttpSettings

ADMIN = {"Authorization": "Bearer the-admin-token"}


class Running:
    """An HTTP actor and what its monitor was told."""

    def __init__(self, runtime, face, **settings):
        self.face = face
        self.runtime = runtime
        self.told = []
        bound = []
        self.monitor = runtime.launch(Monitor(self.told))
        self.actor = HttpActor(face, HttpSettings(port=0, **settings), lambda host, port: bound.append((host, port)))
        self.ref = runtime.launch(self.actor, monitor=self.monitor, child_id="http")
        self.host, self.port = eventually(lambda: bound and bound[0], what="the port")

    @property
    def exit(self):
        return next((message for message in self.told if hasattr(message, "reason")), None)

    def stop(self):
        self.runtime.shutdown(self.ref)
        return eventually(lambda: self.exit, timeout=15, what="the end of the HTTP actor")

    def connect(self, timeout=10):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def get(self, path, headers=ADMIN):
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def raw(self, timeout=10):
        return socket.create_connection((self.host, self.port), timeout=timeout)


class Monitor(pykka.ThreadingActor):
    use_daemon_thread = True

    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        self.told.append(message)


def read_to_the_end(client):
    """Read all; what of the request was not read may reset the connection behind the answer."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            received += chunk
    return bytes(received)
