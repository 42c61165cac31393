"""The roll-ups: follows the table of readings and keeps the sums of each measure per hour and day.

It reads on a reader's connection and adds up here; the writer only gets the sums, in slices of a few milliseconds, with
the cursor in the same transaction (`actors.storage.rollups`): each reading counts once, whatever is killed and when.
Late readings count in the hour they speak of. When nothing is stored, nothing is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
import pykka

from actors.reader import Readers
from actors.registry import Execute
from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf
from actors.storage.errors import StoreUnavailable
from actors.storage.following import Followed, FollowReadings, newest_reading_id
from actors.storage.queries import FindReadings, Page, find_device
from actors.storage.rollups import DAY_US, ROLLUP, Cursor, CursorMoved, Hours, Sum, advance, read_cursor, replace_day

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Rows read at a time, and taken together in one round: the more, the fewer sums have to be written for each.
PAGE = 1_000
MOST_ROWS = 20_000
#: Sums of one round, which bounds its memory, and of one device in it, which bounds the last slice.
MOST_SUMS = 20_000
MOST_OF_ONE = 1_000
#: Sums of hours that one transaction takes; those of the days come on top.
SLICE = 300
#: Seconds between two rounds while there is more, so that catching up leaves the machine to others.
BREATH = 0.1
#: Seconds to wait for the writer.
PATIENCE = 30.0


class Wake(msgspec.Struct, frozen=True):
    """Something was committed; however many come, there is one run in each interval."""


class Rebuild(msgspec.Struct, frozen=True):
    """Asks to compute a device's days anew from its raw readings; the answer is the number of days.

    Takes every day of UTC that the range touches and that has raw readings. Those must all be there still: what the
    retention has deleted would be missing.
    """

    serial: str
    since_us: int
    until_us: int


class _Run(ToSelf, msgspec.Struct, frozen=True):
    """To itself: the interval is over, or there is more to do."""


@dataclass(slots=True)
class RollupBoard:
    """How far the roll-ups have come; written by the actor alone, read by any thread."""

    after: int = 0
    """Readings up to this id are in them."""
    rows: int = 0
    """Readings added since the process started."""
    failures: int = 0
    """Runs that found the database or the writer away."""


class RollupActor(ThreadedActor):
    """Takes `Wake`, answers `Rebuild`."""

    def __init__(
        self,
        readers: Readers,
        services: Directory,
        runtime: Runtime,
        *,
        is_ours: Callable[[str], bool] = lambda _serial: True,
        key: str = ROLLUP,
        every: float = 10.0,
        board: RollupBoard | None = None,
    ) -> None:
        """Assign only.

        Args:
            readers: answer the queries.
            services: where the writer is found as `registry`.
            runtime: its clock and timers are used.
            is_ours: tells by its serial whether this server looks after a device; rows of others are passed over.
            key: of the cursor; where several servers share a database each has its own.
            every: seconds between two runs at least.
            board: is kept up to date.

        """
        super().__init__()
        self.board = board or RollupBoard()
        self._readers = readers
        self._services = services
        self._runtime = runtime
        self._is_ours = is_ours
        self._key = key
        self._every = every
        self._armed = False
        """True while a `_Run` is on its way."""
        self._ran_at = 0.0

    def on_start(self) -> None:
        """Go on where the last incarnation, or the last process, has come to."""
        self._arm(0.0)

    def on_receive(self, message: Any) -> Any:
        """Do one round, or set the time for one."""
        match message:
            case Wake():
                self._arm(self._ran_at + self._every - self._runtime.clock.monotonic())
            case _Run():
                self._armed = False
                self._run()
            case Rebuild():
                return self._rebuild(message)
            case _:
                logger.warning("the roll-ups do not know %.200r", message)
        return None

    def _arm(self, seconds: float) -> None:
        if self._armed:
            return
        self._armed = True
        if seconds > 0:
            self._runtime.timers.after(seconds, self.actor_ref, _Run())
        else:
            self.actor_ref.tell(_Run())

    def _run(self) -> None:
        try:
            is_more = self._round()
        except (StoreUnavailable, CursorMoved, pykka.ActorDeadError, pykka.Timeout) as error:
            logger.debug("the roll-ups wait: %r", error)
            self.board.failures += 1
            self._arm(self._every)
            return
        self._ran_at = self._runtime.clock.monotonic()
        if is_more:
            self._arm(BREATH)

    def _round(self) -> bool:
        """Add what follows the cursor, up to a bound; return whether there is more."""
        # The writer tells what there is: between its transactions no row of its own is still on its way.
        cursor, newest = self._write(lambda database: (read_cursor(database, self._key), newest_reading_id(database)))
        total, reached, rows = self._sum_up(cursor, newest)
        if reached > cursor.after:
            self._apply(cursor, reached, total)
        self.board.after = reached
        self.board.rows += rows
        return reached < newest

    def _sum_up(self, cursor: Cursor, newest: int) -> tuple[Sum, int, int]:
        """Return the sums of a round, the id of its last row, and how many rows are in it.

        A round that was broken off ends where it was to end, whatever its size.
        """
        total = Sum()
        reached, rows, looked = cursor.after, 0, 0
        until = newest if cursor.until is None else cursor.until
        while reached < until:
            page: Followed = self._readers.ask(FollowReadings(reached, PAGE, until))
            for row in page.rows:
                if self._is_ours(row.serial):
                    total.add(row.device_id, row.ts_us, _decode(row.measures))
                    rows += 1
                    if cursor.until is None and (total.size >= MOST_SUMS or total.largest >= MOST_OF_ONE):
                        return total, row.id, rows
            reached = page.looked_at
            looked += len(page.rows)
            if cursor.until is None and looked >= MOST_ROWS:
                break
        return total, reached, rows

    def _apply(self, cursor: Cursor, reached: int, total: Sum) -> None:
        """Hand the sums to the writer, device by device in the order of their numbers."""
        todo = {number: total.devices[number] for number in sorted(total.devices) if number > cursor.done}
        slices = list(_cut(todo)) or [{}]
        for devices in slices:
            is_last = devices is slices[-1]
            then = Cursor(reached) if is_last else Cursor(cursor.after, reached, max(devices))
            self._write(partial(advance, key=self._key, expected=cursor, then=then, devices=devices))
            cursor = then

    def _rebuild(self, message: Rebuild) -> int:
        if not self._is_ours(message.serial):
            raise ValueError(f"another server looks after {message.serial}")
        cursor, device_id = self._look_up(message.serial)
        if cursor.until is not None:  # the end of a round that was broken off
            self._round()
            cursor, device_id = self._look_up(message.serial)
        if device_id is None:
            return 0
        days = 0
        for day_us, hours in self._days(message, device_id, cursor.after):
            work = partial(replace_day, key=self._key, expected=cursor, device_id=device_id, day_us=day_us, hours=hours)
            self._write(work)
            days += 1
        return days

    def _look_up(self, serial: str) -> tuple[Cursor, int | None]:
        return self._write(lambda database: (read_cursor(database, self._key), find_device(database, serial)))

    def _days(self, message: Rebuild, device_id: int, until_id: int) -> Iterator[tuple[int, Hours]]:
        """Yield every day that has raw readings with the sums of its hours, the newest first."""
        since = message.since_us - message.since_us % DAY_US
        until = message.until_us + -message.until_us % DAY_US
        day, total = 0, Sum()
        for item in self._readings(message.serial, since, until):
            if item["id"] > until_id:
                continue  # the next round adds it
            start = item["ts_us"] - item["ts_us"] % DAY_US
            if start != day and total.devices:
                yield day, total.devices[device_id]
                total = Sum()
            day = start
            total.add(device_id, item["ts_us"], item["measures"])
        if total.devices:
            yield day, total.devices[device_id]

    def _readings(self, serial: str, since: int, until: int) -> Iterator[dict[str, Any]]:
        query = FindReadings(serial=serial, since_us=since, until_us=until, limit=PAGE)
        while True:
            page: Page = self._readers.ask(query)
            yield from page.items
            if page.cursor is None:
                return
            query = msgspec.structs.replace(query, after=page.cursor)

    def _write(self, work: Callable[[Any], T]) -> T:
        """Let the writer run `work` in a transaction of its own, after what it has to commit."""
        writer = self._services.get("registry")
        if writer is None:
            raise StoreUnavailable("no writer is there")
        answer: Any = writer.ask(Execute(work), timeout=PATIENCE)
        result: T = answer
        return result


_decode = msgspec.json.Decoder(dict[str, float]).decode


def _cut(devices: dict[int, Hours]) -> Iterator[dict[int, Hours]]:
    """Cut between devices, so that each part has `SLICE` sums or a few more."""
    part: dict[int, Hours] = {}
    size = 0
    for device_id, hours in devices.items():
        part[device_id] = hours
        size += len(hours)
        if size >= SLICE:
            yield part
            part, size = {}, 0
    if part:
        yield part
