"""cheroot, hardened: slow clients hold no thread for long, and its own errors look like ours.

What is changed: a connection waits in the selector until its request is there (`web.reader`). A long body must have
arrived, and an answer been taken, within a time, or the connection is cut; at once nearly when all threads are busy. A
long body that was refused is not kept, but read away for a moment, so that its sender meets the answer and no broken
pipe. A request whose length is in doubt ends its connection, as does an answer that ends before its announced length.
The silent ones are bounded. `stop` ends in bounded time.
"""

from __future__ import annotations

import logging
import resource
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

import msgspec
from cheroot import server as cheroot_server
from cheroot import wsgi
from cheroot.makefile import MakeFile

from web.app import ROUTES
from web.board import HttpBoard
from web.errors import error_body
from web.gate import SECURITY_HEADERS, WsgiApp
from web.pump import HAND_OVER, Pump, Stream
from web.reader import HEADER_LIMIT, HeaderReader, Reader

logger = logging.getLogger(__name__)

SILENCE = 10
"""Seconds of waiting for a client's next byte, of an idle kept connection, and of a blocked write."""
READ_WITHIN = 20.0
"""Seconds from the first byte of a request to its last."""
WRITE_WITHIN = 60.0
"""Seconds in which an answer is taken, unless it is a stream or a download."""
PRESSED = 2.0
"""Seconds for either when no thread is free for others."""
NO_HURRY = b"application/octet-stream"
"""Downloads have a rate of theirs, and an end only with their file."""
DRAIN_WITHIN = 2.0
"""Seconds for which the rest of a refused body is read away: who writes all of it before he reads gets the answer."""
DRAIN_BYTES = 64_000_000
"""Bytes of it."""
DRAINERS = 8
"""One of so many threads may do so at a time; the other connections are closed on their senders."""
STOP_WITHIN = 5
"""Seconds that open requests are given at a stop."""
LONGEST_BODY = max(route.body_limit for route in ROUTES)
"""Bytes of a body; the application refuses what is longer than its own route takes, `BODY_LIMIT` for most."""
KEPT_CONNECTIONS = 500
"""Idle connections that are kept open; above, answers say `Connection: close`."""
MOST_CONNECTIONS = 4_000
"""Connections that wait in the selector, or half as many as the process may have files open."""
BACKLOG = 128
"""Connections that the kernel queues: a fleet that comes back comes at once."""
_WORDS = {
    408: "the request did not come in time",
    411: "send the body with a Content-Length",
    413: f"a body may have at most {LONGEST_BODY} bytes, the headers {HEADER_LIMIT}",
    414: "the URL is too long",
}
"""Our sentences in place of cheroot's."""


