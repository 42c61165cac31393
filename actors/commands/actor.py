"""`CommanderActor`: keeps commands until their devices are there, sends them, and notes what becomes of each.

The state is on the disk before a command is published: a command that the broker has not confirmed when this process
ends is sent again by the next one, and one that it has confirmed never is. Devices know a command by its id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import pykka
from peewee import Database

from actors.commands.book import Book, CommandBoard
from actors.commands.dispatch import Dispatch, cancellation, delay_after, judge_publication
from actors.commands.messages import MOST_OPEN, Came, Cancel, CommandError, Issue, Issued
from actors.commands.payloads import Response
from actors.commands.rules import Accepted, Answered, Change, Command, Judged, Refused, Sent, TimedOut, Waits
from actors.commands.steps import advance, cancel, issue
from actors.dead_letters import letter_of
from actors.device_messages import Told
from actors.ids import IdMaker
from actors.link.messages import Publish, Published
from actors.messages import Settled, StoreDeadLetter, WriteBatch
from actors.payloads import REASONS
from actors.registry import Execute
from actors.runtime import Directory, Runtime, ThreadedActor
from actors.storage.commands import find_open
from actors.storage.errors import StoreUnavailable
from actors.timestamps import rfc3339

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_CHANGES: Final = 200
"""Changes in one transaction: some twenty-five milliseconds, for which every reading would wait."""
SLICE: Final = 1_000
"""Commands inserted, or loaded, in one transaction."""
AGAIN_AFTER: Final = 1.0
"""Seconds until the database is asked again after it was away."""
GRACE: Final = 0.25
"""Seconds after a deadline at which it is judged: an answer may be on its way through this process."""
RETURN_GRACE: Final = 5.0
"""The same for deadlines that had passed before this process began: the broker may hold an answer for us."""
UNKNOWN: Final = "unknown_command"
"""The reason of the dead letter of an answer to a command that there is not."""
AWAY: Final = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout)
"""What asking the writer raises while there is no answer to be had."""


class Due(msgspec.Struct, frozen=True, gc=False):
    """To itself, from a timer: the deadline of a command has come."""

    id: str


class Again(msgspec.Struct, frozen=True, gc=False):
    """To itself, from a timer: try to send a command once more."""

    id: str


class Retry:
    """To itself, from a timer: the database may be back."""


RETRY: Final = Retry()


@dataclass
class Desk:
    """What the commander needs; it outlives the actor."""

    runtime: Runtime
    services: Directory
    board: CommandBoard
    ask: Callable[[Any], Any]
    """Gets the writer's answer to a message."""
    is_online: Callable[[str], bool]
    """Tells whether a device is there now."""
    link_of: Callable[[str], str]
    """Tells the name of the link through which a device is reached."""
    show: Callable[[Command], object]
    """Called with each command that is new or has changed."""
    admit: Callable[[StoreDeadLetter], bool]
    """Counts a dead letter, and tells whether it is to be kept."""


