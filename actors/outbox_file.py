"""The file of an outbox: a durable queue, for one thread. Who else wants it asks `actors.outbox.Outbox`.

One row an item, in the order of arrival. `owed` has a bit for each destination that has not confirmed the item yet; the
row goes when no bit is left.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from actors.durable_file import DurableFile, FileUnavailableError

LARGEST_ITEM = 2**20
"""Bytes of payload that one item may have."""
MOST_REFUSED = 1_000
"""Refused items that are kept; beyond, the oldest goes."""
WHEN_FULL: Mapping[str, Literal["drop_oldest", "refuse"]] = {
    "reading": "drop_oldest",
    "scan": "refuse",
    "receipt": "refuse",
    "response": "refuse",
}
"""What is done about a kind when there is no room: the oldest of such items go to make some, for whatever is new; or
they stay, and who brings more is told. The newest readings tell most about a field as it is; no scan tells what another
did. A kind that is not listed is refused."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS destination (bit INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS item (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, topic TEXT NOT NULL,
    payload BLOB NOT NULL, created_us INTEGER NOT NULL, owed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS item_kind ON item (kind, seq);
CREATE TABLE IF NOT EXISTS refused (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, destination TEXT NOT NULL, kind TEXT NOT NULL,
    topic TEXT NOT NULL, payload BLOB NOT NULL, created_us INTEGER NOT NULL, reason TEXT NOT NULL);
