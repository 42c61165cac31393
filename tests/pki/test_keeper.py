"""The keeper of certificates against a real broker: who is revoked is disconnected, whatever clock and broker do."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from actors.runtime import Runtime
from supervisor.pki import certificates
from supervisor.pki.authority import Authority
from supervisor.pki.certificates import make_request
from supervisor.pki.errors import PkiError
from supervisor.pki.settings import Pki
from supervisor.server import pki as pki_module
from supervisor.server.mosquitto import DEVICES_CA, DEVICES_CRL
from supervisor.server.pki import MOST_A_DAY, DevicePki, PkiKeeper, is_stale
from supervisor.server.settings import Broker
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.wait import eventually


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "pki", "Muster of a test")


@pytest.fixture
def pki(authority):
    return DevicePki(authority, Pki(directory=str(authority.directory)))


@pytest.fixture
def broker(needs):
    needs("mosquitto")
    with Mosquitto() as running:
        yield running


@pytest.fixture
def keep(pki, monkeypatch):
    """`keep(url)`: starts a keeper of a server whose broker is there."""
    monkeypatch.setattr(pki_module, "TICK", 0.05)
    monkeypatch.setattr(pki_module, "CONNECT_WITHIN", 1.0)
    runtime = Runtime.system()
    runtime.start()
    refs = []

    def start(url="mqtt://127.0.0.1:1", reload=None):
        actor = PkiKeeper(pki, server="", broker=Broker(configured_url=url), reload=reload, runtime=runtime)
        refs.append(runtime.launch(actor, child_id="pki"))

    yield start
    for ref in refs:
        ref.stop(block=True, timeout=10)
    runtime.stop()


@pytest.fixture
def connected(broker):
    """`connected(serial)`: an event that is set when the device is disconnected."""
    opened = []

    def connect(serial):
        gone = threading.Event()
        opened.append(Device(broker.url, client_id=serial).connect())
        opened[-1].client.on_disconnect = lambda *_: gone.set()
        return gone

    yield connect
    for device in opened:
        device.disconnect()


def is_known_by(path, content):
    return path.exists() and path.read_bytes() == content


def test_who_is_revoked_while_the_clock_goes_wrong_is_disconnected(authority, broker, keep, connected, monkeypatch):
    authority.issue_device("pi-1")
    looked = threading.Event()
    keep(broker.url, reload=looked.set)
    assert looked.wait(10)
    gone = connected("pi-1")
    earlier = certificates.now() - dt.timedelta(hours=20)
    monkeypatch.setattr(certificates, "now", lambda: earlier)
    authority.revoke("pi-1")
    assert gone.wait(10), "still connected"


def test_who_is_revoked_while_the_broker_is_away_is_disconnected_when_it_is_back(authority, broker, keep, connected):
    authority.issue_device("pi-1")
    broker.stop()
    authority.revoke("pi-1")
    failed = []
    real = pki_module.end_connection

    def count(*arguments):
        ended = real(*arguments)
        failed.append(not ended)
        return ended

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pki_module, "end_connection", count)
        keep(broker.url)
        eventually(lambda: len(failed) > pki_module.ROUNDS, 30, "it has tried more often than it would have to")
        broker.start()
        gone = connected("pi-1")
        assert gone.wait(10), "still connected"


def test_who_was_revoked_long_ago_is_left_alone(authority, broker, keep, connected):
    # It may have been given another certificate since.
    with pytest.MonkeyPatch.context() as patch:
        at = certificates.now() - dt.timedelta(days=2)
        patch.setattr(certificates, "now", lambda: at)
        authority.issue_device("old")
        authority.revoke("old")
    authority.issue_device("new")
    authority.revoke("new")
    old, new = connected("old"), connected("new")
    keep(broker.url)
    assert new.wait(10)
    assert not old.is_set()


def test_a_broker_that_is_no_child_of_ours_is_told_by_files(authority, pki, keep, tmp_path):
    pki.shared = tmp_path / "broker"
    pki.shared.mkdir()
    keep()
    eventually(lambda: is_known_by(pki.shared / DEVICES_CA, authority.certificate), 10, "the authority is there")
    authority.issue_device("pi-1")
    authority.revoke("pi-1")
    eventually(lambda: is_known_by(pki.shared / DEVICES_CRL, authority.crl_file.read_bytes()), 10, "the list is, too")


def test_files_that_could_not_be_written_for_the_broker_are_written_later(authority, pki, keep, tmp_path):
    pki.shared = tmp_path / "broker"
    keep()
    eventually(lambda: pki.counts["failed"], 10, "the directory is missing")
    pki.shared.mkdir()
    eventually(lambda: is_known_by(pki.shared / DEVICES_CRL, authority.revocations()), 10, "the list is there")


def test_a_certificate_of_a_server_that_is_revoked_is_renewed(authority):
    from supervisor.pki.names import own_names

    authority.issue_server(own_names("a.local"))
    assert not is_stale(authority, "a.local")
    authority.revoke("a.local")
    assert is_stale(authority, "a.local")


def test_a_device_that_asks_without_end_is_refused(authority, pki):
    request = make_request("pi-1").cert.decode()
    for _ in range(MOST_A_DAY):
        pki.sign(request, "pi-1")
    for refused in (pki.sign, pki.check):
        with pytest.raises(PkiError, match="it has to wait") as error:
            refused(request, "pi-1")
        assert error.value.code == "too_many"
    assert (len(authority.records()), pki.counts["refused"]) == (MOST_A_DAY, 2)
    pki.sign(make_request("pi-2").cert.decode(), "pi-2")


def test_an_empty_passphrase_seals_no_authority(tmp_path):
    from supervisor.server.config import Config

    (tmp_path / "phrase").write_text("\n")
    settings = Pki(directory=str(tmp_path / "pki"), passphrase_file=str(tmp_path / "phrase"))
    with pytest.raises(PkiError, match="holds no passphrase"):
        DevicePki.open(Config(pki=settings))
    assert not (tmp_path / "pki").exists()
