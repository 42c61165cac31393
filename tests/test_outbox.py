"""The outbox: what is put is on the disk, goes when every destination has it, and never blocks behind a bad one."""

from __future__ import annotations

import os
import sqlite3
import stat

import pykka
import pytest

from actors.outbox import (
    Arrived,
    Done,
    GetStats,
    Item,
    ListRefused,
    Outbox,
    OutboxBoard,
    OutboxFullError,
    OutboxUnavailableError,
    Put,
    Refused,
    Take,
)
from actors.outbox_file import LARGEST_ITEM, OutboxFile
from actors.runtime import Directory, GuardedFuture, Runtime
from tests.link.rig import Recorder
from tests.support.processes import Process
from tests.support.wait import eventually

DEADLINE = 10.0


def item(number, *, size=10, kind="reading"):
    return Item(f"id-{number}", kind, "t/sensor/data", b"x" * size, 1_760_000_000_000_000 + number)


class Rig:
    """One outbox on one file; `restart` is what a new process does."""

    def __init__(self, path, **settings):
        self.runtime = Runtime.system()
        self.path = path
        self.settings = settings
        self.directory = Directory()
        self.uplink = Recorder()
        self.directory.publish("uplink", self.uplink)
        self.exits = Recorder()
        self.start()

    def start(self):
        self.board = OutboxBoard()
        self.actor = Outbox(
            self.path,
            self.runtime.clock,
            self.board,
            directory=self.directory,
            notify=("uplink",),
            **self.settings,
        )
        self.ref = self.runtime.launch(self.actor, monitor=self.exits, child_id="outbox")

    def stop(self):
        self.runtime.shutdown(self.ref)
        eventually(lambda: self.actor.actor_inbox.closed, DEADLINE)

    def restart(self):
        self.stop()
        self.start()

    def put(self, *items):
        future = GuardedFuture()
        self.ref.tell(Put(tuple(items), future))
        return future.get(timeout=DEADLINE)

    def ask(self, message):
        return self.ref.ask(message, timeout=DEADLINE)

    def ids(self, destination="server", **options):
        return [found.id for found in self.ask(Take(destination, **options))]

    @property
    def stats(self):
        return self.ask(GetStats())


@pytest.fixture
def make(tmp_path):
    rigs = []

    def build(**settings):
        rigs.append(Rig(tmp_path / "deep" / "outbox.db", **settings))
        return rigs[-1]

    yield build
    for rig in rigs:
        rig.stop()


@pytest.fixture
def rig(make):
    return make()


def test_items_come_out_in_the_order_in_which_they_were_put(rig):
    assert rig.put(*(item(number) for number in range(5))) == 5
    rig.put(item(5))
    assert rig.ids() == [f"id-{number}" for number in range(6)]


def test_an_item_keeps_all_that_it_was_put_with(rig):
    rig.put(item(7))
    (found,) = rig.ask(Take("server"))
    assert (found.kind, found.topic, found.payload, found.created_us) == (
        "reading",
        "t/sensor/data",
        b"x" * 10,
        item(7).created_us,
    )


def test_an_item_goes_when_it_is_done_and_not_before(rig):
    rig.put(item(1), item(2))
    assert rig.ids() == rig.ids() == ["id-1", "id-2"]
    rig.ref.tell(Done("server", ("id-1", "never seen")))
    assert rig.ids() == ["id-2"]
    assert rig.stats.backlog == {"server": 1}


def test_the_same_id_is_kept_once(rig):
    rig.put(item(1))
    rig.put(item(1), item(2))
    assert rig.ids() == ["id-1", "id-2"]


def test_who_holds_some_items_takes_those_behind_them(rig):
    rig.put(*(item(number) for number in range(5)))
    first = rig.ask(Take("server", 2))
    assert rig.ids(after=first[-1].seq) == ["id-2", "id-3", "id-4"]


def test_an_answer_is_bounded_in_bytes_but_never_empty(rig):
    rig.put(*(item(number, size=600) for number in range(3)))
    assert rig.ids(most_bytes=1000) == ["id-0"]
    assert rig.ids(most_bytes=1) == ["id-0"]


def test_kinds_can_be_told_apart(rig):
    rig.put(item(1), item(2, kind="scan"), item(3))
    assert rig.ids(kinds=("scan",)) == ["id-2"]


