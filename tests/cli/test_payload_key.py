"""`muster payload-key` against a fake of the API, and on the files of a server."""

from __future__ import annotations

import pytest

from supervisor.process.lock import FileLock
from supervisor.server.payload_key_file import FILE, PayloadKeyFile
from tests.cli.conftest import error

PATH = "/api/devices/pi-7/payload_key"


def row(serial="pi-7", *, given=True):
    key, name = ("A" * 43 + "=", "9a4536acf7ace160") if given else ("", "")
    return {"serial": serial, "key": key, "server_key": "B" * 43 + "=", "key_id": name}


@pytest.fixture
def data(tmp_path):
    made = tmp_path / "data"
    made.mkdir()
    return made


def test_the_list_shows_who_seals_and_whose_key_is_wanted(server, muster_at):
    server.answers["GET", "/api/payload_keys"] = 200, {"items": [row(), row("pi-8", given=False)], "cursor": None}
    told = muster_at("payload-key", "list")
    assert told.code == 0
    assert [line.split() for line in told.out.splitlines()] == [
        ["SERIAL", "STATE", "KEY", "ID"],
        ["pi-7", "sealed", "9a4536acf7ace160"],
        ["pi-8", "key", "wanted", "-"],
    ]
    assert [item["serial"] for item in muster_at("payload-key", "list", "--json").json["items"]] == ["pi-7", "pi-8"]


def test_both_public_keys_are_shown(server, muster_at):
    server.answers["GET", PATH] = 200, row()
    told = muster_at("payload-key", "show", "pi-7")
    assert told.code == 0
    for shown in ("pi-7", "sealed", *row().values()):
        assert shown in told.out
    assert muster_at("payload-key", "show", "pi-7", "--json").json == row()


def test_a_device_that_has_given_none_is_a_sentence_and_exit_code_1(server, muster_at):
    server.answers["GET", PATH] = server.answers["DELETE", PATH] = error(404, "pi-7 has given no key")
    for verb in ("show", "drop"):
        told = muster_at("payload-key", verb, "pi-7")
        assert (told.code, told.out) == (1, "")
        assert "pi-7 has given no key" in told.err


@pytest.mark.parametrize("given", [True, False])
def test_sealing_is_required_and_a_key_that_is_wanting_is_told(server, muster_at, given):
    server.answers["POST", f"{PATH}/require"] = 200, row(given=given)
    told = muster_at("payload-key", "require", "pi-7")
    assert told.code == 0
    assert told.out.startswith("pi-7 is believed only sealed.")
    assert ("has given no key" in told.out) is not given
    assert muster_at("payload-key", "require", "pi-7", "--json").json == row(given=given)


def test_a_device_is_let_off(server, muster_at):
    server.answers["DELETE", PATH] = 204, b""
    told = muster_at("payload-key", "drop", "pi-7")
    assert (told.code, [call.method for call in server.calls]) == (0, ["DELETE"])
    assert "believed plain again" in told.out
    assert muster_at("payload-key", "drop", "pi-7", "--json").json == {"serial": "pi-7", "dropped": True}


def test_a_key_is_made_for_a_server_that_has_lost_its_own(muster, data):
    told = muster("payload-key", "make")
    assert told.code == 0, told.err
    assert str(data / FILE) in told.out
    assert "payload-key.json" in told.out
    assert len(PayloadKeyFile(data / FILE, is_needed=True).load()) == 32


def test_a_key_that_is_there_is_never_replaced(muster, data):
    (data / FILE).write_text("damaged")
    told = muster("payload-key", "make")
    assert (told.code, told.out) == (1, "")
    assert f"{data / FILE} is there" in told.err
    assert (data / FILE).read_text() == "damaged"


def test_no_key_is_made_under_a_running_server(muster, data):
    with FileLock(data / "instance.lock"):
        told = muster("payload-key", "make")
    assert (told.code, told.out) == (1, "")
    assert "stop" in told.err
    assert not (data / FILE).exists()


def test_no_key_is_made_where_no_server_has_been(muster, tmp_path):
    told = muster("payload-key", "make", "--data-dir", str(tmp_path / "nowhere"))
    assert told.code == 1
    assert "cannot be written" in told.err
