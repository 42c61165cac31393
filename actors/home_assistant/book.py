"""What the bridge keeps of each device: what it measures, what the broker was told, and what it is still to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.messages import StoreReading

MOST_MEASURES: Final = 100
"""Of one device; a sender that invents names would fill Home Assistant with entities."""
LOOK: Final = 3_600.0
"""Seconds between two looks at which measures of a device are missing, and until the first one when it has been away
for longer than that: what it has to tell may come in many messages."""

_decode_measures = msgspec.json.Decoder(dict[str, float]).decode


class Pending(msgspec.Struct):
    """The newest values of one channel that were not told yet."""

    ts_us: int = 0
    values: dict[str, float] = {}


class Entry:
    """One device."""

    __slots__ = (
        "availability",
        "config",
        "gone",
        "heard_at",
        "is_stored",
        "looks_at",
        "measures",
        "pending",
        "serial",
        "told_at",
        "ts_us",
    )

    def __init__(self, serial: str, now: float, measures: Mapping[str, list[str]] | None = None) -> None:
        self.serial = serial
        self.measures = {channel: dict.fromkeys(names, now) for channel, names in (measures or {}).items()}
        """When a reading had it last, by channel and name; a channel stays, something is retained there."""
        self.gone: dict[str, set[str]] = {}
        """What it measures no more, and Home Assistant is still to be told so."""
        self.heard_at = self.looks_at = now
        self.is_stored = measures is not None
        """Whether the database has it as it is here."""
        self.config = b""
        """The document that was sent on this connection, empty for none."""
        self.availability = ""
        """The same of the last word about its presence."""
        self.pending: dict[str, Pending] = {}
        self.ts_us: dict[str, int] = {}
        """The time of the newest reading, by channel."""
        self.told_at = float("-inf")

    def forget_told(self) -> None:
        """Tell everything anew: the broker or Home Assistant may have lost it."""
        self.config, self.availability = b"", ""

    def take(self, reading: StoreReading, now: float) -> tuple[bool, int]:
        """Take a reading; return whether it is the newest, and how many measures were too many.

        What was read before what is known already is of the past: a backlog after an outage, or a correction.
        """
        if now - self.heard_at > LOOK:
            self.looks_at = now + LOOK
        self.heard_at = now
        channel = reading.channel
        # A clock that is ahead must not make all that follows a thing of the past.
        ts_us = min(reading.ts_us, reading.rx_us)
        if ts_us < self.ts_us.get(channel, 0):
            return False, 0
        self.ts_us[channel] = ts_us
        known = self.measures.get(channel, {})
        values = _decode_measures(reading.measures)
        room = MOST_MEASURES - sum(map(len, self.measures.values()))
        new = [name for name in values if name not in known]
        if room > 0 and new:
            known = self.measures.setdefault(channel, known)
            known.update(dict.fromkeys(new[:room], now))
            self.is_stored = False
        values = {name: value for name, value in values.items() if name in known}
        known.update(dict.fromkeys(values, now))
        if values:
            pending = self.pending.setdefault(channel, Pending(values={}))
            pending.ts_us = reading.ts_us
            pending.values.update(values)
        return True, max(0, len(new) - max(0, room))

    def forget_missing(self, now: float, forget_after: float) -> None:
        """Take out what no reading has had for `forget_after` seconds; 0: nothing. It has been heard just now."""
        if not forget_after or now < self.looks_at:
            return
        self.looks_at = now + LOOK
        for channel, seen in self.measures.items():
            for name in [name for name, at in seen.items() if now - at > forget_after]:
                del seen[name]
                self.gone.setdefault(channel, set()).add(name)
                self.is_stored = False

    def sorted_measures(self) -> dict[str, list[str]]:
        """Return what it measures as the database has it."""
        return {channel: sorted(names) for channel, names in sorted(self.measures.items())}
