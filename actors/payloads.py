"""Decoding what devices send: typed, bounded, and refused with a reason that names the field.

Unknown extra fields pass. A refused payload becomes a dead letter with one of the reasons of `REASONS`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from actors.topics import SERIAL

LARGEST_PAYLOAD = 262_144
"""Bytes of a reading; larger ones are refused."""
LARGEST_ANNOUNCEMENT = 65_536
"""Bytes of an announcement, heartbeat or status."""
DEEPEST = 16
"""Levels of nesting."""
MOST_MEASURES = 256
"""Numbers in one reading."""
LONGEST_MEASURE = 120
"""Characters in the name of a measure."""
LARGEST_INTEGER = 2**63 - 1
LONGEST_SENDER_ID = 128
"""Characters of the id that a sender gives to a message."""
LARGEST_EXACT = 2.0**53
"""Whole floats beyond this are not exact, so they stay floats."""

REASONS = {
    "not_utf8": "the bytes are not UTF-8",
    "not_json": "the text is not JSON",
    "not_an_object": "the JSON is not an object",
    "missing_field": "a required field is missing",
    "wrong_type": "a field has the wrong type",
    "too_long": "a text is longer than allowed",
    "too_large": "the payload is larger than allowed",
    "too_deep": "the JSON is nested too deep",
    "too_many": "there are more numbers than allowed",
    "out_of_range": "a number or a time is out of range",
    "nul": "a text contains the NUL character",
    "bad_serial": "the serial number is not one",
    "bad_id": "an id has characters that no id may have",
    "bad_topic": "the topic is not one of ours",
    "bad_timestamp": "the timestamp cannot be read",
    "not_finite": "a number is NaN or infinite, which JSON does not know",
    "beyond_physics": "a measure is beyond what physics allows",
    "unbound": "a device may speak only for itself",
    "quota": "this device has too many dead letters already",
    "crashed": "handling the message crashed its actor twice",
    "undelivered": "the device is quarantined or stopped",
    "stuck": "the message was not resolved in time",
    "fleet_full": "the fleet has as many devices as it may",
    "refused_by_database": "the database refused the row",
    "unknown_device": "the database has no row of its device",
    "unrouted": "the topic is not subscribed any more",
    "not_encrypted": "the device has given a key, and this is not sealed with it",
    "not_decipherable": "the sealed payload cannot be opened",
    "unknown_command": "there is no such command of this device",
}
"""Every reason a message is dead-lettered for; the label of `muster_dead_letters_total`."""


class RefusedError(Exception):
    """The message cannot be processed, and why."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def answer_refused(reply_to: Any, reason: str, detail: str) -> None:
    """Let the future of whoever has posted a message raise `RefusedError`."""
    reply_to.set_exception((RefusedError, RefusedError(reason, detail), None))


Text = Annotated[str, Meta(max_length=256)]
Timestamp = str | int | float


class Beat(msgspec.Struct):
    """A heartbeat, and the part that all messages of presence share."""

    device_id: Text | None = None
    serial_number: Text | None = None
    ip_address: Annotated[str, Meta(max_length=64)] | None = None
    timestamp: Timestamp | None = None
    status: Annotated[str, Meta(max_length=32)] | None = None
    session: Annotated[str, Meta(max_length=64)] | None = None
    reason: Annotated[str, Meta(max_length=64)] | None = None


class Announcement(Beat):
    """An announcement or a detailed status."""

    hostname: Annotated[str, Meta(max_length=253)] | None = None
    mac_address: Annotated[str, Meta(max_length=64)] | None = None
    device_type: Annotated[str, Meta(max_length=64)] | None = None
    services: dict[str, Any] | None = None
    system_info: dict[str, Any] | None = None
    boot_id: Annotated[str, Meta(max_length=64)] | None = None
    clock: Annotated[str, Meta(max_length=16)] | None = None
    """`ntp`, `rtc` or `unsynced`."""
    version: Annotated[str, Meta(max_length=64)] | None = None
    supervision: dict[str, Any] | None = None
    """The device's own supervision tree, as `supervisor.describe` gives it."""


_decode_beat = msgspec.json.Decoder(Beat).decode
_decode_announcement = msgspec.json.Decoder(Announcement).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

