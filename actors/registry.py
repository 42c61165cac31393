"""The registry: the only writer of the database.

It commits as soon as it is free, with whatever has arrived meanwhile: one row when idle, large batches under load.
While the database is away it keeps everything, acknowledges nothing, and goes on taking messages.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard, TypeVar

import msgspec
from peewee import Database
from pykka import ActorDeadError
from pykka._envelope import Envelope

from actors.commit_times import CommitTimes
from actors.messages import Settled, StoreDeadLetter, StoreReading, StoreScan, StoreTwinReport, Write, WriteBatch
from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf, compute_backoff
from actors.storage import administration
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.result import CommitResult
from actors.storage.retention import KEEP_ALL, RetentionRules
from actors.storage.store import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Writes in one transaction at most: some 20 ms on SQLite.
MOST_WRITES = 2_000
#: The reason with which a data link buries what nobody has settled for too long.
STUCK = "stuck"
#: Seconds between two attempts to reach a database that is away, at most.
RETRY_CAP = 5.0
#: Seconds that a stop may go on committing.
STOP_WITHIN = 3.0
#: Seconds between two passes of the retention, before the first, and between two slices of one: a slice of some ten
#: milliseconds leaves the disk to others most of the time, and still deletes more than ever arrives.
EXPIRE_EVERY = 3600.0
EXPIRE_FIRST = 60.0
EXPIRE_PAUSE = 0.05


class LoadDevices(msgspec.Struct, frozen=True):
    """Asks for up to `limit` `DeviceSnapshot`s whose serial follows `after_serial`; "" begins."""

    after_serial: str = ""
    limit: int = 1000


class LoadDeadLetter(msgspec.Struct, frozen=True):
    """Asks for one `StoreDeadLetter`, or None."""

    id: int


class MarkReplayed(msgspec.Struct, frozen=True):
    """Asks to note that a dead letter was handed in again; the answer is False if it is not there."""

    id: int


class Execute(msgspec.Struct, frozen=True):
    """Asks for the result of `work`, run in a transaction of its own after all writes that came before it."""

    work: Callable[[Database], Any]


class _Flush(ToSelf, msgspec.Struct, frozen=True):
    """To itself: more is pending than one transaction takes, or a deletion has a slice to go."""


class _Retry(ToSelf, msgspec.Struct, frozen=True):
    """To itself, from a timer: the back-off is over."""

    failures: int


class _Expire(ToSelf, msgspec.Struct, frozen=True):
    """To itself, from a timer: delete a slice of what is too old, or look whether there is any."""


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """How the writer is; replaced as a whole, so any thread may read it."""

    ok: bool = True
    """False while the database is away."""
    since: float = 0.0
    """When `ok` last changed, seconds since 1970 UTC; 0 before the first attempt."""
    last_error: str = ""
    """The error of the last failed attempt; kept after it has passed."""
    pending: int = 0
    """Writes that wait for a commit."""
    oldest_at: float | None = None
    """Monotonic time at which the oldest pending write arrived, or an earlier one."""

    def oldest_age_s(self, now: float) -> float:
        """Return how long the oldest write has waited, seconds; `now` is monotonic."""
        return 0.0 if self.oldest_at is None else max(0.0, now - self.oldest_at)


@dataclass(slots=True)
class RegistryCounters:
    """Totals since the process started; written by the registry alone, read by any thread."""

    commits: int = 0
    rows: int = 0
    """Readings stored."""
    duplicates: int = 0
    scans: int = 0
    """Scans stored."""
    scan_duplicates: int = 0
    dead_letters: int = 0
    dead_letters_by_reason: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    """Dead letters that the database refused too."""
    retries: int = 0
    """Attempts that found the database away."""
    effect_errors: int = 0
    """Exceptions of the callbacks in `on_committed`."""
    expired: Counter[str] = field(default_factory=Counter)
    """Rows that the retention has deleted, by table; dead letters, because newer ones had come."""

    times: CommitTimes = field(default_factory=CommitTimes)
    """How long the commits took."""

    def add(self, result: CommitResult) -> None:
        """Count one commit."""
        self.commits += 1
        self.rows += len(result.new)
        self.duplicates += result.duplicates
        self.scans += len(result.scans)
        self.scan_duplicates += len(result.known_scans)
        self.dead_letters += len(result.dead)
        self.dead_letters_by_reason.update(letter.reason for letter in result.dead)
        self.dropped += result.dropped


class RegistryBoard:
    """What others may know of the writer; it outlives the writer's incarnations."""

    def __init__(self) -> None:
        self.status = RegistryStatus()
        self.counters = RegistryCounters()


