"""The server's own key, and the order in which keys of devices are kept and believed."""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace

import pytest

from actors.payload_keys.book import PayloadKeys
from actors.payload_keys.envelope import BadKeyError, new_private_key, public_key, show_key
from actors.runtime import ManualClock
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.payload_keys import PayloadKey, find_payload_keys, put_payload_key
from actors.storage.store import Store
from actors.twins.messages import TwinsStored
from supervisor.server.payload_key_file import FILE, LostKeyError, OwnKeyError, PayloadKeyFile, see_to_payload_key
from supervisor.server.payload_keys import PayloadKeysFace, end_payload_key, load_payload_keys, payload_metrics
from tests.support.muster import Muster
from tests.support.ports import free_port
from web.payload_keys import PayloadKeyRefusedError


@pytest.fixture
def file(tmp_path):
    return PayloadKeyFile(tmp_path / FILE)


@pytest.fixture
def parts(tmp_path):
    """As much of a server as keys need, loaded."""
    with a_server(tmp_path) as made:
        load_payload_keys(made)
        yield made


@pytest.fixture
def early(tmp_path):
    """The same before its keys are loaded; the page is there before."""
    with a_server(tmp_path) as made:
        yield made


@contextlib.contextmanager
def a_server(data):
    url = f"sqlite:///{data}/muster.db"
    store = Store(open_database(url))
    with ThreadPoolExecutor(1) as writer:

        def run(work):
            return writer.submit(store.run, work).result(30)

        made = SimpleNamespace(
            config=SimpleNamespace(data_path=data, primary=True, database=SimpleNamespace(url=url)),
            payload_keys=PayloadKeys(),
            runtime=SimpleNamespace(clock=ManualClock()),
            told=[],
            ask_registry=lambda message: run(message.work),
            rows=lambda: {row.serial: row.public for row in run(find_payload_keys)},
            put=lambda serial, key: run(lambda database: put_payload_key(database, PayloadKey(serial, key, 1))),
        )
        made.services = SimpleNamespace(tell=lambda name, message: made.told.append((name, message)))
        yield made
        writer.submit(store.close).result(30)


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
    is_new, told = face.exchange("pi-7", key)
    assert (is_new, told["serial"], told["key"]) == (True, "pi-7", key)
    assert face.show("pi-7") == told
    assert face.exchange("pi-7", key) == (False, told), "the same key changes nothing"
    assert parts.rows() == {"pi-7": key}
    assert parts.told == [("twins", TwinsStored((), ("pi-7",)))]


def test_what_is_no_key_is_refused_and_changes_nothing(parts):
    face = PayloadKeysFace(parts)
    for key in ("A" * 44, show_key(bytes(32)), "no base64" * 5):
        assert refused(lambda key=key: face.exchange("pi-7", key)) == (400, "bad_field")
    assert parts.rows() == {}
    assert refused(lambda: face.show("pi-7")) == (404, "not_found")
    assert refused(lambda: face.drop("pi-7")) == (404, "not_found")


def test_a_server_whose_own_key_is_damaged_says_so_and_takes_none(parts, tmp_path):
    (tmp_path / FILE).write_bytes(b"rubbish")
    (tmp_path / FILE).chmod(0o600)
    assert refused(lambda: PayloadKeysFace(parts).exchange("pi-7", a_key())) == (503, "unavailable")
    assert parts.rows() == {}


def test_only_the_primary_server_takes_keys(parts):
    parts.config.primary = False
    assert refused(lambda: PayloadKeysFace(parts).exchange("pi-7", a_key())) == (409, "not_primary")


def test_to_require_a_key_ends_none_that_is_there(parts):
    face = PayloadKeysFace(parts)
    key = face.exchange("pi-7", a_key())[1]["key"]
    assert face.require("pi-7")["key"] == key
    assert (face.require("pi-8")["key"], face.require("pi-8")["key_id"]) == ("", "")


def test_a_revoked_device_stays_one_that_has_to_seal_and_others_are_left_alone(parts):
    face = PayloadKeysFace(parts)
    face.exchange("pi-7", a_key())
    end_payload_key(parts, "pi-7")
    end_payload_key(parts, "pi-8")
    assert face.show("pi-7")["key"] == ""
    assert "pi-8" not in parts.payload_keys


def test_keys_are_there_again_after_a_restart(parts):
    face = PayloadKeysFace(parts)
    key = face.exchange("pi-7", a_key())[1]["key"]
    face.require("pi-8")
    load_payload_keys(parts)
    assert PayloadKeysFace(parts).show("pi-7")["key"] == key
    assert "pi-8" in parts.payload_keys


def test_a_lost_key_is_not_made_anew_while_a_device_seals_with_it(parts, caplog):
    """Also where nobody could ask the database before: it was away."""
    _, before = PayloadKeysFace(parts).exchange("pi-7", a_key())
    file = parts.config.data_path / FILE
    content = file.read_bytes()
    file.unlink()
    with caplog.at_level(logging.ERROR):
        load_payload_keys(parts)
    assert "is gone" in caplog.text
    face = PayloadKeysFace(parts)
    assert refused(lambda: face.exchange("pi-8", a_key())) == (503, "unavailable")
    with pytest.raises(BadKeyError, match="is gone"):
        parts.payload_keys.seal("devices/pi-7/commands", b"{}")
    assert not file.exists()
    file.write_bytes(content)
    file.chmod(0o600)
    assert face.show("pi-7") == before, "and it is used as soon as it is there again"


