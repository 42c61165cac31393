"""What outbox and inbox have in common: a file that survives power cuts, and whose ruin is noticed and bounded."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actors.durable_file import MOST_SET_ASIDE, DurableFile, FileUnavailableError
from actors.outbox_file import Item, OutboxFile
from edge.inbox.file import InboxFile

PAGE = 4096
ROWS = 1000
"""Of 3,000 bytes: more than SQLite keeps in memory."""


def outbox(path):
    return OutboxFile(path, ["server"], most_items=10**6, most_bytes=10**9)


def fill_outbox(file):
    file.put(Item(f"id-{number}", "reading", "t", b"x" * 3000, number) for number in range(ROWS))


def fill_inbox(file):
    with file.transaction():
        for number in range(ROWS):
            file.add_notification(f"id-{number}", b"d", b"x" * 3000, "waiting", number, tell=True)


def read_outbox(file):
    return file.take("server", limit=ROWS, after=0, most_bytes=10**9, kinds=())


def read_inbox(file):
    return file.waiting_notifications(ROWS)


class Kind(NamedTuple):
    """A kind of file: how it is made, filled with `ROWS`, and read."""

    make: Callable[[Path], DurableFile]
    fill: Callable[[Any], None]
    read: Callable[[Any], list[Any]]


KINDS = {"outbox": Kind(outbox, fill_outbox, read_outbox), "inbox": Kind(InboxFile, fill_inbox, read_inbox)}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def test_a_page_that_is_ruined_is_found_before_anything_is_read(tmp_path, kind):
    """SQLite raises nothing for it: only the verdict of its check says so."""
    path = tmp_path / "file.db"
    file = kind.make(path)
    file.open()
    kind.fill(file)
    file.close()
    with path.open("r+b") as raw:
        raw.seek(-20 * PAGE, os.SEEK_END)
        raw.write(b"\xff" * 10 * PAGE)
    assert file.open() is not None
    file.close()


def test_only_some_corrupt_files_are_kept(tmp_path, kind):
    path = tmp_path / "file.db"
    for _ in range(MOST_SET_ASIDE + 2):
        path.write_bytes(b"rubbish" * 1000)
        file = kind.make(path)
        assert file.open() is not None
        kind.fill(file)
        file.close()
    assert len(list(tmp_path.glob("*.corrupt-*"))) == MOST_SET_ASIDE


def test_the_name_of_a_new_file_is_on_the_disk_too(tmp_path, kind, monkeypatch):
    """After a power cut a file without a name is none, however well its content was written."""
    synced = []

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    directory = tmp_path / "new"
    file = kind.make(directory / "file.db")
    file.open()
    kind.fill(file)
    file.close()
    assert directory.stat().st_ino in synced


def test_ruin_found_while_it_is_open_costs_one_answer_and_a_new_file_begins(tmp_path, kind):
    path = tmp_path / "file.db"
    file = kind.make(path)
    file.open()
    kind.fill(file)
    file.close()
    file.open()
    with path.open("r+b") as raw:
        raw.seek(PAGE)
        raw.write(os.urandom(path.stat().st_size - PAGE))
    with pytest.raises(FileUnavailableError, match=r"cannot be used: .*malformed"):
        kind.read(file)
    assert not file.is_open
    assert file.open() is not None
    assert kind.read(file) == []
    file.close()


def test_nobody_else_may_read_it(tmp_path, kind):
    file = kind.make(tmp_path / "file.db")
    file.open()
    kind.fill(file)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    file.close()


def test_a_closed_file_says_so(tmp_path, kind):
    file = kind.make(tmp_path / "file.db")
    with pytest.raises(FileUnavailableError, match=r"is not open"):
        kind.fill(file)
    file.close()
    file.interrupt()


def test_a_file_of_a_newer_release_is_left_as_it_is(tmp_path, kind):
    path = tmp_path / "file.db"
    file = kind.make(path)
    file.open()
    file.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 70")
    db.close()
    file.open()
    kind.fill(file)
    assert len(kind.read(file)) == ROWS
    file.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (70,)
    db.close()