"""

_MAY_GO = [kind for kind, policy in WHEN_FULL.items() if policy == "drop_oldest"]
_OLDEST_THAT_MAY_GO = (
    f"SELECT seq, owed, length(payload) FROM item WHERE kind IN ({', '.join('?' * len(_MAY_GO))})"  # noqa: S608
    " ORDER BY seq LIMIT 1"
)


class OutboxUnavailableError(FileUnavailableError):
    """The outbox cannot be used now."""


class OutboxFullError(OutboxUnavailableError):
    """There is no room, and nothing in it may go."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """Something to deliver."""

    id: str
    """Unique for ever: receipts and duplicates are recognised by it."""
    kind: str
    """What it is, for destinations that treat kinds differently: `reading`, ..."""
    topic: str
    """The MQTT topic it is published on."""
    payload: bytes
    created_us: int
    seq: int = 0
    """Its place in the queue; given by the file."""

    def __post_init__(self) -> None:
        if not self.id or len(self.payload) > LARGEST_ITEM:
            raise ValueError(f"an item needs an id and at most {LARGEST_ITEM} bytes, not {len(self.payload)}")


class RefusedItem(msgspec.Struct, frozen=True, gc=False):
    """Something that a destination will never take."""

    id: str
    destination: str
    kind: str
    topic: str
    payload: bytes
    created_us: int
    reason: str


class OutboxFile(DurableFile):
    """The queue."""

    name = "outbox"
    schema = _SCHEMA
    version = 2
    unavailable = OutboxUnavailableError

    def __init__(
        self,
        path: Path,
        destinations: Sequence[str],
        *,
        most_items: int,
        most_bytes: int,
        keep_others: bool = False,
    ) -> None:
        """Assign.

        Args:
            path: the file.
            destinations: who has to confirm each item.
            most_items: bound on the number of items.
            most_bytes: bound on their payload together.
            keep_others: whether destinations that the file has beside these stay, and are owed new items too; else what
                is owed to them is forgotten.

        """
        super().__init__(path)
        self.items = 0
        self.bytes = 0
        """Payload of all items."""
        self.backlog: dict[str, int] = dict.fromkeys(destinations, 0)
        """Items that each destination has not confirmed."""
        self._most_items, self._most_bytes = most_items, most_bytes
        self._keep_others = keep_others
        self._bits: dict[str, int] = {}

    def put(self, items: Iterable[Item]) -> int:
        """Append all of these items or none, in one commit; one whose id is there already is left as it is.

        Returns:
            How many older ones had to go to make room.

        Raises:
            OutboxFullError: there is no room for them, see `WHEN_FULL`.

        """
        owed = sum(1 << bit for bit in self._bits.values())
        with self.transaction() as db:
            for item in items:
                row = (item.id, item.kind, item.topic, item.payload, item.created_us, owed)
                added = db.execute(
                    "INSERT OR IGNORE INTO item (id, kind, topic, payload, created_us, owed) VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                ).rowcount
                if added:
                    self._count(owed, len(item.payload), 1)
            return self._make_room(db)

    def take(self, destination: str, *, limit: int, after: int, most_bytes: int, kinds: Sequence[str]) -> list[Item]:
        """Return the oldest items behind `after` that a destination has not confirmed; see `actors.outbox.Take`.

        Raises:
            KeyError: there is no such destination; whoever asks is told so, and asks again later.

        """
        condition = f"AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        sql = (
            "SELECT id, kind, topic, payload, created_us, seq FROM item"  # noqa: S608 - only placeholders are added
            f" WHERE seq > ? AND owed & ? {condition} ORDER BY seq LIMIT ?"
        )
        found: list[Item] = []
        size = 0
        with self.guarded() as db:
            for row in db.execute(sql, (after, 1 << self._bits[destination], *kinds, limit)):
                size += len(row[3])
                if found and size > most_bytes:
                    break
                found.append(Item(*row))
        return found

    def done(self, destination: str, ids: Iterable[str]) -> int:
        """Note in one commit that a destination has these; ids that are not there are ignored.

        Returns:
            How many it still owed.

        """
        with self.transaction() as db:
            return sum(self._settle(db, destination, item_id) for item_id in ids)

    def refuse(self, destination: str, item_id: str, reason: str) -> bool:
        """Move an item aside that a destination will never take; return whether it was there."""
        with self.transaction() as db:
            return self._refuse(db, destination, item_id, reason)

    def refuse_others_of(self, device_id: str, reason: str) -> int:
        """Move aside in one commit what was put under the id of another device: nothing would ever confirm it.

        Args:
            device_id: ours; topics of devices are `devices/{id}/...`, and other topics are nobody's.
            reason: what is noted with each.

        Returns:
            How many there were.

        """
        sql = "SELECT id FROM item WHERE topic GLOB 'devices/*' AND substr(topic, 1, ?) != ?"
        own = f"devices/{device_id}/"
        with self.transaction() as db:
            found = [str(item_id) for (item_id,) in db.execute(sql, (len(own), own))]
            for item_id in found:
                for destination in self._bits:
                    self._refuse(db, destination, item_id, reason)
        return len(found)

    def refused(self, limit: int) -> list[RefusedItem]:
        """Return what was refused, the newest first."""
        sql = "SELECT id, destination, kind, topic, payload, created_us, reason FROM refused ORDER BY seq DESC LIMIT ?"
        with self.guarded() as db:
            return [RefusedItem(*row) for row in db.execute(sql, (limit,))]

    def oldest_us(self) -> int | None:
        """Return when the oldest item was created, None when there is none."""
        with self.guarded() as db:
            row = db.execute("SELECT created_us FROM item ORDER BY seq LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it: then the counts are what they were.

        Raises:
            OutboxUnavailableError: with the reason.

        """
        before = self.items, self.bytes, self.backlog.copy()
        try:
            with super().transaction() as db:
                yield db
        except BaseException:
            self.items, self.bytes, self.backlog = before
            raise

    # How it is opened

    def opened(self, db: sqlite3.Connection) -> None:
        """Know the destinations, and count."""
        self._assign_bits(db)
        self._recount(db)

    def _assign_bits(self, db: sqlite3.Connection) -> None:
        """Give each destination its bit; nothing is owed any more to one that is neither wanted nor kept."""
        known = {name: bit for bit, name in db.execute("SELECT bit, name FROM destination ORDER BY bit")}
        if self._keep_others:
            self.backlog = dict.fromkeys([*self.backlog, *known], 0)
        db.execute("BEGIN IMMEDIATE")
        for name in known.keys() - self.backlog.keys():
            db.execute("UPDATE item SET owed = owed & ~?", (1 << known[name],))
            db.execute("DELETE FROM destination WHERE name = ?", (name,))
        kept = {name: bit for name, bit in known.items() if name in self.backlog}
        free = (bit for bit in range(62) if bit not in kept.values())
        self._bits = {name: kept[name] if name in kept else next(free) for name in self.backlog}
        rows = [(bit, name) for name, bit in self._bits.items()]
        db.executemany("INSERT OR IGNORE INTO destination (bit, name) VALUES (?, ?)", rows)
        db.execute("DELETE FROM item WHERE owed = 0")
        db.execute("COMMIT")

    def _recount(self, db: sqlite3.Connection) -> None:
        self.items = self.bytes = 0
        self.backlog = dict.fromkeys(self.backlog, 0)
        for owed, count, size in db.execute("SELECT owed, count(*), sum(length(payload)) FROM item GROUP BY owed"):
            self._count(owed, size, count)

    # What the methods share

    def _make_room(self, db: sqlite3.Connection) -> int:
        """Drop the oldest items that may go until the bounds hold; return how many.

        Raises:
            OutboxFullError: too few of them may go.

        """
        dropped = 0
        while self.items > self._most_items or self.bytes > self._most_bytes:
            row = db.execute(_OLDEST_THAT_MAY_GO, _MAY_GO).fetchone()
            if row is None:
                bounds = f"{self._most_items:,} items or {self._most_bytes // 2**20} MB wait to be delivered"
                raise OutboxFullError(f"the outbox {self._path} is full: {bounds}, the most it keeps")
            seq, owed, size = row
            db.execute("DELETE FROM item WHERE seq = ?", (seq,))
            self._count(owed, -size, -1)
            dropped += 1
        return dropped

    def _refuse(self, db: sqlite3.Connection, destination: str, item_id: str, reason: str) -> bool:
        db.execute(
            "INSERT INTO refused (id, destination, kind, topic, payload, created_us, reason)"
            " SELECT id, ?, kind, topic, payload, created_us, ? FROM item WHERE id = ? AND owed & ?",
            (destination, reason, item_id, self._mask(destination)),
        )
        db.execute("DELETE FROM refused WHERE seq <= (SELECT max(seq) FROM refused) - ?", (MOST_REFUSED,))
        return self._settle(db, destination, item_id)

    def _settle(self, db: sqlite3.Connection, destination: str, item_id: str) -> bool:
        bit = self._mask(destination)
        row = db.execute("SELECT seq, owed, length(payload) FROM item WHERE id = ?", (item_id,)).fetchone()
        if row is None or not row[1] & bit:
            return False
        seq, owed, size = row
        if owed == bit:
            db.execute("DELETE FROM item WHERE seq = ?", (seq,))
            self._count(owed, -size, -1)
        else:
            db.execute("UPDATE item SET owed = ? WHERE seq = ?", (owed & ~bit, seq))
            self.backlog[destination] -= 1
        return True

    def _mask(self, destination: str) -> int:
        """Return the bit of a destination in `owed`; none of one that is not known, as after its hub was dropped."""
        return 1 << self._bits[destination] if destination in self._bits else 0

    def _count(self, owed: int, size: int, items: int) -> None:
        self.items += items
        self.bytes += size
        for name, bit in self._bits.items():
            if owed & 1 << bit:
                self.backlog[name] += items
