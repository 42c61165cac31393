"""What a connection has received: gathered without waiting for anybody, and handed to a thread when it is a request.

cheroot gives a connection to a thread with its first byte, and the thread waits for the rest: as many slow clients as
there are threads would end all service. Here the selector gathers until the headers and a short body are there.
"""

from __future__ import annotations

import re
import socket
from typing import Final

from cheroot import server as cheroot_server

HEADER_LIMIT: Final = 32_768
"""Bytes of request line and headers."""
EAGER_BODY: Final = 16_384
"""Bytes of a body that is waited for before it has a thread: more than who enrols or logs in sends."""
CHUNK: Final = 65_536
"""Bytes taken from the kernel at a time."""
END: Final = b"\r\n\r\n"
ONCE: Final = frozenset({b"Authorization", b"Content-Length", b"Host", b"Transfer-Encoding"})
"""Headers that two readers of a request may understand differently where they stand twice."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_NUMBER = re.compile(rb"[0-9]{1,18}")


class Reader:
    """A file of what a socket receives, which can also be filled without waiting. Serves one thread at a time."""

    def __init__(self, source: socket.socket) -> None:
        self._socket = source
        self._kept = bytearray()
        self._searched = 0
        """How much of it was looked through for the end of the headers: who sends byte by byte costs no more by it."""
        self._needed: int | None = None
        """Bytes of the headers and of what is waited for of the body, once the headers are there."""
        self.ended = False
        """Nothing more will come; set it to have what is there judged as it is."""

    def fill(self) -> None:
        """Take what has come in, up to a request that `is_ready`."""
        timeout = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            while not self.is_ready and self._receive():
                pass
        except BlockingIOError:
            pass
        except OSError as error:
            # TLS has a word of its own for what has not come yet.
            self.ended = type(error).__name__ not in ("SSLWantReadError", "SSLWantWriteError")
        finally:
            self._socket.settimeout(timeout)

    @property
    def is_ready(self) -> bool:
        """Whether a thread has something to do: headers and what is waited for of a body, too much, or an end."""
        if self._needed is None:
            end = self._kept.find(END, max(0, self._searched - len(END)))
            self._searched = len(self._kept)
            if end < 0:
                return self.ended or self._searched > HEADER_LIMIT
            self._needed = end + len(END) + _wanted(self._kept[: end + 2])
        return self.ended or len(self._kept) >= self._needed

    def has_data(self) -> bool:
        """Tell whether the next request is here already; so cheroot asks before it waits."""
        self.fill()
        return self.is_ready

    def skip(self, size: int) -> bool:
        """Leave out the next `size` bytes if they are here; tell whether they were."""
        if len(self._kept) < size:
            return False
        self._take(size)
        return True

    def read(self, size: int | None = None) -> bytes:
        """Return `size` bytes, or fewer at the end; waits for them."""
        while (size is None or len(self._kept) < size) and self._receive():
            pass
        return self._take(len(self._kept) if size is None else size)

    def readline(self, size: int | None = None) -> bytes:
        """Return what comes up to the end of a line, at most `size` bytes; waits for it."""
        searched = 0
        while True:
            end = self._kept.find(b"\n", searched, size)
            if end >= 0:
                return self._take(end + 1)
            searched = len(self._kept)
            if (size is not None and searched >= size) or not self._receive():
                return self._take(searched if size is None else size)

    def close(self) -> None:
        """Forget what is there; the socket is not ours."""
        self._kept.clear()

    def _receive(self) -> bool:
        if self.ended:
            return False
        received = self._socket.recv(CHUNK)
        self._kept += received
        self.ended = not received
        return bool(received)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._kept[:size])
        del self._kept[:size]
        self._searched, self._needed = 0, None
        return taken


def _wanted(head: bytearray) -> int:
    """Return how much of the body is waited for: nothing of a long one, or of one whose sender waits for us."""
    found = _LENGTH.search(head)
    length = int(found[1]) if found and not _EXPECTS.search(head) else 0
    return length if length <= EAGER_BODY else 0


class HeaderReader(cheroot_server.HeaderReader):
    """Reads headers, and refuses what a proxy in front of us could have read differently (RFC 9112, 5 and 6.3)."""

    def __call__(self, rfile: Reader, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """Return the headers; cheroot answers 400 with the reason of a ValueError."""
        headers = {} if hdict is None else hdict
        while (line := rfile.readline()) != b"\r\n":
            name, colon, value = line[:-2].partition(b":")
            if not (line.endswith(b"\r\n") and colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                raise ValueError("this is no header line, or the headers end too early")
            # WSGI cannot tell `X_Forwarded_For` from `X-Forwarded-For`, which a proxy would not have let through.
            if b"_" not in name:
                _add(headers, name.title(), value.strip(b" \t"))
        return headers


def _add(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if name in headers:
        if name in ONCE:
            raise ValueError(f"the header {name.decode()} is there twice")
        value = (b"; " if name == b"Cookie" else b", ").join((headers[name], value))
    if name == b"Content-Length" and not _NUMBER.fullmatch(value):
        raise ValueError("the Content-Length is not a number")
    headers[name] = value