def test_with_two_destinations_an_item_waits_for_both(make):
    rig = make(destinations=("cloud", "farm"))
    rig.put(item(1), item(2))
    rig.ref.tell(Done("cloud", ("id-1", "id-2")))
    assert rig.ids("cloud") == []
    assert rig.ids("farm") == ["id-1", "id-2"]
    rig.ref.tell(Done("farm", ("id-1",)))
    stats = rig.stats
    assert (stats.items, stats.backlog) == (1, {"cloud": 0, "farm": 1})


def test_a_destination_that_is_no_longer_wanted_holds_nothing_back(make):
    rig = make(destinations=("cloud", "farm"))
    rig.put(item(1), item(2))
    rig.ref.tell(Done("farm", ("id-1",)))
    rig.settings["destinations"] = ("farm", "barn")
    rig.restart()
    assert rig.ids("farm") == ["id-2"]
    assert rig.ids("barn") == []
    rig.put(item(3))
    assert rig.ids("barn") == ["id-3"]


def test_who_only_queues_keeps_the_destinations_of_the_file(make):
    rig = make(destinations=("server", "hub"))
    rig.put(item(1))
    rig.stop()
    rig.settings["destinations"], rig.settings["keep_others"] = ("server",), True
    rig.start()
    rig.put(item(2))
    rig.ref.tell(Done("server", ("id-1", "id-2")))
    assert rig.ids("hub") == ["id-1", "id-2"]
    assert rig.ask(GetStats()).backlog == {"server": 0, "hub": 2}


def test_a_receipt_of_a_destination_that_was_dropped_meanwhile_harms_nobody(rig):
    rig.put(item(1))
    rig.ref.tell(Done("hub", ("id-1",)))
    rig.ref.tell(Refused("hub", "id-1", "no"))
    assert rig.ids() == ["id-1"]
    assert rig.ask(ListRefused()) == []


def test_what_another_device_has_put_is_refused_when_the_file_is_opened(make, caplog):
    rig = make(destinations=("server", "hub"))
    topics = ["devices/pi-6/scans", "devices/pi-7/scans", "devices/pi-70/scans", "field/sensor/data"]
    rig.put(*(Item(f"id-{number}", "scan", topic, b"x", number) for number, topic in enumerate(topics, start=1)))
    rig.stop()
    rig.settings["device_id"] = "pi-7"
    rig.start()
    assert rig.ids() == rig.ids("hub") == ["id-2", "id-4"]
    refused = rig.ask(ListRefused())
    assert {(found.id, found.destination) for found in refused} == {
        (item_id, destination) for item_id in ("id-1", "id-3") for destination in ("server", "hub")
    }
    assert {found.reason for found in refused} == {"another_device"}
    assert rig.ask(GetStats()).dropped == {"refused": 2}
    assert "2 items are of another device than pi-7" in caplog.text


def test_everything_is_there_after_a_restart(rig):
    rig.put(item(1), item(2))
    rig.ref.tell(Done("server", ("id-1",)))
    rig.restart()
    assert rig.ids() == ["id-2"]
    assert (rig.stats.items, rig.stats.bytes) == (1, 10)


def test_the_place_in_the_queue_is_never_given_twice(rig):
    rig.put(item(1))
    (first,) = rig.ask(Take("server"))
    rig.ref.tell(Done("server", ("id-1",)))
    rig.restart()
    rig.put(item(2))
    assert rig.ask(Take("server", after=first.seq))[0].id == "id-2"


def test_who_delivers_is_told_that_something_has_arrived(rig):
    rig.put(item(1))
    eventually(lambda: rig.uplink.told == [Arrived()], DEADLINE)


def test_puts_that_come_together_are_all_answered(rig):
    futures = [GuardedFuture() for _ in range(1200)]
    for number, future in enumerate(futures):
        rig.ref.tell(Put((item(number),), future))
    assert [future.get(timeout=DEADLINE) for future in futures] == [1] * 1200
    assert rig.stats.items == 1200
    assert len(rig.uplink.told) < 1200


def test_a_refused_item_moves_aside_with_its_reason_and_blocks_nobody(rig):
    rig.put(item(1), item(2))
    rig.ref.tell(Refused("server", "id-1", "pH: above 14"))
    assert rig.ids() == ["id-2"]
    (found,) = rig.ask(ListRefused())
    assert (found.id, found.reason, found.payload) == ("id-1", "pH: above 14", b"x" * 10)
    assert rig.stats.dropped == {"refused": 1}


def test_what_was_refused_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("actors.outbox_file.MOST_REFUSED", 10)
    file = OutboxFile(tmp_path / "o.db", ["server"], most_items=10**6, most_bytes=10**9)
    file.open()
    file.put(item(number) for number in range(12))
    for number in range(12):
        file.refuse("server", f"id-{number}", "no")
    kept = file.refused(10**6)
    file.close()
    assert [found.id for found in kept] == [f"id-{number}" for number in range(11, 1, -1)]


