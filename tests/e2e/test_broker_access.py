"""The broker's users of a whole server: enrolment, revocation and rotation with `muster up` and real clients."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.payloads import announcement
from tests.support.edge import Edge
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.ports import free_port
from tests.support.wait import eventually

KEY = "a-fleet-key-for-the-tests"
MECHANISMS = ("dynsec", "files")


PROGRAM = """
[[broker_access.users]]
name = "~display"
password = "of the display"
read = ["emergency/#"]
"""


def start(*flags, mechanism="auto"):
    server = MusterUp("--config", "access.toml", *flags, env={"MUSTER_ENROLMENT_KEY": KEY})
    (server.directory / "access.toml").write_text(f'[broker_access]\nmechanism = "{mechanism}"\n')
    if mechanism == "files":
        text = f'[broker_access]\nmechanism = "files"\ndirectory = "{server.data}/broker"\n'
        (server.directory / "access.toml").write_text(text)
    with (server.directory / "access.toml").open("a") as file:
        file.write(PROGRAM)
    if "--lan" in flags:
        server.env["MUSTER_HTTP"] = ""
        server.arguments = (*server.arguments, "--http", f"0.0.0.0:{(port := free_port())}")
        server.address = f"127.0.0.1:{port}"
    return server


@pytest.fixture(params=MECHANISMS)
def lan(request, needs):
    needs("mosquitto")
    with start("--lan", mechanism=request.param) as server:
        yield server


def enrol(up, serial, key=KEY, **more):
    return up.post("/api/register_device", {"device_id": serial, "enrolment_key": key, **more}, expect=201)


def connect(given, **options):
    device = Device(given["connection_string"], client_id=given["device_id"], **options)
    device.client.username_pw_set(given["mqtt"]["username"], given["mqtt"]["password"])  # the URL quotes them
    return device


def test_a_device_that_is_revoked_is_disconnected_at_once(lan):
    given = enrol(lan, "pi-1")
    with connect(given) as pi, connect(enrol(lan, "pi-2")) as other:
        gone: list[float] = []
        pi.client._reconnect_on_failure = False
        pi.client.on_disconnect = lambda *_: gone.append(time.monotonic())
        began = time.monotonic()
        assert lan.call("DELETE", "/api/enrolments/pi-1").status == 204
        eventually(lambda: gone, 5, "the connection ends")
        assert gone[0] - began < 1.0
        assert not other.publish("devices/pi-2/announce", announcement("pi-2")).is_failure
    with pytest.raises(AssertionError, match="refused"):
        connect(given).connect()


def test_a_program_that_is_configured_hears_notifications_to_its_topics(lan):
    enrol(lan, "pi-1")
    display = Device(f"mqtt://127.0.0.1:{lan.broker_port}", client_id="display")
    display.client.username_pw_set("~display", "of the display")
    with display:
        display.subscribe("emergency/#")
        assert display.publish("emergency/all", "forged").is_failure
        lan.post("/api/notifications/topic", {"topic": "emergency/building-a/all", "title": "Leave"})
        assert b"Leave" in display.next("emergency/building-a/all").payload


@pytest.mark.parametrize("how", ["deny", "delete"])
def test_who_is_denied_or_deleted_is_let_in_no_more(lan, how):
    given = enrol(lan, "pi-1")
    lan.wait_presence("pi-1", "offline")
    if how == "deny":
        lan.post("/api/enrolments/pi-1/deny", expect=200)
    else:
        assert lan.call("DELETE", "/api/devices/pi-1").status == 204

    def is_refused():
        try:
            with connect(given):
                return False
        except AssertionError:
            return True

    eventually(is_refused, 10, "the device is refused")


def test_a_topic_that_is_registered_for_a_device_is_readable_by_it(lan):
    with connect(enrol(lan, "pi-1")) as pi:
        lan.wait_presence("pi-1", "offline")
        assert lan.call("PATCH", "/api/devices/pi-1", {"device_token": "hall/alerts"}).status == 200

        def heard():
            try:
                pi.subscribe("hall/alerts")
            except AssertionError:
                return False
            lan.post("/api/notifications", {"device": "pi-1", "title": "fire", "body": "run"})
            return any(message.topic == "hall/alerts" for message in list(pi.received))

        eventually(heard, 20, "the notification")


def test_the_name_of_another_user_is_no_serial_number(lan):
    for name in ("muster", "devices", "announce", "heartbeat", "status"):
        answer = lan.call("POST", "/api/register_device", {"device_id": name, "enrolment_key": KEY})
        assert (answer.status, answer.body["error"]["details"]) == (400, {"field": "device_id"})


def test_a_device_whose_name_has_a_colon_shares_a_user_where_the_file_cannot_name_it(lan):
    serial = "b8:27:eb:00:00:01"
    given = enrol(lan, serial)
    has_own = lan.get("/api/access")["mechanism"] == "dynsec"
    assert given["mqtt"]["username"] == (serial if has_own else "devices")
    with connect(given) as pi, connect(enrol(lan, "pi-2")):
        assert not pi.publish(f"devices/{serial}/announce", announcement(serial)).is_failure
        assert pi.publish("devices/pi-2/announce", announcement("pi-2")).is_failure
        lan.wait_presence(serial, "online")
    lan.post("/api/access/retire-shared", expect=200)
    body = {"device_id": "b8:27:eb:00:00:02", "enrolment_key": KEY}
    answer = lan.call("POST", "/api/register_device", body)
    assert answer.status == (201 if has_own else 400), answer


def test_on_this_machine_a_device_that_has_enrolled_is_nobody_elses(needs):
    needs("mosquitto")
    with start() as up, Device(up.broker_url, client_id="anybody") as anybody, connect(enrol(up, "pi-1")) as pi:
        assert not anybody.publish("devices/announce", announcement("pi-9")).is_failure
        up.wait_presence("pi-9", "online")
        assert anybody.publish("devices/pi-1/announce", announcement("pi-1")).is_failure
        assert anybody.publish("server/requests", "{}").is_failure
        pi.publish("devices/pi-1/announce", announcement("pi-1"))
        up.wait_presence("pi-1", "online")


def test_the_server_changes_its_password_under_traffic_and_loses_nothing(lan):
    given = enrol(lan, "pi-1")
    with connect(given) as pi:
        pi.publish("devices/pi-1/announce", announcement("pi-1"))
        lan.wait_presence("pi-1", "online")
        for number in range(200):
            if number == 50:
                told = lan.post("/api/access/server-password", {"grace": 1}, expect=200)
                assert told["username"] == "muster~2"
            scan = {"scan_id": f"scan-{number}", "code": f"{number:06d}", "device_id": "pi-1"}
            pi.client.publish("devices/pi-1/scans", json.dumps(scan), 1)
        eventually(lambda: len(lan.items("/api/scans")) == 200, 30, "everything is stored")
    eventually(lambda: lan.get("/api/access")["server_user_ends"] is None, 20, "the user of before ends")
    known = json.loads((lan.data / "broker" / "users.json").read_bytes())
    secrets = (known["server"], known["devices"], given["mqtt"]["password"])
    assert not [secret for secret in secrets if secret in lan.log]
    lan.restart()
    assert lan.get("/api/access")["server_user"] == "muster~2"
    with connect(given) as pi:
        pi.publish("devices/pi-1/heartbeat", {"device_id": "pi-1"})
        lan.wait_presence("pi-1", "online")


def test_the_shared_user_is_retired_by_one_command(lan):
    with Device((lan.directory / "run" / "broker-url").read_text(), client_id="old"):
        pass
    shared = (lan.directory / "run" / "broker-url").read_text()
    code, told = lan.run("rotate", "--retire-shared")
    assert (code, "has ended" in told) == (0, True)
    with pytest.raises(AssertionError, match="refused"):
        Device(shared, client_id="old").connect()
    lan.restart()
    assert lan.get("/api/access")["shared_user"] is False
    assert "devices:" not in (lan.directory / "run" / "broker-url").read_text()


def test_a_fleet_key_and_the_one_of_before_are_good_for_a_time(lan):
    new = lan.post("/api/access/fleet-key", {"grace": 3600}, expect=200)["key"]
    assert new != KEY
    assert new not in lan.log
    enrol(lan, "pi-old")
    enrol(lan, "pi-new", new)
    lan.restart()
    enrol(lan, "pi-later", new)
    newest = lan.post("/api/access/fleet-key", {"grace": 0}, expect=200)["key"]
    enrol(lan, "pi-newest", newest)
    for key in (KEY, new):
        body = {"device_id": "pi-late", "enrolment_key": key}
        assert lan.call("POST", "/api/register_device", body).status == 401


def test_an_edge_fetches_its_new_password_and_is_never_missed(lan):
    with Edge("edge-1", runtime_dir=lan.directory / "run") as edge:
        lan.wait_presence("edge-1", "online")
        code, told = lan.run("rotate", "devices", "edge-1")
        assert (code, "1 device will fetch" in told) == (0, True), told
        eventually(lambda: lan.get("/api/access")["renewing"] == 0, 30, "it has a new password")
        lan.wait_presence("edge-1", "online")
        code, told = edge.run("scan", "4006381333931")
        assert code == 0, told
        eventually(lambda: lan.items("/api/scans"), 30, "the scan is stored")
        kinds = [event["kind"] for event in lan.items("/api/devices/edge-1/events")]
        assert kinds.count("enrolment") == 2
    assert lan.run("rotate", "devices", "nobody")[0] == 1
    assert lan.run("rotate")[0] == 2
