"""Server-Sent Events: what happens, as it happens. A request opens a stream, `web.pump` goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.events import KINDS as EVENT_KINDS
from actors.topics import SERIAL
from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.gate import still_lets_in
from web.limits import client_key
from web.pump import HAND_OVER, Choice, Stream, beat, resync

OPENING = b"retry: 2000\n: muster\n\n"
"""Written at once, so that the client sees the stream open."""
LATER = {"Retry-After": "5"}
QUERY = ("kinds", "device", "last_event_id")


def stream(call: Call) -> Reply:
    """Send events until the client or the server goes.

    `kinds` and `device` restrict them. After `Last-Event-ID`, or `last_event_id` for those who cannot send a header, it
    goes on where the client was.
    """
    choice = _choice(call)
    seen = call.environ.get("HTTP_LAST_EVENT_ID") or call.text("last_event_id")
    ring = call.face.ring
    last = ring.parse_id(seen) if seen else ring.last
    release = _take_place(call)
    opening = OPENING
    if last is None:
        last = ring.last
        opening += resync(ring, last)
        call.face.http.miss("gone")
    stream = Stream(choice, last, who=call.who, may_stay=lambda: still_lets_in(call), release=release)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    body = Opening(opening + beat(ring, last), stream, call.environ[HAND_OVER])
    return Reply(body, headers=headers, content_type="text/event-stream")


def _choice(call: Call) -> Choice:
    kinds = frozenset((call.text("kinds") or "").split(",")) - {""}
    if not kinds <= set(EVENT_KINDS):
        raise bad_field("kinds", f"may be any of {', '.join(EVENT_KINDS)}, separated by commas")
    device = call.text("device") or ""
    if device and not SERIAL.fullmatch(device):
        raise bad_field("device", "must be a serial number")
    return Choice(kinds, device)


def _take_place(call: Call) -> Callable[[], None]:
    """Take a place for a stream; return what gives it back. Raises a 429 or 503 where there is none."""
    places = call.site.streams
    holders = (call.who.holder if call.who else "", client_key(call.client))
    match places.take(*holders):
        case "full":
            raise ApiError(503, f"{places.most} streams are open, as many as this server has", headers=LATER)
        case "yours":
            sentence = f"this token or this address has {places.each} streams open, as many as one may have"
            raise ApiError(429, sentence, code="too_many_streams", headers=LATER)
    return lambda: places.give_back(*holders)


class Opening:
    """The body of the answer as far as the request's own thread writes it."""

    def __init__(self, beginning: bytes, stream: Stream, hand_over: Callable[[Stream], None]) -> None:
        self._beginning = beginning
        self._stream: Stream | None = stream
        self._hand_over = hand_over

    def __iter__(self) -> Iterator[bytes]:
        yield self._beginning
        # Asked for more, the server has written it.
        stream, self._stream = self._stream, None
        if stream is not None:
            self._hand_over(stream)

    def close(self) -> None:
        """Give the place back where nothing came of it: a HEAD request, a client that has gone already."""
        if self._stream is not None:
            self._stream.release()
