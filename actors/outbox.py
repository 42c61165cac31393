"""`Outbox`: what has to reach the server and has not yet. Durable, in order, bounded; for publishers and for the edge.

An item is put once and goes when every destination has confirmed it. Destinations are names given at construction
(usually one); each takes items at its own pace and says `Done` when the far side holds them, or `Refused` when it never
will: a refused item moves aside with its reason and blocks nobody.

Bounds: 100,000 items or 256 MB of payload. A full outbox drops its oldest readings, each counted under `outbox_full`
and logged; where there is none it keeps what it has and refuses the `Put`, whole, with `OutboxFullError`, counted and
logged too (the table is `WHEN_FULL`). Nothing else is ever dropped: while the disk is full a `Put` is answered with
`OutboxUnavailableError` and the sender keeps its item; a corrupt file is set aside under a name with the time, counted
and logged, and a new one begins.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from actors.outbox_file import Item, OutboxFile, OutboxFullError, OutboxUnavailableError, RefusedItem
from actors.runtime import Clock, Directory, ThreadedActor

__all__ = [
    "Arrived",
    "Done",
    "GetStats",
    "Item",
    "ListRefused",
    "Outbox",
    "OutboxBoard",
    "OutboxFullError",
    "OutboxStats",
    "OutboxUnavailableError",
    "Put",
    "Refused",
    "RefusedItem",
    "Take",
]

logger = logging.getLogger(__name__)

MOST_ITEMS = 100_000
MOST_BYTES = 256 * 2**20
GROUP = 500
"""Puts that share one commit at most: an fsync costs the same for one and for many."""
ANOTHER_DEVICE = "another_device"
"""Why an item is refused that was put under the id of another device."""
FULL = "outbox_full"
"""Why an item is dropped for want of room."""
LOG_EVERY = 60.0
"""Seconds between two lines about items that had to be dropped."""


class Put(msgspec.Struct, frozen=True):
    """Keep these items, all or none. Items whose id is known already are kept once."""

    items: tuple[Item, ...]
    reply_to: Any = None
    """A future. It gets the number of items once they are on the disk, or `OutboxUnavailableError`; of an outbox that
    has no room, `OutboxFullError`."""


class Take(msgspec.Struct, frozen=True, gc=False):
    """Ask for the oldest items that a destination has not confirmed; answered with a list of `Item`, in order."""

    destination: str
    limit: int = 100
    after: int = 0
    """Only those with a higher `seq`: what the asker holds already is not read again."""
    most_bytes: int = 2**20
    """Payload in one answer; one item is answered however large it is."""
    kinds: tuple[str, ...] = ()
    """Only these kinds; empty means all."""


class Done(msgspec.Struct, frozen=True):
    """The far side holds these: a receipt has come."""

    destination: str
    ids: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The far side will never take this."""

    destination: str
    id: str
    reason: str


class GetStats(msgspec.Struct, frozen=True):
    """Ask for `OutboxStats`."""


class ListRefused(msgspec.Struct, frozen=True, gc=False):
    """Ask for what was refused: a list of `RefusedItem`, the newest first."""

    limit: int = 100


class Arrived(msgspec.Struct, frozen=True):
    """Told to who delivers: there is something new."""


class OutboxStats(msgspec.Struct, frozen=True):
    """The outbox in figures."""

    items: int = 0
    bytes: int = 0
    backlog: dict[str, int] = {}
    """Items by destination that have not been confirmed."""
    oldest_age: float = 0.0
    """Seconds since the oldest item was created; 0 when there is none."""
    dropped: dict[str, int] = {}
    """Items that went without being delivered, by reason, since the process began: `outbox_full`, `refused`, and
    `unavailable` for those that could not be written and that their sender did not keep."""
    turned_away: int = 0
    """Puts that were refused for want of room since the process began; who offers one again is counted again."""
    corrupt_files: int = 0
    """Files that were set aside since the process began."""
    last_error: str = ""
    """Why the file could not be used; empty again once it can."""


