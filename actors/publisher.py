"""`PublisherActor`: one soil station. Every interval it reads its driver and puts one reading into the outbox.

It has a thread of its own because a driver may block; one that hangs is closed from outside and replaced. A driver that
raises costs that reading and nothing else: it is counted, shown, and opened anew for the next one.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pykka

from actors.clock_quality import clock_quality
from actors.drivers.base import Driver, DriverOptions, EndOfReadingsError
from actors.outbox import Item, OutboxUnavailableError, Put
from actors.runtime import Directory, GuardedFuture, Runtime, ThreadedActor
from actors.timestamps import rfc3339
from actors.topics import SENSOR_TAIL

logger = logging.getLogger(__name__)

KIND = "reading"
"""The kind of our items in the outbox."""
PUT_TIMEOUT = 10.0
"""Seconds for the outbox to have a reading on the disk."""
SAVE_AGAIN = 5.0
"""Seconds until readings are offered again to an outbox that could not take them."""
MOST_UNSAVED = 1_000
"""Readings kept in memory while the outbox cannot take them; beyond, the oldest goes and is counted."""


class Tick(msgspec.Struct, frozen=True):
    """To itself: a reading is due."""

    due_at: float
    """The deadline that it stands for, monotonic seconds. One that is no longer the station's is an echo of a crash."""


class SaveAgain(msgspec.Struct, frozen=True):
    """To itself: offer the outbox what it could not take."""


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """What one station is."""

    publisher_id: str
    prefix: str = "harit-samarth"
    interval: float = 60.0
    """Seconds between two readings, unless the driver sets the pace."""
    once: bool = False
    """One reading and no more."""
    memory: Path | None = None
    """Where the last published values are kept, for drivers that continue from them."""

    @property
    def topic(self) -> str:
        """The topic of its readings."""
        return f"{self.prefix}{SENSOR_TAIL}"


@dataclass(kw_only=True, slots=True)
class StationBoard:
    """What a station shows of itself; outlives the incarnations of its actor, written by its thread."""

    readings: int = 0
    """Readings that the outbox holds, or held."""
    failures: int = 0
    """Readings that the driver failed to give."""
    left_out: int = 0
    """Measures left out because they were no finite number."""
    not_kept: int = 0
    """Readings lost because the outbox could take none for very long."""
    last_error: str = ""
    """Why the last reading failed; empty after one that did not."""
    last_reading_us: int = 0
    finished: bool = False
    """No further reading will come: one was asked for, or the driver has ended."""
    next_at: float = 0.0
    """When the next reading is due, monotonic seconds; 0 at once."""
    unsaved: deque[Item] = field(default_factory=lambda: deque(maxlen=MOST_UNSAVED))

    def describe(self, name: str) -> dict[str, Any]:
        """Return what became of its readings as JSON shows it."""
        return {
            "id": name,
            "readings": self.readings,
            "failures": self.failures,
            "left_out": self.left_out,
            "not_kept": self.not_kept,
            "last_reading": rfc3339(self.last_reading_us) if self.last_reading_us else None,
        }


