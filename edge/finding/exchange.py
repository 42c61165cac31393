"""One HTTP exchange with a server that may not be what it seems: bounded in time as a whole, and in size."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from actors.sockets import sever
from actors.uplink.poster import ServerAddress, connect
from actors.version import __version__
from edge.finding.places import authority

LARGEST_ANSWER = 64 * 1024
"""Bytes; an answer of `register_device` has about one thousand."""


class ExchangeError(Exception):
    """No answer came; the message is a part of a sentence."""


class Answer(NamedTuple):
    """What came."""

    status: int
    body: bytes


def post_as_device(server: ServerAddress, device_id: str, resource: str, body: object, *, seconds: float) -> Answer:
    """Post to `/api/devices/{device_id}/{resource}` with our own token; see `exchange`.

    Args:
        server: where, and what opens it.
        device_id: ours.
        resource: what of ours.
        body: becomes JSON.
        seconds: for all of it.

    Raises:
        ExchangeError: as of `exchange`.

    """
    return exchange(
        f"{server.url}/api/devices/{quote(device_id, safe='')}/{resource}",
        seconds=seconds,
        ca_file=server.ca_file,
        body=msgspec.json.encode(body),
        headers={"Authorization": f"Bearer {server.token}"},
    )


def exchange(
    url: str,
    *,
    seconds: float,
    ca_file: str = "",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a GET, or with a body a POST of JSON, and return the answer; redirections are not followed.

    Args:
        url: all of it.
        seconds: for everything from the first packet to the last; looking a name up comes on top.
        ca_file: PEM with the authorities to trust for https; empty trusts those of the system.
        body: JSON.
        headers: further ones.

    Raises:
        ExchangeError: the server cannot be reached, is too slow, says too much, or is not whom its certificate names.

    """
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    own = {"Accept": "application/json", "User-Agent": f"muster-edge/{__version__}"}
    # With the port even where it is the scheme's: the server's proof has it too, and a proxy may change the scheme.
    own["Host"] = authority(url)
    if body is not None:
        own["Content-Type"] = "application/json"
    try:
        connection = connect(parts, ca_file if parts.scheme == "https" else "", seconds)
        with contextlib.closing(connection):
            connection.connect()
            with _Deadline(connection.sock, seconds):
                method = "GET" if body is None else "POST"
                connection.request(method, target, body=body, headers={**own, **(headers or {})})
                answer = connection.getresponse()
                content = answer.read(LARGEST_ANSWER + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ExchangeError(_reason(error)) from None
    if len(content) > LARGEST_ANSWER:
        raise ExchangeError("its answer is too large")
    return Answer(answer.status, content)


class _Deadline:
    """Breaks a connection when its time is over.

    The timeout of a socket holds for each read alone: a byte now and then would hold us for ever. The socket is ours to
    remember: `http.client` forgets it once the server has announced that it will close.
    """

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._passed = False
        self._timer = threading.Timer(seconds, self._break)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._passed:
            raise TimeoutError

    def _break(self) -> None:
        self._passed = True
        sever(self._sock)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"it does not speak HTTP ({type(error).__name__})"
