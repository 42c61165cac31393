"""The way from the dispatcher to the writer: single writes in, one batch per round out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from actors.messages import StoreLastSeen, StoreReading, StoreScan, StoreTwinReport, Write, WriteBatch
from actors.runtime import PooledActor, Timers, ToSelf

if TYPE_CHECKING:
    from actors.runtime import Directory

logger = logging.getLogger(__name__)

LAST_SEEN_SLICE = 500
"""Rows of `last_seen` in one write, so that no commit is long."""
REGISTRY = "registry"
MOST_HELD = 100_000
"""Writes held for a registry that is away, beyond which readings and scans are left to the links' ledgers."""
AGAIN_AFTER = 0.1
"""Seconds until the registry is looked for again."""


class Outgoing:
    """Writes that wait for the end of the dispatcher's round; it outlives the actor that sends them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._writes: list[Write] = []
        self._last_seen: list[tuple[str, int]] = []
        self._asked = False
        self.on_round_end: Callable[[], None] | None = None
        """Called before the writes of a round are sent: the live feed's turn."""

    def add(self, write: Write) -> None:
        """Queue a write, in order."""
        self._writes.append(write)
        if not self._asked:
            self.ask()

    def touch(self, serial: str, last_seen_us: int) -> None:
        """Queue a `last_seen`."""
        self._last_seen.append((serial, last_seen_us))
        if not self._asked:
            self.ask()

    def ask(self) -> None:
        """Ask for the end of the round, once."""
        if not self._asked:
            self._asked = True
            self._directory.tell("batcher", FLUSH)

    def flush(self, *, last: bool = False) -> bool:
        """Send everything to the registry as one batch.

        Args:
            last: send even if the registry is away; what it had told would be lost with this process anyway.

        Returns:
            False if the registry is away and the writes are held.

        """
        self._asked = False
        self._end_round()
        if not last and REGISTRY not in self._directory:
            self._bound()
            return not self._writes and not self._last_seen
        writes, self._writes = self._writes, []
        seen, self._last_seen = self._last_seen, []
        writes.extend(StoreLastSeen(seen[i : i + LAST_SEEN_SLICE]) for i in range(0, len(seen), LAST_SEEN_SLICE))
        if writes:
            self._directory.tell(REGISTRY, WriteBatch(writes))
        return True

    def _bound(self) -> None:
        """Let go of readings that their link will tell again, when too much is held for a registry that is away."""
        if len(self._writes) > MOST_HELD:
            data = StoreReading | StoreScan | StoreTwinReport
            self._writes = [write for write in self._writes if not (isinstance(write, data) and write.token)]

    def _end_round(self) -> None:
        try:
            if self.on_round_end is not None:
                self.on_round_end()
        except Exception:  # what is shown must not hold up what is stored
            logger.exception("the end of the round failed; its writes are sent all the same")


class Flush:
    """Asks the batcher to send what has gathered."""


FLUSH = Flush()


class _Again(ToSelf):
    """To itself, from a timer: the registry may be back."""


_AGAIN = _Again()


class Batcher(PooledActor):
    """Has its turn after every actor that was ready before the first write of a round; then it sends them all."""

    def __init__(self, outgoing: Outgoing, timers: Timers) -> None:
        super().__init__()
        self._outgoing = outgoing
        self._timers = timers
        self._is_waiting = False
        """True while an `_Again` is on its way: one for all rounds, however long the registry is away."""

    def on_start(self) -> None:
        """Send what a predecessor left."""
        self._flush()

    def on_stop(self) -> None:
        """Send the last writes; the registry stops after us."""
        self._outgoing.flush(last=True)

    def on_receive(self, message: object) -> None:
        """Handle `FLUSH`."""
        assert message is FLUSH or message is _AGAIN, message
        if message is _AGAIN:
            self._is_waiting = False
        self._flush()

    def _flush(self) -> None:
        if not self._outgoing.flush() and not self._is_waiting:
            self._is_waiting = True
            self._timers.after(AGAIN_AFTER, self.actor_ref, _AGAIN)
