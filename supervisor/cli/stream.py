"""The live events of a server, over its restarts: what `muster tail` prints and what `--watch` wakes up by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from supervisor.process.rundir import RuntimeDirectoryError

from .client import ApiClient, ApiError, Lines, NoServerError
from .common import Reach

_PATH = "/api/events"
_PATIENCE = 25.0
"""Seconds of silence after which the connection is given up: a living server beats every 10 s."""
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 5.0
_PASSING = (408, 429)
"""Refusals that are over by themselves."""


class Event(NamedTuple):
    """One event; `beat` is a sign of life, `resync` says that some are lost to us."""

    id: str
    kind: str
    data: Any


class Opened(NamedTuple):
    """The stream is open."""

    client: ApiClient
    again: bool
    """False the first time."""


class Broken(NamedTuple):
    """The stream has broken; it is opened again by itself."""

    reason: str
    """A sentence."""


class EventStream:
    """Events as they come; it opens the stream again whenever it breaks, and goes on where it was."""

    def __init__(
        self,
        reach: Reach,
        kinds: Sequence[str] = (),
        *,
        since: str = "",
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._reach = reach
        self._kinds = ",".join(kinds)
        self._wait = wait
        self.last_id = since
        """The id to go on from; empty for now."""

    def __iter__(self) -> Iterator[Event | Opened | Broken]:
        """Yield what happens, without end.

        Raises:
            ApiError: the server refuses, or nobody answers the first time.
            NoServerError: there is none the first time.

        """
        pause, was_open = _FIRST_WAIT, False
        while True:
            try:
                with self._reach() as client:
                    lines = self._open(client)
                    yield Opened(client, was_open)
                    if was_open and not self.last_id:  # it broke before the first event told where we were
                        yield Event("", "resync", {})
                    pause, was_open = _FIRST_WAIT, True
                    yield from self._note(parse(lines))
                reason = "The server has ended the stream."
            except (ApiError, NoServerError, RuntimeDirectoryError) as error:
                if not was_open or _is_final(error):
                    raise
                reason = str(error)
            yield Broken(reason)
            self._wait(pause)
            pause = min(2 * pause, _LONGEST_WAIT)

    def _open(self, client: ApiClient) -> Lines:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last_id} if self.last_id else {})
        return client.listen(_PATH, {"kinds": self._kinds or None}, headers, patience=_PATIENCE)

    def _note(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.last_id = event.id or self.last_id
            yield event


def parse(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a stream of Server-Sent Events; one that was cut off in the middle is none."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "event" in fields:
            yield Event(fields.get("id", ""), fields["event"], _decode(fields.get("data", "")))
            fields = {}


def _decode(data: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {"text": data}


def _is_final(error: Exception) -> bool:
    """Tell whether the server will say the same again: a wrong token, an unknown kind."""
    return isinstance(error, ApiError) and 400 <= error.status < 500 and error.status not in _PASSING
