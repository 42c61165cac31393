"""Which stations are found, and how a page of them goes on; the database is a table of the test."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace

import pytest

from actors.analysts import Analysts
from actors.storage.queries import BadCursor
from supervisor.server import soil
from supervisor.server.soil import SoilFace
from tests.support.world import Server
from web.soil_health import StationFilter

SOIL = {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.4}


class Table:
    """Answers as the readers do; a station whose number can be divided by ten is in a bad way."""

    def ask(self, question):
        return [self._newest(serial) for serial in question.serials]

    def _newest(self, serial):
        status = "Critical" if int(serial[-3:]) % 10 == 0 else "Good"
        analysed = {"ts_us": 1, "rx_us": 1, "channel": "data", "health_index": 20.0, "status": status}
        return {"serial": serial, "measures": SOIL, "anomalies": [], **analysed}


@pytest.fixture
def face():
    server = Server()
    for number in range(35):
        body = {"publisher_id": f"soil-{number:03}", "sensor_readings": SOIL, "site": "hill" if number < 5 else "farm"}
        server.say("harit-samarth/sensor/data", body)
    server.say("plant/datalogger/soil/1/input", {"serial_number": "soil-logger", "pH": 6.5})
    server.run()
    return SoilFace(SimpleNamespace(fleet=server.fleet, readers=Table(), analysts=Analysts(server.analysts._analysers)))


def serials(face, limit=10, **wanted):
    found, cursor = [], ""
    while cursor is not None:
        items, cursor = face.stations(StationFilter(**wanted), limit=limit, cursor=cursor)
        found.append([item["serial"] for item in items])
    return found


def test_all_sensors_and_nothing_else_come_in_pages(face):
    pages = serials(face)
    assert [len(page) for page in pages] == [10, 10, 10, 5]
    assert list(chain.from_iterable(pages)) == [f"soil-{number:03}" for number in range(35)]


def test_the_last_page_has_no_cursor_even_when_it_is_full(face):
    assert [len(page) for page in serials(face, limit=35)] == [35]


def test_stations_are_found_by_a_part_of_their_serial_by_status_and_by_name(face):
    assert serials(face, q="IL-01") == [[f"soil-01{number}" for number in range(10)]]
    assert list(chain.from_iterable(serials(face, status="Critical"))) == [
        "soil-000",
        "soil-010",
        "soil-020",
        "soil-030",
    ]
    assert serials(face, serials=("soil-007", "nobody", "soil-001")) == [["soil-007", "soil-001"]]


def test_a_page_that_looked_in_vain_says_where_to_go_on(face, monkeypatch):
    monkeypatch.setattr(soil, "MOST_PIECES", 2)
    items, cursor = face.stations(StationFilter(status="Poor"), limit=3, cursor="")
    assert (items, cursor) == ([], "soil-005")


def test_a_station_is_told_with_what_it_is_judged_by(face):
    ((station,), _) = face.stations(StationFilter(serials=("soil-003",)), limit=1, cursor="")
    assert station["crop"] == "general"
    assert station["contributions"]["pH"]["optimum"] == (6.0, 7.5)


@pytest.mark.parametrize("cursor", ["x y", "٣", "a\0b", "x" * 65])
def test_a_cursor_that_is_no_serial_is_refused(face, cursor):
    with pytest.raises(BadCursor):
        face.stations(StationFilter(), limit=10, cursor=cursor)