class Request(cheroot_server.HTTPRequest):
    """A request with a deadline for its arrival, and one for its answer."""

    header_reader = HeaderReader()

    def parse_request(self) -> None:
        """Read request line and headers."""
        self.conn.expect(READ_WITHIN)
        super().parse_request()
        if not self.inheaders.get(b"Content-Length"):
            self.conn.due = None

    def read_request_line(self) -> bool:
        """Read the request line; cheroot fails at brackets in it that hold no address."""
        try:
            return bool(super().read_request_line())  # type: ignore[no-untyped-call]
        except ValueError:
            self.simple_response("400 Bad Request", "the URL cannot be read")
            return False

    def read_request_headers(self) -> bool:
        """Read the headers; a body whose length is not told in advance is refused with its connection."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if b"Transfer-Encoding" in self.inheaders:
            self.simple_response("411 Length Required")
            return False
        return True

    def send_headers(self) -> None:
        """Begin the answer: whatever the handler wanted to read it has read."""
        self.conn.due = None
        remaining = getattr(self.rfile, "remaining", 0)
        if remaining:
            # cheroot would wait for a body that nobody wants, to keep the connection.
            self.rfile.remaining = 0
            if not self.conn.rfile.skip(remaining):
                self.close_connection = self.conn.has_unread = True
        super().send_headers()
        headers = dict(self.outheaders)
        if b"Content-Length" in headers and headers.get(b"Content-Type") != NO_HURRY:
            self.conn.expect(WRITE_WITHIN, socket.SHUT_RDWR)

    def hand_over(self, stream: Stream) -> None:
        """Let the pump go on with this answer, of which headers and beginning are written."""
        stream.chunked = self.chunked_write
        # cheroot would end a chunked answer now.
        self.chunked_write = False
        # The pump waits for nobody: what comes of a body is counted among what the client says.
        self.conn.has_unread = False
        self.conn.stream = stream

    def simple_response(self, status: str, msg: str = "") -> None:
        """Answer what the application is not asked about; the connection closes after it."""
        code = int(status[:3])
        self.server.board.refuse(code)
        body = msgspec.json.encode(error_body(code, _WORDS.get(code) or msg or status[4:]))
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **dict(SECURITY_HEADERS),
        }
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.close_connection = self.conn.has_unread = True
        # The client may be gone, which is its right.
        with suppress(OSError):
            self.conn.wfile.write("\r\n".join(lines).encode("latin-1") + body)


class Connection(cheroot_server.HTTPConnection):
    """A connection that knows how long its client may keep it waiting."""

    RequestHandlerClass = Request
    due: float | None = None
    """Until when the client has to have sent its request, or taken the answer; monotonic seconds."""
    since = 0.0
    """Since when it has been waited for."""
    how = socket.SHUT_RD
    """Which way is closed on a client that is too slow."""
    has_unread = False
    """True when it is to be closed though its client may be writing still."""
    stream: Stream | None = None
    """Set when its answer is an event stream, which is not over with the request."""

    def __init__(self, server: Listener, sock: socket.socket, makefile: Any = MakeFile) -> None:
        def make(source: socket.socket, mode: str, size: int) -> Any:
            return Reader(source) if "r" in mode else makefile(source, mode, size)

        super().__init__(server, sock, make)
        if isinstance(sock, ssl.SSLSocket):
            # The handshake is part of the wait: its bytes are none of the request's, and may come slowly as well.
            self.expect(READ_WITHIN)

    def expect(self, seconds: float, how: int = socket.SHUT_RD) -> None:
        """Begin to wait for the client."""
        self.how = how
        self.since = time.monotonic()
        self.due = self.since + seconds

    def is_slow(self, now: float, *, pressed: bool) -> bool:
        """Tell whether the client has had its time; less of it is left where all threads are busy."""
        return self.due is not None and (self.due < now or (pressed and self.since + PRESSED < now))

    def shutdown(self, how: int) -> None:
        """Close a direction. Under TLS, too, and without the socket's own word on it: what it sent then is in clear."""
        with suppress(OSError):
            socket.socket.shutdown(self.socket, how)

    def communicate(self) -> bool:
        """Answer one request; tell whether the connection is kept."""
        try:
            kept = bool(super().communicate())  # type: ignore[no-untyped-call]
        finally:
            self.due = None
        return kept or self.stream is not None

    def close(self) -> None:
        """Close, after the client has had a chance to read why."""
        if self.has_unread and self.server.drains.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self.server.drains.release()
        super().close()
        if self.stream is not None:
            self.stream.release()

    def _drain(self) -> None:
        """Read away what still comes, until the client has closed its side, for a bounded time and amount."""
        until, left = time.monotonic() + DRAIN_WITHIN, DRAIN_BYTES
        with suppress(OSError):
            self.shutdown(socket.SHUT_WR)
            while left > 0 and (seconds := until - time.monotonic()) > 0:
                self.socket.settimeout(seconds)
                received = len(self.socket.recv(65_536))
                if not received:
                    return
                left -= received


