"""What the tests of the followers share: rows, a sink in memory, and what is in the files."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

from actors.followers import FollowedReading
from actors.messages import StoreDevice, StoreReading
from tests.storage.build import NOON, device, reading

SOIL = '{"N":41,"P":22,"K":180,"CO2":420,"Temperature":21.5,"Moisture":33,"pH":6.4}'


def station(serial: str = "soil-1", site: str = "harit-samarth") -> StoreDevice:
    return device(serial, kind="sensor", family="sensor", site=site)


def soil(at: int, serial: str = "soil-1", **fields) -> StoreReading:
    """A reading of a station; `at` tells it from the others."""
    body = fields.pop("body", f'{{"N":{at},"pH":6.4}}')
    return reading(serial, at=at, body=body, channel="data", **fields)


def row(row_id: int, **fields) -> FollowedReading:
    """A row of the table as a sink gets it."""
    facts = {
        "id": row_id,
        "device_id": 1,
        "serial": "soil-1",
        "kind": "sensor",
        "family": "sensor",
        "site": "harit-samarth",
        "ts_us": NOON,
        "rx_us": NOON + 1_234_567,
        "clock": "",
        "source": "mqtt",
        "channel": "data",
        "measures": SOIL,
        "health_index": 81.25,
        "status": "Good",
        "anomalies": "",
    }
    return FollowedReading(**(facts | fields))


class Box:
    """A sink that keeps what it gets in memory, and fails while it is told to."""

    def __init__(self, cursor: int | None = None) -> None:
        self.name = "box"
        self.cursor = cursor
        self.batches: list[list[FollowedReading]] = []
        self.refused: list[list[int]] = []
        self.error: Exception | None = None
        self.opened = self.closed = 0
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.gate.set()

    def open(self) -> int | None:
        self.opened += 1
        return self.cursor

    def write(self, rows) -> None:
        self.entered.set()
        assert self.gate.wait(30)
        if self.error is not None:
            self.refused.append([row.id for row in rows])
            raise self.error
        self.batches.append(list(rows))

    def close(self) -> None:
        self.closed += 1

    @property
    def rows(self) -> list[FollowedReading]:
        return [row for batch in self.batches for row in batch]

    @property
    def ids(self) -> list[int]:
        return [row.id for row in self.rows]


def files(folder: Path, stem: str = "mqtt_sensor_received") -> list[Path]:
    """The files of one stem in the order in which they were written."""
    live = folder / f"{stem}.csv"
    rotated = list(folder.glob(f"{stem}.*.csv"))

    def age(path: Path) -> tuple[str, int]:
        day, _, number = path.name.removeprefix(f"{stem}.").removesuffix(".csv").partition(".")
        return day, int(number or 0)

    return [*sorted(rotated, key=age), *([live] if live.exists() else [])]


def lines(folder: Path, stem: str = "mqtt_sensor_received") -> list[dict[str, str]]:
    """Every line of every file, in order."""
    found = []
    for path in files(folder, stem):
        with path.open(newline="", encoding="utf-8") as file:
            found += list(csv.DictReader(file, strict=True))
    return found


def ids(folder: Path, stem: str = "mqtt_sensor_received") -> list[int]:
    return [int(line["id"]) for line in lines(folder, stem)]
