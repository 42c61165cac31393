"""`AlarmsActor`: looks once a second, and carries out what operators ask for, in a thread of its own."""

from __future__ import annotations

import logging
from typing import Any, Final

from actors.alarms.desk import UNAVAILABLE, AlarmDesk
from actors.alarms.messages import (
    Acknowledge,
    ChangeRule,
    DropRule,
    ListRules,
    Look,
    Order,
    PutRule,
    SilenceAlarm,
    Told,
)
from actors.runtime import Runtime, ThreadedActor

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks."""

_ORDERS: Final = {
    Acknowledge: "acknowledge",
    SilenceAlarm: "silence",
    PutRule: "put_rule",
    ChangeRule: "change_rule",
    DropRule: "drop_rule",
}
"""What operators ask for, and the method of the desk that does it."""


class AlarmsActor(ThreadedActor):
    """Drives the desk. Answers the orders of operators; raises `AlarmError` in the asker, or that the database is away.

    Args:
        desk: keeps the alarms; each incarnation has one of its own.
        runtime: its timers are used.

    """

    def __init__(self, desk: AlarmDesk, runtime: Runtime) -> None:
        super().__init__()
        self._desk = desk
        self._runtime = runtime
        self._is_loaded = False

    def on_start(self) -> None:
        """Begin to look."""
        self._load()
        self._again()

    def on_receive(self, message: Any) -> Any:
        """Look when it is time; carry out one order."""
        match message:
            case Look(actor=actor):
                if actor == self.actor_urn:
                    self._look()
            case Told():
                self._desk.told(message)
            case ListRules():
                return self._desk.rules()
            case Order():
                return self._carry_out(message)
            case _:
                logger.warning("alarms: unexpected message %s dropped", type(message).__name__)
        return None

    def _carry_out(self, order: Order) -> Any:
        if not self._is_loaded:
            self._load(insist=True)
        return getattr(self._desk, _ORDERS[type(order)])(order)

    def _look(self) -> None:
        if not self._is_loaded:
            self._load()
        if self._is_loaded:
            self._desk.look()
        self._again()

    def _load(self, *, insist: bool = False) -> None:
        """Begin where the last process has ended; without the database nothing is known of what is open."""
        try:
            self._desk.load()
            self._is_loaded = True
        except UNAVAILABLE as error:
            logger.info("the alarms wait for the database: %r", error)
            if insist:
                raise

    def _again(self) -> None:
        self._runtime.timers.after(LOOK_EVERY, self.actor_ref, Look(self.actor_urn))
