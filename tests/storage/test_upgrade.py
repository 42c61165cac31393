"""A database that the first release made, with rows in it, becomes one of this release."""

from __future__ import annotations

import pytest
from playhouse.migrations import Runner

from actors.storage.database import MIGRATIONS, migrate, open_database
from tests.storage.build import NOON, reading

ANALYSED = {"health_index": 81.5, "status": "Excellent", "anomalies": '[{"kind":"unusual"}]'}


@pytest.fixture
def old(database_url):
    """A database as `0001` made it, with a device, two readings and a receipt."""
    database = open_database(database_url)
    database.connect()
    Runner(database, str(MIGRATIONS)).up("0001_initial")
    mark = database.param
    text = ("kind", "family", "type", "device_id", "site", "label", "group", "presence", "reason", "ip_address")
    text += ("hostname", "mac_address", "services", "system_info", "metadata", "device_token", "session", "broker")
    left, right = database.quote
    names = ", ".join(f"{left}{name}{right}" for name in (*text, "serial", "since_us", "first_seen_us"))
    marks = ", ".join([mark] * (len(text) + 3))
    flags = "'0', '0'" if "Postgres" in type(database).__name__ else "0, 0"
    database.execute_sql(
        f"INSERT INTO device ({names}, quarantined, pinned) VALUES ({marks}, {flags})", ("",) * len(text) + ("A1", 1, 1)
    )
    for at in range(2):
        row = reading(at=at)
        values = (1, row.ts_us, row.digest, row.rx_us, "ntp", "mqtt", "input", row.measures)
        columns = "device_id, ts_us, digest, rx_us, clock, source, channel, measures"
        database.execute_sql(f"INSERT INTO reading ({columns}) VALUES ({', '.join([mark] * 8)})", values)
    yield database
    database.close()


def test_what_the_first_release_stored_is_still_there_without_an_analysis(old, database_url, look):
    assert migrate(old)[0] == "0002_analysis"
    assert look.run("SELECT ts_us, clock, measures, health_index, status, anomalies FROM reading ORDER BY id") == [
        (NOON, "ntp", '{"t":1}', None, None, None),
        (NOON + 1, "ntp", '{"t":1}', None, None, None),
    ]


def test_an_upgraded_database_takes_readings_and_knows_the_old_ones(old, make_store, look):
    old.close()
    result = make_store().commit([reading(), reading(at=2, **ANALYSED)])
    assert ([new.ts_us for new in result.new], len(result.known)) == ([NOON + 2], 1)
    assert look.run("SELECT health_index, status, anomalies FROM reading WHERE health_index > 0") == [
        tuple(ANALYSED.values())
    ]


def test_an_upgrade_that_was_killed_half_way_goes_on(old):
    """MariaDB commits each step of a migration by itself."""
    old.execute_sql("CREATE TABLE analysed (reading_id BIGINT NOT NULL PRIMARY KEY)")
    old.execute_sql("ALTER TABLE reading ADD COLUMN health_index DOUBLE PRECISION")
    old.execute_sql("CREATE INDEX device_kind_serial ON device (kind, serial)")
    assert migrate(old)[0] == "0002_analysis"
    assert {"health_index", "status", "anomalies"} <= {column.name for column in old.get_columns("reading")}


def test_the_columns_come_at_once_however_many_readings_there_are(tmp_path):
    """No row is rewritten: SQLite tells how many pages its file has."""
    database = open_database(f"sqlite:///{tmp_path}/large.db")
    database.connect()
    Runner(database, str(MIGRATIONS)).up("0001_initial")
    database.execute_sql(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) "
        "INSERT INTO reading (device_id, ts_us, digest, rx_us, clock, source, channel, measures) "
        "SELECT 1, x, zeroblob(16), x, '', 'mqtt', 'input', '{\"t\":1}' FROM n"
    )
    before = database.pragma("page_count")
    migrate(database)
    assert database.pragma("page_count") - before < before / 4  # the new tables, which are empty
    database.close()
