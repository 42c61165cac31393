"""One request as a handler sees it, and what a handler may answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from web.errors import ApiError, bad_field, too_many
from web.limits import RateLimiter, client_key

if TYPE_CHECKING:
    from web.auth import Principal
    from web.face import Face
    from web.site import Site

T = TypeVar("T")
S = TypeVar("S", bound=str)

BODY_LIMIT = 1_000_000
"""Bytes of a request body; longer ones are refused unread."""
MAX_LIMIT = 1000
"""Items of one list answer."""
MAX_TEXT = 200
"""Characters of a query parameter."""

_FIELD = re.compile(r"(?:(?:field |\A)`(?P<named>[^`]+)`)|(?: - at `(?:key` in `)?\$\.?(?P<path>[^`]*)`)")
"""Where msgspec names a field; a reason of ours begins with its name."""
_PATTERN = re.compile(r"Expected `str` matching regex '.*'(?= - at `|$)")
_DIGITS = re.compile(r"[0-9]{1,9}\Z")
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)\Z")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_SPAN = 366 * 86_400
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer other than 200 with JSON."""

    body: Any = None
    """None for nothing, bytes or an iterable of bytes as they are (set `content_type`), all else becomes JSON."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(slots=True)
class Notes:
    """What the audit log has to know of a request; filled in on its way."""

    who: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    is_step: bool = False
    """Whether the request was but a step on the way to a change."""


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request."""

    site: Site
    environ: Mapping[str, Any]
    query: Mapping[str, str]
    who: Principal | None
    """None only on routes that are open."""
    notes: Notes = field(default_factory=Notes)

    @property
    def face(self) -> Face:
        """What the server gave us."""
        return self.site.face

    @property
    def client(self) -> str:
        """The address that the request came from."""
        address: str = self.environ.get("REMOTE_ADDR", "")
        return address

    def note(self, **details: Any) -> None:
        """Let the audit log tell more of this request; never a secret."""
        self.notes.details |= details

    def take_step(self) -> None:
        """Leave this request out of the audit log: the change comes with a later one."""
        self.notes.is_step = True

    def pay(self, limiter: RateLimiter, message: str) -> None:
        """Count this request against its client's limit. Raises a 429 when there were too many."""
        wait = limiter.take(client_key(self.client), self.face.clock.monotonic())
        if wait:
            raise too_many(wait, message)

    def text(self, name: str, longest: int = MAX_TEXT) -> str | None:
        """Return a query parameter; empty counts as absent. Raises a 400 for one that is too long."""
        value = self.query.get(name)
        if value is not None and (len(value) > longest or "\x00" in value):
            raise bad_field(name, f"must have at most {longest} characters, none of them NUL")
        return value or None

    def choice(self, name: str, allowed: Sequence[S]) -> S | None:
        """Return a query parameter that must be one of `allowed`."""
        value = self.text(name)
        if value is None:
            return None
        for option in allowed:
            if option == value:
                return option
        raise bad_field(name, f"must be one of {', '.join(allowed)}")

    def limit(self, default: int = 100) -> int:
        """Return `limit`, 1 to 1000; anything else is a 400."""
        value = self.query.get("limit")
        if value is None:
            return default
        if not _DIGITS.match(value) or not 1 <= int(value) <= MAX_LIMIT:
            raise bad_field("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
        return int(value)

    def time_us(self, name: str) -> int | None:
        """Return an RFC 3339 query parameter as microseconds since 1970; without a zone it is UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            # A `+` of a zone that was not escaped arrives as a blank.
            moment = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise bad_field(name, "must be an RFC 3339 time such as 2026-01-31T12:00:00Z") from None
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds

    def time_range_us(self) -> tuple[int | None, int | None]:
        """Return `since` and `until`, of which the second must be the later one."""
        since, until = self.time_us("since"), self.time_us("until")
        if since is not None and until is not None and since >= until:
            raise bad_field("until", "must be later than since")
        return since, until

    def span_us(self, name: str) -> int | None:
        """Return a length of time in microseconds: seconds as a number, or such as `30s`, `5m`, `1h`, `1d`."""
        value = self.text(name)
        if value is None:
            return None
        found = _SPAN.match(value)
        span_us = round(float(found[1]) * _UNITS[found[2]] * 1_000_000) if found else 0
        if not 1_000 <= span_us <= LONGEST_SPAN * 1_000_000:
            raise bad_field(name, "must be a number of seconds, or such as 30s, 5m, 1h, 1d; from 0.001s to 366d")
        return span_us

    def decode(self, decoder: msgspec.json.Decoder[T], limit: int = BODY_LIMIT) -> T:
        """Return the body of at most `limit` bytes, validated. Raises a 400 that names the field, 411 and 413."""
        raw = read_body(self.environ, limit)
        try:
            return decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError(400, f"the body is not valid: {_in_words(error)}", details=_where(error)) from None


def read_body(environ: Mapping[str, Any], limit: int = BODY_LIMIT) -> bytes:
    """Read the body, whose length must be declared: nothing is read before it is known to be short enough."""
    check_length(environ, limit)
    declared = int(environ.get("CONTENT_LENGTH") or 0)
    raw: bytes = environ["wsgi.input"].read(declared) if declared else b""
    if len(raw) < declared:
        raise ApiError(400, "the body is shorter than its Content-Length")
    return raw


def check_length(environ: Mapping[str, Any], limit: int = BODY_LIMIT) -> None:
    """Raise the 411, 400 or 413 of a body that will not be read."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise ApiError(411, "send the body with a Content-Length")
    declared = environ.get("CONTENT_LENGTH") or "0"
    if not declared.isascii() or not declared.isdigit():
        raise ApiError(400, "the Content-Length is not a number")
    if len(declared) > 9 or int(declared) > limit:
        raise ApiError(413, f"the body may have at most {limit} bytes", details={"limit": limit})


def parse_query(query_string: str) -> dict[str, str]:
    """Split a query string; of a repeated parameter the last counts. Raises a 400 for one that is not UTF-8."""
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise ApiError(400, "the query string cannot be read") from None
    return dict(pairs)


def _in_words(error: Exception) -> str:
    """Return msgspec's reason; a pattern is no help for people, and `truncated` no word for a body that is empty."""
    if str(error) == "Input data was truncated":
        return "it is empty or ends too early"
    return _PATTERN.sub("This text is too long or has characters that are not allowed", str(error))


def _where(error: Exception) -> dict[str, str]:
    found = [match["named"] or match["path"] for match in _FIELD.finditer(str(error))]
    # "... missing required field `port` - at `$.services.ssh`": the path leads to the named field.
    path = ".".join(part for part in reversed(found) if part)
    return {"field": path} if path else {}
