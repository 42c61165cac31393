"""`TwinActor`: the one who changes what is desired, and the only one who publishes it.

State on disk first, then the publication. One thread reads a twin and publishes it, so that an older version never
follows a newer one on a link. What could not be published, or may have been committed without our learning of it, is
published again from the database: soon, and in any case when the link connects or this actor starts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import msgspec
import pykka

from actors.device_messages import Told
from actors.link.messages import DROPPED, REFUSED, Publish, Published
from actors.link.status import LinkBoard
from actors.registry import Execute
from actors.runtime import Directory, Runtime, ThreadedActor, compute_backoff
from actors.storage.errors import StoreUnavailable
from actors.storage.sql import slices
from actors.storage.twins import FindPublished, FindTwins, drop_cleared
from actors.twins.lane import Lane
from actors.twins.messages import Change, Changed, ChangeMany, LinkUp, Twin, TwinError, TwinsStored
from actors.twins.steps import change_desired

logger = logging.getLogger(__name__)

NAME: Final = "twins"
"""Of the service."""
EVENTS: Final = (
    "changed", "unchanged", "conflict", "refused", "reported", "published", "publish_failed", "cleared",
)  # fmt: skip
"""What is counted."""
TOGETHER = 50
"""Devices changed in one transaction: some thirty milliseconds, for which readings wait."""
SETTLE = 0.5
"""Seconds that a connection has to last before everything is published on it: one that flaps would only fill up."""
MOST_SHOWN = 100
"""Reports of one commit that pages are told of: ten thousand events are kept in memory."""
RETRY_BASE, RETRY_CAP = 2.0, 600.0
"""Seconds until what failed is tried again: at first, and at most."""
NOT_ANSWERED = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout, TimeoutError)


class TryAgain(msgspec.Struct, frozen=True):
    """To itself, from a timer: publish what has failed."""

    link: str


class Begin(msgspec.Struct, frozen=True):
    """To itself, from a timer: publish everything, if this is still the connection."""

    link: str
    connection: int


class TwinBoard:
    """What has happened since the process started; it outlives the actor's incarnations."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()


@dataclass(kw_only=True)
class TwinSurroundings:
    """What the actor needs; it outlives it."""

    runtime: Runtime
    services: Directory
    write: Callable[[Any], Any]
    """Gets the writer's answer to a message."""
    read: Callable[[Any], Any]
    """Gets a reader's answer to a query."""
    knows: Callable[[str], bool]
    """Whether a serial is one of this server's fleet."""
    links: Mapping[str, LinkBoard]
    """The control links: every broker retains what is desired of every device."""
    on_change: Callable[[str], None] = lambda _serial: None
    """Called with the serial when pages should look at a twin anew."""
    board: TwinBoard = field(default_factory=TwinBoard)


