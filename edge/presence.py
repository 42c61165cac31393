"""`PresenceActor`: says that this device is there. Announcement, heartbeat and status, each told to the link.

Nothing is said while the link is down: what is old when it is back is of no use, and the greeting says all of it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from actors.link.messages import Announcement, Publish, Reconnect
from actors.messages import Deliveries
from actors.runtime import Directory, PooledActor, Runtime, ToSelf
from edge.facts import Boards, Facts
from edge.locator import Renew
from edge.network import NetworkChanged

logger = logging.getLogger(__name__)

REQUESTS = "server/requests"
STATUS_EVERY = 300.0
"""Seconds between two statuses when nothing has changed."""
JITTER = 0.1
"""Part of the interval by which a heartbeat may come early, so that a fleet that was switched on together spreads."""
LONGEST_SPREAD = 3_600.0
"""Seconds over which a server may spread the announcements that it asks for."""


class Connected(msgspec.Struct, frozen=True):
    """From the link: the subscriptions stand."""


class Announce(msgspec.Struct, frozen=True):
    """Announce now; from a command, or to itself when the time has come that a request has spread."""

    connect: bool = False
    """Whether a link that is down is to connect at once."""


class TellStatus(msgspec.Struct, frozen=True):
    """From the reporter: something has changed that a status tells."""


class SetHeartbeat(msgspec.Struct, frozen=True):
    """From a device twin: another interval."""

    seconds: float | None
    """None takes the configured one."""


class Beat(msgspec.Struct, frozen=True):
    """To itself: a heartbeat is due."""

    number: int
    """Of the interval; an earlier one is no longer wanted."""


class StatusDue(ToSelf, msgspec.Struct, frozen=True):
    """To itself: a status is due."""


class Request(msgspec.Struct, frozen=True):
    """What the server asks for on `server/requests`."""

    request: str = ""
    device_id: str = ""
    """Empty means every device."""
    spread: float = 0.0
    """Seconds over which the answers are to be spread."""


@dataclass(kw_only=True, slots=True)
class Pace:
    """How often we beat; outlives the incarnations of the actor."""

    configured: float
    """Seconds."""
    desired: float | None = None

    @property
    def seconds(self) -> float:
        """The interval that holds now."""
        return self.configured if self.desired is None else self.desired


class PresenceActor(PooledActor):
    """Has no thread: it reads boards and tells the link."""

    def __init__(
        self,
        *,
        facts: Facts,
        boards: Boards,
        pace: Pace,
        directory: Directory,
        runtime: Runtime,
        rng: Callable[[], float] = random.random,
        then: Sequence[str] = (),
    ) -> None:
        """Assign.

        Args:
            facts: what we say.
            boards: what others show.
            pace: how often we beat.
            directory: where the link is found.
            runtime: clock and timers.
            rng: uniform in [0, 1): the jitter.
            then: who is told of a connection when we have announced ourselves: nothing is to be heard of us before.

        """
        super().__init__()
        self._facts, self._boards, self._pace = facts, boards, pace
        self._directory, self._runtime, self._rng, self._then = directory, runtime, rng, tuple(then)
        self._interval = 0
        """Counts the intervals."""
        self._told_ip = ""
        """What the last announcement said."""

    def on_start(self) -> None:
        """Begin to beat; a next incarnation says at once that it is there."""
        self._beat_later()
        self._runtime.timers.after(STATUS_EVERY, self.actor_ref, StatusDue())
        if self._is_up:
            self._announce()

    def on_receive(self, message: Any) -> None:
        """Say what is asked for, or due."""
        match message:
            case Beat():
                self._beat(message)
            case Deliveries():
                self._take(message)
            case Connected():
                self._announce()
                for name in self._then:
                    self._directory.tell(name, message)
            case Announce():
                self._announce_as_asked(message)
            case TellStatus():
                self._tell_status()
            case StatusDue():
                self._tell_status()
                self._runtime.timers.after(STATUS_EVERY, self.actor_ref, StatusDue())
            case NetworkChanged():
                self._look_at_network(message)
            case SetHeartbeat():
                self._pace.desired = message.seconds
                self._beat_later()
            case _:
                logger.warning("presence: unexpected message %.200r", message)

    def _announce_as_asked(self, message: Announce) -> None:
        if message.connect and not self._is_up:
            self._directory.tell("link", Reconnect())  # whoever connects announces
        else:
            self._announce()

    def _beat(self, beat: Beat) -> None:
        if beat.number != self._interval:
            return
        self._publish(self._facts.heartbeat())
        self._beat_later()

    def _beat_later(self) -> None:
        self._interval += 1
        seconds = self._pace.seconds * (1 - JITTER * self._rng())
        self._runtime.timers.after(seconds, self.actor_ref, Beat(self._interval))

    def _take(self, deliveries: Deliveries) -> None:
        for item in deliveries.items:
            if item.retain:
                continue  # a request is of the moment; whoever retained it did not mean us
            try:
                request = msgspec.json.decode(item.payload, type=Request)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                logger.warning("presence: cannot read what came on %s: %s", item.topic, error)
                continue
            if request.request == "announce" and request.device_id in ("", self._facts.device_id):
                spread = min(max(request.spread, 0.0), LONGEST_SPREAD)
                self._runtime.timers.after(spread * self._rng(), self.actor_ref, Announce())
            elif request.request == "renew" and request.device_id in ("", self._facts.device_id):
                spread = min(max(request.spread, 0.0), LONGEST_SPREAD)
                self._directory.tell("locator", Renew(spread * self._rng()))
        self._boards.sight.done("presence", deliveries.number)

    def _look_at_network(self, change: NetworkChanged) -> None:
        """Connect anew when our end of the connection is gone; say our new address when it is another one."""
        local = self._boards.line.local_ip
        there = {address.ip for address in change.addresses if address.is_up}
        if local and local not in there:
            logger.info("our address %s is gone, connecting anew", local)
            self._directory.tell("link", Reconnect(path_lost=True))
        elif not self._is_up and any(not address.is_loopback for address in change.addresses if address.is_up):
            self._directory.tell("link", Reconnect())  # do not wait out the back-off of a network that was away
        elif self._facts.ip_address != self._told_ip:
            self._announce()

    def _announce(self) -> None:
        """Announce, and tell the rest of it: a server that asks knows nothing of us."""
        self._told_ip = self._facts.ip_address
        self._publish(self._facts.announcement())
        self._tell_status()

    def _tell_status(self) -> None:
        if self._is_up:
            self._boards.told = self._facts.news()
            self._publish(self._facts.status())

    def _publish(self, announcement: Announcement) -> None:
        if self._is_up:
            self._directory.tell("link", Publish(*announcement))

    @property
    def _is_up(self) -> bool:
        return not self._boards.sight.blind
