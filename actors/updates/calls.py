"""Tells devices that are offered a release to ask for it now, by the command `update`; else each asks within the hour.

At a bounded pace. Nothing depends on it: whom no command reaches asks by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

import pykka

from actors.commands.messages import COMMANDER, CommandError, Issue
from actors.storage.errors import StoreUnavailable
from actors.updates.book import Book
from actors.updates.entry import Refusal

if TYPE_CHECKING:
    from actors.updates.keeper import Desk

logger = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks at who is to be called."""
MOST_AT_ONCE: Final = 50
"""Devices called at a look: each will ask, download and report."""
MOST_LOOKED_AT: Final = 500
"""Devices looked at to find those; the others come later."""
WITHIN: Final = 600.0
"""Seconds in which one is looked for that is not there."""
CLOSED_FOR: Final = 60.0
"""Seconds between two looks at those whose maintenance window is closed."""
TIMEOUT: Final = 60.0
"""Seconds that such a command has."""
PATIENCE: Final = 60.0
"""Seconds that the commander has to answer."""


class Calls:
    """Who is to be called, in the order in which it was offered to them; in memory only."""

    def __init__(self, desk: Desk, book: Book) -> None:
        self._desk, self._book = desk, book
        self._clock, self._counts = desk.runtime.clock, desk.board.calls
        self._wanted: dict[str, float] = {}
        """Serial to the monotonic time until which it is looked for."""
        self._closed: list[str] = []
        self._looks_again_at = 0.0
        """When it is seen whether the windows of those are open, monotonic seconds."""
        self._asked: tuple[Issue, pykka.Future[Any], float] | None = None
        """What the commander has not answered, and until when it may."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to do in a while."""
        return bool(self._wanted or self._closed) or self._asked is not None

    def clear(self) -> None:
        """Forget everybody."""
        self._wanted.clear()
        self._closed.clear()
        self._asked = None

    def want(self, serials: Iterable[str]) -> None:
        """Have devices called."""
        self._wanted |= dict.fromkeys(serials, self._clock.monotonic() + WITHIN)

    def go_on(self, now: float) -> None:
        """Call some of them, once those before are on their way (`now`: seconds since 1970)."""
        if self._asked is not None and not self._is_answered(*self._asked):
            return
        self._asked = None
        if self._closed and self._clock.monotonic() >= self._looks_again_at:
            self.want(self._closed)
            self._closed.clear()
            self._looks_again_at = self._clock.monotonic() + CLOSED_FOR
        serials = self._choose(now)
        commander = self._desk.services.get(COMMANDER)
        if not serials:
            return
        if commander is None:
            self.want(serials)
            return
        order = Issue(serials=tuple(serials), name="update", args="{}", timeout=TIMEOUT, by="rollouts", address="")
        self._asked = (order, commander.ask(order, block=False), self._clock.monotonic() + PATIENCE)

    def _choose(self, now: float) -> list[str]:
        chosen: list[str] = []
        for serial in list(islice(self._wanted, MOST_LOOKED_AT)):
            until = self._wanted.pop(serial)
            verdict = self._judge(serial, now)
            if verdict == "call":
                chosen.append(serial)
                if len(chosen) == MOST_AT_ONCE:
                    break
            elif verdict == "busy":
                self._wanted[serial] = self._clock.monotonic() + WITHIN
            elif verdict == "closed":
                self._closed.append(serial)
            elif verdict == "later" and until > self._clock.monotonic():
                self._wanted[serial] = until
            elif verdict == "later":
                self._counts["missed"] += 1
        return chosen

    def _judge(self, serial: str, now: float) -> Literal["call", "busy", "closed", "later", "never"]:
        """Return whether a device is called: whoever would be refused when it asks is not."""
        live, desk = self._book.of(serial), self._desk
        if live is None or live.rollout.entries[serial].state != "offered":
            return "never"
        answer = live.rollout.offer(serial)
        if isinstance(answer, Refusal):
            return "busy" if answer.reason == "busy" else "never"  # a pause: what ends it wants them anew
        if not live.is_open(desk.board.windows_of(desk.site_of(serial)), now):
            return "closed"
        return "call" if desk.takes_calls(serial) else "later"

    def _is_answered(self, order: Issue, future: pykka.Future[Any], until: float) -> bool:
        """Learn what became of the last ones; those that were not taken come again."""
        try:
            future.get(timeout=0)
        except CommandError as error:
            other = error.details.get("device")  # one that has too many: the others are called without it
            self._counts["refused"] += 1
            self.want(serial for serial in order.serials if serial != other)
        except pykka.Timeout:
            if self._clock.monotonic() < until:
                return False
            self.want(order.serials)
        except (StoreUnavailable, pykka.ActorDeadError) as error:
            logger.info("%d devices are called later: %s", len(order.serials), error)
            self.want(order.serials)
        else:
            self._counts["called"] += len(order.serials)
        return True
