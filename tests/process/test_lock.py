"""The lock on a directory, and files for our eyes only."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from supervisor.process.lock import FileLock, LockHeldError, is_locked
from supervisor.process.private_file import write_private

HOLDER = """
import sys, time
from pathlib import Path
from supervisor.process.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    arguments = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_lock(tmp_path, holder):
    with pytest.raises(LockHeldError) as told:
        FileLock(tmp_path / "lock")
    assert told.value.holder == str(holder.pid)
    assert is_locked(tmp_path / "lock")


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.kill()
    holder.wait(timeout=10)
    assert not is_locked(tmp_path / "lock")
    FileLock(tmp_path / "lock").close()


def test_whoever_is_patient_gets_the_lock_once_it_is_free(tmp_path, holder):
    holder.stdin.close()
    with FileLock(tmp_path / "lock", patience=20.0):
        assert is_locked(tmp_path / "lock")


def test_a_file_that_is_not_there_is_not_locked(tmp_path):
    assert not is_locked(tmp_path / "lock")


def test_a_link_is_no_lock(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        FileLock(tmp_path / "lock")


def test_a_private_file_is_replaced_whole_and_for_us_alone(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new", durable=True)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]  # noqa: PTH208


def test_a_full_disk_keeps_nobody_from_the_lock(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    with FileLock(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
