"""Posts one item over HTTP and says what became of it. Blocks, within its timeouts."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from actors.sockets import sever

TIMEOUT = 10.0
"""Seconds for connecting and for each read."""
LARGEST_ANSWER = 2**20

KEEP = frozenset({401, 403, 404, 405, 407, 408, 421, 425, 426, 429})
"""Statuses of 400 to 499 that say nothing of the item: of our token, of the address, of the moment. It is kept."""

UNBOUND = "unbound"
"""The reason of a 403 that is about the item: our token never speaks for whom it is of."""
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
"""What may stand in the header `Idempotency-Key`, as the server takes it."""
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class ServerAddress(NamedTuple):
    """Where the API is, and what opens it."""

    url: str
    """`http(s)://host:port`, perhaps with a path."""
    token: str
    ca_file: str = ""
    """PEM with the certificates to trust; empty means those of the system."""


class Outcome(NamedTuple):
    """What became of one item."""

    kind: Literal["done", "refused", "later"]
    reason: str = ""


class Poster:
    """One kept-alive connection; the address is asked for anew whenever a connection is made."""

    def __init__(
        self,
        locate: Callable[[], ServerAddress | None],
        timeout: float = TIMEOUT,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Assign.

        Args:
            locate: returns where the server is now, None while nobody knows.
            timeout: seconds for connecting and for each read of an answer.
            on_lost: called before `locate` is asked again, when a connection has failed or ended, or when what answers
                is not our server: another one may listen there now.

        """
        self._locate = locate
        self._timeout = timeout
        self._on_lost = on_lost
        self._connection: http.client.HTTPConnection | None = None
        self._address = ServerAddress("", "")

    def post(self, path: str, body: bytes, key: str) -> Outcome:
        """Post a JSON body under an `Idempotency-Key`; the same key again is the same item."""
        if not _KEY.fullmatch(key):
            return Outcome("refused", "its id has other than 1 to 128 visible ASCII characters")
        reused = self._connection is not None
        try:
            try:
                return self._exchange(path, body, key)
            except _STALE:
                if not reused:
                    raise
                # The server has closed a connection that we had kept: that says nothing of the server.
                self.close()
                self._on_lost()
                return self._exchange(path, body, key)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            self._on_lost()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Outcome("later", f"the server at {self._address.url or '?'} cannot be reached: {reason}")

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sever(self) -> None:
        """Break an exchange that hangs; called by another thread."""
        sever(getattr(self._connection, "sock", None))

    def _exchange(self, path: str, body: bytes, key: str) -> Outcome:
        if self._connection is None and not self._open():
            return Outcome("later", "no server is known")
        assert self._connection is not None
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Idempotency-Key": key}
        if self._address.token:
            headers["Authorization"] = f"Bearer {self._address.token}"
        prefix = urlsplit(self._address.url).path.rstrip("/")
        self._connection.request("POST", prefix + path, body=body, headers=headers)
        answer = self._connection.getresponse()
        outcome = judge(answer.status, answer.read(LARGEST_ANSWER), key)
        if outcome.kind == "later":
            self.close()  # the next attempt looks for the server anew: it may have another address or token by then
            if 200 <= answer.status < 300:
                self._on_lost()
        return outcome

    def _open(self) -> bool:
        address = self._locate()
        if address is None:
            return False
        self._address = address
        parts = urlsplit(address.url)
        self._connection = connect(parts, address.ca_file, self._timeout)
        return True


def connect(parts: SplitResult, ca_file: str, timeout: float) -> http.client.HTTPConnection:
    """Return the connection for a base URL, not yet open; certificate and host name are verified.

    Raises:
        OSError: the CA file cannot be read, or holds no certificate.

    """
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file or None)
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout)


def judge(status: int, body: bytes, key: str) -> Outcome:
    """Return what an answer means for the item with the id `key`.

    A 2xx is a receipt only where its body names the item: anything that listens on a port can say 200. A 4xx refuses
    the item unless it is one of `KEEP`; of those, a 403 does where it says that the item is not ours to send. All else
    means later.
    """
    if 200 <= status < 300:
        named = _is_receipt(body, key)
        return Outcome("done") if named else Outcome("later", f"status {status} without a receipt for what was posted")
    reason = _reason(status, body)
    is_final = 400 <= status < 500 and status not in KEEP
    return Outcome("refused" if is_final or (status == 403 and _is_unbound(body)) else "later", reason)


def _is_receipt(body: bytes, key: str) -> bool:
    try:
        said: Any = msgspec.json.decode(body)
        return said["stored"] is True and key in (said.get("scan_id"), said.get("id"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return False


def _is_unbound(body: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(body)["error"]["details"]["reason"] == UNBOUND)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return False


def _reason(status: int, body: bytes) -> str:
    """Return the server's own sentence where there is one, with the field that it names."""
    try:
        error: Any = msgspec.json.decode(body)["error"]
        field = (error.get("details") or {}).get("field")
        sentence = f"{field}: {error['message']}" if field else str(error["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return f"status {status}"
    return f"{sentence} (status {status})"