class TwinActor(ThreadedActor):
    """Answers `Change` and `ChangeMany`; takes reports, `Published`, `LinkUp` and `TwinsStored`."""

    def __init__(self, around: TwinSurroundings) -> None:
        super().__init__()
        self._around = around
        self._board = around.board
        self._lanes = {link: Lane(link) for link in around.links}
        self._tokens = count(1)
        self._cleared: dict[str, set[str]] = {}
        """Deleted devices, and the links on which nothing of theirs is retained any more."""

    def on_start(self) -> None:
        """Publish everything: a predecessor may have ended between a commit and its publication."""
        # Answers to a predecessor's publications may still come: they must mean none of ours.
        self._tokens = count(int(self._around.runtime.clock.time() * 1_000_000))
        for link, board in self._around.links.items():
            if board.status.connected:
                self._begin(link, self._lanes[link].connected())

    def on_receive(self, message: Any) -> Any:
        """Carry out a change, or see to what has to be published."""
        match message:
            case Change():
                return self._change(message)
            case ChangeMany():
                return self._change_many(message)
            case Told():
                # With its token, so that the link acknowledges it after the commit.
                self._around.services.tell("notary", message.body)
            case Published():
                self._published(message)
            case TwinsStored():
                self._stored(message)
            case LinkUp(link=link):
                self._link_up(link)
            case Begin(link=link, connection=connection):
                self._begin(link, connection)
            case TryAgain(link=link):
                self._lanes[link].try_again()
                self._pump(self._lanes[link])
            case _:
                logger.warning("twins: unexpected message %s dropped", type(message).__name__)
        return None

    # Changes

    def _change(self, order: Change) -> Changed:
        (outcome,) = self._write([order])
        if isinstance(outcome, TwinError):
            raise outcome
        return outcome

    def _change_many(self, order: ChangeMany) -> list[Changed | TwinError]:
        outcomes: list[Changed | TwinError] = []
        for serials in slices(order.serials, TOGETHER):
            orders = [Change(serial, order.patch, None, order.by, order.address) for serial in serials]
            outcomes += self._write(orders)
        return outcomes

    def _write(self, orders: Sequence[Change]) -> list[Changed | TwinError]:
        """Change twins in one transaction, and publish them."""
        now_us = int(self._around.runtime.clock.time() * 1_000_000)

        def work(database: Any) -> list[Changed | TwinError]:
            return [self._carry_out(database, order, now_us) for order in orders]

        try:
            outcomes: list[Changed | TwinError] = self._around.write(Execute(work))
        except NOT_ANSWERED:
            # Nobody knows whether it was committed: if so, it is published like any other change.
            for lane in self._lanes.values():
                for order in orders:
                    lane.fail(order.serial)
                self._later(lane)
            raise
        for outcome in outcomes:
            self._count(outcome)
        self._want([each.twin.serial for each in outcomes if isinstance(each, Changed) and each.is_new])
        return outcomes

    def _carry_out(self, database: Any, order: Change, now_us: int) -> Changed | TwinError:
        serial = order.serial
        if not self._around.knows(serial):
            return TwinError("not_found", "no device of this serial is known", serial=serial[:64])
        return change_desired(
            database, serial, order.patch, order.version, by=order.by, address=order.address, now_us=now_us
        )

    def _count(self, outcome: Changed | TwinError) -> None:
        if isinstance(outcome, TwinError):
            self._board.counts["conflict" if outcome.code == "conflict" else "refused"] += 1
        elif not outcome.is_new:
            self._board.counts["unchanged"] += 1
        else:
            twin = outcome.twin
            self._board.counts["changed"] += 1
            logger.info("twin of %s: version %d desired by %s", twin.serial, twin.desired_version, twin.changed_by)
            self._around.on_change(twin.serial)

    # What devices say, and their end

    def _stored(self, message: TwinsStored) -> None:
        self._board.counts["reported"] += len(message.reported)
        for serial in list(dict.fromkeys(message.reported))[-MOST_SHOWN:]:
            self._around.on_change(serial)
        self._want(message.deleted)

    # Publishing

    def _link_up(self, link: str) -> None:
        lane = self._lanes.get(link)
        if lane is None:
            return
        connection = lane.connected()
        if lane.is_up:
            self._around.runtime.timers.after(SETTLE, self.actor_ref, Begin(link, connection))
        else:
            self._begin(link, connection)

    def _begin(self, link: str, connection: int) -> None:
        lane = self._lanes[link]
        if lane.begin(connection):
            for links in self._cleared.values():
                links.discard(link)
            self._pump(lane)

    def _want(self, serials: Sequence[str]) -> None:
        for lane in self._lanes.values():
            lane.want(serials)
            self._pump(lane)

    def _pump(self, lane: Lane) -> None:
        """Publish what is wanted, as far as there is room for it: changes first, then everything else."""
        try:
            while lane.is_up and lane.is_ready:
                if serials := lane.take():
                    self._publish_wanted(lane, serials)
                elif lane.after is not None:
                    self._pass_on(lane, lane.after)
                else:
                    return
        except NOT_ANSWERED as error:
            logger.warning("twins cannot be read to be published on %s: %r", lane.link, error)
            self._later(lane)

    def _publish_wanted(self, lane: Lane, serials: Sequence[str]) -> None:
        try:
            # By the writer: behind a change that it may not have come to yet, see `_write`.
            twins: list[Twin] = self._around.write(Execute(FindTwins(serials).run))
        except NOT_ANSWERED:
            for serial in serials:
                lane.fail(serial)
            raise
        for twin in twins:
            self._publish(lane, twin)

    def _pass_on(self, lane: Lane, after: str) -> None:
        room = lane.room
        twins: list[Twin] = self._around.read(FindPublished(after, room))
        lane.passed(twins[-1].serial if len(twins) == room else None)
        for twin in twins:
            self._publish(lane, twin)

    def _publish(self, lane: Lane, twin: Twin) -> None:
        if twin.to_clear:
            payload = b""
        elif twin.desired_version and self._around.knows(twin.serial):
            payload = msgspec.json.encode({"version": twin.desired_version, "desired": twin.desired})
        else:
            return
        token = next(self._tokens)
        lane.sent(token, twin.serial)
        topic = f"devices/{twin.serial}/twin/desired"
        message = Publish(topic, payload, qos=1, retain=True, reply_to=NAME, token=token)
        if twin.to_clear:
            self._cleared.setdefault(twin.serial, set())
        else:
            self._cleared.pop(twin.serial, None)
        self._around.services.tell(lane.link, message)

    def _published(self, answer: Published) -> None:
        found = ((lane, lane.answered(answer.token)) for lane in self._lanes.values())
        lane, serial = next(((lane, serial) for lane, serial in found if serial is not None), (None, None))
        if lane is None or serial is None:
            return
        if DROPPED < answer.reason < REFUSED:
            lane.failures = 0
            self._board.counts["published"] += 1
            self._note_cleared(lane, serial)
        else:
            self._board.counts["publish_failed"] += 1
            why = answer.detail or f"the broker refused it with reason code 0x{answer.reason:02X}"
            logger.warning("the twin of %s is not published on %s: %s", serial, lane.link, why)
            if answer.cause != "invalid":  # which it would be again
                lane.fail(serial)
                self._later(lane)
        self._pump(lane)

    def _note_cleared(self, lane: Lane, serial: str) -> None:
        """Forget a deleted device's row once no broker retains anything of it."""
        links = self._cleared.get(serial)
        if links is None:
            return
        links.add(lane.link)
        if len(links) < len(self._lanes):
            return
        del self._cleared[serial]
        try:
            self._around.write(Execute(lambda database: drop_cleared(database, serial)))
        except NOT_ANSWERED as error:
            logger.warning("the row of the deleted %s stays until the links connect again: %r", serial, error)
            return
        self._board.counts["cleared"] += 1

    def _later(self, lane: Lane) -> None:
        if lane.is_waiting:
            return
        lane.is_waiting = True
        delay = compute_backoff(lane.failures, base=RETRY_BASE, cap=RETRY_CAP, floor=RETRY_BASE / 2)
        lane.failures += 1
        self._around.runtime.timers.after(delay, self.actor_ref, TryAgain(lane.link))
