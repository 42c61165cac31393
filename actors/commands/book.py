"""What the commander knows of the commands that are not over: found by id, and by device in the order given."""

from __future__ import annotations

from collections import Counter

from actors.commands.rules import Command

EVENTS = (
    "issued",
    "sent",
    "accepted",
    "nobody_listens",
    "not_sent",
    "refused_by_broker",
    "running",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "late",
    "duplicate",
    "unknown",
    "refused",
)
"""What is counted. `refused` are requests, `unknown` answers to commands that there are not."""


class CommandBoard:
    """What others may know of the commander; it outlives the actor's incarnations."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.open = 0
        """Commands that are not over."""
        self.waiting: set[str] = set()
        """Serials of devices for which commands have to be sent; any thread may look whether one is in it."""
        self.by_device: Counter[str] = Counter()
        """Commands of a device that are not over."""

        self.held: set[tuple[str, int]] = set()
        """Link and token of the answers that wait for their commit: they are not stuck, however long it takes."""

    def in_flight(self, serial: str) -> int:
        """Return how many commands of a device are not over."""
        return self.by_device[serial]


class Entry:
    """A command that is not over."""

    __slots__ = ("is_busy", "row", "tries")

    def __init__(self, row: Command) -> None:
        self.row = row
        self.tries = 0
        """How often it has reached nobody."""
        self.is_busy = False
        """True from the decision to send it until the broker, or whatever lies before it, has answered."""


class Book:
    """The open commands; it keeps the board's figures."""

    def __init__(self, board: CommandBoard) -> None:
        self._board = board
        self._entries: dict[str, Entry] = {}
        self._of: dict[str, dict[str, Entry]] = {}
        board.open = 0
        board.waiting.clear()
        board.by_device.clear()
        board.held.clear()

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._entries

    def get(self, command_id: str) -> Entry | None:
        """Return an open command, None when it is over or was never there."""
        return self._entries.get(command_id)

    def of(self, serial: str) -> list[Entry]:
        """Return a device's open commands in the order in which they were given."""
        return list(self._of.get(serial, {}).values())

    def count(self, serial: str) -> int:
        """Return how many commands of a device are open."""
        return len(self._of.get(serial, ()))

    def put(self, row: Command) -> None:
        """Learn how a command is now."""
        entry = self._entries.get(row.id)
        if not row.is_open:
            self.drop(row.id)
            return
        if entry is None:
            entry = self._entries[row.id] = self._of.setdefault(row.serial, {})[row.id] = Entry(row)
        entry.row = row
        self._board.open = len(self._entries)
        self._note(row.serial)

    def drop(self, command_id: str) -> None:
        """Forget a command that is over, or not there any more."""
        entry = self._entries.pop(command_id, None)
        if entry is None:
            return
        serial = entry.row.serial
        del self._of[serial][command_id]
        self._board.open = len(self._entries)
        self._note(serial)
        if not self._of[serial]:
            del self._of[serial], self._board.by_device[serial]

    def _note(self, serial: str) -> None:
        self._board.by_device[serial] = len(self._of[serial])
        if any(entry.row.is_due for entry in self._of[serial].values()):
            self._board.waiting.add(serial)
        else:
            self._board.waiting.discard(serial)
