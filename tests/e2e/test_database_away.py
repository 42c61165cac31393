"""A database that is away, slow to come back, or refuses one row among many."""

from __future__ import annotations

import contextlib
import threading

import psycopg
import pytest

from tests.e2e.payloads import datalogger, gateway, site_beat
from tests.support.databases import Postgres
from tests.support.killing import streaming
from tests.support.mqtt import Device
from tests.support.wait import eventually, throughout

AWAY = 8.0
"""Seconds; longer than the devices' time to be silent, so that a server that stops listening would be found out."""


@pytest.fixture(scope="module")
def own_postgres():
    """A PostgreSQL that these tests may stop."""
    with Postgres() as server:
        yield server


@contextlib.contextmanager
def beating(url, serials, every=0.5):
    """Gateways that beat in a thread until the block ends."""
    done = threading.Event()

    def beat():
        with Device(url) as wire:
            while not done.is_set():
                for number, serial in enumerate(serials):
                    wire.publish(gateway(number), site_beat(serial), qos=0)
                done.wait(every)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_database_that_is_away_costs_nothing_but_time(mosquitto, muster, own_postgres, how):
    server = muster(database_url=own_postgres.fresh_database(), offline_after=3)
    serials = [f"GW-{number}" for number in range(10)]
    with (
        beating(mosquitto.url, serials),
        streaming(server, mosquitto.url, messages=6000, rate=500) as stream,
    ):
        eventually(lambda: server.health()["devices"]["online"] >= 10, what="the gateways")
        stream.wait_stored(500)
        own_postgres.stop() if how == "stopped" else own_postgres.kill()
        away = server.wait_health(lambda health: not health["database"]["ok"], 10)
        assert away["status"] == "degraded"
        assert away["database"]["error"]

        def nobody_is_offline():
            return all(server.presence(serial) == "online" for serial in serials)

        throughout(AWAY, nobody_is_offline, "everybody who beats is online")
        assert server.call("GET", f"/api/devices/{serials[0]}/readings").status == 503
        own_postgres.start()
        server.wait_health(lambda health: health["status"] == "ok", 15)
        stream.finish()
        outcome = stream.compare()
        assert outcome.kept, outcome
        assert nobody_is_offline()
        for serial in serials:
            events = server.items(f"/api/devices/{serial}/events")
            assert not [event for event in events if event["data"].get("presence") == "offline"]
    assert server.health()["actors"]["restarts"] == 0
    server.stop()


def test_a_server_that_starts_without_its_database_waits_for_it(mosquitto, muster, own_postgres):
    url = own_postgres.fresh_database()
    server = muster(database_url=url)
    with Device(mosquitto.url) as wire:
        wire.publish(gateway(1), site_beat("KNOWN"))
        wire.publish(datalogger(1, "input"), {"serial_number": "KNOWN-DL", "value": 1})
        server.wait_presence("KNOWN", "online")
        server.wait_recorded("KNOWN", "online")
        eventually(lambda: len(server.rows) == 1, what="the reading")
        server.stop()
        own_postgres.stop()
        wire.publish(datalogger(1, "input"), {"serial_number": "KNOWN-DL", "value": 2})
        server.process.close()
        server.launch()
        waiting = server.wait_health(lambda health: not health["database"]["ok"], 15)
        assert waiting["status"] in ("degraded", "failing")
        own_postgres.start()
        server.wait_health(lambda health: health["status"] == "ok", 20)
        eventually(lambda: server.presence("KNOWN") == "unknown", what="the record is back")
        eventually(lambda: [row.measures["value"] for row in server.rows] == [1, 2], what="both readings")


def test_a_row_that_the_database_refuses_is_a_dead_letter_and_the_others_are_stored(mosquitto, muster, own_postgres):
    url = own_postgres.fresh_database()
    server = muster(database_url=url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE reading ADD CONSTRAINT luck CHECK (measures NOT LIKE '%\"bad\":13%')")
    with Device(mosquitto.url) as wire:
        for number in range(200):
            wire.publish(datalogger(1, "input"), {"serial_number": "DL", "n": number, "bad": 13 if number == 77 else 0})
    eventually(lambda: len(server.rows) == 199, what="all the others")
    assert sorted(row.measures["n"] for row in server.rows) == [n for n in range(200) if n != 77]
    (letter,) = eventually(server.dead_letters, what="the dead letter")
    assert letter["reason"] == "refused_by_database"
    assert letter["serial"] == "DL"
    assert letter["topic"] == datalogger(1, "input")
    assert '"n": 77' in letter["payload"]
    assert "luck" in letter["detail"]
    eventually(lambda: server.metric("muster_dead_letters_total", reason="refused_by_database") == 1)
    server.wait_settled()
    assert server.health()["status"] == "ok"

    # The operator mends the table and hands it in again.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE reading DROP CONSTRAINT luck")
    server.post(f"/api/dead-letters/{letter['id']}/replay")
    eventually(lambda: len(server.rows) == 200, what="the last one")


def test_a_device_that_the_database_refuses_harms_no_other(mosquitto, muster, own_postgres):
    url = own_postgres.fresh_database()
    server = muster(database_url=url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE device ADD CONSTRAINT luck CHECK (serial <> 'UNLUCKY')")
    with Device(mosquitto.url) as wire:
        for serial in ("BEFORE", "UNLUCKY", "AFTER"):
            wire.publish(datalogger(1, "input"), {"serial_number": serial, "value": 1})
    eventually(lambda: {row.serial for row in server.rows} == {"BEFORE", "AFTER"}, what="the others")
    server.wait_settled()
    eventually(server.dead_letters, what="the reading as a dead letter")
    reasons = {letter["reason"] for letter in server.dead_letters()}
    assert reasons == {"refused_by_database", "unknown_device"}, "the record, and what it measured"
    assert server.health()["actors"]["restarts"] == 0


def test_a_locked_sqlite_database_is_waited_for(mosquitto, muster):
    import sqlite3

    server = muster()
    with Device(mosquitto.url) as wire:
        wire.publish(datalogger(1, "input"), {"serial_number": "DL", "n": 0})
        eventually(lambda: len(server.rows) == 1, what="the first")
        other = sqlite3.connect(server.data / "muster.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            for number in range(1, 100):
                wire.publish(datalogger(1, "input"), {"serial_number": "DL", "n": number})
            server.wait_health(lambda health: not health["database"]["ok"], 20)
            assert server.presence("DL") == "online"
        finally:
            other.close()
    eventually(lambda: len(server.rows) == 100, 20, "all of them")
    server.wait_health(lambda health: health["status"] == "ok")
