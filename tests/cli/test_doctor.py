"""`muster doctor`: every finding says how to mend it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import sqlite3

import pytest

from supervisor.cli import checks
from supervisor.cli.checks import (
    check_broker,
    check_certificates,
    check_data_directory,
    check_database,
    check_embedded_broker,
)
from supervisor.cli.running import check_running
from supervisor.pki import certificates
from supervisor.pki.authority import Authority
from supervisor.pki.settings import HttpTls, Pki
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from supervisor.server.config import Broker, Config, Http
from tests.cli.conftest import TOKEN
from tests.support.mqtt import Device


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return gone.getsockname()[1]


def states(found):
    return {check.name: check.state for check in found}


def test_every_complaint_comes_with_a_cure(muster, monkeypatch, closed_port):
    monkeypatch.setenv("MUSTER_BROKER_URL", f"mqtt://127.0.0.1:{closed_port}")
    result = muster("doctor", "--json")
    assert result.code == 1
    items = result.json["items"]
    assert {item["state"] for item in items} == {"ok", "warning", "failed"}
    assert all(bool(item["mend"]) == (item["state"] != "ok") for item in items)


def test_a_healthy_installation_is_exit_code_0(muster, monkeypatch, mosquitto):
    monkeypatch.setenv("MUSTER_BROKER_URL", mosquitto.url)
    result = muster("doctor")
    assert result.code == 0
    assert "versions: muster" in result.out
    assert "mosquitto version" in result.out
    assert "dropped messages: none" in result.out


def test_a_bad_configuration_is_told_before_anything_else(muster, monkeypatch):
    monkeypatch.setenv("MUSTER_HTTP", "nowhere")
    result = muster("doctor")
    assert result.code == 2
    assert "MUSTER_HTTP" in result.err


def test_a_broker_that_is_not_there_is_a_failure(closed_port):
    (check,) = check_broker(Broker(configured_url=f"mqtt://ada:s3cret@127.0.0.1:{closed_port}"))
    assert check.state == "failed"
    assert "Connection refused" in check.found
    assert "s3cret" not in check.found


def test_a_broker_that_accepts_and_says_nothing_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        broker = Broker(configured_url=f"mqtt://127.0.0.1:{mute.getsockname()[1]}", timeout=0.2)
        (check,) = check_broker(broker)
    assert check.state == "failed"
    assert "did not answer" in check.found


def test_a_broker_that_refuses_us_is_a_failure(needs):
    from tests.support.mosquitto import Mosquitto

    with Mosquitto(users={"ada": "right"}) as closed:
        wrong = closed.url.replace("mqtt://", "mqtt://ada:wrong@")
        right = closed.url.replace("mqtt://", "mqtt://ada:right@")
        (check,) = check_broker(Broker(configured_url=wrong))
        assert check.state == "failed"
        assert "refused" in check.found
        assert states(check_broker(Broker(configured_url=right)))["broker local"] == "ok"


def test_dropped_messages_are_a_warning(mosquitto, monkeypatch):
    # A client cannot make mosquitto publish below $SYS: another topic stands in for it.
    monkeypatch.setattr(checks, "_DROPPED", "stand-in/dropped")
    with Device(mosquitto.url) as teller:
        teller.publish("stand-in/dropped", "12", retain=True)
        found = list(check_broker(Broker(configured_url=mosquitto.url)))
    assert states(found)["dropped messages"] == "warning"
    assert "has dropped 12" in found[-1].found
    assert "max_queued_messages 0" in found[-1].mend


def test_a_count_that_mosquitto_does_not_publish_yet_is_none_dropped(mosquitto, monkeypatch):
    monkeypatch.setattr(checks, "_DROPPED", "no/such/topic")
    (_, dropped) = check_broker(Broker(configured_url=mosquitto.url))
    assert (dropped.state, dropped.found) == ("ok", "none")


def test_a_broker_that_hides_its_numbers_is_a_warning(mosquitto, monkeypatch):
    monkeypatch.setattr(checks, "_DROPPED", "no/such/topic")
    monkeypatch.setattr(checks, "_BROKER_VERSION", "nor/this/one")
    assert states(check_broker(Broker(configured_url=mosquitto.url)))["dropped messages"] == "warning"


def test_a_database_that_does_not_exist_yet_is_fine(tmp_path):
    assert check_database(f"sqlite:///{tmp_path}/new.db").state == "ok"
    assert not (tmp_path / "new.db").exists()


def test_a_file_that_is_no_database_is_a_failure(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database" * 100)
    check = check_database(f"sqlite:///{tmp_path}/x.db")
    assert check.state == "failed"
    assert "not a database" in check.found


def test_a_database_server_that_is_not_there_is_a_failure_without_its_password(closed_port):
    for scheme in ("postgresql", "mysql"):
        check = check_database(f"{scheme}://ada:s3cret@127.0.0.1:{closed_port}/muster")
        assert check.state == "failed"
        assert "s3cret" not in check.found


def test_each_kind_of_database_is_understood(database_url):
    assert check_database(database_url).state == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_that_cannot_be_written_is_a_failure(tmp_path):
    tmp_path.chmod(0o500)
    assert check_data_directory(tmp_path / "data").state == "failed"
    tmp_path.chmod(0o700)


def test_a_restore_that_was_interrupted_is_a_failure_since_no_server_starts(tmp_path):
    (tmp_path / "restoring").touch()
    check = check_data_directory(tmp_path)
    assert (check.state, "interrupted" in check.found) == ("failed", True)
    assert check.mend == "repeat it: `muster restore FILE --force`"


def test_an_instance_that_is_none_is_a_failure(tmp_path):
    (tmp_path / "instance").write_text("garbage!")
    check = check_data_directory(tmp_path)
    assert (check.state, "does not hold an instance id" in check.found) == ("failed", True)
    assert "delete it" in check.mend
    (tmp_path / "instance").write_text("0123456789abcdef\n")
    assert check_data_directory(tmp_path).state == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_in_the_data_directory_is_a_failure(tmp_path):
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.key").touch()
    (tmp_path / "edge").mkdir()
    os.chown(tmp_path / "edge", 65534, 65534)
    assert check_data_directory(tmp_path).state == "ok", "the edge's is the edge's"
    os.chown(tmp_path / "pki/ca.key", 65534, 65534)
    check = check_data_directory(tmp_path)
    assert (check.state, "pki/ca.key" in check.found, "chown -R" in check.mend) == ("failed", True, True)


def test_a_damaged_database_is_a_failure(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)
        database.commit()
    assert check_database(f"sqlite:///{tmp_path}/x.db").state == "ok"
    with (tmp_path / "x.db").open("r+b") as file:
        file.seek(40_960)
        file.write(b"\xff" * 4096)
    check = check_database(f"sqlite:///{tmp_path}/x.db")
    assert (check.state, "is damaged" in check.found, "restore" in check.mend) == ("failed", True, True)


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_LOW_DISK", 2**63)
    assert check_data_directory(tmp_path / "data").state == "warning"


def test_a_missing_mosquitto_is_told(monkeypatch):
    monkeypatch.setattr(checks, "find_mosquitto", lambda: None)
    monkeypatch.setattr(checks, "has_amqtt", lambda: True)
    assert check_embedded_broker().state == "warning"
    monkeypatch.setattr(checks, "has_amqtt", lambda: False)
    assert check_embedded_broker().state == "failed"


def test_the_size_of_a_database_counts_what_still_lies_in_its_log(tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    (tmp_path / "x.db-wal").write_bytes(b"")
    assert check_database(url).found.endswith("8 KB")
    (tmp_path / "x.db-wal").write_bytes(bytes(3 * 2**20))
    assert check_database(url).found.endswith("3.0 MB")


HEALTHY = {"status": "ok", "database": {"ok": True}, "devices": {"total": 4}}
LINK = {"name": "local.data", "state": "subscribed", "connected": True, "detail": "127.0.0.1:1883 · MQTT 5.0"}


@pytest.fixture
def running(server, tmp_path, mosquitto):
    """The fake server, left in the runtime directory as one that runs here."""
    files = ServerFiles(server.url, TOKEN, "Zk3-vQ9_aL0pXw7RtY2m", mosquitto.url, os.getpid())
    directory = RuntimeDirectory(tmp_path / "run")
    directory.publish(files)
    server.answers["GET", "/api/health"] = (200, HEALTHY)
    server.answers["GET", "/api/links"] = (200, {"items": [LINK], "cursor": None})
    yield files
    directory.withdraw()


def test_the_running_server_is_asked_before_the_configuration_is_looked_at(muster, running):
    result = muster("doctor", "--json")
    names = [item["name"] for item in result.json["items"]]
    assert names.index("health") < names.index("link local.data") < names.index("data directory")
    found = {item["name"]: item["found"] for item in result.json["items"]}
    assert found["health"] == "ok, 4 devices"
    assert found["link local.data"] == "subscribed, 127.0.0.1:1883 · MQTT 5.0"
    assert found["anonymous local"] == "open to every program of this machine"
    assert "dropped messages" not in found, "the link has counted them, with a user that may"
    assert result.code == 0


def test_a_server_whose_database_is_away_says_why(server, running):
    away = {"status": "degraded", "database": {"ok": False, "error": "no route"}, "devices": {"total": 4}}
    server.answers["GET", "/api/health"] = (200, away)
    health, _ = check_running(running)
    assert health.state == "warning"
    assert "its database is away (no route)" in health.found
    server.answers["GET", "/api/health"] = (503, away | {"status": "failing"})
    (health,) = check_running(running)
    assert health.state == "failed"


@pytest.mark.parametrize(
    ("state", "cure"),
    [
        ("backing_off", "tries again"),
        ("taken_over", "/api/links/local.data/reconnect"),
        ("paused", "/api/links/local.data/resume"),
        ("congested", "caught up"),
    ],
)
def test_a_link_that_does_not_work_is_told_with_its_cure(server, running, state, cure):
    link = LINK | {"state": state, "connected": state == "congested"}
    server.answers["GET", "/api/links"] = (200, {"items": [link]})
    _, link = check_running(running)
    assert link.state == "warning"
    assert state.replace("_", " ") in link.found
    assert cure in link.mend


def test_what_the_broker_dropped_of_a_links_messages_is_told_by_the_server(server, running):
    server.answers["GET", "/api/links"] = (200, {"items": [LINK | {"dropped_by_broker": 12}]})
    _, link = check_running(running)
    assert link.state == "warning"
    assert "has dropped 12" in link.found
    assert "max_queued_messages 0" in link.mend


def test_a_broker_that_shuts_out_who_has_no_user_is_nothing_to_complain_of(needs):
    """As after `muster rotate --retire-shared`: the runtime directory has a URL without credentials then."""
    from tests.support.mosquitto import Mosquitto

    with Mosquitto(users={"muster": "right"}) as closed:
        (check,) = checks.check_nobody(Broker(configured_url=closed.url), is_open=False)
    assert (check.state, check.found) == ("ok", "the broker wants credentials")


def test_a_server_that_does_not_answer_is_a_failure(server, running):
    server.answers["GET", "/api/health"] = (500, {"error": {"message": "this is a bug"}})
    (check,) = check_running(running)
    assert check.state == "failed"
    assert "this is a bug" in check.found


# -- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pki(tmp_path):
    """An authority with a server, and the configuration that names both."""
    authority = Authority.create(tmp_path / "pki", "Muster of a test")
    authority.issue_server(["muster.local"])
    return authority, Config(data_dir=str(tmp_path), pki=Pki(directory=str(tmp_path / "pki")))


def test_every_certificate_is_named_with_its_end(pki):
    authority, config = pki
    found = {check.name: check for check in check_certificates(config)}
    assert set(found) == {"certificate ca.pem", "certificate muster.local.pem"}
    assert {check.state for check in found.values()} == {"ok"}
    assert f"{authority.ends:%Y-%m-%d}" in found["certificate ca.pem"].found


@pytest.mark.parametrize(("days", "state"), [(20, "warning"), (500, "failed")])
def test_a_certificate_that_ends_soon_or_has_ended_comes_with_a_cure(pki, monkeypatch, days, state):
    authority, config = pki
    at = certificates.now() - dt.timedelta(days=397 - days if state == "warning" else days)
    monkeypatch.setattr(certificates, "now", lambda: at)
    authority.issue_server(["old.local"])
    (check,) = (check for check in check_certificates(config) if "old.local" in check.name)
    assert (check.state, "muster pki renew --due" in check.mend) == (state, True)


def test_a_file_with_a_key_that_all_may_read_and_one_that_is_missing_are_failures(pki, tmp_path):
    authority, config = pki
    authority.server_file("muster.local").chmod(0o644)
    tls = HttpTls(cert=str(tmp_path / "missing.pem"))
    config = config.with_http(Http(tls=tls))
    found = {check.name: check for check in check_certificates(config)}
    assert "chmod 600" in found["certificate muster.local.pem"].mend
    assert (found["certificate missing.pem"].state, "No such file" in found["certificate missing.pem"].found) == (
        "failed",
        True,
    )
