"""cheroot, hardened: slow clients hold no thread for long, and its own errors look like ours.

Six things are changed. A new connection waits in the selector until it has sent something, so that silent ones hold no
thread. A request must have arrived whole within `READ_WITHIN`, or its connection is cut: cheroot's own timeout starts
anew with every byte. A long body that the application has refused unread is not read after all. Refusals that never
reach the application are JSON too. An answer that ends before its announced length ends its connection. `stop` ends in
bounded time.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import msgspec
from cheroot import server as cheroot_server
from cheroot import wsgi

from web.app import ROUTES, SECURITY_HEADERS, WsgiApp
from web.call import BODY_LIMIT
from web.errors import error_body

logger = logging.getLogger(__name__)

SILENCE = 10
"""Seconds of waiting for a client's next byte, of an idle kept connection, and of a blocked write."""
READ_WITHIN = 20.0
"""Seconds from the first byte of a request to its last."""
STOP_WITHIN = 5
"""Seconds that open requests are given at a stop."""
HEADER_LIMIT = 32_768
"""Bytes of request line and headers."""
LONGEST_BODY = max(route.body_limit for route in ROUTES)
"""Bytes of a body; the application refuses what is longer than its own route takes, `BODY_LIMIT` for most."""
KEPT_CONNECTIONS = 500
"""Idle connections that are kept open; above, answers say `Connection: close`."""
BACKLOG = 128
"""Connections that the kernel queues: a fleet that comes back comes at once."""
_WORDS = {
    413: f"a body may have at most {LONGEST_BODY} bytes, the headers {HEADER_LIMIT}",
    414: "the URL is too long",
}
"""Our sentences in place of cheroot's."""


class Request(cheroot_server.HTTPRequest):
    """A request with a deadline for its arrival."""

    def parse_request(self) -> None:
        """Read request line and headers."""
        self.conn.due = time.monotonic() + READ_WITHIN
        super().parse_request()
        if not self.inheaders.get(b"Content-Length"):
            self.conn.due = None

    def send_headers(self) -> None:
        """Begin the answer: whatever the handler wanted to read it has read."""
        self.conn.due = None
        # cheroot would read the rest into memory before it answers, to keep the connection.
        if getattr(self.rfile, "remaining", 0) > BODY_LIMIT:
            self.close_connection = True
        super().send_headers()

    def simple_response(self, status: str, msg: str = "") -> None:
        """Answer what the application is not asked about; the connection closes after it."""
        code = int(status[:3])
        body = msgspec.json.encode(error_body(code, _WORDS.get(code) or msg or status[4:]))
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **dict(SECURITY_HEADERS),
        }
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.close_connection = True
        # The client may be gone, which is its right.
        with suppress(OSError):
            self.conn.wfile.write("\r\n".join(lines).encode("latin-1") + body)


class Gateway(wsgi.Gateway_10):
    """The way to the application."""

    _written = 0

    def respond(self) -> None:
        """Answer; a client that waits for the rest of an answer that was cut short must see its end."""
        super().respond()
        if self._written < (self.remaining_bytes_out or 0) and self.req.method != b"HEAD":
            self.req.close_connection = True

    def write(self, chunk: bytes) -> None:
        """Write a piece of the answer, and count it: cheroot only remembers what was announced."""
        super().write(chunk)
        self._written += len(chunk)


class Connection(cheroot_server.HTTPConnection):
    """A connection that knows until when its request must be here."""

    RequestHandlerClass = Request
    due: float | None = None
    spoken = False
    """True once it has been in the selector, that is, has sent something."""


class Listener(wsgi.Server):
    """A WSGI server on a bound port. `prepare`, `serve` on a thread of its own, `stop_within`."""

    ConnectionClass = Connection
    max_request_header_size = HEADER_LIMIT
    max_request_body_size = LONGEST_BODY
    keep_alive_conn_limit = KEPT_CONNECTIONS
    _connections: Any

    def __init__(self, address: tuple[str, int], app: WsgiApp, threads: int) -> None:
        super().__init__(
            address,
            app,
            numthreads=threads,
            server_name="muster",
            timeout=SILENCE,
            shutdown_timeout=STOP_WITHIN,
            request_queue_size=BACKLOG,
        )
        self.gateway = Gateway
        # The version of a server is nobody's business.
        self.software = "muster"

    @classmethod
    def bind_socket(cls, socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind; a socket that cannot be bound is closed, which cheroot forgets."""
        try:
            bound: socket.socket = super().bind_socket(socket_, bind_addr)  # type: ignore[no-untyped-call]
        except OSError:
            socket_.close()
            raise
        return bound

    def process_conn(self, conn: Any) -> None:
        """Give a connection to a thread, a new one only after it has sent something."""
        if conn.spoken:
            super().process_conn(conn)
        else:
            conn.spoken = True
            self._connections.put(conn)

    def cut_slow_requests(self) -> None:
        """End requests that take too long to arrive: whoever reads them meets their end. Called every second or so."""
        now = time.monotonic()
        for worker in list(self.requests._threads):  # noqa: SLF001 - cheroot has no other list of its connections
            conn = worker.conn
            if conn is not None and conn.due is not None and conn.due < now:
                with suppress(OSError):
                    conn.socket.shutdown(socket.SHUT_RD)

    def stop_within(self, seconds: float) -> bool:
        """Stop; False when requests were still running after `seconds`. Their threads are daemons and are left."""
        stopper = threading.Thread(target=self.stop, name="http-stop", daemon=True)
        stopper.start()
        stopper.join(seconds)
        return not stopper.is_alive()

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what cheroot has to say."""
        logger.log(level, "%s", msg, exc_info=traceback)