@dataclass(kw_only=True, slots=True)
class OutboxBoard:
    """Counts that outlive the incarnations of an outbox; written by its thread alone."""

    dropped: dict[str, int] = field(default_factory=dict)
    turned_away: int = 0
    corrupt_files: int = 0
    last_error: str = ""

    def drop(self, reason: str, number: int) -> None:
        """Count what went undelivered."""
        self.dropped[reason] = self.dropped.get(reason, 0) + number


class Outbox(ThreadedActor):
    """The only one who touches the file. It has a thread because an fsync blocks."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        board: OutboxBoard,
        *,
        destinations: Sequence[str] = ("server",),
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
        directory: Directory | None = None,
        notify: Sequence[str] = (),
        keep_others: bool = False,
        device_id: str = "",
    ) -> None:
        """Assign.

        Args:
            path: the SQLite file; its directory is made where it is missing.
            clock: tells the age of items.
            board: where counts are left.
            destinations: who has to confirm each item; at most 62.
            most_items: bound on the number of items.
            most_bytes: bound on their payload together.
            directory: where the names in `notify` are found.
            notify: actors that are told `Arrived` after each commit of new items.
            keep_others: whether destinations that the file has beside these stay, see `OutboxFile`.
            device_id: whose outbox it is; what another device has put on a topic of its own is refused when the file is
                opened. Empty lets everything pass.

        """
        super().__init__()
        self._path = path
        self._clock = clock
        self._board = board
        self._directory = directory
        self._notify = tuple(notify)
        self._device_id = device_id
        self._file = OutboxFile(
            path, destinations, most_items=most_items, most_bytes=most_bytes, keep_others=keep_others
        )
        self._puts: list[Put] = []
        self._late: dict[tuple[str, str], Done | Refused] = {}
        """Receipts that are not noted yet, by destination and id: one that is told again is one."""
        self._logged_at = float("-inf")

    def on_start(self) -> None:
        """Open the file; one that cannot be opened now is tried again by each message."""
        try:
            self._ensure_open()
        except OutboxUnavailableError as error:
            self._failed(error)

    def on_receive(self, message: Any) -> Any:
        """Handle one message; puts that arrive together are committed together."""
        if isinstance(message, Put):
            self._puts.append(message)
            if self.actor_inbox.empty() or len(self._puts) >= GROUP:
                self._commit()
            return None
        self._commit()
        match message:
            case Done():
                for item_id in message.ids:
                    self._late[message.destination, item_id] = Done(message.destination, (item_id,))
            case Refused():
                self._late[message.destination, message.id] = message
        self._settle_late()
        return None if isinstance(message, Done | Refused) else self._answer(message)

    def on_stop(self) -> None:
        """Do what still waits in the mailbox, then close: who told it has been stopped before us."""
        queue = self.actor_inbox.queue
        while queue and isinstance(queue[0].message, Put | Done | Refused):
            self.on_receive(queue.popleft().message)
        self._commit()
        self._file.close()

    def on_failure(self, *_: Any) -> None:
        """Close the file of a crashed outbox."""
        self._file.close()

    def unfinished(self) -> list[Any]:
        """Return what a crash would lose: puts that are not committed, and receipts that could not be noted."""
        return [*self._puts, *self._late.values()]

    def sever(self) -> None:
        """Break a statement that hangs."""
        self._file.interrupt()

    def _answer(self, message: Any) -> Any:
        self._ensure_open()
        match message:
            case Take():
                return self._file.take(
                    message.destination,
                    limit=message.limit,
                    after=message.after,
                    most_bytes=message.most_bytes,
                    kinds=message.kinds,
                )
            case GetStats():
                return self._stats()
            case ListRefused():
                return self._file.refused(message.limit)
            case _:
                logger.warning("the outbox does not know %.200r", message)
                return None

    def _commit(self) -> None:
        """Write the puts that have come together, and answer each."""
        if not self._puts:
            return
        refusals: list[OutboxUnavailableError | None]
        try:
            refusals = self._put_all()
        except OutboxUnavailableError as found:
            refusals = [self._failed(found)] * len(self._puts)
        puts, self._puts = self._puts, []
        for put, refusal in zip(puts, refusals, strict=True):
            self._tell_sender(put, refusal)
        if None in refusals:
            self._settle_late()
            for name in self._notify:
                assert self._directory is not None
                self._directory.tell(name, Arrived())

    def _tell_sender(self, put: Put, refusal: OutboxUnavailableError | None) -> None:
        """Answer a put; one that is refused and that nobody waits for is lost."""
        if put.reply_to is not None and refusal is None:
            put.reply_to.set(len(put.items))
        elif put.reply_to is not None:
            put.reply_to.set_exception((type(refusal), refusal, None))
        elif refusal is not None:
            self._board.drop(FULL if isinstance(refusal, OutboxFullError) else "unavailable", len(put.items))
            logger.error("%d items are lost: %s", len(put.items), refusal)

    def _put_all(self) -> list[OutboxUnavailableError | None]:
        """Write the puts in one commit; return for each why there was no room for it, None where there was.

        Raises:
            OutboxUnavailableError: none of them could be written.

        """
        self._ensure_open()
        dropped = 0
        refusals: list[OutboxUnavailableError | None] = []
        with self._file.transaction():
            for put in self._puts:
                try:
                    dropped += self._file.put(put.items)
                    refusals.append(None)
                except OutboxFullError as full:
                    refusals.append(full)
        self._tell_dropped(dropped)
        for refusal in filter(None, refusals):
            self._board.turned_away += 1
            self._failed(refusal)
        if not any(refusals):
            self._board.last_error = ""
        return refusals

    def _settle_late(self) -> None:
        """Note receipts; what cannot be noted now (the disk is full) waits for the next chance."""
        if not self._late:
            return
        try:
            self._ensure_open()
            for destination in {destination for destination, _ in self._late}:
                self._note(destination)
        except OutboxUnavailableError as error:
            self._failed(error)
        else:
            self._board.last_error = ""

    def _note(self, destination: str) -> None:
        """Note the receipts of one destination, those that confirm in one commit."""
        late = [message for (of, _), message in self._late.items() if of == destination]
        done = [item_id for message in late if isinstance(message, Done) for item_id in message.ids]
        if done:
            self._file.done(destination, done)
        for item_id in done:
            del self._late[destination, item_id]
        for message in late:
            if isinstance(message, Done):
                continue
            if self._file.refuse(destination, message.id, message.reason):
                self._board.drop("refused", 1)
                logger.warning("%s refused %s: %s", destination, message.id, message.reason)
            del self._late[destination, message.id]

    def _ensure_open(self) -> None:
        """Open the file unless it is open.

        Raises:
            OutboxUnavailableError: it cannot be opened now.

        """
        if self._file.is_open:
            return
        aside = self._file.open()
        self._board.last_error = ""
        if self._device_id:
            self._refuse_others()
        if aside is not None:
            self._board.corrupt_files += 1
            logger.error("the outbox %s was corrupt; it is now %s and a new one begins", self._path, aside.name)

    def _refuse_others(self) -> None:
        number = self._file.refuse_others_of(self._device_id, ANOTHER_DEVICE)
        if number:
            self._board.drop("refused", number)
            logger.warning("%d items are of another device than %s; refused", number, self._device_id)

    def _failed(self, error: OutboxUnavailableError) -> OutboxUnavailableError:
        if str(error) != self._board.last_error:
            logger.error("%s", error)
        self._board.last_error = str(error)
        return error

    def _tell_dropped(self, number: int) -> None:
        if not number:
            return
        self._board.drop(FULL, number)
        now = self._clock.monotonic()
        if now - self._logged_at >= LOG_EVERY:
            self._logged_at = now
            total = self._board.dropped[FULL]
            logger.warning("the outbox is full: %d of its oldest readings dropped so far", total)

    def _stats(self) -> OutboxStats:
        file, board = self._file, self._board
        oldest_us = file.oldest_us()
        age = 0.0 if oldest_us is None else max(0.0, self._clock.time() - oldest_us / 1e6)
        return OutboxStats(
            items=file.items,
            bytes=file.bytes,
            backlog=dict(file.backlog),
            oldest_age=round(age, 3),
            dropped=dict(board.dropped),
            turned_away=board.turned_away,
            corrupt_files=board.corrupt_files,
            last_error=board.last_error,
        )
