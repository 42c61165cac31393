"""A backup made of each of the three databases comes back row by row, also from a server that is being written to."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from actors.storage.database import open_database
from actors.storage.store import Store
from supervisor.backup.databases import copier_for
from supervisor.backup.errors import BackupError
from supervisor.backup.make import last_backup, make_backup, verify_backup
from supervisor.backup.restore import Target, restore_backup
from supervisor.process.lock import FileLock
from supervisor.server.instance import Instance, InstanceError
from tests.backup.conftest import KEY, rows_of, write
from tests.storage.build import device, reading


def code_of(work, *arguments, **options):
    with pytest.raises(BackupError) as caught:
        work(*arguments, **options)
    return caught.value.code


def test_every_row_and_every_file_comes_back_in_place_of_what_came_later(home, tmp_path):
    before = rows_of(home.url)
    made = make_backup(home.source, tmp_path / "b", KEY)
    write(home.url, device("LATER"), reading("LATER"))
    (home.data / "instance").write_text("another\n")
    (home.data / "followers/new.json").write_text("{}")

    done = restore_backup(tmp_path / "b", home.target, KEY, force=True)

    assert rows_of(home.url) == before
    assert (home.data / "instance").read_text() == "0123456789abcdef\n"
    assert not (home.data / "followers/new.json").exists()
    assert (home.data / "pki/ca.key").stat().st_mode & 0o777 == 0o600
    assert (home.data / "edge/outbox.db").read_text() == "the edge's"
    assert not (home.data / "restoring").exists()
    assert made.about.version == done.about.version
    # What was there is set aside, not lost.
    files, tables = done.aside
    assert list(Path(files).iterdir())
    assert tables
    # And the tables take new rows: sequences and keys are there, too.
    write(home.url, device("A1"), device("B2"), reading("B2", 7), reading("A1", 0, body='{"t":0,"n":"ü%\\\\"}'))
    after = rows_of(home.url)
    assert (len(after["reading"]), len(after["device"])) == (51, 2)


def test_a_backup_goes_to_a_machine_where_nothing_is_yet(home, tmp_path, request):
    before = rows_of(home.url)
    make_backup(home.source, tmp_path / "b", KEY)
    data = tmp_path / "elsewhere/data"
    kind = home.source.copier.kind
    server = {"postgresql": "postgres", "mysql": "mariadb"}.get(kind)
    url = request.getfixturevalue(server).fresh_database() if server else f"sqlite:///{data}/muster.db"

    done = restore_backup(tmp_path / "b", Target(data, copier_for(url)), KEY)

    assert done.aside == ()
    assert rows_of(url) == before
    assert (data / "followers/audit.json").read_text() == '{"id":50}'


def test_a_backup_of_a_server_that_is_written_to_is_one_moment(home, tmp_path):
    """Each batch is a device and ten readings of it in one transaction: a backup has all of one, or nothing."""
    stop, written = threading.Event(), threading.Semaphore(0)

    def ingest():
        store = Store(open_database(home.url))
        number = 0
        while not stop.is_set():
            number += 1
            store.commit([device(f"D{number}"), *(reading(f"D{number}", at) for at in range(10))])
            written.release()
        store.close()

    writer = threading.Thread(target=ingest)
    writer.start()
    try:
        for _ in range(5):
            assert written.acquire(timeout=20)
        make_backup(home.source, tmp_path / "b", KEY)
        for _ in range(5):
            assert written.acquire(timeout=20)
    finally:
        stop.set()
        writer.join(20)
    later = rows_of(home.url)

    restore_backup(tmp_path / "b", home.target, KEY, force=True)

    rows = rows_of(home.url)
    ids = {row[0] for row in rows["device"] if str(row[1]).startswith("D")}
    assert 5 <= len(ids) < len(later["device"])
    assert len(rows["reading"]) == 50 + 10 * len(ids)
    assert set(rows["reading"]) < set(later["reading"])


def test_a_running_server_is_never_restored_over(home, tmp_path):
    make_backup(home.source, tmp_path / "b", KEY)
    with FileLock(home.data / "instance.lock"):
        assert code_of(restore_backup, tmp_path / "b", home.target, KEY, force=True) == "running"
    if home.source.copier.kind == "sqlite":
        return
    # One that runs elsewhere and shares the database, also by a name of its own.
    for url in (home.url, f"{home.url}?application_name=site-a"):
        if "?" in url and home.source.copier.kind != "postgresql":
            continue
        other = open_database(url)
        other.connect()
        try:
            other.execute_sql("SELECT 1")
            target = Target(home.data, copier_for(url))
            assert code_of(restore_backup, tmp_path / "b", target, KEY, force=True) == "running"
        finally:
            other.close()


def test_a_server_that_is_just_stopping_is_waited_for(home, tmp_path):
    """The database may count a connection for a moment after it has ended."""
    if home.source.copier.kind == "sqlite":
        return
    make_backup(home.source, tmp_path / "b", KEY)
    other = open_database(home.url)
    other.connect()
    leaves = threading.Timer(0.5, other._state.conn.close)
    leaves.start()
    try:
        restore_backup(tmp_path / "b", home.target, KEY, force=True)
    finally:
        leaves.join(10)


def test_what_is_there_is_not_replaced_unless_told(home, tmp_path):
    make_backup(home.source, tmp_path / "b", KEY)
    before = rows_of(home.url)
    assert code_of(restore_backup, tmp_path / "b", home.target, KEY) == "not_empty"
    empty = Target(tmp_path / "new", home.source.copier)
    assert code_of(restore_backup, tmp_path / "b", empty, KEY) == "not_empty"
    assert rows_of(home.url) == before


def test_a_restore_that_fails_at_the_database_leaves_all_as_it_was(home, tmp_path, monkeypatch):
    make_backup(home.source, tmp_path / "b", KEY)
    write(home.url, device("LATER"))
    (home.data / "instance").write_text("fedcba9876543210\n")
    before, names = rows_of(home.url), sorted(home.data.iterdir())

    def refuse(path, stamp):
        raise BackupError("database", "not today")

    target = home.target
    monkeypatch.setattr(target.copier, "replace", refuse, raising=True)
    assert code_of(restore_backup, tmp_path / "b", target, KEY, force=True) == "database"
    assert rows_of(home.url) == before
    assert sorted(home.data.iterdir()) == names
    assert (home.data / "instance").read_text() == "fedcba9876543210\n"


def test_a_dump_that_the_database_refuses_half_way_changes_nothing(home, tmp_path):
    """Real statements of a real dump, cut in the middle but with the last line that says that it is whole."""
    if home.source.copier.kind == "sqlite":
        return
    copier = home.source.copier
    copier.dump(tmp_path / "dump")
    lines = (tmp_path / "dump").read_bytes().splitlines(keepends=True)
    (tmp_path / "dump").write_bytes(b"".join([*lines[: len(lines) // 2], b"SELECT no_such_thing;\n", lines[-1]]))
    before = rows_of(home.url)
    assert code_of(copier.replace, tmp_path / "dump", "20260101T000000Z") == "database"
    assert rows_of(home.url) == before


def test_a_restore_that_was_killed_lets_no_server_start_until_it_is_repeated(home, tmp_path):
    make_backup(home.source, tmp_path / "b", KEY)
    before = rows_of(home.url)
    pid = os.fork()
    if pid == 0:  # the child dies where the database would be replaced
        target = home.target
        target.copier.replace = lambda *_: os._exit(9)
        restore_backup(tmp_path / "b", target, KEY, force=True)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    with pytest.raises(InstanceError, match="muster restore"):
        Instance(home.data)
    restore_backup(tmp_path / "b", home.target, KEY, force=True)
    assert rows_of(home.url) == before
    Instance(home.data).close()


def test_a_backup_says_when_it_was_made_and_what_is_in_it(home, tmp_path):
    made = make_backup(home.source, tmp_path / "b", KEY)
    names = {member.name for member in made.manifest.files}
    assert {"data/instance", "data/pki/ca.key", "data/followers/audit.json", "database/dump"} < names
    assert not {name for name in names if "edge" in name or name.endswith(".lock")}
    assert last_backup(home.data).file == str(tmp_path / "b")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert verify_backup(tmp_path / "b", KEY) == made
    if home.source.copier.kind != "mysql":
        assert made.manifest.rows["reading"] == 50
    assert not list(home.data.glob(".backup/*"))
