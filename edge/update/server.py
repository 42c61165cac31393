"""What an updater asks and tells its server, over HTTP; only one that has proved itself is sent our token."""

from __future__ import annotations

import contextlib
import http.client
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from actors.sockets import sever
from actors.uplink.poster import ServerAddress, connect
from actors.version import __version__
from edge.finding.exchange import Answer, ExchangeError, exchange
from edge.update.file import Offer, Report
from supervisor.release.platform import own_platform

SECONDS = 15.0
"""For a question or a report."""
READ_TIMEOUT = 20.0
"""Seconds for a connection of a download, and for each read of it."""
FINAL = frozenset({400, 409, 410, 413, 422})
"""Statuses that refuse a report for good: it would be refused again."""


class UnreachableError(Exception):
    """No answer that counts; the message is a part of a sentence."""

    retry_after = 0.0
    """Seconds that the server asks for; 0 for none."""


class NoServerError(UnreachableError):
    """The server is being looked for: nobody was asked."""


class GoneError(Exception):
    """What was offered is no longer to be had."""


class RefusedError(Exception):
    """The server does not take a report, and never will."""


class _Answer(msgspec.Struct, frozen=True):
    update: bool
    reason: str = ""


class _Verdict(msgspec.Struct, frozen=True):
    commit: bool


class UpdateServer:
    """For one thread; `sever` may be called by another."""

    def __init__(self, locate: Callable[[], ServerAddress | None], on_lost: Callable[[], None]) -> None:
        """Assign.

        Args:
            locate: returns where the server is now, None while nobody knows.
            on_lost: called when a connection has failed: another one may listen there now.

        """
        self._locate, self._on_lost = locate, on_lost
        self._closing = contextlib.ExitStack()
        """Connection and answer of a download: who has announced that it will close leaves the socket to the answer."""
        self._sock: socket.socket | None = None

    def check(self, version: str) -> Offer | str:
        """Ask what we are to have; return it, or in a word why there is nothing.

        Raises:
            UnreachableError: nobody answers, or with what we do not understand.

        """
        query = {"version": version, "platform": own_platform(), "python": ".".join(map(str, sys.version_info[:3]))}
        answer = self._exchange(f"/api/ota/check_update?{urlencode(query)}")
        if answer.status != 200:
            raise UnreachableError(_sentence(answer))
        try:
            said = msgspec.json.decode(answer.body, type=_Answer)
            return msgspec.json.decode(answer.body, type=Offer) if said.update else said.reason[:200]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreachableError(f"its offer cannot be read: {error}") from None

    def report(self, report: Report) -> bool:
        """Tell a state; return whether a version that is on trial is to stay.

        Raises:
            UnreachableError: the server has not got it, as far as we know.
            RefusedError: it does not want it.

        """
        answer = self._exchange("/api/ota/update_status", msgspec.json.encode(report))
        if answer.status in FINAL:
            raise RefusedError(_sentence(answer))
        if not 200 <= answer.status < 300:
            raise UnreachableError(_sentence(answer))
        try:
            return msgspec.json.decode(answer.body, type=_Verdict).commit
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreachableError(f"its answer cannot be read: {error}") from None

    def open(self, release: str, offset: int) -> tuple[http.client.HTTPResponse, int]:
        """Begin a download; return the answer to read from, and the byte that it begins with.

        Where to is not what the server's offer may name: our token goes to the server that has proved itself alone.

        Raises:
            UnreachableError: not now.
            GoneError: never.

        """
        self.close()
        address = self._address()
        parts = urlsplit(address.url)
        headers = {"User-Agent": f"muster-edge/{__version__}", "Authorization": f"Bearer {address.token}"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        path = f"{parts.path.rstrip('/')}/api/ota/download_update?release={quote(release, safe='')}"
        try:
            connection = connect(parts, address.ca_file, READ_TIMEOUT)
            self._closing.callback(connection.close)
            connection.connect()
            self._sock = connection.sock
            connection.request("GET", path, headers=headers)
            answer = self._closing.enter_context(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            self._on_lost()
            raise UnreachableError(f"the download cannot begin: {error or type(error).__name__}") from None
        if answer.status in (200, 206):
            return answer, _first_byte(answer)
        self.close()
        if answer.status == 416:
            return answer, -1
        if answer.status in (404, 410):
            raise GoneError(f"the server no longer has it (status {answer.status})")
        refusal = UnreachableError(f"the download is refused: status {answer.status}")
        with contextlib.suppress(ValueError):
            refusal.retry_after = min(3600.0, max(0.0, float(answer.headers.get("Retry-After", "0"))))
        raise refusal

    def close(self) -> None:
        """End a download; harmless when repeated."""
        self._sock = None
        self._closing.close()

    def sever(self) -> None:
        """Break a download that hangs."""
        sever(self._sock)

    def _exchange(self, path: str, body: bytes | None = None) -> Answer:
        address = self._address()
        headers = {"Authorization": f"Bearer {address.token}"}
        url = address.url.rstrip("/") + path
        try:
            return exchange(url, seconds=SECONDS, ca_file=address.ca_file, body=body, headers=headers)
        except ExchangeError as error:
            self._on_lost()
            raise UnreachableError(f"{address.url}: {error}") from None

    def _address(self) -> ServerAddress:
        address = self._locate()
        if address is None:
            raise NoServerError("no server is known")
        return address


def _first_byte(answer: http.client.HTTPResponse) -> int:
    """Return the offset of what comes; -1 for one that cannot be read."""
    if answer.status == 200:
        return 0
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1


def _sentence(answer: Answer) -> str:
    try:
        error: Any = msgspec.json.decode(answer.body)["error"]
        said = "".join(c for c in str(error["message"]) if c.isprintable())[:200]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        said = ""
    return f"it answers {answer.status}" + (f": {said}" if said else "")