_PATTERNS = (
    (re.compile(r"missing required field"), "missing_field"),
    (re.compile(r"of length <="), "too_long"),
    (re.compile(r"Expected `object`, got `\w+`$"), "not_an_object"),
    (re.compile(r"^Expected|Invalid (enum )?value"), "wrong_type"),
    (re.compile(r"out of range|too large|Number"), "out_of_range"),
)
"""What msgspec says, and our word for it; the first match decides."""


def to_refusal(error: Exception) -> RefusedError:
    """Return what a decoder's error means, with a reason of `REASONS`."""
    if isinstance(error, RecursionError):
        return RefusedError("too_deep", REASONS["too_deep"])
    if isinstance(error, UnicodeDecodeError):
        return RefusedError("not_utf8", REASONS["not_utf8"])
    text = str(error)
    if "utf-8" in text.lower():
        return RefusedError("not_utf8", text)
    for pattern, reason in _PATTERNS:
        if pattern.search(text):
            return RefusedError(reason, text)
    return RefusedError("not_json", text)


def decode_beat(payload: bytes) -> Beat:
    """Decode a heartbeat.

    Raises:
        RefusedError: with a reason of `REASONS`.

    """
    check_size(payload, LARGEST_ANNOUNCEMENT)
    try:
        beat = _decode_beat(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise to_refusal(error) from None
    if b"\\u0000" in payload:
        check_tree(msgspec.to_builtins(beat))
    return beat


def decode_announcement(payload: bytes) -> Announcement:
    """Decode an announcement or a status.

    Raises:
        RefusedError: with a reason of `REASONS`.

    """
    check_size(payload, LARGEST_ANNOUNCEMENT)
    try:
        announcement = _decode_announcement(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise to_refusal(error) from None
    check_tree(msgspec.to_builtins(announcement))
    return announcement


def decode_reading(payload: bytes, largest: int = LARGEST_PAYLOAD) -> dict[str, Any]:
    """Decode a reading's JSON object.

    Raises:
        RefusedError: with a reason of `REASONS`.

    """
    check_size(payload, largest)
    try:
        body: dict[str, Any] = _decode_object(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refusal = to_refusal(error)
        field = find_not_finite(payload) if refusal.reason in ("not_json", "out_of_range") else None
        if field is not None and refusal.reason == "not_json":
            raise RefusedError("not_finite", f"`{field[:80]}` is not a finite number") from None
        if field is not None:
            raise RefusedError("out_of_range", f"`{field[:80]}` is larger than any number can be") from None
        raise refusal from None
    return body


def find_not_finite(payload: bytes) -> str | None:
    """Return the path of the first NaN or infinity in what is JSON but for such numbers; None for anything else."""
    if len(payload) > LARGEST_ANNOUNCEMENT:
        return None
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return _not_finite(body, "", 0)


def _not_finite(value: Any, path: str, depth: int) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    if depth >= DEEPEST or not isinstance(value, dict | list):
        return None
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = (_not_finite(item, f"{path}.{key}" if path else str(key), depth + 1) for key, item in items)
    return next(filter(None, found), None)


def sender_id_of(told: Any) -> str | None:
    """Return the sender's own id of a message.

    Raises:
        RefusedError: `wrong_type` or `too_long`.

    """
    if isinstance(told, bool) or not isinstance(told, str | int):
        raise RefusedError("wrong_type", f"`id` is neither text nor an integer but {type(told).__name__}")
    text = str(told)
    if len(text) > LONGEST_SENDER_ID:
        raise RefusedError("too_long", f"`id` has {len(text)} characters, at most {LONGEST_SENDER_ID} are taken")
    return text or None  # an empty one tells nothing apart


def serial_of(body: dict[str, Any] | Beat, *, bound_id: str, names: tuple[str, ...]) -> str:
    """Return the serial number: of the topic for bound topics, else of the payload.

    Args:
        body: the decoded payload.
        bound_id: the id in the topic, or empty.
        names: the fields that may carry the serial, the first present one counts.

    Raises:
        RefusedError: `missing_field`, `wrong_type`, `bad_serial`, or `unbound` when payload and topic disagree.

    """
    # Most devices use the first name.
    serial = body.get(names[0]) if isinstance(body, dict) else getattr(body, names[0])
    if serial is None:
        serial = _first(body, names[1:])
    if serial is None:
        if bound_id:
            return bound_id
        raise RefusedError("missing_field", f"the payload has no `{names[0]}`")
    if not isinstance(serial, str):
        raise RefusedError("wrong_type", f"`{names[0]}` is not text but {type(serial).__name__}")
    if not SERIAL.fullmatch(serial):
        raise RefusedError("bad_serial", f"`{names[0]}` {serial[:80]!r} does not match [A-Za-z0-9._:-]{{1,64}}")
    if bound_id and serial != bound_id:
        raise RefusedError("unbound", f"the payload says {serial!r} on the topic of {bound_id!r}")
    return serial


def _first(body: dict[str, Any] | Beat, names: tuple[str, ...]) -> Any:
    for name in names:
        value = body.get(name) if isinstance(body, dict) else getattr(body, name)
        if value is not None:
            return value
    return None


def measures_of(body: dict[str, Any], skip: frozenset[str]) -> tuple[dict[str, int | float], bool]:
    """Return every number of a reading under its path: `{"a": {"b": 1}}` is `{"a.b": 1}`; booleans are 0 and 1.

    Equal numbers are spelled alike: 1.0 is 1.

    Returns:
        the numbers, and whether they are all there is in the body: then the body was a flat object of numbers.

    Raises:
        RefusedError: `too_deep`, `too_many`, `too_long`, `out_of_range`, `nul`.

    """
    found: dict[str, int | float] = {}
    flat = True
    for key, value in body.items():
        kind = type(value)
        if key in skip:
            continue
        if kind is float:
            found[key] = int(value) if value.is_integer() and -LARGEST_EXACT <= value <= LARGEST_EXACT else value
        elif kind is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            found[key] = value
        else:
            flat = False
            _collect(key, value, found, 1)
    check_names(found)
    return found, flat


def check_names(found: Mapping[str, int | float]) -> None:
    """Refuse too many measures, and names that are too long or hold NUL.

    Raises:
        RefusedError: `too_many`, `too_long`, `nul`.

    """
    if len(found) > MOST_MEASURES:
        raise RefusedError("too_many", f"{len(found)} numbers, at most {MOST_MEASURES} are taken")
    together = "".join(found)
    if len(together) > LONGEST_MEASURE and len(longest := max(found, key=len)) > LONGEST_MEASURE:
        raise RefusedError("too_long", f"the measure {longest[:40]!r}... has a name of {len(longest)} characters")
    if "\0" in together:
        raise RefusedError("nul", "a measure has NUL in its name")


def _collect(path: str, value: Any, found: dict[str, int | float], depth: int) -> None:
    if isinstance(value, bool):
        found[path] = int(value)
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise RefusedError("out_of_range", f"`{path[:80]}` does not fit into 64 bits")
        found[path] = value
    elif isinstance(value, float):
        found[path] = int(value) if value.is_integer() and abs(value) <= LARGEST_EXACT else value
    elif isinstance(value, dict | list):
        if depth >= DEEPEST:
            raise RefusedError("too_deep", f"`{path[:80]}` is nested deeper than {DEEPEST} levels")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _collect(f"{path}.{key}", item, found, depth + 1)
        if len(found) > MOST_MEASURES:
            raise RefusedError("too_many", f"more than {MOST_MEASURES} numbers")


def check_size(payload: bytes, largest: int) -> None:
    """Refuse a payload of more than `largest` bytes as `too_large`."""
    if len(payload) > largest:
        raise RefusedError("too_large", f"{len(payload)} bytes, at most {largest} are taken")


def check_tree(value: Any, path: str = "$", depth: int = 0) -> None:
    """Refuse NUL, integers beyond 64 bits and deep nesting anywhere in a decoded payload."""
    if isinstance(value, str):
        if "\0" in value:
            raise RefusedError("nul", f"`{path}` contains NUL")
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise RefusedError("out_of_range", f"`{path}` does not fit into 64 bits")
    elif isinstance(value, dict | list):
        if depth >= DEEPEST:
            raise RefusedError("too_deep", f"`{path}` is nested deeper than {DEEPEST} levels")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(key, str) and "\0" in key:
                raise RefusedError("nul", f"a field name under `{path}` contains NUL")
            check_tree(item, f"{path}.{key}"[:200], depth + 1)
