"""A power cut at any step of a restore, SIGKILL at any moment of a backup: nothing is half, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from supervisor.backup.errors import BackupError
from supervisor.backup.make import make_backup, verify_backup
from supervisor.backup.restore import restore_backup
from supervisor.backup.sqlite import SqliteCopier
from supervisor.cli.main import run
from supervisor.server.instance import Instance, InstanceError
from tests.backup.conftest import KEY, rows_of, write
from tests.storage.build import device, reading

#: By these calls a restore changes what has which name.
STEPS = ("rename", "replace", "mkdir", "unlink")
OLD, NEW = "fedcba9876543210", "0123456789abcdef"


@pytest.fixture(params=["sqlite"])
def database_url(request, tmp_path):
    """The others change their tables in one transaction."""
    return f"sqlite:///{tmp_path}/unused.db"


def die_at(number):
    """End this process at the step of that number."""
    left = [number]

    def counted(genuine):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return genuine(*arguments, **options)

        return call

    for name in STEPS:
        setattr(Path, name, counted(getattr(Path, name)))


def in_a_child(work):
    """The exit code of a process that does this."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_the_log(path):
    """Write a row and die before the log is folded into the database, as a server that was killed has left it."""

    def work():
        database = sqlite3.connect(path)
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("INSERT INTO setting VALUES ('in', 'the log')")
        database.commit()
        os._exit(0)

    assert in_a_child(work) == 0
    assert path.with_name(f"{path.name}-wal").stat().st_size


def settings_of(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM setting").fetchall()


@pytest.mark.timeout(120)
def test_a_restore_that_dies_at_any_step_starts_no_half_server_and_loses_nothing(home, tmp_path):
    make_backup(home.source, tmp_path / "b", KEY)
    restored = rows_of(home.url)
    write(home.url, device("LATER"), reading("LATER"))
    in_the_log(home.data / "muster.db")
    (home.data / "instance").write_text(f"{OLD}\n")
    code, step = 9, 0
    while code == 9:
        data = tmp_path / f"{step}/home"
        shutil.copytree(home.data, data)
        mine = home._replace(data=data, url=f"sqlite:///{data}/muster.db")

        def work(step=step, mine=mine):
            die_at(step)
            restore_backup(tmp_path / "b", mine.target, KEY, force=True)

        code = in_a_child(work)
        if (data / "restoring").exists():
            with pytest.raises(InstanceError, match="muster restore"):
                Instance(data)
        else:  # a server may start: all is old, or all is new
            is_old = (data / "instance").read_text() == f"{OLD}\n"
            assert is_old == (settings_of(data / "muster.db") == [("in", "the log")]), f"half of each after step {step}"
        restore_backup(tmp_path / "b", mine.target, KEY, force=True)
        assert rows_of(mine.url) == restored
        assert (data / "instance").read_text() == f"{NEW}\n"
        kept = [path for path in data.glob("muster.db.before-*") if not path.name.endswith(("-wal", "-shm"))]
        assert [("in", "the log")] in [settings_of(path) for path in kept], f"the old rows after step {step}"
        assert f"{OLD}\n" in [path.read_text() for path in data.glob("before-*/instance")], f"step {step}"
        assert not list(data.glob(".restore-*"))
        step += 1
    assert (code, step > 15) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_killed_leaves_nothing_that_looks_whole(home, tmp_path, monkeypatch, number):
    """The signal comes when the plain copy of the database lies beside."""
    (tmp_path / "key").write_text(f"muster-backup-key {'30' * 32}\n")
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("MUSTER_DATA_DIR", str(home.data))
    genuine = SqliteCopier.dump

    def dump(copier, path):
        rows = genuine(copier, path)
        os.kill(os.getpid(), number)
        return rows

    def work():
        SqliteCopier.dump = dump
        os._exit(run(["backup", str(tmp_path / "b"), f"--key-file={tmp_path}/key"]))

    code = in_a_child(work)
    assert not (tmp_path / "b").exists()
    if number == signal.SIGTERM:
        assert code == 1
        assert not list(tmp_path.glob("b*"))
        assert not (home.data / ".backup").exists(), "the plain copy is gone"
    else:
        assert code == -signal.SIGKILL
        with pytest.raises(BackupError):
            verify_backup(tmp_path / "b.part", KEY)
    make_backup(home.source, tmp_path / "b", KEY)
    verify_backup(tmp_path / "b", KEY)
    assert [path.name for path in tmp_path.glob("b*")] == ["b"]
    assert not (home.data / ".backup").exists()