class Gateway(wsgi.Gateway_10):
    """The way to the application."""

    _written = 0

    def respond(self) -> None:
        """Answer; a client that waits for the rest of an answer that was cut short must see its end."""
        self.env[HAND_OVER] = self.req.hand_over
        super().respond()
        if self._written < (self.remaining_bytes_out or 0) and self.req.method != b"HEAD":
            self.req.close_connection = True

    def write(self, chunk: bytes) -> None:
        """Write a piece of the answer, and count it: cheroot only remembers what was announced."""
        super().write(chunk)
        self._written += len(chunk)


class Listener(wsgi.Server):
    """A WSGI server on a bound port. `prepare`, `serve` on a thread of its own, `stop_within`."""

    ConnectionClass = Connection
    max_request_header_size = HEADER_LIMIT
    max_request_body_size = LONGEST_BODY
    keep_alive_conn_limit = KEPT_CONNECTIONS
    _connections: Any

    def __init__(self, address: tuple[str, int], app: WsgiApp, threads: int, pump: Pump, board: HttpBoard) -> None:
        super().__init__(
            address,
            app,
            numthreads=threads,
            server_name="muster",
            timeout=SILENCE,
            shutdown_timeout=STOP_WITHIN,
            request_queue_size=BACKLOG,
        )
        # The version of a server is nobody's business.
        self.software = "muster"
        self.gateway = Gateway
        self.board = board
        self.pump = pump
        self.drains = threading.BoundedSemaphore(max(1, threads // DRAINERS))
        self.most_connections = min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    @classmethod
    def bind_socket(cls, socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind; a socket that cannot be bound is closed, which cheroot forgets."""
        try:
            bound: socket.socket = super().bind_socket(socket_, bind_addr)  # type: ignore[no-untyped-call]
        except OSError:
            socket_.close()
            raise
        return bound

    def process_conn(self, conn: Connection) -> None:
        """Give a connection to a thread if its request is here, else let it wait in the selector."""
        reader = conn.rfile
        reader.fill()
        if conn.due is None:
            conn.expect(READ_WITHIN)
        if reader.is_ready:
            super().process_conn(conn)
            return
        self._make_room()
        self._connections.put(conn)

    def put_conn(self, conn: Connection) -> None:
        """Take back a connection whose request is answered; an event stream goes to the pump."""
        if conn.stream is None:
            super().put_conn(conn)
        else:
            self.pump.take(conn.stream, conn)

    def _make_room(self) -> None:
        """Close the connection that has been silent for longest, where there are too many."""
        waiting = self._connections._selector  # noqa: SLF001 - cheroot has no other list of its connections
        if len(waiting) <= self.most_connections:
            return
        # Who speaks is registered anew, behind the others.
        silent = next((conn for _, conn in waiting.connections if conn is not self), None)
        if silent is not None:
            waiting.unregister(silent.socket.fileno())
            silent.close()
            self.board.pushed_out += 1

    def cut_slow_requests(self) -> None:
        """End requests that take too long to arrive, and answers that nobody takes. Called every second or so."""
        now, pressed = time.monotonic(), self.requests.idle == 0
        for worker in list(self.requests._threads):  # noqa: SLF001 - as above
            self._cut_if_slow(worker.conn, now, pressed=pressed)
        for _, conn in list(self._connections._selector.connections):  # noqa: SLF001
            self._cut_if_slow(None if conn is self else conn, now, pressed=False)

    def _cut_if_slow(self, conn: Connection | None, now: float, *, pressed: bool) -> None:
        if conn is not None and conn.is_slow(now, pressed=pressed):
            self.board.cut += 1
            conn.shutdown(conn.how)

    def stop_within(self, seconds: float) -> bool:
        """Stop; False when requests were still running after `seconds`. Their threads are daemons and are left."""
        stopper = threading.Thread(target=self.stop, name="http-stop", daemon=True)
        stopper.start()
        stopper.join(seconds)
        return not stopper.is_alive()

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what cheroot has to say."""
        logger.log(level, "%s", msg, exc_info=traceback)
