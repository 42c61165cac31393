"""A real server over fakes, for a browser."""

from __future__ import annotations

import dataclasses
import time

from actors.events import EventRing
from actors.sockets import sever
from tests.support.ports import free_port
from tests.support.wait import eventually
from tests.web.fakes import make_face, view
from web.board import HttpBoard
from web.server import HttpActor, HttpSettings

NOW = int(time.time() * 1e6)


class Site:
    """Two devices, and a face whose parts a test may change."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.face = make_face(
            view("pi-1", hostname="raspberrypi", ip_address="10.0.0.4", since_us=NOW, last_seen_us=NOW),
            view("gw-7", "offline", kind="gateway", label="Gateway 7", site="harbour", reason="timeout"),
            clock=runtime.clock,
        )
        # Not 0: a port that the kernel chose could not be bound again while the browser's connections linger.
        self.port = free_port()
        self.serve()

    def serve(self):
        bound = []
        settings = HttpSettings(port=self.port)
        self.actor = HttpActor(self.face, settings, lambda _, port: bound.append(port))
        self.ref = self.runtime.launch(self.actor)
        eventually(lambda: bound, what="the port")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def restart(self):
        """The HTTP server is another one; what has happened meanwhile is on the ring."""
        self.ref.stop()
        self.serve()

    def become_another_process(self):
        """The whole server is another one: of what happened before, its ring knows nothing."""
        self.ref.stop()
        self.face = dataclasses.replace(self.face, ring=EventRing(), http=HttpBoard())
        self.serve()

    def cut_streams(self):
        """What is between server and page breaks every connection."""
        for wire in list(self.actor._pump._streams.values()):
            sever(wire.socket)

    def tell(self, serial, presence, **fields):
        """The device changes and the ring says so, as the server does it."""
        old = self.face.fleet.get(serial)
        self.face.fleet.put(view(serial, presence, hostname=old.snapshot.hostname if old else "", **fields))
        kind = "presence" if old else "device"
        self.face.ring.publish(kind, serial, {"serial": serial, "presence": presence, "reason": "timeout"})
