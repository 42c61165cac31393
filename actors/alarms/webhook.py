"""A webhook: one POST, which ends in its time whatever the other side does."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from actors.alarms.errors import NotSentError
from actors.alarms.sentences import encode
from actors.alarms.settings import Channel
from actors.sockets import sever
from actors.version import __version__

FINAL: Final = (400, 404, 405, 410, 413, 415, 422)
"""Answers that say that the request itself is wrong."""


class Webhook:
    """Sends news to the webhook of a channel; one thread calls `post`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._parts = urlsplit(channel.webhook)
        self._socket: socket.socket | None = None
        self._is_late = False

    def post(self, body: Mapping[str, Any], key: str) -> None:
        """Send one.

        Args:
            body: is sent as JSON.
            key: the `Idempotency-Key`, which is the same at each attempt.

        Raises:
            NotSentError: with the reason; final where the answer says that the request itself is wrong.

        """
        host = self._parts.hostname
        self._is_late = False
        deadline = threading.Timer(self._channel.timeout, self._cut)
        deadline.daemon = True
        try:
            connection = self._connect()
            deadline.start()  # a timeout of the socket alone begins anew with each byte
            status = self._ask(connection, body, key)
        except (OSError, http.client.HTTPException) as error:
            if self._is_late or isinstance(error, TimeoutError):
                raise NotSentError(f"the webhook at {host} did not answer in time") from error
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotSentError(f"the webhook at {host} cannot be reached: {reason}") from error
        finally:
            deadline.cancel()
            if self._socket is not None:
                self._socket.close()
        if not 200 <= status < 300:
            raise NotSentError(f"the webhook at {host} answered {status}", is_final=status in FINAL)

    def sever(self) -> None:
        """End what hangs; called by another thread."""
        sever(self._socket)

    def _cut(self) -> None:
        self._is_late = True
        self.sever()

    def _connect(self) -> http.client.HTTPConnection:
        """Return a connection with a socket that can be severed, also while TLS is being negotiated."""
        host, is_tls = self._parts.hostname, self._parts.scheme == "https"
        assert host is not None
        kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
        connection = kind(host, self._parts.port)
        self._socket = socket.create_connection((host, connection.port), self._channel.timeout)
        if is_tls:
            context = ssl.create_default_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        connection.sock = self._socket
        return connection

    def _ask(self, connection: http.client.HTTPConnection, body: Mapping[str, Any], key: str) -> int:
        target = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"muster/{__version__}",
            "Idempotency-Key": key,
            **self._channel.headers,
        }
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.do_handshake()
        connection.request("POST", target, body=encode(dict(body)), headers=headers)
        return connection.getresponse().status
