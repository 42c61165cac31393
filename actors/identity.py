"""The identity of a reading: (device, timestamp, digest), the same over every transport and spelling.

The digest (16 bytes of BLAKE2b, RFC 7693) tells two readings of one device and moment apart.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from hashlib import blake2b
from typing import Any

import msgspec

DIGEST_SIZE = 16
NOT_IN_BODY = frozenset({"serial_number", "device_id", "publisher_id", "timestamp", "id", "clock"})
"""Fields that the other two parts of the identity cover, or that describe the sender rather than the reading."""
LARGEST_EXACT = 2.0**53
MILLISECONDS_FROM = 1e11
"""A numeric timestamp from here on counts milliseconds: as seconds it would be the year 5138."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

encode_canonical = msgspec.json.Encoder(order="deterministic").encode


class BadTimestampError(ValueError):
    """The timestamp cannot be read."""


def digest_id(channel: str, sender_id: str) -> bytes:
    """Return the digest of a message that carries the sender's own `id`: the id alone tells it from others."""
    return blake2b(f"{channel}\0id\0{sender_id}".encode(), digest_size=DIGEST_SIZE).digest()


def digest_body(channel: str, canonical: bytes) -> bytes:
    """Return the digest of a message without an id: over its canonical body.

    Args:
        channel: `input`, `output` or `reading`; the same numbers in and out are two readings.
        canonical: keys in order, one spelling for each number, without serial and timestamp: see `canonical_body`.

    """
    return blake2b(channel.encode() + b"\0" + canonical, digest_size=DIGEST_SIZE).digest()


def canonical_body(body: dict[str, Any]) -> bytes:
    """Return what the digest covers of a body: not the time of receipt, the transport, key order or number spelling."""
    return encode_canonical({key: _plain(value) for key, value in body.items() if key not in NOT_IN_BODY})


def _plain(value: Any) -> Any:
    """Spell equal numbers alike: 1.0 as 1."""
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) <= LARGEST_EXACT else value
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    if type(value) is list:
        return [_plain(item) for item in value]
    return value


def timestamp_us(value: Any, zone: tzinfo = UTC) -> int:
    """Read a device's timestamp as microseconds since 1970 UTC.

    Takes ISO 8601 / RFC 3339 text with or without a zone (`zone` where it has none), or a number: seconds since 1970,
    or milliseconds from 1e11 on.

    Raises:
        BadTimestampError: if it is none of these, or out of the years 1970 to 9999.

    """
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone)
            since = moment - _EPOCH  # exact; `timestamp()` is a float
            microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        elif isinstance(value, int | float) and not isinstance(value, bool):
            microseconds = round(value * 1_000 if value >= MILLISECONDS_FROM else value * 1_000_000)
        else:
            raise BadTimestampError(f"`timestamp` is neither text nor a number but {type(value).__name__}")
    except (ValueError, OverflowError) as error:
        if isinstance(error, BadTimestampError):
            raise
        raise BadTimestampError(f"`timestamp` {str(value)[:40]!r} cannot be read") from error
    if not 0 <= microseconds < 253_402_300_800_000_000:
        raise BadTimestampError(f"`timestamp` {str(value)[:40]!r} is out of the years 1970 to 9999")
    return microseconds
