"""What sensors publish: `{"timestamp", "publisher_id", "sensor_readings": {...}}`, or the bare numbers.

Unknown extra fields pass, and are part of the identity where the message carries no `id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.analysis.measures import find_measure
from actors.payloads import (
    LARGEST_ANNOUNCEMENT,
    LARGEST_EXACT,
    LARGEST_INTEGER,
    RefusedError,
    check_names,
    check_tree,
)
from actors.topics import SERIAL

READINGS = "sensor_readings"
ENVELOPE = frozenset({"timestamp", "publisher_id", "device_id", "serial_number", "id", "clock", READINGS})
"""Fields that say who and when; a bare message has its numbers beside them."""


def sensor_measures(body: Mapping[str, Any]) -> tuple[dict[str, int | float], bool]:
    """Return the numbers of a sensor's message by their names; a null is a probe that gave no value, and is left out.

    Returns:
        the numbers, and whether the message holds nothing beside them and the envelope.

    Raises:
        RefusedError: `missing_field`, `wrong_type`, `out_of_range`, `too_many`, `too_long`, `nul`, `too_deep`, with the
            name of the field.

    """
    told = body.get(READINGS)
    if told is None:
        measures, plain = _bare(body)
    elif type(told) is dict:
        measures = _numbers(told, f"{READINGS}.")
        plain = body.keys() <= ENVELOPE
    else:
        raise RefusedError("wrong_type", f"`{READINGS}` is not an object but {_json_type(told)}")
    if not measures:
        raise RefusedError("missing_field", f"`{READINGS}` holds no number")
    check_names(measures)
    if not plain:
        check_tree({key: value for key, value in body.items() if key != READINGS})
    return measures, plain


class Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The envelope as nearly all stations send it; whatever is not of this form takes the way that tells why."""

    publisher_id: str
    sensor_readings: dict[str, int | float]
    timestamp: str | int | float | None = None
    id: str | int | None = None
    clock: str | None = None


_decode_plain = msgspec.json.Decoder(Plain).decode


def decode_plain(payload: bytes) -> Plain | None:
    """Decode the plain envelope in one go; None where a number has another spelling than ours, or anything is amiss."""
    try:
        plain = _decode_plain(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for value in plain.sensor_readings.values():
        if value.is_integer() if value.__class__ is float else not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            return None
    return plain if plain.sensor_readings else None


class _Publisher(msgspec.Struct):
    publisher_id: str = ""


_decode_publisher = msgspec.json.Decoder(_Publisher).decode


def guess_publisher(payload: bytes) -> str:
    """Return who has sent what was refused; empty where it cannot be told."""
    if len(payload) > LARGEST_ANNOUNCEMENT:
        return ""
    try:
        publisher = _decode_publisher(payload).publisher_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return publisher if SERIAL.fullmatch(publisher) else ""


def _numbers(told: dict[str, Any], prefix: str) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for name, value in told.items():
        kind = type(value)
        if kind is float:
            found[name] = int(value) if value.is_integer() and -LARGEST_EXACT <= value <= LARGEST_EXACT else value
        elif kind is int:
            if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
                raise RefusedError("out_of_range", f"`{prefix}{name[:80]}` does not fit into 64 bits")
            found[name] = value
        elif value is not None:
            raise RefusedError("wrong_type", f"`{prefix}{name[:80]}` is not a number but {_json_type(value)}")
    return found


def _bare(body: Mapping[str, Any]) -> tuple[dict[str, int | float], bool]:
    """Take every number at the top; whatever else is there passes like any unknown field."""
    numbers = {name: value for name, value in body.items() if name not in ENVELOPE and type(value) in (int, float)}
    extras = body.keys() - numbers.keys() - ENVELOPE
    for name in extras:
        if _means_number(name, body[name]):
            raise RefusedError("wrong_type", f"`{name[:80]}` is not a number but {_json_type(body[name])}")
    return _numbers(numbers, ""), not extras


def _means_number(name: str, value: Any) -> bool:
    """Tell whether a number was meant: it would vanish among the fields that pass."""
    if value is None:
        return False
    if find_measure(name) is not None:
        return True
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _json_type(value: Any) -> str:
    return {str: "text", bool: "a boolean", list: "an array", dict: "an object", float: "a number", int: "a number"}[
        type(value)
    ]
