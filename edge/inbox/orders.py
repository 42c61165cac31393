"""`CommandDesk`: which commands have come, which is executed next, and what is answered. Each is executed at most once.

A command is noted as begun before it begins. Whatever interrupts it, a crash or a power cut, it is not begun again:
it is answered that it failed, except those whose purpose is the interruption.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from actors.messages import Delivery
from actors.outbox_file import Item
from actors.timestamps import rfc3339
from edge.inbox.board import InboxBoard
from edge.inbox.commands import Commands, Job
from edge.inbox.file import CommandRow, InboxFile
from edge.inbox.items import LONGEST_REASON, response_item
from edge.inbox.messages import Answer, Command, Lane, UnreadableError, read_command

logger = logging.getLogger(__name__)

MOST_WAITING = 100
"""Commands that wait in one lane; further ones are refused."""
NO_DEADLINE = 3_600.0
"""Seconds that a command may take which names no deadline."""
CANCELLED = "it was cancelled before it began"
INTERRUPTED = "it was interrupted: the edge was started anew while it ran"


class CommandDesk:
    """Belongs to the inbox's thread; whatever changes the file is called in one of its transactions."""

    def __init__(
        self,
        file: InboxFile,
        *,
        device_id: str,
        boot_id: str,
        commands: Commands,
        board: InboxBoard,
        clock_quality: Callable[[], str],
    ) -> None:
        """Assign.

        Args:
            file: where they are kept.
            device_id: ours.
            boot_id: what the kernel drew at this boot.
            commands: what can be executed.
            board: where we count.
            clock_quality: returns `ntp` when our clock can be believed.

        """
        self._file, self._device_id, self._boot_id = file, device_id, boot_id
        self._commands, self._board, self._clock_quality = commands, board, clock_quality

    def take(self, delivery: Delivery, now_us: int) -> None:
        """Keep a command, once; one that came before is answered as it was."""
        try:
            command = read_command(delivery.payload)
            until_us = self._until(command, now_us)
        except UnreadableError as error:
            self._board.counters["unreadable"] += 1
            logger.warning("command on %s: %s", delivery.topic, error)
            if error.item_id:
                self._refuse(error.item_id, str(error), now_us)
            return
        if delivery.retain:
            self._board.counters["refused"] += 1
            logger.warning("command %s was retained by somebody, and is refused", command.id)
            return
        known = self._file.find_command(command.id)
        if command.cancel:
            self._cancel(command.id, known, now_us)
            return
        if known is not None:
            self._board.counters["duplicates"] += 1
            if known.state == "done":
                self._file.mark_command(known.seq, told=False)
            return
        self._board.counters["commands"] += 1
        refusal = self._commands.refusal(command.name)
        lane = self._commands.lane(command.name)
        if not refusal and len(self._file.commands("waiting", lane)) >= MOST_WAITING:
            refusal = f"{MOST_WAITING} commands wait here already"
        if refusal:
            self._refuse(command.id, refusal, now_us)
        else:
            self._file.add_command(
                command.id, delivery.payload, lane=lane, boot_id=self._boot_id, until_us=until_us, now_us=now_us
            )

    def next_job(self, lane: Lane, now_us: int) -> tuple[int, Job] | None:
        """Return what a lane executes next, and note that it begins; None for nothing."""
        for row in self._file.commands("waiting", lane):
            if late := self._lateness(row, now_us):
                self.end(row.seq, Answer("failed", reason=late))
                continue
            self._file.begin_command(row.seq, self._boot_id, self._board.process)
            seconds = (row.until_us - now_us) / 1e6 if row.until_us else NO_DEADLINE
            return row.seq, Job(msgspec.json.decode(row.payload, type=Command), seconds)
        return None

    def end(self, seq: int, answer: Answer) -> None:
        """Note how it ended; one whose answer comes later goes on."""
        row = self._file.get_command(seq)
        if row is None or row.state == "done" or answer.later:
            return
        body: dict[str, Any] = {"state": answer.state}
        if answer.result is not None:
            body["result"] = answer.result
        if answer.reason:
            body["reason"] = answer.reason[:LONGEST_REASON]
        self._file.end_command(seq, msgspec.json.encode(body))

    def interrupted(self, lane: Lane) -> None:
        """End what a lane had begun and will not finish."""
        for row in self._file.commands("running", lane):
            answer = self._after_interruption(row)
            if answer is not None:
                self.end(row.seq, answer)

    def beginning(self, command: Command, now_us: int) -> Item:
        """Return the answer that a command has begun."""
        return response_item(self._device_id, command.id, {"state": "running"}, now_us)

    def responses(self, now_us: int) -> list[tuple[int, Item]]:
        """Return the answers that the outbox has not got yet, by the number of their command."""
        return [
            (row.seq, response_item(self._device_id, row.id, msgspec.json.decode(row.answer), now_us))
            for row in self._file.untold_commands()
        ]

    def _after_interruption(self, row: CommandRow) -> Answer | None:
        """Return what is answered; None where the interruption that was asked for is still to come."""
        name = msgspec.json.decode(row.payload, type=Command).name
        same_process = row.process == self._board.process
        if name == "reboot" and row.boot_id != self._boot_id:
            return Answer("succeeded", {"boot_id": self._boot_id})
        if name == "reboot" and not same_process:
            return Answer("failed", reason="the edge was started anew, but the machine was not")
        if name == "restart" and not same_process:
            return Answer("succeeded")
        if name in ("restart", "reboot"):
            return None
        return Answer("failed", reason=INTERRUPTED)

    def _cancel(self, command_id: str, known: CommandRow | None, now_us: int) -> None:
        """End a command that nobody wants any more, as far as it can be ended; one that comes later finds it here."""
        self._board.counters["cancelled"] += 1
        logger.warning("command %s is cancelled", command_id)
        if known is None:
            self._refuse(command_id, CANCELLED, now_us)
        elif known.state == "waiting":
            self.end(known.seq, Answer("failed", reason=CANCELLED))
        elif known.state == "running" and self._commands.break_off(msgspec.json.decode(known.payload, type=Command)):
            self.end(known.seq, Answer("failed", reason="it was cancelled while it ran"))

    def _refuse(self, command_id: str, reason: str, now_us: int) -> None:
        """Answer what is not executed; it is remembered like any other."""
        if self._file.find_command(command_id) is not None:
            return
        self._board.counters["refused"] += 1
        logger.warning("command %s is refused: %s", command_id, reason)
        self._file.add_command(
            command_id, b"{}", lane="inbox.commands", boot_id=self._boot_id, until_us=0, now_us=now_us
        )
        row = self._file.find_command(command_id)
        assert row is not None
        self.end(row.seq, Answer("failed", reason=reason))

    def _lateness(self, row: CommandRow, now_us: int) -> str:
        """Return why it is too late for a command; empty when it is not."""
        if not row.until_us:
            return ""
        if now_us >= row.until_us:
            return f"its deadline, {rfc3339(row.until_us)}, had passed before it could begin"
        if row.boot_id != self._boot_id and self._clock_quality() != "ntp":
            return (
                "the machine was started anew before it could begin, and its clock cannot tell whether it is too late"
            )
        return ""

    def _until(self, command: Command, now_us: int) -> int:
        """Return when nobody waits for it any more, by our clock; 0 for never.

        A clock that nobody has set knows only how long it is from the sending to the deadline.

        Raises:
            UnreadableError: naming the field.

        """
        if not command.deadline:
            return 0
        deadline_us = _read_time("deadline", command.deadline, command.id)
        if self._clock_quality() == "ntp" or not command.timestamp:
            return deadline_us
        return now_us + max(0, deadline_us - _read_time("timestamp", command.timestamp, command.id))


def _read_time(name: str, text: str, command_id: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UnreadableError(f"`{name}` `{text[:40]}` is no time of RFC 3339", command_id)
    return int(moment.timestamp() * 1e6)