class RegistryActor(ThreadedActor):
    """Takes `WriteBatch` and tells `Settled` to the links; answers `LoadDevices`, `Execute` and the like.

    An ask that needs the database while it is away raises `StoreUnavailable` in the asker.
    """

    def __init__(
        self,
        url: str,
        directory: Directory,
        runtime: Runtime,
        *,
        board: RegistryBoard | None = None,
        links: Sequence[str] = (),
        on_committed: Sequence[Callable[[CommitResult], None]] = (),
        rules: RetentionRules = KEEP_ALL,
        followed: Sequence[Callable[[], int]] = (),
        held: Sequence[Container[tuple[str, int]]] = (),
    ) -> None:
        """Assign only; the database is opened by the actor's own thread.

        Args:
            url: as for `open_database`, which raises `ConfigurationError` here for a wrong one.
            directory: where the links are found by their names.
            runtime: its clock and timers are used.
            board: is kept up to date.
            links: names of the links that are asked to replay what is unresolved when this actor starts.
            on_committed: called after each commit with what it did, on this thread; an exception is logged.
            rules: how long what grows is kept.
            followed: each returns the id up to which a follower with a place outside of the database has come.
            held: (link, token) of deliveries that a service keeps until the database is back.

        """
        super().__init__()
        self._held = held
        self.board = board or RegistryBoard()
        self._store = Store(open_database(url), rules=rules, followed=followed)
        self._directory = directory
        self._runtime = runtime
        self._links = links
        self._on_committed = on_committed
        self._pending: list[Write] = []
        self._oldest_at: float | None = None
        self._failures = 0
        """Attempts in a row that found the database away."""
        self._waiting = False
        """True while a `_Retry` is on its way."""

    def on_start(self) -> None:
        """Open the database, if it is there; let the links tell again what an earlier incarnation did not settle."""
        from actors.link.messages import Replay

        self._try(self._store.open)
        self.actor_ref.tell(_Flush())
        self._runtime.timers.after(EXPIRE_FIRST, self.actor_ref, _Expire())
        for link in self._links:
            self._directory.tell(link, Replay())

    def on_receive(self, message: Any) -> Any:
        """Take writes, answer asks; commit when nothing else waits or enough has come together."""
        try:
            answer = self._handle(message)
            if self._pending and not self._waiting and (self.actor_inbox.empty() or len(self._pending) >= MOST_WRITES):
                self._commit_some()
            return answer
        finally:  # whatever it was, and though an asker's work may have failed
            self._come_back()

    def _handle(self, message: Any) -> Any:
        match message:
            case WriteBatch():
                self._take(message.items)
            case _Flush():
                self._clean_up()
            case _Expire():
                self._expire()
            case _Retry(failures=failures):
                self._retry(failures)
            case LoadDevices(after_serial=after, limit=limit):
                return self._ask(lambda database: administration.load_devices(database, after, limit))
            case LoadDeadLetter(id=letter_id):
                return self._ask(lambda database: administration.load_dead_letter(database, letter_id))
            case MarkReplayed(id=letter_id):
                now_us = int(self._runtime.clock.time() * 1_000_000)
                return self._ask(lambda database: administration.mark_replayed(database, letter_id, now_us))
            case Execute(work=work):
                return self._ask(work)
            case _:
                logger.warning("the registry does not know %.200r", message)
        return None

    def on_stop(self) -> None:
        """Commit what is pending, within a time; leave the rest to the next incarnation."""
        until = time.monotonic() + STOP_WITHIN
        while self._pending and not self._waiting and time.monotonic() < until:
            self._commit_some()
        if self._pending:
            self.actor_inbox.put_first(Envelope(WriteBatch(self._pending)))
        self._store.close()

    def on_failure(self, *_: Any) -> None:
        """Close the connection of a crashed writer."""
        self._store.close()

    def sever(self) -> None:
        """Break a statement that hangs; nothing is committed after this."""
        self._store.sever()

    def unfinished(self) -> Sequence[Any]:
        """Return what was taken and not committed, for the next incarnation."""
        return [WriteBatch(list(self._pending))] if self._pending else []

    def _take(self, writes: Sequence[Write]) -> None:
        if not self._pending:
            self._oldest_at = self._runtime.clock.monotonic()
        self._pending += self._without_held(writes)
        if self._waiting:
            self._report()

    def _without_held(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Leave out the burials of deliveries that only wait here for the database: each ends exactly once."""
        if not writes or not _is_burial(writes[0]):  # a link sends them in batches of their own
            return writes
        tokens = StoreReading | StoreScan | StoreTwinReport | StoreDeadLetter
        own = {(kept.link, kept.token) for kept in self._pending if isinstance(kept, tokens)}
        held = (own, *self._held)
        return [
            write
            for write in writes
            if not (_is_burial(write) and any((write.link, write.token) in each for each in held))
        ]

    def _commit_some(self) -> bool:
        """Commit as much as one transaction takes; False if the database is away."""
        batch = self._pending[:MOST_WRITES]
        before = self._store.dead_letters_deleted
        begun = self._runtime.clock.monotonic()
        result = self._try(lambda: self._store.commit(batch))
        if result is None:
            return False
        self.board.counters.times.took(self._runtime.clock.monotonic() - begun)
        del self._pending[: len(batch)]
        if not self._pending:
            self._oldest_at = None
        self.board.counters.add(result)
        if pushed_out := self._store.dead_letters_deleted - before:
            self.board.counters.expired["dead_letter"] += pushed_out
        self._report()
        for link, tokens in result.settled.items():
            self._directory.tell(link, Settled(tokens))
        for callback in self._on_committed:
            self._run_effect(callback, result)
        return True

    def _run_effect(self, callback: Callable[[CommitResult], None], result: CommitResult) -> None:
        try:
            callback(result)
        except Exception:
            self.board.counters.effect_errors += 1
            logger.exception("an effect of a commit failed; the writer goes on")

    def _clean_up(self) -> None:
        """Delete a slice of what deleted devices have left, if nothing waits to be written."""
        if self._store.is_purge_due and not (self._waiting or self._pending) and self.actor_inbox.empty():
            self._try(self._store.purge)

    def _expire(self) -> None:
        """Delete a slice of what is too old, if nothing waits to be written, and set the time of the next."""
        if not self._store.is_expiry_due:
            self._store.begin_expiry()
        if not (self._waiting or self._pending) and self.actor_inbox.empty():
            now_us = int(self._runtime.clock.time() * 1_000_000)
            done = self._try(lambda: self._store.expire(now_us))
            if done is not None and done[1]:
                self.board.counters.expired[done[0]] += done[1]
        delay = EXPIRE_PAUSE if self._store.is_expiry_due else EXPIRE_EVERY
        self._runtime.timers.after(delay, self.actor_ref, _Expire())

    def _come_back(self) -> None:
        """See to what is left as soon as the mailbox is empty, and let a stop come in between."""
        if (self._pending or self._store.is_purge_due) and not self._waiting and self.actor_inbox.empty():
            with suppress(ActorDeadError):  # given up meanwhile; the successor looks by itself
                self.actor_ref.tell(_Flush())

    def _retry(self, failures: int) -> None:
        if not self._waiting or failures != self._failures:
            return  # meant for an earlier incarnation
        self._waiting = False
        if not self._pending:  # else the commit that follows is the attempt
            self._try(self._store.open)

    def _ask(self, work: Callable[[Any], Any]) -> Any:
        """Run `work` after everything that is pending, so that the asker finds what it has told before."""
        while self._pending and not self._waiting:
            self._commit_some()
        if self._waiting:
            raise StoreUnavailable(self.board.status.last_error)
        try:
            return self._store.run(work)
        except StoreUnavailable as error:
            self._postpone(error)
            raise

    def _try(self, work: Callable[[], T]) -> T | None:
        """Run `work`; if the database is away, set a time for the next attempt and return None."""
        try:
            result = work()
        except StoreUnavailable as error:
            self._postpone(error)
            return None
        if self._failures:
            logger.info("the database is back; %d writes wait", len(self._pending))
            self._failures = 0
        self._report(ok=True)
        return result

    def _postpone(self, error: StoreUnavailable) -> None:
        if self._failures == 0:
            logger.warning("the database is away, %d writes wait: %s", len(self._pending), error)
        delay = compute_backoff(self._failures, cap=RETRY_CAP)
        self._failures += 1
        self._waiting = True
        self.board.counters.retries += 1
        self._report(ok=False, last_error=str(error))
        self._runtime.timers.after(delay, self.actor_ref, _Retry(self._failures))

    def _report(self, **changes: Any) -> None:
        """Publish a new status."""
        old = self.board.status
        if changes.get("ok", old.ok) != old.ok or not old.since:
            changes["since"] = self._runtime.clock.time()
        self.board.status = replace(old, pending=len(self._pending), oldest_at=self._oldest_at, **changes)


def _is_burial(write: Write) -> TypeGuard[StoreDeadLetter]:
    return isinstance(write, StoreDeadLetter) and write.reason == STUCK
