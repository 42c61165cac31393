"""`muster up`: from nothing to a fleet on the page, and back to nothing."""

from __future__ import annotations

import contextlib
import json
import stat
from urllib.parse import urlsplit

import psutil
import pytest

from tests.e2e.payloads import announcement, datalogger
from tests.support.mqtt import Device
from tests.support.muster import TOKEN, Muster, MusterUp
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.wait import eventually


def names(processes):
    """What they run, as far as they still do."""
    found = []
    for process in processes:
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def test_the_demo_comes_by_itself_and_ctrl_c_ends_it_all(muster_up):
    up = muster_up("--demo")
    eventually(lambda: up.health()["devices"]["online"] > 0, 30, "the first device")
    url = urlsplit(up.page_url())
    assert f"{url.hostname}:{url.port}" == up.address
    family = up.process.descendants()
    assert [name for name in names(family) if "mosquitto" in name and "trampoline" not in name]
    assert [name for name in names(family) if "supervisor.demo" in name]
    log = up.interrupt()
    assert "Traceback" not in log
    eventually(lambda: not names(family), 20, "no child is left")
    with pytest.raises(OSError):
        up.health()


def test_nothing_outlives_a_server_that_is_killed(muster_up):
    up = muster_up("--demo")
    family = eventually(
        lambda: (found := up.process.descendants()) and len(found) >= 4 and found, what="trampolines, broker, demo"
    )
    up.kill()
    eventually(lambda: not names(family), 30, "broker and demo are gone")
    up.restart()  # on the same port and data
    eventually(lambda: up.health()["devices"]["online"] > 0, 30, "devices are back")


def test_a_second_one_on_the_same_data_refuses_with_one_sentence_and_harms_nobody(muster_up):
    up = muster_up()
    env = {**up.env, "MUSTER_HTTP": f"127.0.0.1:{free_port()}", "MUSTER_RUNTIME_DIR": str(up.directory / "other")}
    with Process.module("supervisor.cli", "up", env=env, cwd=up.directory) as second:
        assert second.wait(15) == 1
        assert second.output.count("\n") == 1, second.output
        assert str(up.data) in second.output
    with Device(up.broker_url) as wire:
        wire.publish("devices/announce", announcement("still-here"))
        up.wait_presence("still-here", "online")


def test_what_the_commands_tell_is_what_the_server_knows(muster_up):
    up = muster_up()
    with Device(up.broker_url) as wire:
        wire.publish("devices/announce", announcement("pi-1", ip_address="127.0.0.1"))
        wire.publish(datalogger(1), {"serial_number": "DL-1"})
        up.wait_presence("pi-1", "online")
        up.wait_presence("DL-1", "online")
    code, text = up.run("status", "--json")
    assert code == 0
    assert json.loads(text)["devices"] == {"total": 2, "online": 2, "offline": 0, "unknown": 0}
    code, text = up.run("devices", "--json")
    assert {item["serial"]: item["presence"] for item in json.loads(text)["items"]} == {
        "pi-1": "online",
        "DL-1": "online",
    }
    code, text = up.run("tree", "--json")
    assert {node["id"] for node in json.loads(text)["children"]} >= {"broker", "registry", "devices", "links", "http"}
    code, text = up.run("resolve", "--json")
    assert json.loads(text)["address"] == "127.0.0.1"
    assert json.loads(text)["method"] == "roll_call"
    code, text = up.run("resolve", "--type", "toaster")
    assert code == 1
    assert text.count("\n") == 1, text
    for command in ("status", "devices", "tree", "dead-letters"):
        code, text = up.run(command)
        assert (code, "Traceback" in text) == (0, False), text


def test_commands_without_a_server_fail_with_one_sentence(muster_up):
    up = MusterUp()
    try:
        for command in ("status", "devices", "resolve", "tree"):
            code, text = up.run(command)
            assert code == 1
            assert text.count("\n") == 1, text
            assert "muster up" in text
    finally:
        up.close()


@pytest.mark.parametrize(
    ("arguments", "environ", "file", "named"),
    [
        (["--frobnicate"], {}, "", "--frobnicate"),
        (["--http", "nowhere"], {}, "", "--http"),
        (["--offline-after", "soon"], {}, "", "--offline-after"),
        ([], {"MUSTER_OFFLINE_AFTER": "-1"}, "", "MUSTER_OFFLINE_AFTER"),
        ([], {"MUSTER_BROKER_URL": "http://localhost"}, "", "MUSTER_BROKER_URL"),
        ([], {"MUSTER_DATABASE_URL": "oracle://x"}, "", "MUSTER_DATABASE_URL"),
        ([], {}, "offline_afetr = 3\n", "offline_afetr"),
        ([], {}, "[limits]\nstreams = 'many'\n", "limits.streams"),
        ([], {}, "http = \n", "muster.toml"),
        (["--config", "missing.toml"], {}, "", "missing.toml"),
    ],
)
def test_wrong_usage_ends_with_code_2_and_names_the_key(arguments, environ, file, named):
    up = MusterUp(*arguments, env=environ)
    try:
        up.directory.joinpath("muster.toml").write_text(file)
        up.launch()
        assert up.process.wait(15) == 2, up.process.describe()
        assert named in up.log
        assert "Traceback" not in up.log
        assert not up.data.exists(), "nothing was touched"
    finally:
        up.close()