class PublisherActor(ThreadedActor):
    """Reads and puts; what becomes of the reading then is the business of outbox and uplink."""

    def __init__(
        self,
        station: Station,
        make_driver: Callable[[DriverOptions], Driver],
        options: DriverOptions,
        *,
        outbox: str,
        directory: Directory,
        runtime: Runtime,
        board: StationBoard,
    ) -> None:
        """Assign.

        Args:
            station: who we are.
            make_driver: makes the driver, when the actor starts.
            options: what the driver is made from; `start` is filled in from the station's memory.
            outbox: name of the outbox in the directory.
            directory: where it is found.
            runtime: clock and timers.
            board: where the station shows itself.

        """
        super().__init__()
        self._station, self._make_driver, self._options = station, make_driver, options
        self._outbox, self._directory, self._runtime, self._board = outbox, directory, runtime, board
        self._driver: Driver | None = None
        self._is_open = False
        self._saves_again = False
        """True while a `SaveAgain` is on its way."""

    def on_start(self) -> None:
        """Make the driver and set the first deadline.

        Raises:
            DriverError: the driver cannot be made.

        """
        start = recall(self._station.memory) or self._options.start
        self._driver = self._make_driver(msgspec.structs.replace(self._options, start=start))
        if self._board.unsaved:
            self.actor_ref.tell(SaveAgain())
        if not self._board.finished:
            self._wait()

    def on_receive(self, message: Any) -> None:
        """Read, or save again."""
        match message:
            case Tick():
                if message.due_at == self._board.next_at:
                    self._tick()
            case SaveAgain():
                self._saves_again = False
                self._save()
            case _:
                logger.warning("%s: unexpected message %.200r", self._station.publisher_id, message)

    def on_stop(self) -> None:
        """Close the driver."""
        self._close()

    def on_failure(self, *_: Any) -> None:
        """Close the driver of a crashed station."""
        self._close()

    def sever(self) -> None:
        """Close the driver under a `read` that hangs."""
        self._board.failures += 1
        self._board.last_error = "the driver hung and was closed"
        if self._driver is not None:
            self._driver.close()

    def _tick(self) -> None:
        board, interval = self._board, self._station.interval
        now = self._runtime.clock.monotonic()
        # The next deadline comes first: whatever this reading does, there is a next one. Missed ones are left out.
        board.next_at = max(board.next_at + interval, now) if board.next_at else now + interval
        pause = self._read()
        if pause is not None:
            board.next_at = now + pause
        board.finished = board.finished or self._station.once
        if not board.finished:
            self._wait()

    def _wait(self) -> None:
        next_at = self._board.next_at
        self._runtime.timers.at(next_at, self.actor_ref, Tick(next_at))

    def _read(self) -> float | None:
        """Take one reading and put it; return the driver's pause until the next."""
        driver, board = self._driver, self._board
        assert driver is not None
        now = self._runtime.clock.time()
        try:
            if not self._is_open:
                driver.open()
                self._is_open = True
            readings = self._finite(driver.read(now))
            pause = driver.pause()
        except EndOfReadingsError as end:
            logger.info("%s: %s", self._station.publisher_id, end)
            board.finished = True
            return None
        except Exception as error:  # noqa: BLE001 - a driver may raise anything, and none of it may stop the station
            if not self.given_up:
                self._failed(error)
            return None
        if self.given_up:  # severed while the driver hung: our successor has taken over
            return None
        board.last_error = ""
        self._keep(int(now * 1e6), readings)
        return pause

    def _keep(self, now_us: int, readings: dict[str, float]) -> None:
        board = self._board
        board.last_reading_us = now_us
        board.not_kept += len(board.unsaved) == MOST_UNSAVED
        board.unsaved.append(self._item(now_us, readings))
        self._save()
        remember(self._station.memory, readings)

    def _save(self) -> None:
        """Put everything that is not saved, in order; what cannot be put now is offered again soon."""
        waiting = tuple(self._board.unsaved)
        if not waiting:
            return
        future: GuardedFuture[int] = GuardedFuture()
        self._directory.tell(self._outbox, Put(waiting, future))
        try:
            future.get(timeout=PUT_TIMEOUT)
        except (OutboxUnavailableError, pykka.Timeout) as error:
            self._board.last_error = str(error) or "the outbox did not answer in time"
            if not self._saves_again:
                self._saves_again = True
                self._runtime.timers.after(SAVE_AGAIN, self.actor_ref, SaveAgain())
            return
        for _ in waiting:
            self._board.unsaved.popleft()
        self._board.readings += len(waiting)

    def _item(self, now_us: int, readings: dict[str, float]) -> Item:
        item_id = f"{now_us // 1000:012x}-{secrets.token_hex(8)}"
        body = {
            "timestamp": rfc3339(now_us),
            "publisher_id": self._station.publisher_id,
            "id": item_id,
            "sensor_readings": readings,
            "clock": clock_quality(),
        }
        return Item(item_id, KIND, self._station.topic, msgspec.json.encode(body), now_us)

    def _finite(self, readings: Mapping[str, float]) -> dict[str, float]:
        """Return the measures that are finite numbers.

        Raises:
            ValueError: there is none.

        """
        kept = {name: value for name, value in readings.items() if _is_finite(value)}
        self._board.left_out += len(readings) - len(kept)
        if not kept:
            raise ValueError("the driver gave no finite number")
        return kept

    def _failed(self, error: Exception) -> None:
        board = self._board
        board.failures += 1
        said = f"{type(error).__name__}: {error}"
        if said != board.last_error:
            logger.warning("%s: no reading: %s", self._station.publisher_id, said)
        board.last_error = said
        self._close()

    def _close(self) -> None:
        self._is_open = False
        if self._driver is not None:
            try:
                self._driver.close()
            except Exception:
                logger.exception("%s: closing the driver failed", self._station.publisher_id)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def recall(path: Path | None) -> dict[str, float]:
    """Return the values published last, or nothing."""
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}


def remember(path: Path | None, readings: Mapping[str, float]) -> None:
    """Leave the values published last. Not durable: a simulation that begins anew after a power cut is no loss."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(readings))
        temporary.replace(path)
