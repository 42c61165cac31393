"""What `muster doctor` says of safety: each danger is found, and what is well is not complained of."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from actors.storage.database import open_database
from actors.storage.resealing import Place, reseal
from actors.storage.sealed import Keyring, keyring, use_keyring
from actors.storage.store import Store
from supervisor.cli import safety
from supervisor.cli.checks import check_nobody
from supervisor.cli.safety import (
    check_backup,
    check_clock,
    check_edges,
    check_keys,
    check_listener,
    check_migrations,
    check_modes,
    check_proxies,
    check_release_keys,
    check_sealing,
    weakness,
)
from supervisor.process.rundir import ServerFiles
from supervisor.release.keys import PrivateKey
from supervisor.server.config import Broker, load_config
from supervisor.server.sealing import KeyFile
from supervisor.server.settings import Http
from tests.cli.conftest import TOKEN
from tests.support.mosquitto import Mosquitto

GOOD = "Zk3-vQ9_aL0pXw7RtY2m"


@pytest.fixture
def config(tmp_path):
    """Of a server that has never run."""
    return load_config({"data_dir": str(tmp_path / "data")}, {}, cwd=tmp_path)


@pytest.fixture
def used(config):
    """Of one that has."""
    config.data_path.mkdir(mode=0o700)
    before = keyring()
    KeyFile.of(config.data_path, {}).prepare()
    store = Store(open_database(config.database.url))
    place = Place()
    while place is not None:
        place = store.run(lambda database, at=place: reseal(database, at))
    store.close()
    (config.data_path / "instance").write_text("0123456789abcdef\n")
    yield config
    use_keyring(before)


def test_what_others_may_read_is_named_with_the_command_that_mends_it(used, tmp_path):
    assert check_modes(used, {}, tmp_path).state == "ok"
    secret = used.data_path / "fleet-key.json"
    secret.write_text("{}")
    secret.chmod(0o644)
    assert check_modes(used, {}, tmp_path).state == "ok", "nobody can enter the directory"
    used.data_path.chmod(0o755)
    check = check_modes(used, {}, tmp_path)
    assert check.state == "failed"
    assert str(secret) in check.found
    assert "chmod 600" in check.mend


def test_a_configuration_with_a_secret_is_not_for_everybody(tmp_path):
    file = tmp_path / "muster.toml"
    file.write_text(f'data_dir = "data"\napi_token = "{GOOD}"\n')
    file.chmod(0o644)
    config = load_config({}, {}, cwd=tmp_path)
    assert check_modes(config, {}, tmp_path).state == "failed"
    file.chmod(0o640)
    assert check_modes(config, {}, tmp_path).state == "ok"
    file.write_text('data_dir = "data"\n')
    file.chmod(0o644)
    assert check_modes(load_config({}, {}, cwd=tmp_path), {}, tmp_path).state == "ok"


@pytest.mark.parametrize(
    ("http", "state"),
    [
        (Http(), "ok"),
        (Http(host="0.0.0.0"), "warning"),
        (Http(host="0.0.0.0", proxies=("10.0.0.1",)), "ok"),
    ],
)
def test_tokens_in_the_clear_are_complained_of(config, http, state):
    assert check_listener(config.with_http(http)).state == state


def test_a_proxy_that_is_everybody_is_none(config):
    everybody = config.with_http(Http(proxies=("128.0.0.0/1",)))
    assert [check.state for check in check_proxies(everybody)] == ["failed"]
    assert [check.state for check in check_proxies(config)] == []


@pytest.mark.parametrize(
    ("secret", "is_weak"),
    [
        (GOOD, False),
        ("aaaaaaaaaaaaaaaa", True),
        ("1234567890123456", True),
        ("our-password-2026", True),
        ("short", True),
    ],
)
def test_a_key_that_can_be_guessed_is_weak(config, secret, is_weak):
    assert bool(weakness(secret)) == is_weak
    running = ServerFiles(url="http://x", token=TOKEN, enrolment_key=secret, broker_url="mqtt://x", pid=1)
    (check,) = check_keys(config, running)
    assert (check.state == "failed") == is_weak
    assert secret not in check.found + check.mend


def test_values_that_are_not_sealed_yet_are_told(used):
    assert check_sealing(used, {}).state == "ok"
    KeyFile.of(used.data_path, {}).rotate(None)
    assert check_sealing(used, {}).state == "warning"
    (used.data_path / "sealing.key").unlink()
    assert check_sealing(used, {}).state == "failed", "nobody can read them any more"
    assert not (used.data_path / "sealing.key").exists(), "looking makes no key"
    KeyFile.of(used.data_path, {}).prepare()
    check = check_sealing(used, {})
    assert (check.state, "from a backup" in check.mend) == ("failed", True), "a new key opens nothing that is old"
    use_keyring(Keyring())


def test_migrations_that_wait_are_told_and_newer_ones_are_a_failure(used, monkeypatch):
    assert check_migrations(used).state == "ok"
    known = safety.known_migrations()
    monkeypatch.setattr(safety, "known_migrations", lambda: known | {"9999_next"})
    assert check_migrations(used).state == "warning"
    monkeypatch.setattr(safety, "known_migrations", lambda: known - {"0001_initial"})
    assert check_migrations(used).state == "failed"


def test_a_backup_that_is_old_or_was_never_made_is_missed(used):
    now = dt.datetime.now(dt.UTC)
    assert check_backup(used).state == "ok", "the server is new"
    assert check_backup(used, now + dt.timedelta(days=8)).state == "warning"
    (used.data_path / "last-backup.json").write_text(f'{{"at": {now.timestamp()}, "file": "/mnt/b"}}')
    assert check_backup(used, now + dt.timedelta(days=6)).state == "ok"
    assert check_backup(used, now + dt.timedelta(days=8)).state == "warning"


def test_releases_that_nobody_has_vouched_for_are_a_failure(used):
    assert check_release_keys(used).state == "ok"
    (used.data_path / "releases").mkdir()
    (used.data_path / "releases" / "x.muster").touch()
    assert check_release_keys(used).state == "failed"
    (used.data_path / "release-keys").mkdir()
    (used.data_path / "release-keys" / "own.pub").write_text(PrivateKey.generate().public.line)
    assert check_release_keys(used).state == "ok"


@pytest.mark.parametrize(("quality", "state"), [("ntp", "ok"), ("unsynced", "warning")])
def test_a_clock_that_nobody_sets_is_told(monkeypatch, quality, state):
    monkeypatch.setattr(safety, "clock_quality", lambda: quality)
    assert check_clock().state == state


def test_edges_that_are_older_than_the_server_are_named(server):
    running = ServerFiles(url=server.url, token=TOKEN, enrolment_key="", broker_url="", pid=os.getpid())
    devices = [
        {"serial": "old", "system_info": {"version": "0.0.1"}},
        {"serial": "new", "system_info": {"version": "99"}},
        {"serial": "no-edge", "system_info": {}},
        {"serial": "odd", "system_info": {"version": "who knows"}},
    ]
    server.answers["GET", "/api/devices"] = (200, {"items": devices, "cursor": None})
    (check,) = check_edges(running)
    assert check.state == "warning"
    assert "1 run an older release" in check.found
    assert "old" in check.found


def test_a_broker_that_lets_everybody_in_is_a_failure_once_others_can_reach_it(mosquitto):
    open_to_all = Broker(configured_url=mosquitto.url)
    states = {check.name: check.state for check in check_nobody(open_to_all, is_open=False)}
    assert states["anonymous local"] == "ok", "only this machine"
    states = {check.name: check.state for check in check_nobody(open_to_all, is_open=True)}
    assert states["anonymous local"] == "failed"
    with Mosquitto(users={"ada": "right"}) as closed:
        ours = Broker(configured_url=closed.url.replace("mqtt://", "mqtt://ada:right@"))
        states = {check.name: check.state for check in check_nobody(ours, is_open=True)}
        assert states["anonymous local"] == "ok"


def test_a_running_server_that_other_machines_reach_is_not_called_private(config, server, monkeypatch):
    """`muster up --lan` listens everywhere, whatever the configuration says."""
    running = ServerFiles(server.url, TOKEN, GOOD, "mqtt://127.0.0.1:1883", os.getpid())
    monkeypatch.setattr(safety, "own_addresses", lambda *_: ("127.0.0.9",))
    assert check_listener(config, running).state == "ok", "nobody answers there"
    monkeypatch.setattr(safety, "own_addresses", lambda *_: ("127.0.0.1",))
    check = check_listener(config, running)
    assert check.state == "warning"
    assert "--tls" in check.mend
    running = ServerFiles(server.url.replace("http:", "https:"), TOKEN, GOOD, running.broker_url, os.getpid())
    encrypted = check_listener(config, running)
    assert (encrypted.state, "encrypted" in encrypted.found) == ("ok", True)


def test_every_finding_of_safety_says_how_to_mend_it(muster, tmp_path, used):
    """From the command, in JSON, with as much wrong as there can be."""
    used.data_path.chmod(0o755)
    (used.data_path / "muster.db").chmod(0o644)
    (tmp_path / "muster.toml").write_text(
        f'data_dir = "{used.data_path}"\nenrolment_key = "aaaaaaaaaaaaaaaa"\n[http]\nproxies = ["128.0.0.0/1"]\n'
    )
    result = muster("doctor", "--json")
    items = {item["name"]: item for item in result.json["items"]}
    assert result.code == 1
    assert {name for name in ("file modes", "fleet key", "proxies") if items[name]["state"] != "failed"} == set()
    assert all(bool(item["mend"]) == (item["state"] != "ok") for item in items.values())