def test_a_full_outbox_drops_its_oldest_items_and_counts_them(make):
    rig = make(most_items=3)
    for number in range(5):
        rig.put(item(number))
    assert rig.ids() == ["id-2", "id-3", "id-4"]
    assert rig.stats.dropped == {"outbox_full": 2}


def test_the_bound_in_bytes_holds_too(make):
    rig = make(most_bytes=1000)
    rig.put(*(item(number, size=300) for number in range(5)))
    assert rig.ids() == ["id-2", "id-3", "id-4"]
    assert rig.stats.bytes == 900


def test_a_full_outbox_refuses_a_scan_whole_and_keeps_the_oldest(make, caplog):
    rig = make(most_items=3)
    rig.put(*(item(number, kind="scan") for number in range(2)))
    for _ in range(2):  # whoever is refused offers it again
        with pytest.raises(OutboxFullError, match=r"is full: 3 items or 256 MB"):
            rig.put(item(2, kind="scan"), item(3, kind="scan"))
    assert rig.ids() == ["id-0", "id-1"]
    stats = rig.stats
    assert (stats.items, stats.bytes, stats.backlog, stats.dropped) == (2, 20, {"server": 2}, {})
    assert stats.turned_away == 2
    assert "is full" in stats.last_error
    assert caplog.text.count("is full") == 1


def test_what_a_full_outbox_refused_is_taken_once_there_is_room(make):
    rig = make(most_items=2)
    rig.put(item(0, kind="scan"), item(1, kind="scan"))
    with pytest.raises(OutboxFullError):
        rig.put(item(2, kind="scan"))
    rig.ref.tell(Done("server", ("id-0",)))
    rig.put(item(2, kind="scan"))
    assert rig.ids() == ["id-1", "id-2"]
    assert rig.stats.last_error == ""


def test_what_is_known_already_needs_no_room(make):
    rig = make(most_items=2)
    rig.put(item(0, kind="scan"), item(1, kind="scan"))
    assert rig.put(item(1, kind="scan")) == 1


def test_a_scan_takes_the_place_of_the_oldest_readings_and_no_reading_that_of_a_scan(make):
    rig = make(most_items=3)
    rig.put(item(0, kind="scan"), item(1), item(2))
    rig.put(item(3, kind="scan"))
    assert rig.ids() == ["id-0", "id-2", "id-3"]
    rig.put(item(4))
    assert rig.ids() == ["id-0", "id-3", "id-4"]
    rig.put(item(5, kind="scan"))
    rig.put(item(6))
    assert rig.ids() == ["id-0", "id-3", "id-5"]
    assert rig.stats.dropped == {"outbox_full": 4}


def test_a_put_that_is_refused_costs_those_beside_it_nothing(make):
    rig = make(most_items=2)
    futures = [GuardedFuture() for _ in range(3)]
    puts = [(item(0, kind="scan"),), (item(1, kind="scan"), item(2, kind="scan")), (item(3, kind="scan"),)]
    rig.actor._puts += [Put(items, future) for items, future in zip(puts[:2], futures[:2], strict=True)]
    rig.ref.tell(Put(puts[2], futures[2]))
    assert futures[0].get(timeout=DEADLINE) == futures[2].get(timeout=DEADLINE) == 1
    with pytest.raises(OutboxFullError):
        futures[1].get(timeout=DEADLINE)
    assert rig.ids() == ["id-0", "id-3"]


def test_what_nobody_waits_for_and_nobody_keeps_is_counted_as_dropped(make, caplog):
    rig = make(most_items=1)
    rig.put(item(0, kind="scan"))
    rig.ref.tell(Put((item(1, kind="scan"), item(2, kind="scan"))))
    assert rig.stats.dropped == {"outbox_full": 2}
    assert "2 items are lost: the outbox" in caplog.text


def test_a_file_of_the_release_before_is_taken_over(rig):
    rig.put(item(1))
    rig.stop()
    with sqlite3.connect(rig.path) as db:
        db.execute("DROP INDEX item_kind")
        db.execute("PRAGMA user_version = 1")
    db.close()
    rig.start()
    assert rig.ids() == ["id-1"]
    with sqlite3.connect(rig.path) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'item_kind'").fetchone() == (1,)
    db.close()


