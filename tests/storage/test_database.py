from __future__ import annotations

import contextlib
import importlib.util
import threading

import pytest
from peewee import InternalError, OperationalError
from playhouse.schema_diff import diff_models

from actors.messages import DeviceSnapshot
from actors.storage import database as module
from actors.storage.database import migrate, open_database, roll_back
from actors.storage.errors import ConfigurationError
from actors.storage.models import MODELS
from actors.storage.plan import DEVICE_COLUMNS
from tests.support.wait import eventually

STEPS = sorted(path.stem for path in module.MIGRATIONS.glob("0*.py"))


@pytest.fixture
def database(database_url):
    opened = open_database(database_url)
    opened.connect()
    yield opened
    opened.close()


def table_names() -> set[str]:
    return {model._meta.table_name for model in MODELS}


def test_migrations_go_up_once_and_down_again(database):
    assert migrate(database) == STEPS
    assert migrate(database) == []
    assert table_names() <= set(database.get_tables())
    assert roll_back(database, STEPS[0]) == STEPS[::-1]
    assert not table_names() & set(database.get_tables())
    assert migrate(database) == STEPS


def test_migrations_and_models_agree(database):
    migrate(database)
    assert not diff_models(database, list(MODELS))


def test_migrations_make_the_columns_that_the_models_would(database):
    migrate(database)
    migrated = {name: describe(database, name) for name in table_names()}
    roll_back(database, STEPS[0])
    for model in MODELS:
        with model.bind_ctx(database):
            model.create_table()
    assert {name: describe(database, name) for name in table_names()} == migrated


def describe(database, table):
    return [(c.name, c.full_type, c.null, c.primary_key) for c in database.get_columns(table)]


def connects(database) -> bool:
    with contextlib.suppress(OperationalError):
        database.connect(reuse_if_open=True)
        return True
    return False


def test_two_processes_may_migrate_at_once(database_url):
    done: list[object] = []

    def start():
        other = open_database(database_url)
        # Two processes that make one SQLite file are not both let in at once; the writer tries again, and so do we.
        eventually(lambda: connects(other), 30, "the database lets us in")
        try:
            done.append(migrate(other))
        finally:
            other.close()

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == [[], STEPS]


def test_the_device_table_holds_every_field_of_a_snapshot():
    assert {*DEVICE_COLUMNS, "last_seen_us"} == set(DeviceSnapshot.__struct_fields__)


def test_a_read_only_connection_cannot_write(database, database_url):
    migrate(database)
    reader = open_database(database_url, read_only=True)
    reader.connect()
    try:
        assert reader.execute_sql("SELECT COUNT(*) FROM device").fetchone() == (0,)
        with pytest.raises((OperationalError, InternalError)):
            reader.execute_sql("DELETE FROM device")
    finally:
        reader.close()


def test_sqlite_is_durable_and_locks_at_once(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/a%20b.db")
    database.connect()
    try:
        assert (tmp_path / "a b.db").exists()
        assert database.pragma("journal_mode") == "wal"
        assert database.pragma("synchronous") == 2  # FULL
        assert database.pragma("foreign_keys") == 1
        assert database._lock_type == "IMMEDIATE"
    finally:
        database.close()


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "scheme"),
        ("oracle://host/name", "'oracle'"),
        ("sqlite://muster.db", "three slashes"),
        ("sqlite:///", "path"),
        ("sqlite:///a.db?mode=rw", "mode=rw"),
        ("postgresql://host", "name of the database"),
        ("mysql://user:secret@host:port/name", "port"),
        ("postgresql://user:secret@host/name?sslmodus=require", "'sslmodus'"),
    ],
)
def test_a_wrong_url_is_refused_with_the_part_that_is_wrong(url, part):
    with pytest.raises(ConfigurationError) as caught:
        open_database(url)
    assert part in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("postgresql://host/name", "postgres"), ("mysql://host/name", "mysql")])
def test_a_missing_driver_is_named_with_the_extra_that_brings_it(monkeypatch, url, extra):
    real = importlib.util.find_spec
    missing = {"psycopg", "pymysql"}
    monkeypatch.setattr(module, "find_spec", lambda name: None if name in missing else real(name))
    with pytest.raises(ConfigurationError, match=rf"muster-fleet\[{extra}\]"):
        open_database(url)


def test_user_and_password_may_hold_any_character():
    database = open_database("postgresql://a%40b:p%2Fw%3A@db.example:6000/muster")
    assert database.database == "muster"
    assert database.connect_params["user"] == "a@b"
    assert database.connect_params["password"] == "p/w:"
    assert database.connect_params["host"] == "db.example"
    assert database.connect_params["port"] == 6000
