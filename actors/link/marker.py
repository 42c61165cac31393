"""A link's message to itself: it ends the backlog, and it tells whether another process uses our client id.

A *probe* (not retained) that has come back proves that everything queued before it has been read, and any retained
message of the topic too. Only then the link publishes its *claim*, retained: `claim {process} {milliseconds}`. A link
that finds a younger claim of another process, having made one itself, was taken over. MQTT 5 has reason code 0x8E for
that, but Mosquitto before 2.1 closes the connection without it, and MQTT 3.1.1 has nothing: two servers with one client
id would cut each other off for ever.
"""

from __future__ import annotations

import secrets
from enum import Enum, auto

from actors.link.messages import Announcement
from actors.link.status import LinkBoard
from actors.runtime.clock import Clock

#: Seconds until a probe that has not come back is repeated: a full queue drops it in silence.
PROBE_EVERY = 5.0


class Sign(Enum):
    """What a message on the marker's topic means."""

    NOTHING = auto()
    RETURNED = auto()
    """A probe of this connection has come back."""
    RIVAL = auto()
    """Another process has claimed our client id since we did."""


class Marker:
    """The marker of one link; `board` remembers across incarnations what this process claimed."""

    def __init__(self, client_id: str, board: LinkBoard, clock: Clock) -> None:
        self.topic = f"server/markers/{client_id}"
        self.due_at = float("inf")
        """When the next probe is due, monotonic seconds."""
        self._board = board
        self._clock = clock
        self._probes: set[bytes] = set()

    def forget(self) -> None:
        """Expect nothing: no connection, or one that is not read."""
        self._probes.clear()
        self.due_at = float("inf")

    def probe(self) -> Announcement:
        """Return a probe to publish."""
        payload = secrets.token_hex(8).encode()
        self._probes.add(payload)
        self.due_at = self._clock.monotonic() + PROBE_EVERY
        return self.topic, payload, 1, False

    def claim(self) -> Announcement:
        """Return our claim to publish."""
        self._board.claimed_ms = int(self._clock.time() * 1000)
        return self.topic, f"claim {self._board.process} {self._board.claimed_ms}".encode(), 1, True

    def take(self, payload: bytes) -> Sign:
        """Tell what a message on our topic means."""
        if payload in self._probes:
            self.forget()
            return Sign.RETURNED
        word, _, rest = payload.partition(b" ")
        process, _, stamp = rest.partition(b" ")
        if word != b"claim" or not stamp.isdigit() or process.decode(errors="replace") == self._board.process:
            return Sign.NOTHING
        # An older claim is that of a process before us, perhaps restored by a broker that lost its last writes.
        younger = int(stamp[:20]) > self._board.claimed_ms > 0
        return Sign.RIVAL if younger else Sign.NOTHING
