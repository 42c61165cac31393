"""`UpdatesActor`: brings releases to devices. What a step changes is on the disk before anybody is answered.

After a crash, or when the database was away in the middle of a step, everything is read again: the rollouts go on
where the disk says that they stood.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pykka

from actors.runtime import ThreadedActor, ToSelf
from actors.storage.errors import StoreUnavailable
from actors.updates.calls import EVERY
from actors.updates.entry import Changes
from actors.updates.keeper import REVOKED, Desk, Keeper
from actors.updates.messages import (
    Command,
    Forget,
    InUse,
    Offer,
    PutWindows,
    Report,
    Retry,
    Revoked,
    RolloutError,
    Start,
)
from actors.updates.orders import Orders
from actors.updates.service import Service

logger = logging.getLogger(__name__)

AGAIN_AFTER: Final = 1.0
"""Seconds until the database is asked again when it was away."""
LONGEST_SLEEP: Final = 3_600.0
"""Seconds between two looks at the clock: it may have been set."""
JUMP: Final = 60.0
"""Seconds by which the clock may differ from what has passed: more is a clock that was set."""
AWAY: Final = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout)


class Load(ToSelf, msgspec.Struct, frozen=True):
    """To itself: read everything from the database."""


class Tick(ToSelf, msgspec.Struct, frozen=True):
    """To itself, from a timer: something may be due."""

    at: float = 0.0
    """Monotonic time for which it was set; one that another has replaced since sets no other."""


class GoOn(ToSelf, msgspec.Struct, frozen=True):
    """To itself, from a timer: there are devices to be called."""


class UpdatesActor(ThreadedActor):
    """Answers `Offer`, `Report`, `Start`, `Command`, `Retry`, `PutWindows`, `InUse`; takes `Forget` and `Revoked`.

    It is up once it has read the database. Raises in the asker `RolloutError`, and what the writer raises while the
    database is away.
    """

    defer_ready = True

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._runtime = desk.runtime
        self._board = desk.board
        self._keeper = Keeper(desk)
        service, orders = Service(self._keeper), Orders(self._keeper)
        self._answers: dict[type, Callable[[Any], Any]] = {
            Offer: service.offer,
            Report: service.report,
            Start: orders.start,
            Command: orders.command,
            Retry: orders.retry,
            PutWindows: orders.put_windows,
            InUse: orders.in_use,
        }
        self._takes: dict[type, Callable[[Any], None]] = {
            Forget: self._forget,
            Revoked: self._revoke,
            Tick: self._tick,
            GoOn: self._go_on,
        }
        self._is_loaded = False
        self._is_away = False
        self._wakes_at: float | None = None
        """Monotonic time of the next `Tick`."""
        self._is_calling = False
        """Whether a `GoOn` is on its way."""
        self._clock_offset = 0.0

    def on_start(self) -> None:
        """Begin by reading the database."""
        self.actor_ref.tell(Load())

    def on_receive(self, message: Any) -> Any:
        """Handle one message."""
        if isinstance(message, Load):
            self._load()
        elif handle := self._takes.get(type(message)):
            self._take(handle, message)
        elif handle := self._answers.get(type(message)):
            return self._answer(handle, message)
        else:
            logger.warning("updates: unexpected message %s dropped", type(message).__name__)
        return None

    def _answer(self, handle: Callable[[Any], Any], message: Any) -> Any:
        if not self._is_loaded:
            raise StoreUnavailable("the rollouts have not been read yet")
        try:
            self._look_at_clock()
            return handle(message)
        except RolloutError:
            self._board.actions["refused"] += 1
            raise
        except AWAY as error:
            self._read_again(error)
            raise
        finally:
            self._arm()

    def _take(self, handle: Callable[[Any], None], message: Any) -> None:
        if isinstance(message, Tick) and message.at == self._wakes_at:
            self._wakes_at = None
        elif isinstance(message, GoOn):
            self._is_calling = False
        if not self._is_loaded:
            return  # the database says the same when it is read
        try:
            self._look_at_clock()
            handle(message)
        except AWAY as error:
            self._read_again(error)
        self._arm()

    # What the database holds

    def _load(self) -> None:
        """Read everything; until it has been read, come back for ever."""
        try:
            self._clock_offset = self._offset()
            self._keeper.read()
        except AWAY as error:
            if not self._is_away:
                self._is_away = True
                logger.warning("the rollouts cannot be read now, and are asked for every second: %s", error)
            self.actor_inbox.wait(AGAIN_AFTER)
            self.actor_ref.tell(Load())
            return
        self._is_loaded, self._is_away = True, False
        self.ready()
        self._arm()

    def _read_again(self, error: Exception) -> None:
        """Believe nothing in memory any more: nobody knows whether it was written."""
        logger.warning("the database was away in the middle of a step, the rollouts are read again: %s", error)
        self._is_loaded = False
        self.actor_ref.tell(Load())

    # What others tell

    def _forget(self, told: Forget) -> None:
        for live in self._keeper.book:
            changes = Changes()
            for serial in told.serials:
                changes.add(live.rollout.remove(serial, self._keeper.now()))
            self._keeper.save(live, changes)
        for serial in told.serials:
            self._keeper.book.forget(serial)

    def _revoke(self, told: Revoked) -> None:
        for live in self._keeper.book:
            if live.header.release_id == told.release_id:
                self._keeper.save(live, live.rollout.halt(REVOKED))

    # Time

    def _tick(self, _tick: Tick) -> None:
        now = self._keeper.now()
        for live in self._keeper.book:
            self._keeper.save(live, live.rollout.tick(now))

    def _go_on(self, _told: GoOn) -> None:
        self._keeper.calls.go_on(self._keeper.now())

    def _look_at_clock(self) -> None:
        """See whether it was set, before anything is judged by it."""
        by = self._offset() - self._clock_offset
        if abs(by) <= JUMP:
            return
        self._clock_offset += by
        logger.warning("the clock was set by %.0f s; no device is silent by that, and no wave begins sooner", by)
        for live in self._keeper.book:
            self._keeper.save(live, live.rollout.set_clock(self._keeper.now(), by))

    def _arm(self) -> None:
        """Have timers for whatever is due next."""
        if not self._is_loaded:
            return
        if self._keeper.calls.is_waiting and not self._is_calling:
            self._is_calling = True
            self._runtime.timers.after(EVERY, self.actor_ref, GoOn())
        times = [at for live in self._keeper.book if (at := live.rollout.next_at) is not None]
        if not times:
            return
        monotonic = self._runtime.clock.monotonic()
        at = monotonic + min(max(0.0, min(times) - self._keeper.now()), LONGEST_SLEEP)
        if self._wakes_at is None or at < self._wakes_at:
            self._wakes_at = at
            self._runtime.timers.after(at - monotonic, self.actor_ref, Tick(at))

    def _offset(self) -> float:
        """Return the difference of the two clocks, seconds; it stays the same while nobody sets one of them."""
        return self._keeper.now() - self._runtime.clock.monotonic()
