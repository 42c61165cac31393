"""Twenty publishers beside a broker, a server and a database that come and go: stored once, in order, mode visible."""

from __future__ import annotations

import os
import threading
from collections import defaultdict

import pytest

from tests.e2e.test_sensor_pipeline import audited
from tests.support.databases import Postgres
from tests.support.muster import TOKEN
from tests.support.publishing import Publisher
from tests.support.wait import eventually

STATIONS = 20
AWAY = float(os.environ.get("TEST_AWAY_SECONDS", "5"))
"""Seconds that an outage lasts."""
PATIENCE = 90.0
"""Seconds until all is well again; attempts to connect are up to ten seconds apart."""


@pytest.fixture
def publisher(tmp_path, mosquitto):
    """`publisher(server)`: twenty running stations, each with a reading every half second."""
    made = []

    def make(server):
        one = Publisher(
            tmp_path, mosquitto.url, f"http://{server.address}", TOKEN, "--count", str(STATIONS), "--interval", "0.5"
        )
        made.append(one.start())
        eventually(lambda: len(server.rows) > 2 * STATIONS, PATIENCE, "all stations are heard")
        return one

    yield make
    for one in made:
        one.close()


def is_away(seconds):
    """Let the outage last."""
    threading.Event().wait(seconds)


def check(server, read):
    """Each reading is stored once, in the order of its station, and has one line in the audit trail."""
    stored = defaultdict(list)
    for row in server.rows:
        stored[row.serial].append(row.ts_us)
    assert sum(map(len, stored.values())) == sum(read.values())
    for serial, times in stored.items():
        assert times == sorted(times), f"{serial} is out of order"
        assert len(set(times)) == len(times), f"{serial} has a reading twice"
    eventually(lambda: sum(map(len, audited(server).values())) == sum(map(len, stored.values())), 20, "the audit trail")
    assert not server.dead_letters()


def finish(server, publisher):
    """Stop the publishers, let a last run deliver what was left, and compare reading by reading."""
    publisher.stop()
    read = {station["id"]: station["readings"] for station in publisher.state["stations"]}
    publisher.start("--once")
    assert publisher.process.wait(PATIENCE) == 0, publisher.process.describe()
    assert publisher.state["backlog"] == 0
    assert not publisher.state["dropped"]
    for station in publisher.state["stations"]:
        read[station["id"]] += station["readings"]
    assert len(read) == STATIONS
    check(server, read)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_without_a_broker_readings_go_over_http_and_return_to_mqtt(mosquitto, muster, publisher):
    server = muster()
    stations = publisher(server)
    mosquitto.stop()
    stations.until(mode="api", timeout=PATIENCE)
    before = len(server.rows)
    eventually(lambda: len(server.rows) > before + 2 * STATIONS, PATIENCE, "readings arrive over HTTP")
    is_away(AWAY)
    mosquitto.start()
    stations.until(mode="mqtt", timeout=PATIENCE)
    server.wait_connected()
    finish(server, stations)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_without_a_server_readings_wait_and_arrive_once(mosquitto, muster, publisher):
    server = muster()
    stations = publisher(server)
    server.kill()
    is_away(AWAY)
    server.restart()
    finish(server, stations)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_without_broker_and_server_readings_are_kept_and_arrive_once(mosquitto, muster, publisher):
    server = muster()
    stations = publisher(server)
    server.stop()
    mosquitto.kill()
    kept = stations.state["backlog"]
    eventually(lambda: stations.state["backlog"] > kept + 5 * STATIONS, PATIENCE, "the backlog grows")
    is_away(AWAY)
    mosquitto.start()
    server.restart()
    finish(server, stations)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_without_a_database_readings_wait_and_arrive_once(mosquitto, muster, publisher):
    with Postgres() as database:
        server = muster(database_url=database.fresh_database())
        stations = publisher(server)
        database.kill()
        server.wait_health(lambda health: not health["database"]["ok"], 20)
        is_away(AWAY)
        database.start()
        server.wait_health(lambda health: health["status"] == "ok", PATIENCE)
        finish(server, stations)
