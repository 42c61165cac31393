"""The writer's core: one batch of writes becomes one transaction.

A store is used by one thread; only `sever` may come from another.

If the connection is lost while it commits, nobody knows whether the batch is in the database. It is then committed
again: readings and devices have identities and are recognised; an event or a dead letter may appear twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from peewee import Database

from actors.messages import (
    StoreDeadLetter,
    StoreEvent,
    StorePresence,
    StoreReading,
    StoreScan,
    StoreTwinReport,
    Write,
)
from actors.storage import deadletters
from actors.storage.connection import Connection
from actors.storage.database import migrate
from actors.storage.errors import StorageError, StoreUnavailable, Verdict, classify, explain
from actors.storage.models import Device
from actors.storage.plan import Plan, cut_after_deletes, reading_rows, settle, to_row
from actors.storage.purge import Purge
from actors.storage.receipts import Receipts
from actors.storage.result import CommitResult
from actors.storage.retention import KEEP_ALL, Retention, RetentionRules
from actors.storage.scans import ScanTable
from actors.storage.sql import Dialect, Statements, slices
from actors.storage.twins import TwinTable

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = TypeVar("Row", StoreReading, StoreScan, StoreTwinReport)


class Store:
    """Commits batches to one database."""

    def __init__(
        self,
        database: Database,
        *,
        keep: int = deadletters.KEEP,
        keep_each: int = deadletters.KEEP_EACH,
        rules: RetentionRules = KEEP_ALL,
        followed: Sequence[Callable[[], int]] = (),
    ) -> None:
        """Prepare the statements; nothing is connected before `open` or the first commit.

        Args:
            database: from `open_database`.
            keep: dead letters kept in all.
            keep_each: dead letters kept of one serial for one reason.
            rules: how long everything else is kept.
            followed: each tells how far one has come who follows the readings and keeps the place elsewhere.

        """
        dialect = Dialect(database)
        self._connection = Connection(database)
        self._dialect = dialect
        self._sql = Statements(dialect)
        self._letters = deadletters.Retention(self._connection, dialect, keep=keep, keep_each=keep_each)
        self._retention = Retention(self._connection, dialect, rules, followed)
        self._purge = Purge(self._connection, dialect)
        self._receipts = Receipts(self._connection, dialect)
        self._scans = ScanTable(self._connection, dialect)
        self._twins = TwinTable(self._connection, dialect)
        self._migrated = False
        self._ids: dict[str, int] = {}
        self._fresh: list[str] = []
        """Serials whose ids were learnt in this transaction, to be forgotten if it fails."""

    def open(self) -> None:
        """Connect, and bring the tables up to date the first time.

        Raises:
            StoreUnavailable: the database is away.

        """
        if self._connection.is_open:
            return
        self._connection.open()
        if not self._migrated:
            self._guard(lambda: migrate(self._connection.database))
            self._migrated = True

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._connection.close()

    def sever(self) -> None:
        """Break a running statement from another thread and let no further transaction through."""
        self._connection.sever()

    def commit(self, writes: Sequence[Write]) -> CommitResult:
        """Write everything in one transaction.

        A row that the database refuses is found by halving the batch, and becomes a dead letter; the others are stored.

        Raises:
            StoreUnavailable: the database is away, busy or full; nothing was changed.
            StoreSevered: a successor has taken over; nothing was changed.

        """
        self.open()
        result = self._guard(lambda: self._commit(writes))
        result.settled = settle(writes)
        return result

    def run(self, work: Callable[[Database], T]) -> T:
        """Run `work` in a transaction and return its result; for rare administrative writes and for reading.

        Raises:
            StoreUnavailable: as in `commit`. Other errors are those of `work`, whose transaction was rolled back.

        """
        self.open()
        return self._guard(lambda: self._run(work))

    @property
    def dead_letters_deleted(self) -> int:
        """Dead letters deleted since the start because newer ones had come."""
        return self._letters.deleted

    @property
    def is_purge_due(self) -> bool:
        """True while a deleted device may still have readings."""
        return self._purge.is_due

    def purge(self) -> bool:
        """Delete a slice of what deleted devices have left; return whether there is more to do."""
        self.open()
        return self._guard(lambda: self._transact(self._purge.step))

    @property
    def is_expiry_due(self) -> bool:
        """True from `begin_expiry` until all that was too old is deleted."""
        return self._retention.is_due

    def begin_expiry(self) -> None:
        """Look for what has become too old, and for deleted devices that could not be cleared away before."""
        self._retention.begin()
        self._purge.look_again()

    def expire(self, now_us: int) -> tuple[str, int]:
        """Delete a slice of what is too old; return the name of the table and how many rows."""
        self.open()
        return self._guard(lambda: self._transact(lambda: self._retention.step(now_us)))

    def _guard(self, work: Callable[[], T]) -> T:
        """Give the errors of `work` their meaning; after any that is not a row's the connection starts anew."""
        try:
            return work()
        except StorageError:
            self.close()
            raise
        except Exception as error:
            if classify(error) is Verdict.RETRY:
                self.close()
                raise StoreUnavailable(explain(error)) from error
            raise

    def _run(self, work: Callable[[Database], T]) -> T:
        self._connection.check()
        with self._connection.database.atomic():
            result = work(self._connection.database)
            self._connection.check()
        return result

    def _transact(self, work: Callable[[], T]) -> T:
        self._connection.check()
        self._connection.execute(self._dialect.begin)
        try:
            result = work()
            self._connection.check()
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(Exception):
                self._connection.execute("ROLLBACK")
            self._forget()
            raise
        self._fresh.clear()
        return result

    def _forget(self) -> None:
        """Drop what was learnt from rows that a rollback has taken back."""
        for serial in self._fresh:
            self._ids.pop(serial, None)
        self._fresh.clear()
        self._letters.forget()

    def _commit(self, writes: Sequence[Write]) -> CommitResult:
        try:
            return self._transact(lambda: self._apply(writes))
        except Exception as error:
            if isinstance(error, StorageError) or classify(error) is Verdict.RETRY:
                raise
            logger.warning("the database refused one of %d rows: %s", len(writes), explain(error))
        return self._transact(lambda: self._isolate(writes))

    def _isolate(self, writes: Sequence[Write]) -> CommitResult:
        """Apply what can be applied: halve the batch under savepoints until a refused write stands alone."""
        result = CommitResult()
        error = self._try(lambda: result.add(self._apply(writes)))
        if error is None:
            return result
        if len(writes) == 1:
            return self._refuse(writes[0], error)
        middle = len(writes) // 2
        result.add(self._isolate(writes[:middle]))
        result.add(self._isolate(writes[middle:]))
        return result

    def _try(self, work: Callable[[], None]) -> Exception | None:
        """Run `work` under a savepoint and return the error that a row of it caused, if any."""
        self._connection.execute("SAVEPOINT part")
        try:
            work()
        except Exception as error:
            if isinstance(error, StorageError) or classify(error) is Verdict.RETRY:
                raise
            self._connection.execute("ROLLBACK TO SAVEPOINT part")
            self._connection.execute("RELEASE SAVEPOINT part")
            self._forget()
            return error
        self._connection.execute("RELEASE SAVEPOINT part")
        return None

    def _refuse(self, write: Write, error: Exception) -> CommitResult:
        """Dead-letter a write; a dead letter that is refused itself ends in the log."""
        result = CommitResult()
        second: Exception | None = error
        if not isinstance(write, StoreDeadLetter):
            letter = deadletters.from_refused(write, explain(error), time.time_ns() // 1000)
            second = self._try(lambda: self._put_dead_letters([letter], result))
        if second is not None:
            logger.error("the database refused %.1000r and its dead letter: %s", write, explain(second))
            result.dropped += 1
        return result

    def _apply(self, writes: Sequence[Write]) -> CommitResult:
        result = CommitResult()
        for segment in cut_after_deletes(writes):
            self._apply_plan(Plan.of(segment), result)
        return result

    def _apply_plan(self, plan: Plan, result: CommitResult) -> None:
        self._find_ids(plan.serials())
        self._put_devices(plan)
        self._put_presence(plan.presence.values())
        ids = self._ids
        seen = [(ids[serial], ts_us) for serial, ts_us in plan.last_seen.items() if serial in ids]
        self._connection.execute_many(self._sql.last_seen, seen)
        sensors = [(ids[serial], name, ts_us) for serial, name, ts_us in plan.sensors if serial in ids]
        self._connection.execute_many(self._sql.sensor, sensors)
        self._put_readings(plan.readings, result)
        if plan.scans:
            self._put_scans(plan.scans, result)
        if plan.twin_reports:
            self._put_twin_reports(plan.twin_reports, result)
        self._put_dead_letters(plan.dead_letters, result)
        self._put_events(plan.events)
        self._connection.execute_many(self._sql.audit, [msgspec.structs.astuple(entry) for entry in plan.audit])
        for serial in plan.deletes:
            if (device_id := ids.pop(serial, None)) is not None:
                self._purge.bury(device_id, serial)
                self._twins.forget(serial)
                result.deleted.append(serial)

    def _find_ids(self, serials: Iterable[str]) -> None:
        missing = [serial for serial in serials if serial not in self._ids]
        for part in slices(missing):
            sql = self._dialect.select(Device, ("serial", "id"), self._dialect.within("serial", len(part)))
            for serial, device_id in self._connection.fetch(sql, part):
                self._ids[serial] = device_id
                self._fresh.append(serial)

    def _put_devices(self, plan: Plan) -> None:
        if not plan.devices:
            return
        ids = self._ids
        fresh = [snapshot for serial, snapshot in plan.devices.items() if serial not in ids]
        known = [(ids[serial], *to_row(snapshot)) for serial, snapshot in plan.devices.items() if serial in ids]
        self._connection.execute_many(self._sql.update_device, known)
        self._connection.execute_many(self._sql.insert_device, [to_row(snapshot) for snapshot in fresh])
        self._find_ids(snapshot.serial for snapshot in fresh)
        plan.note_first_seen(fresh)

    def _put_presence(self, transitions: Iterable[StorePresence]) -> None:
        ids = self._ids
        rows = [(t.presence, t.reason, t.since_us, ids[t.serial]) for t in transitions if t.serial in ids]
        self._connection.execute_many(self._sql.update_presence, rows)

    def _put_readings(self, readings: list[StoreReading], result: CommitResult) -> None:
        readings = self._drop_strays(readings, result)
        if any(reading.stamped or reading.idempotency_key for reading in readings):
            readings = self._receipts.sift(readings, self._ids.__getitem__, result.known)
        if not readings:
            return
        rows = reading_rows(readings, self._ids)
        ((newest,),) = self._connection.fetch(self._sql.newest_reading)
        if self._connection.execute_many(self._sql.insert_reading, rows) == len(rows):
            fresh = readings
        else:
            fresh = self._find_fresh(readings, rows, newest, result)
        result.new += fresh
        if any(reading.health_index is not None for reading in fresh):
            self._note_analysed(newest)

    def _find_fresh(
        self, readings: list[StoreReading], rows: list[tuple[Any, ...]], newest: int, result: CommitResult
    ) -> list[StoreReading]:
        """Return the readings that were new: their ids are higher than `newest`, since nobody else writes them."""
        inserted = {
            (device_id, ts, bytes(d)) for device_id, ts, d in self._connection.fetch(self._sql.new_readings, (newest,))
        }
        fresh = []
        for reading, row in zip(readings, rows, strict=True):
            if row[:3] in inserted:
                inserted.discard(row[:3])
                fresh.append(reading)
            else:
                result.known.append(reading)
        return fresh

    def _note_analysed(self, newest: int) -> None:
        """Note the new readings that have an index; another writer's are in its own transaction already."""
        if self._sql.note_analysed is not None:
            self._connection.execute(self._sql.note_analysed, (newest,))
        else:
            found = self._connection.fetch(self._sql.new_analysed, (newest,))
            self._connection.execute_many(self._sql.analysed, found)

    def _put_scans(self, scans: list[StoreScan], result: CommitResult) -> None:
        scans = self._drop_strays(scans, result)
        scans = self._receipts.sift(scans, self._ids.__getitem__, result.known_scans)
        new, known = self._scans.put(scans, self._ids)
        result.scans += new
        result.known_scans += known

    def _put_twin_reports(self, reports: list[StoreTwinReport], result: CommitResult) -> None:
        reports = self._drop_strays(reports, result)
        self._twins.put(reports)
        result.twin_reports += reports

    def _drop_strays(self, rows: list[Row], result: CommitResult) -> list[Row]:
        """Dead-letter what comes from devices that have no row: it was refused, or deleted meanwhile."""
        ids = self._ids
        strays = [row for row in rows if row.serial not in ids]
        if not strays:
            return rows
        detail = "this serial has no record in the database: the record was refused or deleted"
        self._put_dead_letters([deadletters.from_row(row, deadletters.UNKNOWN, detail) for row in strays], result)
        return [row for row in rows if row.serial in ids]

    def _put_dead_letters(self, letters: list[StoreDeadLetter], result: CommitResult) -> None:
        if not letters:
            return
        rows = [deadletters.to_row(letter) for letter in letters]
        self._connection.execute_many(self._sql.dead_letter, rows)
        self._letters.enforce(rows)
        result.dead += letters

    def _put_events(self, events: list[StoreEvent]) -> None:
        rows = [(event.ts_us, event.serial, event.kind, event.data) for event in events]
        self._connection.execute_many(self._sql.event, rows)