class CommanderActor(ThreadedActor):
    """Answers `Issue` and `Cancel`; takes `Came`, `Published`, and the answers of devices in `Told`.

    Raises in the asker `CommandError`, and what the writer raises while the database is away.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._book = Book(desk.board)
        self._ids = IdMaker(desk.runtime.clock)
        self._dispatch = Dispatch(self._now_us())
        self._changes: list[Change] = []
        """What waits to be committed, in order."""
        self._answers: list[Told] = []
        """The answers among it; they are acknowledged after the commit."""
        self._loaded: str | None = ""
        """The id up to which the open commands are loaded; None when all of them are."""
        self._is_retrying = False

    def on_start(self) -> None:
        """Learn which commands are open; while the database is away, later."""
        self._go_on()

    def on_stop(self) -> None:
        """Commit what is known by now."""
        self._catch_up()

    def unfinished(self) -> Sequence[Told]:
        """Return the answers that were taken and not committed, for the next incarnation."""
        return list(self._answers)

    def on_receive(self, message: Any) -> Any:
        """Handle one message; commit when nothing else waits, or enough has come together."""
        try:
            return self._handle(message)
        finally:  # what was asked may be refused, and others wait all the same
            if self.actor_inbox.empty() or len(self._changes) >= MOST_CHANGES:
                self._go_on()

    def _handle(self, message: Any) -> Any:
        match message:
            case Issue():
                return self._issue(message)
            case Cancel():
                return self._cancel(message)
            case Told(body=Response() as response):
                self._answers.append(message)
                self._desk.board.held.add((message.delivery.link, message.delivery.token))
                self._changes.append(Answered(response.command_id, message.serial, response))
            case Came(serial=serial):
                self._dispatch.wish(entry.row.id for entry in self._book.of(serial))
            case Published():
                self._published(message)
            case Again(id=command_id):
                self._dispatch.wish([command_id])
            case Due(id=command_id):
                if command_id in self._book:
                    self._changes.append(TimedOut(command_id))
            case Retry():
                self._is_retrying = False
            case _:
                logger.warning("commander: unexpected message %s dropped", type(message).__name__)
        return None

    # What operators ask

    def _issue(self, order: Issue) -> Issued:
        self._need_loaded()
        for serial in order.serials:
            if self._book.count(serial) >= MOST_OPEN:
                self._desk.board.counts["refused"] += 1
                message = f"{serial} has {MOST_OPEN} commands that are not over, which is the limit"
                raise CommandError("too_many", message, device=serial)
        now_us = self._now_us()
        batch = self._ids.make() if order.batch else ""
        rows = [self._new_row(serial, order, batch, now_us) for serial in order.serials]
        for start in range(0, len(rows), SLICE):
            part = rows[start : start + SLICE]
            self._write(partial(issue, order=order, rows=part, now_us=now_us, is_first=start == 0))
            for row in part:
                self._learn(row)
                self._desk.show(row)
        self._desk.board.counts["issued"] += len(rows)
        logger.info("%s for %d devices by %s at %s", order.name, len(rows), order.by, order.address)
        return Issued(tuple(row.id for row in rows), batch)

    def _new_row(self, serial: str, order: Issue, batch: str, now_us: int) -> Command:
        return Command(
            id=self._ids.make(),
            batch=batch,
            serial=serial,
            name=order.name,
            args=order.args,
            created_us=now_us,
            deadline_us=now_us + round(order.timeout * 1_000_000),
            changed_us=now_us,
            by=order.by[:255],
        )

    def _cancel(self, order: Cancel) -> Command:
        self._need_loaded()
        self._flush()
        now_us = self._now_us()
        row = self._write(partial(cancel, command_id=order.id, by=order.by, address=order.address, now_us=now_us))
        self._desk.board.counts["cancelled"] += 1
        logger.info("command %s of %s cancelled by %s at %s", row.id, row.serial, order.by, order.address)
        self._book.put(row)
        self._desk.show(row)
        if row.sent_us is not None:
            self._desk.services.tell(self._desk.link_of(row.serial), cancellation(row, now_us))
        return row

    # What is open

    def _go_on(self) -> None:
        """Do all that can be done now: load, commit, send."""
        if self._is_retrying:
            return
        self._catch_up()
        self._send()
        while self._changes and self._loaded is None and not self._is_retrying:
            self._flush()
            self._send()  # what is gone has made room

    def _catch_up(self) -> None:
        """Learn what is open, where that is not known, and commit what waits."""
        try:
            while self._loaded is not None:
                self._load()
        except AWAY as error:
            self._retry_later(error)
        else:
            self._flush()

    def _load(self) -> None:
        """Learn a slice of the commands that are open; what a failed answer has left unknown is among them."""
        after = self._loaded or ""
        rows = self._write(lambda database: find_open(database, after, SLICE))
        for row in rows:
            if row.id not in self._book:
                self._learn(row, RETURN_GRACE)
        self._loaded = rows[-1].id if len(rows) == SLICE else None

    def _learn(self, row: Command, grace: float = GRACE) -> None:
        """Keep a command in mind until it is over."""
        self._book.put(row)
        timers, now_us = self._desk.runtime.timers, self._now_us()
        timers.after(max(0.0, (row.deadline_us - now_us) / 1_000_000) + grace, self.actor_ref, Due(row.id))
        if row.is_due:
            self._dispatch.wish([row.id])

    def _need_loaded(self) -> None:
        if self._loaded is not None:
            raise StoreUnavailable("the commands that are open have not been read yet")

    # To the broker and back

    def _send(self) -> None:
        """Decide what is sent next: of devices that are there, as many as may be on their way at a time."""
        while command_id := self._dispatch.take():
            entry = self._book.get(command_id)
            if entry is None or entry.is_busy or not entry.row.is_due:
                continue
            if not self._desk.is_online(entry.row.serial):
                continue  # `Came` brings it back
            entry.is_busy = True
            self._dispatch.hold(command_id)
            self._changes.append(Sent(command_id))

    def _publish(self, row: Command) -> None:
        self._desk.services.tell(self._desk.link_of(row.serial), self._dispatch.publication(row, self._now_us()))

    def _published(self, message: Published) -> None:
        command_id = self._dispatch.answered(message.token)
        entry = self._book.get(command_id) if command_id else None
        if entry is None:
            return
        outcome = judge_publication(message)
        counts = self._desk.board.counts
        if outcome is None:
            counts["accepted"] += 1
            self._changes.append(Accepted(entry.row.id))
            return
        counts[outcome.event] += 1
        if outcome.is_final:
            self._changes.append(Refused(entry.row.id, outcome.reason))
        else:
            self._changes.append(Waits(entry.row.id, outcome.reason))

    def _wait(self, command_id: str) -> None:
        """Try again later, each time after a longer while."""
        entry = self._book.get(command_id)
        if entry is not None:
            self._desk.runtime.timers.after(delay_after(entry.tries), self.actor_ref, Again(command_id))
            entry.tries += 1

    # Commits

    def _flush(self) -> None:
        """Commit what waits, in slices, and do what follows from it."""
        while self._changes and self._loaded is None:
            changes, now_us = self._changes[:MOST_CHANGES], self._now_us()
            try:
                judged = self._write(partial(advance, changes=changes, now_us=now_us))
            except AWAY as error:
                self._retry_later(error)
                return
            del self._changes[: len(changes)]
            for change, verdict in zip(changes, judged, strict=True):
                self._settle_change(change, verdict)
            self._settle_answers(changes, judged)

    def _settle_change(self, change: Change, verdict: Judged | None) -> None:
        """Follow the row; what was to be sent is published now, and no sooner."""
        entry = self._book.get(change.id)
        if entry is not None and isinstance(change, Accepted | Waits | Refused):
            entry.is_busy = False
        if verdict is None:
            if not isinstance(change, Answered):
                self._book.drop(change.id)  # the device was deleted
                self._dispatch.release(change.id)
            return
        if change.id in self._book:
            self._book.put(verdict.row)
        if not verdict.row.is_open:
            self._dispatch.release(change.id)
        self._count(change, verdict)
        if verdict.verdict == "done" and isinstance(change, Sent):
            self._publish(verdict.row)
        if verdict.verdict == "done" and isinstance(change, Waits):
            self._wait(change.id)
        if verdict.verdict in ("done", "late") and not isinstance(change, Accepted):
            self._desk.show(verdict.row)

    def _count(self, change: Change, verdict: Judged) -> None:
        counts = self._desk.board.counts
        if verdict.verdict in ("late", "duplicate"):
            counts[verdict.verdict] += 1
        elif verdict.verdict == "done" and not isinstance(change, Accepted | Waits):
            counts[verdict.row.state] += 1

    def _settle_answers(self, changes: Iterable[Change], judged: Iterable[Judged | None]) -> None:
        """Acknowledge the answers that were committed; those to nothing become dead letters."""
        verdicts = [verdict for change, verdict in zip(changes, judged, strict=True) if isinstance(change, Answered)]
        told = self._answers[: len(verdicts)]
        del self._answers[: len(told)]
        tokens: dict[str, list[int]] = {}
        stored: dict[str, list[str]] = {}
        for message, verdict in zip(told, verdicts, strict=True):
            self._desk.board.held.discard((message.delivery.link, message.delivery.token))
            if verdict is None:
                self._bury(message)
                continue
            if message.delivery.token:
                tokens.setdefault(message.delivery.link, []).append(message.delivery.token)
            if message.body.response_id:
                stored.setdefault(message.serial, []).append(message.body.response_id)
        services = self._desk.services
        for link, settled in tokens.items():
            services.tell(link, Settled(settled))
        now = rfc3339(self._now_us())
        for serial, ids in stored.items():
            payload = msgspec.json.encode({"stored": ids, "refused": {}, "timestamp": now})
            services.tell(self._desk.link_of(serial), Publish(f"devices/{serial}/receipts", payload))

    def _bury(self, message: Told) -> None:
        self._desk.board.counts["unknown"] += 1
        letter = letter_of(message.delivery, UNKNOWN, f"`id`: {REASONS[UNKNOWN]}", message.serial)
        if self._desk.admit(letter):
            self._desk.services.tell("registry", WriteBatch([letter]))

    # The writer

    def _write(self, work: Callable[[Database], T]) -> T:
        """Return what the writer's work gives; without an answer it may have been done all the same."""
        try:
            answer: T = self._desk.ask(Execute(work))
        except AWAY:
            self._loaded = self._loaded or ""
            self._ask_again()
            raise
        return answer

    def _retry_later(self, error: Exception) -> None:
        logger.warning("commands wait for the database, %d changes: %s", len(self._changes), error)

    def _ask_again(self) -> None:
        if not self._is_retrying:
            self._is_retrying = True
            self._desk.runtime.timers.after(AGAIN_AFTER, self.actor_ref, RETRY)

    def _now_us(self) -> int:
        return int(self._desk.runtime.clock.time() * 1_000_000)