def test_listening_wider_without_credentials_is_refused():
    up = MusterUp(env={"MUSTER_HTTP": f"0.0.0.0:{free_port()}"})
    try:
        up.launch()
        assert up.process.wait(15) == 2
        assert "mosquitto_passwd" in up.log, "the sentence says what to do"
    finally:
        up.close()


def test_a_port_that_is_taken_is_told_in_one_sentence(muster_up):
    up = muster_up()
    second = MusterUp(env={"MUSTER_HTTP": up.address})
    try:
        second.launch()
        assert second.process.wait(30) == 1, second.process.describe()
        assert str(up.address.rpartition(":")[2]) in second.log
        assert "Traceback" not in second.log
        assert not second.process.descendants()
    finally:
        second.close()


def test_the_files_for_other_programs_are_private_and_leave_with_the_server(muster_up):
    up = muster_up()
    run = up.directory / "run"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    files = {path.name: path for path in run.iterdir()}
    assert files.keys() >= {"url", "token", "enrolment-key", "broker-url", "pid"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert files["url"].read_text() == f"http://{up.address}"
    assert files["broker-url"].read_text() == up.broker_url
    assert int(files["pid"].read_text()) == up.process.pid
    secrets = [files["token"].read_text(), files["enrolment-key"].read_text(), TOKEN]
    for text in (up.log, *names([psutil.Process(up.process.pid), *up.process.descendants()])):
        assert not [secret for secret in secrets if secret in text]
    up.stop()
    assert not [path for path in run.iterdir() if path.name in ("url", "token", "enrolment-key", "pid")]


def test_the_api_wants_a_token_and_health_does_not(muster_up):
    up = muster_up()
    for token, status in (("", 401), ("wrong", 401), (TOKEN, 200)):
        up.token = token
        assert up.call("GET", "/api/devices").status == status
    up.token = ""
    assert up.call("GET", "/health").status == 200


def test_a_broker_that_dies_is_started_again_and_keeps_what_it_queued(muster_up):
    up = muster_up()
    with Device(up.broker_url) as wire:
        wire.publish("devices/announce", announcement("survivor"))
        up.wait_presence("survivor", "online")
        broker = next(p for p in up.process.descendants() if p.name() == "mosquitto")
        broker.kill()
        eventually(lambda: up.node("broker")["restarts"] == 1, 30, "it is started again")
        up.wait_connected(15)
    assert "ended by itself" in up.node("broker")["last_exception"]["error"]
    with Device(up.broker_url) as wire:
        wire.publish("devices/heartbeat", {"device_id": "survivor"})
        up.wait_presence("survivor", "online")
    assert [event["kind"] for event in up.items("/api/devices/survivor/events")].count("presence") == 1
    up.process.close()


def test_a_demo_that_dies_is_started_again(muster_up):
    up = muster_up("--demo")
    eventually(lambda: up.health()["devices"]["total"] > 0, 30, "a device")
    demo = next(p for p in up.process.descendants() if any("supervisor.demo" in name for name in names([p])))
    demo.kill()
    eventually(lambda: up.node("demo")["restarts"] == 1, 30, "it is started again")
    eventually(lambda: [name for name in names(up.process.descendants()) if "supervisor.demo" in name], what="it runs")
    up.interrupt()


def test_the_demo_shows_devices_of_every_family(muster_up):
    up = muster_up("--demo")

    def kinds():
        return {device["kind"] for device in up.items("/api/devices") if device["presence"] == "online"}

    eventually(lambda: kinds() >= {"raspberry_pi", "datalogger", "gateway", "sensor"}, 40, "all four")
    eventually(lambda: any(up.readings(device["serial"]) for device in up.items("/api/devices")), 40, "a reading")


@pytest.mark.timeout(90)
def test_the_fallback_broker_serves_and_is_called_not_durable(muster_up):
    up = muster_up("--demo", env={"MUSTER_BROKER": "amqtt"})
    health = up.health()
    assert health["broker"]["durable"] is False
    eventually(lambda: up.health()["devices"]["online"] > 0, 20, "the first device")
    with Device(up.broker_url, protocol=4) as wire:
        wire.publish(datalogger(1, "input"), {"serial_number": "DL-1", "value": 1})
        eventually(lambda: up.readings("DL-1"), what="the reading")
    up.interrupt()


def test_a_server_without_a_broker_is_degraded_and_connects_when_it_appears(mosquitto, muster):
    mosquitto.stop()
    with contextlib.closing(Muster(mosquitto.url)) as server:
        server.launch()
        health = server.wait_health(lambda health: health["status"] == "degraded", 15)
        assert health["broker"]["connected"] is False
        assert server.call("GET", "/health").status == 200, "it serves"
        mosquitto.start()
        server.wait_connected(20)
        assert server.health()["status"] == "ok"
        server.stop()