@pytest.mark.parametrize("bad", [("", b""), ("x", b"x" * (LARGEST_ITEM + 1))])
def test_an_item_without_an_id_or_too_large_cannot_be_made(bad):
    with pytest.raises(ValueError, match="an item needs"):
        Item(bad[0], "reading", "t", bad[1], 0)


def test_the_age_is_that_of_the_oldest_item(rig):
    assert rig.stats.oldest_age == 0
    rig.put(item(0))
    assert rig.stats.oldest_age == pytest.approx(rig.runtime.clock.time() - 1_760_000_000, abs=60)


def test_nobody_else_may_read_the_files(rig):
    rig.put(item(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in rig.path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(rig.path.parent.stat().st_mode) == 0o700


def test_a_corrupt_file_is_set_aside_and_a_new_one_begins(rig, caplog):
    rig.put(item(1))
    rig.stop()
    rig.path.write_bytes(b"this is no database" * 1000)
    rig.start()
    rig.put(item(2))
    assert rig.ids() == ["id-2"]
    assert rig.stats.corrupt_files == 1
    (aside,) = rig.path.parent.glob("outbox.db.corrupt-*")
    assert aside.read_bytes().startswith(b"this is no")
    assert "was corrupt" in caplog.text


def test_corruption_found_while_it_runs_costs_one_answer_and_a_new_file_begins(rig):
    rig.put(*(item(number, size=3000) for number in range(2000)))
    rig.stop()
    rig.start()
    rig.ask(GetStats())
    with rig.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(3_000_000))
    with pytest.raises(OutboxUnavailableError, match="malformed"):
        rig.ask(Take("server", 2000, most_bytes=10**9))
    rig.put(item(1000))
    assert rig.ids() == ["id-1000"]
    assert rig.stats.corrupt_files == 1


def limit_pages(rig):
    """The disk is full: the file may not grow any more."""
    db = rig.actor._file._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")


def test_on_a_full_disk_a_put_is_refused_and_what_is_kept_can_still_go(rig):
    rig.put(item(1), item(2))
    rig.ask(GetStats())
    limit_pages(rig)
    with pytest.raises(OutboxUnavailableError, match="full"):
        rig.put(item(3, size=500_000))
    assert "full" in rig.stats.last_error
    assert rig.stats.items == 2
    rig.ref.tell(Done("server", ("id-1",)))
    assert rig.ids() == ["id-2"]
    rig.put(item(4))
    assert rig.stats.last_error == ""


def test_a_place_where_no_file_can_be_is_an_answer_and_no_crash(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    rig = Rig(tmp_path / "file" / "outbox.db")
    with pytest.raises(OutboxUnavailableError, match="cannot be opened"):
        rig.put(item(1))
    (tmp_path / "file").unlink()
    assert rig.put(item(1)) == 1
    rig.stop()


def test_a_file_of_a_newer_release_is_read_and_written(rig):
    rig.put(item(1))
    rig.stop()
    with sqlite3.connect(rig.path) as db:
        db.execute("ALTER TABLE item ADD COLUMN colour TEXT NOT NULL DEFAULT 'green'")
        db.execute("PRAGMA user_version = 7")
    db.close()
    rig.start()
    rig.put(item(2))
    assert rig.ids() == ["id-1", "id-2"]


def test_a_crash_between_put_and_commit_hands_the_puts_on(rig):
    """`unfinished` is what supervision gives to the next incarnation."""
    rig.actor._puts.append(Put((item(1),)))
    assert [put.items[0].id for put in rig.actor.unfinished()] == ["id-1"]


def test_what_nobody_understands_is_ignored(rig):
    assert rig.ask("hello") is None
    assert rig.put(item(1)) == 1


def test_an_answered_put_survives_sigkill(tmp_path):
    """A process puts and prints each id once its put is answered; it is killed in the midst of it."""
    path = tmp_path / "outbox.db"
    with Process.module("tests.support.outbox_writer", path) as writer:
        writer.wait_for_line(r"id-300$")
        writer.kill()
        lines = writer.output.split("\n")[:-1]  # what follows the last line break was not told
    file = OutboxFile(path, ["server"], most_items=10**6, most_bytes=10**9)
    file.open()
    kept = {found.id for found in file.take("server", limit=10**6, after=0, most_bytes=10**9, kinds=())}
    file.close()
    assert set(lines) - kept == set()


def test_a_stop_commits_what_has_been_put(rig):
    rig.ref.tell(Put((item(1),)))
    rig.ask(GetStats())
    rig.stop()
    with pytest.raises(pykka.ActorDeadError):
        rig.ask(GetStats())
    rig.start()
    assert rig.ids() == ["id-1"]
