"""The server's own key, and the order in which keys of devices are kept and believed."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from actors.payload_keys.book import PayloadKeys
from actors.payload_keys.envelope import new_private_key, public_key, show_key
from actors.runtime import ManualClock
from actors.storage.errors import StoreUnavailable
from actors.storage.payload_keys import PayloadKey
from actors.twins.messages import TwinsStored
from supervisor.server.payload_keys import (
    FILE,
    OwnKeyError,
    PayloadKeyFile,
    PayloadKeysFace,
    end_payload_key,
    load_payload_keys,
    payload_metrics,
)
from web.payload_keys import PayloadKeyRefusedError


@pytest.fixture
def file(tmp_path):
    return PayloadKeyFile(tmp_path / FILE)


@pytest.fixture
def parts(tmp_path):
    """As much of a server as keys need; `kept` is what the registry was asked to do, `rows` what is in its database."""
    made = SimpleNamespace(
        config=SimpleNamespace(data_path=tmp_path, primary=True),
        payload_keys=PayloadKeys(),
        runtime=SimpleNamespace(clock=ManualClock()),
        kept=[],
        rows=[],
        told=[],
    )
    made.services = SimpleNamespace(tell=lambda name, message: made.told.append((name, message)))
    made.ask_registry = lambda message: made.kept.append(message) or made.rows
    load_payload_keys(made)
    made.kept.clear()
    return made


def a_key():
    return show_key(public_key(new_private_key()))


def refused(ask):
    with pytest.raises(PayloadKeyRefusedError) as caught:
        ask()
    return caught.value.status, caught.value.code


def test_the_key_is_made_once_for_nobody_elses_eyes(file, tmp_path):
    key = file.load()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert PayloadKeyFile(tmp_path / FILE).load() == key


@pytest.mark.parametrize(
    "content", [b"", b"muster-payload-key", b"muster-payload-key AAAA", b"\xff\xfe", b"else " + b"A" * 44]
)
def test_a_file_that_holds_no_key_is_left_alone_and_said_so(file, content):
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    with pytest.raises(OwnKeyError, match="holds no payload key"):
        file.load()
    assert file.path.read_bytes() == content


def test_a_key_that_others_may_read_is_not_used(file):
    file.load()
    file.path.chmod(0o640)
    with pytest.raises(OwnKeyError, match="chmod 600"):
        PayloadKeyFile(file.path).load()


def test_a_directory_that_cannot_be_written_is_a_reason_and_no_crash(tmp_path):
    with pytest.raises(OwnKeyError, match="cannot be written"):
        PayloadKeyFile(tmp_path / "gone" / FILE).load()


def test_a_key_that_cannot_be_kept_is_not_believed_either(parts):
    def refuse(_message):
        raise StoreUnavailable("the database is away")

    parts.ask_registry = refuse
    with pytest.raises(StoreUnavailable):
        PayloadKeysFace(parts).exchange("pi-7", a_key())
    assert "pi-7" not in parts.payload_keys


def test_who_gives_a_key_is_told_ours_and_has_its_twin_published_anew(parts):
    face, key = PayloadKeysFace(parts), a_key()
    told = face.exchange("pi-7", key)
    assert (told["serial"], told["key"]) == ("pi-7", key)
    assert told == face.show("pi-7") == face.exchange("pi-7", key), "the same key changes nothing"
    assert len(parts.kept) == 1
    assert parts.told == [("twins", TwinsStored((), ("pi-7",)))]


def test_what_is_no_key_is_refused_and_changes_nothing(parts):
    face = PayloadKeysFace(parts)
    for key in ("A" * 44, show_key(bytes(32)), "no base64" * 5):
        assert refused(lambda key=key: face.exchange("pi-7", key)) == (400, "bad_field")
    assert parts.kept == []
    assert refused(lambda: face.show("pi-7")) == (404, "not_found")
    assert refused(lambda: face.drop("pi-7")) == (404, "not_found")


def test_a_server_whose_own_key_is_damaged_says_so_and_takes_none(parts, tmp_path):
    (tmp_path / FILE).write_bytes(b"rubbish")
    (tmp_path / FILE).chmod(0o600)
    assert refused(lambda: PayloadKeysFace(parts).exchange("pi-7", a_key())) == (503, "unavailable")
    assert parts.kept == []


def test_only_the_primary_server_takes_keys(parts):
    parts.config.primary = False
    assert refused(lambda: PayloadKeysFace(parts).exchange("pi-7", a_key())) == (409, "not_primary")


def test_to_require_a_key_ends_none_that_is_there(parts):
    face = PayloadKeysFace(parts)
    key = face.exchange("pi-7", a_key())["key"]
    assert face.require("pi-7")["key"] == key
    assert (face.require("pi-8")["key"], face.require("pi-8")["key_id"]) == ("", "")


def test_a_revoked_device_stays_one_that_has_to_seal_and_others_are_left_alone(parts):
    face = PayloadKeysFace(parts)
    face.exchange("pi-7", a_key())
    end_payload_key(parts, "pi-7")
    end_payload_key(parts, "pi-8")
    assert face.show("pi-7")["key"] == ""
    assert "pi-8" not in parts.payload_keys


def test_keys_are_there_again_after_a_restart_and_a_lost_file_is_complained_about(parts, caplog):
    key = a_key()
    parts.rows = [PayloadKey("pi-7", key, 1), PayloadKey("pi-8", "", 1)]
    with caplog.at_level(logging.ERROR):
        load_payload_keys(parts)
    assert "2 devices have to give their keys anew" in caplog.text
    assert PayloadKeysFace(parts).show("pi-7")["key"] == key
    assert "pi-8" in parts.payload_keys


def test_metrics_count_devices_and_what_became_of_payloads(parts):
    PayloadKeysFace(parts).exchange("pi-7", a_key())
    parts.payload_keys.seal("devices/pi-7/commands", b"{}")
    devices, payloads = payload_metrics(parts)
    assert devices.samples[0].value == 1
    assert {sample.labels["event"]: sample.value for sample in payloads.samples}["sealed"] == 1


@pytest.mark.parametrize("serial", ["x" * 65, "a b", "a\0b", "ü", ""])
def test_what_can_be_no_serial_number_gets_no_row(parts, serial):
    face = PayloadKeysFace(parts)
    for ask in (lambda: face.exchange(serial, a_key()), lambda: face.require(serial)):
        assert refused(ask) == (404, "not_found")
    assert parts.kept == []
