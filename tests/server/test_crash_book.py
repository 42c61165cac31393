"""The history of crashes: grouped, bounded, without secrets, and kept over a restart."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from actors.durable_file import FileUnavailableError
from actors.runtime import Runtime
from supervisor import Crash, LastError
from supervisor.server import crash_book as module
from supervisor.server.crash_book import CrashBook, place_of
from supervisor.server.crash_file import FILE, NAME, Changed, CrashFile, CrashRecorder
from tests.support.wait import eventually

TRACEBACK = f"""Traceback (most recent call last):
  File "{module._HOUSE}actors/device.py", line 12, in on_receive
    self._take(message)
  File "{module._HOUSE}actors/device.py", line 40, in _take
    decode(message)
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError
json.decoder.JSONDecodeError: Expecting value
"""


def crash(path="server/devices/d1", *, role=None, kind="ValueError", text="no", traceback=TRACEBACK, when=1.0):
    role = role or ("server/devices/*" if path.startswith("server/devices/") else path)
    return Crash(path, role, LastError("crashed", kind, text, traceback, when, "x:1"))


@pytest.fixture
def book():
    return CrashBook("server")


def groups(book, limit=100):
    return book.page(limit, "")[0]


def test_the_same_exception_at_the_same_place_of_the_same_role_is_one_group(book):
    for number in range(7):
        book.put(crash(f"server/devices/d{number}", text=f"no {number}", when=1.0 + number))
    book.put(crash("server/registry", when=0.5))
    book.put(crash(kind="KeyError", when=0.4))
    first, second, third = groups(book)
    assert (first["type"], first["place"], first["role"], first["count"]) == (
        "ValueError",
        "actors/device.py:40 in _take",
        "devices/*",
        7,
    )
    assert (first["first_us"], first["last_us"]) == (1_000_000, 7_000_000)
    assert first["paths"] == [f"server/devices/d{number}" for number in (6, 5, 4, 3, 2)]
    assert (first["error"], first["traceback"]) == ("no 6", TRACEBACK)
    assert (second["role"], third["type"]) == ("registry", "KeyError")
    assert book.counts == {"devices/*": 8, "registry": 1}


def test_a_group_tells_its_single_crashes_newest_first_and_an_unknown_one_nothing(book):
    for number in range(3):
        book.put(crash(f"server/devices/d{number}", text=f"no {number}", when=float(number + 1)))
    (group,) = groups(book)
    found = book.find(group["id"])
    assert found["crashes"] == [
        {"at_us": 3_000_000, "path": "server/devices/d2", "error": "no 2"},
        {"at_us": 2_000_000, "path": "server/devices/d1", "error": "no 1"},
        {"at_us": 1_000_000, "path": "server/devices/d0", "error": "no 0"},
    ]
    assert book.find(99) is None


@pytest.mark.parametrize(
    ("traceback", "place"),
    [
        ("", ""),
        (
            'Traceback:\n  File "/usr/lib/python3/socket.py", line 3, in connect\n    x\n',
            "python3/socket.py:3 in connect",
        ),
        (TRACEBACK, "actors/device.py:40 in _take"),
    ],
)
def test_the_place_is_the_innermost_line_of_our_own_code(traceback, place):
    assert place_of(traceback) == place


def test_an_end_without_an_exception_is_grouped_by_how_it_came(book):
    book.put(Crash("server/reader", "server/reader", LastError("hung", "", "", "", 1.0, "")))
    (group,) = groups(book)
    assert (group["type"], group["place"], group["error"]) == ("hung", "", "hung")


def test_pages_follow_each_other_and_a_cursor_that_was_made_up_is_refused(book):
    for number in range(5):
        book.put(crash(kind=f"Error{number}", when=1.0 + number // 2))
    seen, cursor = [], ""
    while cursor is not None:
        items, cursor = book.page(2, cursor)
        seen += [item["type"] for item in items]
    assert seen == ["Error4", "Error3", "Error2", "Error1", "Error0"]
    for made_up in ("x", "1", "1.2.3"):
        with pytest.raises(ValueError):
            book.page(2, made_up)


def test_everything_is_bounded(book, monkeypatch):
    monkeypatch.setattr(module, "MOST_GROUPS", 3)
    for number in range(5):
        book.put(crash(kind=f"Error{number}", when=1.0 + number))
    assert [group["type"] for group in groups(book)] == ["Error4", "Error3", "Error2"]
    assert book.forgotten == 2
    for number in range(module.MOST_EACH + 20):
        book.put(crash(kind="Error4", text="x" * 9_000, when=10.0 + number))
    found = book.find(groups(book)[0]["id"])
    assert found["count"] == module.MOST_EACH + 21
    assert len(found["crashes"]) == module.MOST_EACH
    assert (len(found["error"]), len(found["crashes"][0]["error"])) == (1_000, 200)


def test_secrets_are_taken_out(book):
    book.put(
        crash(text="cannot reach mqtt://me:hunter2hunter2@host", traceback=TRACEBACK + "password='hunter2hunter2'")
    )
    (group,) = groups(book)
    changed, _ = book.take_changes()
    for told in (group, book.find(group["id"]), msgspec.to_builtins(changed)):
        assert "hunter2hunter2" not in str(told)


@pytest.mark.parametrize("most", [module.LONGEST_ERROR, module.LONGEST_ERROR // 5])
def test_a_secret_is_taken_out_that_stands_where_a_text_is_cut(book, most):
    begun = "x " * (most // 2 - 10)
    book.put(crash(text=f"{begun}mqtt://me:hunter2hunter2@host"))
    (group,) = groups(book)
    assert "hunter" not in str(book.find(group["id"]))
    assert group["error"].startswith(begun.strip())


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


def recorder(path, book, runtime):
    ref = runtime.launch(CrashRecorder(path, book, runtime), child_id=NAME)
    book.on_change = lambda: ref.tell(Changed())
    eventually(lambda: book.loaded, what="the recorder is up")
    return ref


def kept(path):
    file = CrashFile(path)
    file.open()
    try:
        return {group.type: group.count for group in file.load()}
    finally:
        file.close()


def test_what_has_crashed_is_there_after_a_restart_with_what_crashed_before_it_was_read(tmp_path, runtime, book):
    path = tmp_path / FILE
    ref = recorder(path, book, runtime)
    book.put(crash(when=1.0))
    book.put(crash(kind="KeyError", when=2.0))
    eventually(lambda: kept(path) == {"ValueError": 1, "KeyError": 1}, what="both are on the disk")
    ref.stop()

    later = CrashBook("server")
    later.put(crash(when=5.0, text="again"))
    later.put(crash(kind="OSError", when=4.0))
    recorder(path, later, runtime)
    assert [(group["type"], group["count"]) for group in groups(later)] == [
        ("ValueError", 2),
        ("OSError", 1),
        ("KeyError", 1),
    ]
    assert groups(later)[0]["error"] == "again"
    assert len({group["id"] for group in groups(later)}) == 3
    eventually(lambda: kept(path) == {"ValueError": 2, "OSError": 1, "KeyError": 1}, what="all are on the disk")


def test_what_crashes_last_is_kept_when_the_server_stops(tmp_path, runtime, book, monkeypatch):
    monkeypatch.setattr("supervisor.server.crash_file.SAVE_EVERY", 3600.0)
    ref = recorder(tmp_path / FILE, book, runtime)
    book.put(crash())
    ref.stop()
    assert kept(tmp_path / FILE) == {"ValueError": 1}


def test_a_group_that_had_to_go_goes_from_the_file_too(tmp_path, runtime, book, monkeypatch):
    monkeypatch.setattr(module, "MOST_GROUPS", 1)
    ref = recorder(tmp_path / FILE, book, runtime)
    book.put(crash(when=1.0))
    eventually(lambda: kept(tmp_path / FILE) == {"ValueError": 1}, what="the first one is kept")
    book.put(crash(kind="KeyError", when=2.0))
    ref.stop()
    assert kept(tmp_path / FILE) == {"KeyError": 1}


def test_a_file_that_cannot_be_used_crashes_nobody_and_nothing_is_forgotten(tmp_path, runtime, book, monkeypatch):
    monkeypatch.setattr("supervisor.server.crash_file.TRY_AGAIN", 0.05)
    ref = recorder(tmp_path / FILE, book, runtime)
    works = CrashFile.save
    failed = []

    def full(*_args):
        failed.append(True)
        raise FileUnavailableError("the disk is full")

    monkeypatch.setattr(CrashFile, "save", full)
    book.put(crash())
    eventually(lambda: len(failed) > 1, what="it is tried again")
    monkeypatch.setattr(CrashFile, "save", works)
    eventually(lambda: kept(tmp_path / FILE) == {"ValueError": 1}, what="it is kept")
    assert ref.is_alive()


def test_a_corrupt_file_is_set_aside_and_an_entry_that_cannot_be_read_is_left_out(tmp_path, runtime, book):
    path = tmp_path / FILE
    path.write_bytes(b"not a database at all" * 100)
    ref = recorder(path, book, runtime)
    book.put(crash())
    ref.stop()
    assert list(tmp_path.glob("crashes.db.corrupt-*"))
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO crash_group VALUES (7, 'nonsense')")
    later = CrashBook("server")
    recorder(path, later, runtime)
    assert [group["type"] for group in groups(later)] == ["ValueError"]


def test_a_history_that_could_not_be_read_at_once_is_not_written_over(tmp_path, runtime, book, monkeypatch):
    path = tmp_path / FILE
    ref = recorder(path, book, runtime)
    book.put(crash())
    ref.stop()
    monkeypatch.setattr("supervisor.server.crash_file.TRY_AGAIN", 0.05)
    works, failed = CrashFile.load, []

    def locked(file):
        if not failed:
            failed.append(True)
            raise FileUnavailableError("it is locked")
        return works(file)

    monkeypatch.setattr(CrashFile, "load", locked)
    later = CrashBook("server")
    later.put(crash(kind="KeyError"))
    recorder(path, later, runtime)
    assert failed
    assert {group["type"] for group in groups(later)} == {"ValueError", "KeyError"}
    eventually(lambda: kept(path) == {"ValueError": 1, "KeyError": 1}, what="both are on the disk")


def test_what_had_to_go_before_the_file_was_read_takes_nothing_of_the_file_with_it(
    tmp_path, runtime, book, monkeypatch
):
    path = tmp_path / FILE
    ref = recorder(path, book, runtime)
    book.put(crash(kind="OSError", when=9.0))
    ref.stop()
    monkeypatch.setattr(module, "MOST_GROUPS", 2)
    later = CrashBook("server")
    for number in range(3):
        later.put(crash(kind=f"Error{number}", when=1.0 + number))
    recorder(path, later, runtime).stop()
    assert kept(path) == {"OSError": 1, "Error2": 1}
