"""`muster up --lan`: other machines come in with what they got when they enrolled, and with nothing else."""

from __future__ import annotations

import psutil
import pytest

from tests.e2e.payloads import announcement
from tests.support.edge import Edge
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.ports import free_port
from tests.support.wait import eventually


@pytest.fixture
def up(needs):
    needs("mosquitto")
    server = MusterUp("--lan", "--http", f"0.0.0.0:{(port := free_port())}")
    server.address = f"127.0.0.1:{port}"
    server.env["MUSTER_HTTP"] = ""
    with server:
        yield server


def runtime_file(up, name):
    return (up.directory / "run" / name).read_text()


def test_a_device_enrols_and_is_online_with_what_it_was_given(up):
    key = runtime_file(up, "enrolment-key")
    given = up.post("/api/register_device", {"device_id": "pi-1", "enrolment_key": key}, expect=201)
    assert given["mqtt"]["username"] == "pi-1"
    with Device(given["connection_string"], client_id="pi-1") as pi:
        pi.publish("devices/pi-1/announce", announcement("pi-1"))
        up.wait_presence("pi-1", "online")


def test_an_edge_of_this_machine_is_online_within_its_rights(up):
    with Edge("edge-1", runtime_dir=up.directory / "run") as edge:
        up.wait_presence("edge-1", "online")
        code, told = edge.run("scan", "4006381333931")
        assert code == 0, told
        found = eventually(lambda: up.items("/api/scans"), 20, "the scan is stored")
    assert [(scan["device_id"], scan["code"]) for scan in found] == [("edge-1", "4006381333931")]


def test_programs_of_this_machine_get_the_devices_user_and_not_the_servers(up):
    url = runtime_file(up, "broker-url")
    assert url.startswith("mqtt://devices:")
    with Device(url, client_id="pi-1") as pi:
        assert pi.publish("server/requests", "{}").is_failure


def test_nobody_comes_in_without_credentials(up):
    with pytest.raises(AssertionError, match="refused"):
        Device(up.broker_url).connect()


def test_no_password_is_in_the_log_or_in_a_process_list(up):
    password = runtime_file(up, "broker-url").split(":")[2].partition("@")[0]
    assert len(password) > 20
    assert password not in up.log
    for process in [psutil.Process(up.process.pid), *up.process.descendants()]:
        assert password not in " ".join(process.cmdline())


def test_devices_keep_their_credentials_over_a_restart_of_the_server(up):
    before = runtime_file(up, "broker-url")
    up.restart()
    assert runtime_file(up, "broker-url") == before


def test_the_demo_gets_in_too(needs):
    needs("mosquitto")
    with MusterUp("--lan", "--demo") as server:
        eventually(lambda: server.health()["devices"]["online"] > 0, 30, "the first device")
