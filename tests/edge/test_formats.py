"""The versions in both slots share files: what the release before has written is read, and it can read what we write.

`formats/` holds files as that release wrote them. They are changed when a release has gone out, never together with the
code that they hold: a format may grow, and nothing that is in it may go or change.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest

from actors.outbox_file import Item, OutboxFile
from edge.bearings import Bearings, Credentials, MqttAccess
from edge.home import home_of
from edge.identity import Board, Identity, identify
from edge.inbox.file import InboxFile
from edge.settings import EdgeSettings
from edge.update import launcher
from edge.update.file import Memory, Offer, Report, UpdateFile, Work

FORMATS = Path(__file__).parent / "formats"


def restore(name, path):
    """Make a database of the release before."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((FORMATS / f"{name}.sql").read_text())
    return path


def open_outbox(path):
    made = OutboxFile(path, ("server", "hub"), most_items=10, most_bytes=10_000)
    made.open()
    return contextlib.closing(made)


def open_inbox(path):
    made = InboxFile(path)
    made.open()
    return contextlib.closing(made)


OPENERS = {"outbox": open_outbox, "inbox": open_inbox}


def columns(path):
    """Every column by table: type, whether it may be left out, whether it is of the key."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            (table, name): (kind, not required or default is not None or bool(key), bool(key))
            for table in tables
            for _, name, kind, required, default, key in db.execute(f"PRAGMA table_info({table})")
        }


# -- what it has written, we read -------------------------------------------------------------------------------------


def test_its_outbox_is_delivered(tmp_path):
    with open_outbox(restore("outbox", tmp_path / "outbox.db")) as outbox:
        items = outbox.take("server", limit=10, after=0, most_bytes=10_000, kinds=("scan", "reading"))
        assert [(item.id, item.kind) for item in items] == [("scan-1", "scan"), ("reading-1", "reading")]
        assert outbox.items == 2


def test_its_inbox_goes_on(tmp_path):
    with open_inbox(restore("inbox", tmp_path / "inbox.db")) as inbox:
        assert [row.id for row in inbox.waiting_notifications()] == ["n-1"]
        assert [row.id for row in inbox.commands("waiting", "inbox.commands")] == ["c-1"]


def test_its_identity_is_kept(tmp_path):
    (tmp_path / "identity.json").write_bytes((FORMATS / "identity.json").read_bytes())
    assert identify(tmp_path / "identity.json", board=Board(tmp_path)).device_id == "pi-7"


def test_its_enrolment_opens_broker_and_server(tmp_path):
    home = home_of(tmp_path)
    home.path.mkdir()
    home.enrolment.write_bytes((FORMATS / "enrolment.json").read_bytes())
    bearings = Bearings(home, EdgeSettings(), "pi-7", read_only=True)
    assert (bearings.credentials.token, bearings.broker().host) == ("a-token", "10.0.0.1")


def test_its_update_goes_on(tmp_path):
    (tmp_path / "updater.json").write_bytes((FORMATS / "updater.json").read_bytes())
    file = UpdateFile(tmp_path / "updater.json")
    file.open()
    assert (file.memory.work.nonce, file.memory.blocked) == ("0f0f", {"1.9.0": "starts"})


def test_its_trial_is_known_to_the_launcher(tmp_path):
    (tmp_path / "state.json").write_bytes((FORMATS / "launcher.json").read_bytes())
    assert launcher.status(launcher.Home(tmp_path))["trial"]["nonce"] == "0f0f"


# -- what we write, it reads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPENERS)
def test_every_column_that_it_uses_is_there_and_it_may_leave_out_all_others(tmp_path, name):
    before, now = columns(restore(name, tmp_path / "before.db")), tmp_path / "now.db"
    with OPENERS[name](now):
        pass
    made = columns(now)
    assert {place: made.get(place) for place in before} == before
    assert all(may_be_left_out for place, (_, may_be_left_out, _) in made.items() if place not in before)


@pytest.mark.parametrize("name", OPENERS)
def test_a_database_that_we_have_opened_holds_what_it_held(tmp_path, name):
    path = restore(name, tmp_path / "one.db")
    kept = list(sqlite3.connect(path).iterdump())
    with OPENERS[name](path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert set(kept) <= set(db.iterdump())


OFFER = Offer(version="2.0.0", release="r-2", size=1000, sha256="a" * 64, rollout="ro-1", deadline=900.0)
WRITTEN = {
    "identity": Identity("pi-7", "mac", ("b8:27:eb:00:00:01",)),
    "enrolment": Credentials(
        device_id="pi-7",
        server_id="srv-1",
        connection_string="mqtt://devices:shared@10.0.0.1:1883",
        mqtt=MqttAccess("10.0.0.1", 1883, "devices", "shared"),
        token="a-token",
        server_url="http://10.0.0.1:5000",
        enrolled_at=1767225600.0,
    ),
    "updater": Memory(
        work=Work(offer=OFFER, phase="restarting", slot="b", nonce="0f0f", trials=1),
        reports=(Report(state="restarting", version="2.0.0", rollout="ro-1"),),
        blocked={"1.9.0": "starts"},
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_field_that_it_has_written_we_write_as_it_did(name):
    before = json.loads((FORMATS / f"{name}.json").read_bytes())
    now = json.loads(msgspec.json.encode(WRITTEN[name]))
    assert _within(before, now)


def test_the_launcher_writes_its_state_as_it_did(tmp_path):
    home = launcher.Home(tmp_path)
    for slot in launcher.SLOTS:
        python = Path(home.python(slot))
        python.parent.mkdir(parents=True)
        python.touch(mode=0o755)
    launcher.begin(home, "a", "1.0.0", "0e0e", 900)
    launcher.commit(home, "0e0e")
    launcher.begin(home, "b", "2.0.0", "0f0f", 900)
    before = json.loads((FORMATS / "launcher.json").read_bytes())
    before["last"]["starts"] = 0  # nobody has started it here
    assert _within(before, json.loads((tmp_path / "state.json").read_bytes()))


def _within(before, now):
    """Whether everything of `before` stands in `now` as it did."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(key in now and _within(value, now[key]) for key, value in before.items())
    if isinstance(before, list):
        return len(before) == len(now) and all(map(_within, before, now))
    return before == now


def test_an_item_of_an_outbox_is_still_what_it_was():
    assert Item.__struct_fields__[:5] == ("id", "kind", "topic", "payload", "created_us")
