"""Server-Sent Events: what happens, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.events import EventRing, coalesce
from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.gate import still_lets_in

WAKE = 0.25
"""Seconds between two looks at the ring: a stream wakes at most four times a second, whatever happens."""
BEAT_EVERY = 40
"""Looks between two signs of life: 10 s. A closed client is only noticed by writing to it."""
BEAT = b": beat\nevent: beat\ndata: {}\n\n"
"""The comment keeps proxies open; the event lets the page tell a quiet fleet from a dead connection."""
BATCH = 2000
"""Events read from the ring at one look."""
EVENT_KINDS = (
    "device",
    "presence",
    "reading",
    "scan",
    "enrolment",
    "command",
    "group",
    "twin",
    "removed",
    "sight",
    "link",
    "supervision",
    "dead_letter",
    "alarm",
    "delivery",
    "rollout",
)
"""What a stream can be restricted to; `actors.events` tells what is in them."""


def stream(call: Call) -> Reply:
    """Send events until the client or the server goes: `kinds` restricts, `Last-Event-ID` goes on where it was."""
    kinds = frozenset((call.text("kinds") or "").split(",")) - {""}
    if not kinds <= set(EVENT_KINDS):
        raise bad_field("kinds", f"may be any of {', '.join(EVENT_KINDS)}, separated by commas")
    if not call.site.streams.take():
        raise ApiError(503, "as many streams are open as this server has", headers={"Retry-After": "5"})
    ring = call.face.ring
    seen = call.environ.get("HTTP_LAST_EVENT_ID")
    start = ring.last if not seen else ring.parse_id(seen)
    frames = Frames(ring, start, kinds, lambda: still_lets_in(call))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Reply(Stream(call, frames), headers=headers, content_type="text/event-stream")


class Frames:
    """What one stream writes, look by look; free of clocks and sockets."""

    def __init__(
        self, ring: EventRing, start: int | None, kinds: frozenset[str], authorised: Callable[[], bool]
    ) -> None:
        self._ring = ring
        self._kinds = kinds
        self._authorised = authorised
        self._seq = ring.last if start is None else start
        self._lost = start is None
        self._looks = 0

    def first(self) -> bytes:
        """Return what is written at once, so that the client sees the stream open."""
        opening = b"retry: 2000\n: muster\n\n"
        return opening + self._resync() if self._lost else opening

    def look(self) -> bytes | None:
        """Return what is new, or a sign of life when it is time; None ends the stream."""
        batch = self._ring.since(self._seq, BATCH)
        self._seq = batch.seq
        if batch.resync:
            frames = self._resync()
        else:
            wanted = [event for event in batch.events if not self._kinds or event.kind in self._kinds]
            frames = b"".join(event.frame for event in coalesce(wanted))
        self._looks += 1
        if not self._looks % BEAT_EVERY:
            frames += BEAT
        return frames if not frames or self._authorised() else None

    def _resync(self) -> bytes:
        return b"id: %s\nevent: resync\ndata: {}\n\n" % self._ring.event_id(self._seq).encode()


class Stream:
    """The body of the answer. Its slot is given back when the server closes it, even if it was never read."""

    def __init__(self, call: Call, frames: Frames) -> None:
        self._site = call.site
        self._frames = frames
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        yield self._frames.first()
        while not self._site.stop.wait(WAKE):
            frames = self._frames.look()
            if frames is None:
                return
            if frames:
                yield frames

    def close(self) -> None:
        """Give the slot back; called by the server however the answer ended."""
        if self._open:
            self._open = False
            self._site.streams.give_back()
