"""HTTPS: a certificate that can be replaced while the server runs, and handshakes that hold no thread.

A connection is wrapped when it is accepted and shakes hands when its bytes are read, which the selector does without
waiting (`web.reader`). A new certificate gets a context of its own, made whole before it takes the place of the last
one: connections that are open keep theirs, new ones get the new one, and files that do not fit change nothing.
"""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cheroot.makefile import MakeFile
from cheroot.ssl import Adapter

logger = logging.getLogger(__name__)

_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
)
_BODY = b'{"error":{"code":"bad_request","message":"this port speaks https","details":{}}}'

Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(OSError):
    """Certificate or key cannot be used; the message is one sentence with their paths."""


@dataclass
class TlsBoard:
    """What became of handshakes and certificates; written by the listener's threads, read by anyone."""

    failed: int = 0
    """Handshakes that came to nothing."""
    reloads: int = 0
    """Certificates that were taken while the server ran."""
    error: str = ""
    """Why the files that are there now are not used; empty when they are."""


class Socket(ssl.SSLSocket):
    """The server's end of a connection."""

    board: TlsBoard

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive; the first time it shakes hands. Whoever speaks plain HTTP here is told so in plain HTTP."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            context: Any = self.context
            context.board.failed += 1
            if error.reason == "HTTP_REQUEST":
                with suppress(OSError):
                    socket.socket.send(self, _PLAIN % (len(_BODY), _BODY))
            raise

    def shutdown(self, how: int) -> None:
        """Close one direction; unlike its parent's this does not go on in the clear with what is written later."""
        socket.socket.shutdown(self, how)


class Context(ssl.SSLContext):
    """The context of one certificate."""

    sslsocket_class = Socket
    board: TlsBoard


class TlsAdapter(Adapter):
    """What cheroot asks for TLS. TLS 1.2 and above."""

    def __init__(self, cert: str, key: str = "", board: TlsBoard | None = None) -> None:
        """Load the certificate.

        Args:
            cert: PEM with the certificate and those between it and its authority.
            key: PEM with its private key; empty where `cert` has that too.
            board: where it is told what happens.

        Raises:
            CertificateError: they cannot be used.

        """
        super().__init__(cert, key or cert)
        self.board = board or TlsBoard()
        self._files = tuple(dict.fromkeys((cert, key or cert)))
        self._stamp = self._look()
        self._context = self._load()

    def reload(self) -> None:
        """Take another certificate if there is one; called every second or so, from one thread.

        Where two files are replaced one after the other they do not fit for a moment; so what does not fit is tried
        again until it does.
        """
        stamp = self._look()
        if stamp == self._stamp and not self.board.error:
            return
        try:
            self._context = self._load()
        except CertificateError as error:
            if str(error) != self.board.error:
                logger.warning("https goes on with the certificate of before: %s", error)
            self.board.error = str(error)
            return
        finally:
            self._stamp = stamp
        self.board.reloads += 1
        self.board.error = ""
        logger.info("https uses the new certificate in %s", self._files[0])

    def bind(self, sock: socket.socket) -> socket.socket:
        """Return the socket that listens, as it is."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """Return a socket that has not shaken hands yet, and what the application is told of it."""
        wrapped = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, str]:
        """Return what tells the application that this is https."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> Any:
        """Return a file of a socket."""
        return MakeFile(sock, mode, bufsize)

    def _load(self) -> Context:
        cert, key = self._files[0], self._files[-1]
        context = Context(ssl.PROTOCOL_TLS_SERVER)
        context.board = self.board
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # A passphrase is nothing to be asked for on a terminal that may not be there.
            context.load_cert_chain(cert, key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise CertificateError(f"{' and '.join(self._files)} cannot be used: {_reason(error)}.") from None
        return context

    def _look(self) -> Stamp:
        return tuple(_stamp(Path(path)) for path in self._files)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "key and certificate do not belong together"
        return "there is no certificate or no key in PEM in them, or the key is sealed"
    return getattr(error, "strerror", None) or str(error)
