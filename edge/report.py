"""`Reporter`: looks at everything once a second, has changes told to the server, and tells systemd that we live.

It also writes the state that `muster-edge status` shows into a file, which is there after a crash too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pykka

from actors.clock_quality import clock_quality
from actors.outbox import GetStats, OutboxStats, OutboxUnavailableError
from actors.runtime import ThreadedActor, ToSelf
from edge.presence import TellStatus
from edge.state import describe_edge
from supervisor import SupervisionError, count_children
from supervisor.process.sdnotify import Notifier
from supervisor.process.state_file import StateFile

if TYPE_CHECKING:
    from edge.parts import EdgeParts

logger = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
VITALS_EVERY = 30.0
AT_LEAST_EVERY = 60.0
"""Seconds after which a state that has not changed is written too."""
ASK_TIMEOUT = 2.0
PULSE_TIMEOUT = 5.0
"""Seconds for the top supervisor to answer; one that does not is no longer a supervisor."""
_NO_NEWS = ("updated", "system_info", "outbox", "inbox", "sensors", "updates")
"""What changes by itself."""


class Tick(ToSelf, msgspec.Struct, frozen=True):
    """To itself: look."""


class Reporter(ThreadedActor):
    """Has a thread because it asks, reads figures of the machine, and writes a file."""

    def __init__(self, parts: EdgeParts, notifier: Notifier) -> None:
        super().__init__()
        self._parts, self._notifier = parts, notifier
        self._file = StateFile(parts.home.state, parts.runtime.clock, at_least_every=AT_LEAST_EVERY)
        self._vitals_at = self._alive_at = float("-inf")

    def on_start(self) -> None:
        """Look at once."""
        self.actor_ref.tell(Tick())

    def on_receive(self, message: Any) -> None:
        """Look, and again in a second."""
        if not isinstance(message, Tick):
            return
        self._look()
        self._tell_changes()
        self._write(describe_edge(self._parts))
        self._tell_systemd()
        self._parts.runtime.timers.after(EVERY, self.actor_ref, Tick())

    def on_stop(self) -> None:
        """Leave a last state."""
        self._look()
        self._write(describe_edge(self._parts, "stopped"))

    def _look(self) -> None:
        """Read what may block, for all who must not."""
        gauges, now = self._parts.boards.gauges, self._now()
        gauges.clock_quality = clock_quality()
        if now - self._vitals_at >= VITALS_EVERY:
            self._vitals_at = now
            gauges.vitals = self._parts.vitals.read()
        ref = self._parts.directory.get("outbox")
        if ref is None:
            return
        try:
            gauges.outbox = cast("OutboxStats", ref.ask(GetStats(), timeout=ASK_TIMEOUT))
        except (pykka.ActorDeadError, pykka.Timeout, OutboxUnavailableError) as error:
            logger.debug("the outbox does not answer: %r", error)

    def _tell_changes(self) -> None:
        """Have a status told when the tree or a service is not what the last one said."""
        boards = self._parts.boards
        if not boards.sight.blind and boards.told != self._parts.facts.news():
            self._parts.directory.tell("presence", TellStatus())

    def _write(self, state: dict[str, Any]) -> None:
        outbox = state["outbox"]
        news = {key: value for key, value in state.items() if key not in _NO_NEWS}
        news["sensors"] = [(sensor["id"], sensor["error"]) for sensor in state["sensors"]]
        for name in ("uplink", "hub"):
            news[name] = {key: value for key, value in state[name].items() if key != "counters"}
        news["updates"] = (state["updates"]["state"], state["updates"]["version"], state["updates"]["checks"])
        news["outbox"] = (outbox["items"], outbox["dropped"], outbox["error"])
        self._file.write(state, news)

    def _tell_systemd(self) -> None:
        """Say that we live twice in the time that systemd waits, as long as the supervisors do."""
        bearings, boards = self._parts.bearings, self._parts.boards
        link = "online" if not boards.sight.blind else boards.link.status.last_error or boards.link.status.state.value
        self._notifier.status(f"{self._parts.device_id}: {link}. {bearings.detail}")
        now = self._now()
        patience = self._notifier.watchdog / 2 - EVERY
        if self._notifier.watchdog and now - self._alive_at >= patience and self._is_healthy():
            self._alive_at = now
            self._notifier.alive()

    def _is_healthy(self) -> bool:
        """Whether the top supervisor answers: then the dispatcher turns, and whatever else fails is healed."""
        tree = self._parts.tree
        try:
            return tree is not None and count_children(tree, timeout=PULSE_TIMEOUT).specs > 0
        except (SupervisionError, pykka.ActorDeadError, pykka.Timeout):
            logger.exception("the top supervisor does not answer")
            return False

    def _now(self) -> float:
        return self._parts.runtime.clock.monotonic()
