"""`Inbox`: keeps what reaches this device, hands it to those who act on it, and has every answer reach the server.

What comes is on the disk before the broker is told that we have it. What is answered is on the disk before the outbox
is given it, and is given again until the outbox has it. So a crash or a power cut at any moment loses nothing and does
nothing twice: a copy is known by its id, and a command that has begun is not begun again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pykka

from actors.link.messages import Publish, Replay
from actors.messages import Deliveries, Delivery, Settled
from actors.outbox import Item, OutboxUnavailableError, Put
from actors.runtime import GuardedFuture, ThreadedActor
from actors.timestamps import rfc3339
from edge.inbox.commands import Job
from edge.inbox.file import InboxFile, InboxUnavailableError
from edge.inbox.messages import (
    Answer,
    Blinks,
    DesiredTwin,
    Finished,
    Idle,
    Lane,
    Look,
    Report,
    RestoreLed,
    UnreadableError,
    Work,
    read_twin,
)
from edge.inbox.notifications import NotificationDesk
from edge.inbox.orders import CommandDesk
from edge.inbox.parts import DESK, InboxParts
from edge.inbox.twin import EdgeTwin, Kept
from edge.presence import Connected

logger = logging.getLogger(__name__)

HANDLERS: Lane = "inbox.handlers"
COMMAND_LANES: tuple[Lane, ...] = ("inbox.commands", "inbox.programs")
AGAIN_AFTER = 5.0
"""Seconds until a file or an outbox that could not be used is tried again."""
PUT_TIMEOUT = 10.0
FORGET_EVERY = 500
"""Deliveries between two looks for what can be forgotten."""


@dataclass(slots=True)
class _Lane:
    """A worker as we know it."""

    incarnation: str
    number: int = 0
    """What it has in hand; 0 for nothing."""
    job: Any = None


class Inbox(ThreadedActor):
    """The only one who touches the file. It has a thread because an fsync blocks."""

    def __init__(self, parts: InboxParts) -> None:
        super().__init__()
        self._parts = parts
        self._file = InboxFile(parts.path)
        self._twin = EdgeTwin(parts.heartbeat, parts.handlers)
        self._notifications = NotificationDesk(
            self._file, device_id=parts.device_id, handlers=tuple(parts.handlers), twin=self._twin, board=parts.board
        )
        self._orders = CommandDesk(
            self._file,
            device_id=parts.device_id,
            boot_id=parts.boot_id,
            commands=parts.commands,
            board=parts.board,
            clock_quality=parts.clock_quality,
        )
        self._lanes: dict[Lane, _Lane] = {}
        self._taken = 0
        self._look_at = float("inf")

    def on_start(self) -> None:
        """Go on where the last run, or the last incarnation, was."""
        for lane in (HANDLERS, *COMMAND_LANES):
            self._parts.directory.tell(lane, Report())
        self._look()

    def on_receive(self, message: Any) -> None:
        """Handle one message, and then whatever can be done."""
        match message:
            case Deliveries():
                self._take(message)
            case Finished():
                self._finish(message)
            case Idle():
                self._meet(message)
            case Connected():
                self._report()
            case Look():
                self._look()
            case Blinks(seconds):
                self._parts.runtime.timers.after(seconds, self.actor_ref, RestoreLed())
            case RestoreLed():
                self._parts.led.restore()
            case _:
                logger.warning("%s: unexpected message %.200r", DESK, message)
        if self.actor_inbox.empty():
            self._work()

    def on_stop(self) -> None:
        """Close the file."""
        self._parts.led.restore()
        self._file.close()

    def on_failure(self, *_: Any) -> None:
        """Close the file of a crashed inbox."""
        self._file.close()

    def sever(self) -> None:
        """Break a statement that hangs."""
        self._file.interrupt()

    # What comes in

    def _take(self, deliveries: Deliveries) -> None:
        if deliveries.items and self._guarded(lambda: self._keep(deliveries.items)):
            tokens = [item.token for item in deliveries.items if item.token]
            self._parts.directory.tell(deliveries.link, Settled(tokens))
        if deliveries.number:
            self._parts.sight.done(DESK, deliveries.number)

    def _keep(self, items: list[Delivery]) -> None:
        """Keep what has come, in one commit."""
        _, commands, twin = self._parts.own_topics
        with self._changing():
            for item in items:
                now_us = self._now_us()
                if item.topic == commands:
                    self._orders.take(item, now_us)
                elif item.topic == twin:
                    self._desire(item)
                else:
                    self._notifications.take(item, now_us)
            self._notifications.trim()
            self._taken += len(items)
            if self._taken >= FORGET_EVERY:
                self._taken = 0
                self._file.forget_old()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Commit what is done inside; settings that it changes hold when it is committed."""
        before = self._twin.kept
        try:
            with self._file.transaction():
                yield
        except BaseException:
            self._twin.kept = before
            raise
        self._follow_twin(before)

    def _desire(self, item: Delivery) -> None:
        """Take what the server desires; nothing at all when it has deleted this device."""
        try:
            wanted = read_twin(item.payload) if item.payload else DesiredTwin(self._twin.kept.version)
        except UnreadableError as error:
            self._parts.board.counters["unreadable"] += 1
            logger.warning("twin on %s: %s", item.topic, error)
            return
        if not self._twin.is_news(wanted.version, wanted.desired, retained=item.retain):
            self._parts.board.counters["duplicates"] += 1
            if wanted.version < self._twin.kept.version:
                self._report()  # a server that is behind gives the next change a version above ours
            return
        self._parts.board.counters["twins"] += 1
        self._keep_settings(self._twin.desire(wanted.version, wanted.desired))

    def _keep_settings(self, kept: Kept) -> None:
        self._file.keep_setting("twin", msgspec.json.encode(kept))
        self._twin.kept = kept

    def _follow_twin(self, before: Kept) -> None:
        """Let settings that have changed hold, and report them."""
        kept = self._twin.kept
        if kept == before:
            return
        self._parts.board.twin_version = kept.version
        if kept.heartbeat != before.heartbeat:
            self._parts.set_heartbeat(kept.heartbeat)
        self._report()

    def _report(self) -> None:
        """Publish our settings as they are; while there is no connection, the next one asks for it."""
        parts = self._parts
        if parts.sight.blind or not self._file.is_open:
            return
        body = {
            "version": self._twin.kept.version,
            "reported": self._twin.reported(),
            "timestamp": rfc3339(self._now_us()),
        }
        topic = f"devices/{parts.device_id}/twin/reported"
        parts.directory.tell(parts.link, Publish(topic, msgspec.json.encode(body), qos=1))

    # Who acts on it

    def _meet(self, idle: Idle) -> None:
        """Learn that a worker is there; what another incarnation of it had in hand has been interrupted."""
        known = self._lanes.get(idle.lane)
        if known is not None and known.incarnation == idle.incarnation:
            return
        if idle.lane == HANDLERS or self._guarded(lambda: self._interrupt(idle.lane)):
            self._lanes[idle.lane] = _Lane(idle.incarnation)
        else:
            self._lanes.pop(idle.lane, None)
            self._parts.runtime.timers.after(AGAIN_AFTER, self.actor_ref, idle)

    def _interrupt(self, lane: Lane) -> None:
        with self._file.transaction():
            self._orders.interrupted(lane)

    def _finish(self, finished: Finished) -> None:
        """Note how a job has ended; a file that cannot be written now is asked again, since that must not be lost."""
        if not self._guarded(lambda: self._note(finished)):
            self._parts.runtime.timers.after(AGAIN_AFTER, self.actor_ref, finished)
            return
        lane = self._lanes.get(finished.lane)
        if lane is not None and lane.number == finished.number:
            lane.number, lane.job = 0, None

    def _note(self, finished: Finished) -> None:
        with self._file.transaction():
            if finished.lane == HANDLERS:
                job, troubles = finished.outcome
                self._notifications.finished(finished.number, job, troubles, self._now())
            else:
                self._orders.end(finished.number, finished.outcome)

    def _work(self) -> None:
        """Give each worker that has nothing in hand its next job, and the outbox what is to be answered."""
        if not self._file.is_open:
            return
        if self._guarded(self._hand_out) and self._guarded(self._answer):
            self._parts.board.last_error = ""
        due = self._notifications.next_at()
        if due is not None:
            self._look_by(due)

    def _look_by(self, at: float) -> None:
        """Look again at this monotonic time, unless we do so before; many troubles are one reason to look."""
        if at < self._look_at:
            self._look_at = at
            self._parts.runtime.timers.at(at, self.actor_ref, Look())

    def _hand_out(self) -> None:
        free = self._lanes.get(HANDLERS)
        if free is not None and not free.number:
            with self._file.transaction():
                found = self._notifications.next_job(self._now())
            self._give(HANDLERS, found)
        for name in COMMAND_LANES:
            lane = self._lanes.get(name)
            while lane is not None and not lane.number and self._begin(name):
                continue

    def _begin(self, name: Lane) -> bool:
        """Begin the next command of a lane; return whether there was one."""
        with self._changing():
            found = self._orders.next_job(name, self._now_us())
            if found is not None and found[1].command.name == "set":
                self._orders.end(found[0], self._set(found[1]))
        if found is None:
            return False
        command = found[1].command
        if name == "inbox.programs" or command.name == "restart":  # the others have ended by then
            item = self._orders.beginning(command, self._now_us())
            self._parts.directory.tell(self._parts.outbox, Put((item,)))
        if command.name != "set":
            self._give(name, found)
        return True

    def _set(self, job: Job) -> Answer:
        """Change settings, all of those that are named or none."""
        values = job.command.args
        if not values:
            return Answer("failed", reason="`args` names no setting")
        kept, errors = self._twin.change(values)
        if errors:
            return Answer("failed", reason="; ".join(f"`{name}` {error}" for name, error in errors.items()))
        self._keep_settings(kept)
        return Answer("succeeded", self._twin.reported())

    def _give(self, name: Lane, found: tuple[int, Any] | None) -> None:
        if found is not None:
            lane = self._lanes[name]
            lane.number, lane.job = found
            self._parts.directory.tell(name, Work(lane.incarnation, *found))

    # What is answered

    def _answer(self) -> None:
        """Give the outbox what it has not got, a part at a time, and note that it has."""
        while True:
            now_us = self._now_us()
            receipts, responses = self._notifications.receipts(now_us), self._orders.responses(now_us)
            if not receipts and not responses:
                return
            self._put(tuple(item for _, item in (*receipts, *responses)))
            with self._file.transaction():
                for seq, _ in receipts:
                    self._file.mark_notification(seq, told=True)
                for seq, _ in responses:
                    self._file.mark_command(seq, told=True)

    def _put(self, items: tuple[Item, ...]) -> None:
        future: GuardedFuture[int] = GuardedFuture()
        self._parts.directory.tell(self._parts.outbox, Put(items, future))
        try:
            future.get(timeout=PUT_TIMEOUT)
        except pykka.Timeout:
            raise OutboxUnavailableError("the outbox did not answer in time") from None

    # When something is away

    def _look(self) -> None:
        """Open the file where it is closed, and have told again what we could not keep."""
        self._look_at = float("inf")
        if self._file.is_open or not self._guarded(self._open):
            return
        if self._parts.directory.get(self._parts.link) is not None:  # one that starts has nothing to tell again
            self._parts.directory.tell(self._parts.link, Replay(DESK))

    def _open(self) -> None:
        aside = self._file.open()
        if aside is not None:
            self._parts.board.counters["corrupt_files"] += 1
            logger.error("the inbox %s was corrupt; it is now %s and a new one begins", self._parts.path, aside.name)
        before = self._twin.kept
        self._twin.restore(self._file.setting("twin"))
        self._follow_twin(before)

    def _guarded(self, do: Callable[[], None]) -> bool:
        """Do something that needs file and outbox; return whether it was done, and look again soon if it was not."""
        board = self._parts.board
        try:
            do()
        except (InboxUnavailableError, OutboxUnavailableError) as error:
            if str(error) != board.last_error:
                logger.error("%s", error)  # noqa: TRY400 - the sentence says it all
            board.last_error = str(error)
            if isinstance(error, InboxUnavailableError):
                self._file.close()
            self._look_by(self._now() + AGAIN_AFTER)
            return False
        return True

    def _now(self) -> float:
        return self._parts.runtime.clock.monotonic()

    def _now_us(self) -> int:
        return int(self._parts.runtime.clock.time() * 1e6)
