"""`muster doctor`: every finding says how to mend it."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor.cli import checks
from supervisor.cli.checks import (
    check_broker,
    check_data_directory,
    check_database,
    check_embedded_broker,
    check_health,
)
from supervisor.server.config import Broker
from supervisor.server.rundir import RuntimeDirectory, ServerFiles
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


def test_a_broker_that_hides_its_numbers_is_a_warning(mosquitto, monkeypatch):
    monkeypatch.setattr(checks, "_DROPPED", "no/such/topic")
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


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_LOW_DISK", 2**63)
    assert check_data_directory(tmp_path / "data").state == "warning"


def test_a_missing_mosquitto_is_told(monkeypatch):
    monkeypatch.setattr(checks, "find_mosquitto", lambda: None)
    monkeypatch.setattr(checks, "has_amqtt", lambda: True)
    assert check_embedded_broker().state == "warning"
    monkeypatch.setattr(checks, "has_amqtt", lambda: False)
    assert check_embedded_broker().state == "failed"


def test_the_running_server_is_asked_how_it_is(muster, server, mosquitto, tmp_path):
    directory = RuntimeDirectory(tmp_path / "run")
    files = ServerFiles(server.url, TOKEN, "k", mosquitto.url, os.getpid())
    directory.publish(files)
    server.answers["GET", "/api/health"] = (200, {"status": "ok", "devices": {"total": 4}})
    result = muster("doctor")
    assert result.code == 0
    assert "health: 4 devices" in result.out
    assert mosquitto.url in result.out
    server.answers["GET", "/api/health"] = (200, {"status": "degraded", "devices": {"total": 4}})
    assert check_health(files).state == "warning"
    server.answers["GET", "/api/health"] = (503, {"status": "failing"})
    assert check_health(files).state == "failed"
    directory.withdraw()
