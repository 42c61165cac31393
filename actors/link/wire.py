"""PUBLISH packets out of a byte stream: pure functions, no sockets, no clock (MQTT 3.1.1 and 5.0, section 3.3).

Only what is needed is decoded: topic, payload, QoS, retain, DUP, the packet id, and of the MQTT 5 properties the
correlation data. The others are stepped over; the links grant no topic aliases.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence

Publication = tuple[str, bytes, int, bool, bool, int, bytes]
"""(topic, payload, qos, retain, dup, packet id, correlation data); the packet id is 0 for QoS 0."""

PUBLISH = 0x30
PUBACK = 0x40

#: Bytes of correlation data; longer ones are none of ours and count as none.
LONGEST_CORRELATION = 256

_CORRELATION, _USER_PROPERTY, _SUBSCRIPTION = 0x09, 0x26, 0x0B
_FIXED = {0x01: 1, 0x02: 4, 0x23: 2}
"""Properties of a fixed size: payload format, message expiry, topic alias (MQTT 5.0, 2.2.2.2)."""
_TEXTS = {0x03: 1, 0x08: 1, _CORRELATION: 1, _USER_PROPERTY: 2}
"""How many texts or data with their length before them follow: content type, response topic, ..."""

#: Distinct topics remembered decoded. A fleet of 10,000 dataloggers has some 30,000; beyond the limit we start afresh.
TOPIC_MEMORY = 65_536


class MalformedPublishError(ValueError):
    """A PUBLISH that the specification calls malformed: the connection has to end."""


class Halt(enum.Enum):
    """Why `take_publishes` stopped."""

    DRY = enum.auto()
    """The next packet is not complete."""
    FOREIGN = enum.auto()
    """The next packet is no PUBLISH, or a larger one than this parser takes."""
    FULL = enum.auto()
    """As many packets as asked for."""


class TopicMemory(dict[bytes, str]):
    """Topics decoded and checked once: a lookup costs half of a decode, and equal topics share one string."""

    def __missing__(self, raw: bytes) -> str:
        """Decode and check `raw`.

        Raises:
            MalformedPublishError: not UTF-8 (MQTT-1.5.4-1), empty, or with characters no topic name may have.

        """
        try:
            topic = raw.decode()
        except UnicodeDecodeError as error:
            raise MalformedPublishError("topic is not UTF-8") from error
        if not topic:
            raise MalformedPublishError("empty topic: no topic alias was granted")
        if "\0" in topic or "+" in topic or "#" in topic:
            raise MalformedPublishError("topic name with NUL or a wildcard")
        if len(self) >= TOPIC_MEMORY:
            self.clear()
        self[raw] = topic
        return topic


def take_publishes(  # one pass over the bytes: the hot path of every link
    buffer: bytes,
    position: int,
    out: list[Publication],
    topics: TopicMemory,
    *,
    v5: bool,
    limit: int,
    largest: int,
) -> tuple[int, Halt]:
    """Append the whole PUBLISH packets that start at `position` to `out` until it has `limit` items.

    Packets with more than `largest` bytes are left to a reader that collects them piece by piece.

    Returns:
        The position of the first byte not taken, and why it stopped there.

    Raises:
        MalformedPublishError: what was taken before is in `out`.

    """
    size = len(buffer)
    for _ in range(limit - len(out)):
        if position + 2 > size:
            return position, Halt.DRY
        header = buffer[position]
        if header & 0xF0 != PUBLISH:
            return position, Halt.FOREIGN
        length = buffer[position + 1]
        start = position + 2
        if length > 127:
            length, start = read_varint(buffer, position + 1)
            if not start:
                return position, Halt.DRY
        end = start + length
        if end > size:
            return position, Halt.DRY if length <= largest else Halt.FOREIGN
        out.append(decode_publish(header, buffer, start, end, topics, v5=v5))
        position = end
    return position, Halt.FULL


def decode_publish(header: int, buffer: bytes, start: int, end: int, topics: TopicMemory, *, v5: bool) -> Publication:
    """Decode the PUBLISH whose body is `buffer[start:end]`.

    Raises:
        MalformedPublishError: lengths that contradict each other, a bad topic, QoS 2 or 3, packet id 0.

    """
    try:
        # Bytes of a following packet may be read here; the check of `at` against `end` below finds that out.
        at = start + 2 + (buffer[start] << 8 | buffer[start + 1])
        topic = buffer[start + 2 : at]
        mid, correlation = 0, b""
        if header & 6:
            mid = buffer[at] << 8 | buffer[at + 1]
            if header & 4 or not mid:
                raise MalformedPublishError("QoS above 1, or packet id 0")
            at += 2
        if v5:
            length = buffer[at]
            at += 1
            if length:
                if length > 127:
                    length, at = read_varint(buffer, at - 1)
                    at = at or end + 1  # cut off
                correlation = find_correlation(buffer, at, at + length)
                at += length
    except IndexError as error:
        raise MalformedPublishError("PUBLISH shorter than its own lengths") from error
    if at > end:
        raise MalformedPublishError("PUBLISH shorter than its own lengths")
    return topics[topic], buffer[at:end], mid and 1, header & 1 != 0, header & 8 != 0, mid, correlation


def find_correlation(buffer: bytes, at: int, end: int) -> bytes:
    """Return the correlation data among the properties in `buffer[at:end]`; empty without any that can be used."""
    try:
        while at < end:
            kind = buffer[at]
            at += 1
            if kind in _FIXED:
                at += _FIXED[kind]
            elif kind == _SUBSCRIPTION:
                at = read_varint(buffer, at)[1] or end
            else:
                for _ in range(_TEXTS[kind]):
                    start = at + 2
                    at = start + (buffer[at] << 8 | buffer[at + 1])
                if kind == _CORRELATION:
                    return buffer[start:at] if at <= end and at - start <= LONGEST_CORRELATION else b""
    except (IndexError, KeyError, MalformedPublishError):
        pass  # brokers let no such properties through, and nobody has to have any
    return b""


def read_varint(buffer: bytes, position: int) -> tuple[int, int]:
    """Read a variable byte integer (MQTT 5.0, 1.5.5).

    Returns:
        The value and the position behind it; (0, 0) when the buffer ends before it does.

    Raises:
        MalformedPublishError: longer than four bytes.

    """
    value = 0
    for index in range(4):
        if position + index >= len(buffer):
            return 0, 0
        byte = buffer[position + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, position + index + 1
    raise MalformedPublishError("variable byte integer longer than four bytes")


def join_pubacks(mids: Sequence[int]) -> bytes:
    """Return one PUBACK per packet id, end to end: `40 02 id id`, which says success in 3.1.1 and in 5.0 (3.4.2.1)."""
    return struct.pack(f">{len(mids)}I", *[PUBACK << 24 | 0x02 << 16 | mid for mid in mids])