def test_a_server_whose_key_is_lost_or_damaged_does_not_start_while_a_device_seals_with_it(parts):
    config, file = parts.config, parts.config.data_path / FILE
    parts.put("pi-8", "")
    see_to_payload_key(config)
    assert not file.exists(), "nobody has needed it yet"
    PayloadKeysFace(parts).exchange("pi-7", a_key())
    see_to_payload_key(config)
    file.chmod(0o644)
    with pytest.raises(LostKeyError, match=r"chmod 600 .*payload-encryption\.md"):
        see_to_payload_key(config)
    file.unlink()
    with pytest.raises(LostKeyError, match=r"is gone.* 1 device .*muster payload-key make"):
        see_to_payload_key(config)
    config.primary = False
    see_to_payload_key(config)
    assert not file.exists()


def test_a_database_that_is_new_or_away_keeps_no_server_from_starting(tmp_path):
    for url in (f"sqlite:///{tmp_path}/none.db", f"postgresql://127.0.0.1:{free_port()}/none"):
        config = SimpleNamespace(data_path=tmp_path, primary=True, database=SimpleNamespace(url=url))
        see_to_payload_key(config)


def test_the_command_says_in_a_sentence_why_it_does_not_start(mosquitto):
    with Muster(mosquitto.url) as server:
        server.stop()
        store = Store(open_database(server.database_url))
        store.run(lambda database: put_payload_key(database, PayloadKey("pi-7", a_key(), 1)))
        store.close()
        server.launch()
        assert server.process.wait(60) == 1
        assert "payload.key is gone, and 1 device seals with it" in server.log
        assert "Traceback" not in server.log


def test_two_devices_that_come_first_at_once_are_told_the_same_key(file, monkeypatch):
    both = threading.Barrier(2)

    def make():
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # until the other one makes a key too, or does not
        return new_private_key()

    monkeypatch.setattr("supervisor.server.payload_key_file.new_private_key", make)
    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(lambda _: file.load(), range(2)))
    assert told == [PayloadKeyFile(file.path).load()] * 2


def test_nothing_is_decided_of_keys_before_they_are_loaded(early):
    """`require` would end the key of a device that nobody knows of yet."""
    key = a_key()
    early.put("pi-7", key)
    face = PayloadKeysFace(early)
    asks = (face.show, face.require, face.drop, lambda serial: face.exchange(serial, a_key()))
    for ask in asks:
        assert refused(lambda ask=ask: ask("pi-7")) == (503, "unavailable")
    assert refused(lambda: face.items(10, "")) == (503, "unavailable")
    assert early.rows() == {"pi-7": key}


def test_a_device_that_is_revoked_before_the_keys_are_loaded_loses_its_key_too(early):
    early.put("pi-7", a_key())
    end_payload_key(early, "pi-7")
    end_payload_key(early, "pi-8")
    assert early.rows() == {"pi-7": ""}


def test_what_is_kept_last_is_believed_also_when_two_ask_at_once(parts):
    face, first, second = PayloadKeysFace(parts), a_key(), a_key()
    ask, kept, other = parts.ask_registry, [], []

    def slowly(message):
        answer = ask(message)
        if not kept:
            kept.append(True)
            other.append(threads.submit(face.exchange, "pi-7", second))
            wait([other[0]], 0.5)  # it may overtake us, or has to wait for us
        return answer

    parts.ask_registry = slowly
    with ThreadPoolExecutor(1) as threads:
        face.exchange("pi-7", first)
    assert other[0].result(30)[1]["key"] == second
    assert parts.rows() == {"pi-7": face.show("pi-7")["key"]} == {"pi-7": second}


def test_a_row_that_holds_no_key_leaves_a_device_that_has_to_give_another(parts, caplog):
    parts.put("pi-7", "rubbish")
    parts.put("pi-8", a_key())
    PayloadKeyFile(parts.config.data_path / FILE).load()
    load_payload_keys(parts)
    assert "pi-7" in caplog.text
    assert PayloadKeysFace(parts).show("pi-7")["key"] == ""
    assert PayloadKeysFace(parts).show("pi-8")["key"] != ""


def test_the_devices_that_seal_are_listed_by_serial(parts):
    face = PayloadKeysFace(parts)
    _, key = face.exchange("pi-9", a_key())
    face.require("pi-10")
    assert face.items(10, "") == ([face.show("pi-10"), key], None)
    assert face.items(1, "") == ([face.show("pi-10")], "pi-10")
    assert face.items(1, "pi-10") == ([key], None)
    with pytest.raises(ValueError, match="a b"):
        face.items(1, "a b")


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
    assert parts.rows() == {}
