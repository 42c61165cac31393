"""The answers of a running server, held against the types that the contract is made from."""

from __future__ import annotations

import contextlib
import http.client
import json
import re

import msgspec
import pytest

from supervisor.release.keys import PrivateKey
from supervisor.release.platform import own_platform
from supervisor.server.crash_book import CrashGroup, SingleCrash
from supervisor.server.crash_file import FILE, CrashFile
from tests.release.support import make_release
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.releasing import trust, upload
from tests.support.wait import eventually
from web.answers_events import EVENTS
from web.app import ROUTES
from web.errors import ErrorBody
from web.routes_supervision import TOLD

PI = {"device_id": "contract-pi", "ip_address": "192.168.1.100", "hostname": "pi", "device_type": "raspberry_pi"}
SOIL = {
    "publisher_id": "contract-soil",
    "timestamp": "2025-10-17T10:00:00Z",
    "sensor_readings": {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 3.8},
}
TREE = {"id": "edge", "path": "edge", "kind": "supervisor", "state": "running", "children": []}
SCAN = {"scan_id": "contract-1", "device_id": "contract-pi", "code": "4006381333931"}
KEY = "the key of the contract"
REQUEST = {"device_id": "contract-edge", "hostname": "edge", "enrolment_key": KEY}
BEAT = {"serial_number": "CONTRACT", "timestamp": "2025-10-17T10:00:00Z"}
#: Read routes -> the path and query that has something to tell.
READ = {
    "/api/health": "/api/health",
    "/health": "/health",
    "/api/devices": "/api/devices",
    "/api/sites": "/api/sites",
    "/api/devices/<serial>": "/api/devices/contract-pi",
    "/api/devices/<serial>/readings": "/api/devices/CONTRACT/readings",
    "/api/devices/<serial>/events": "/api/devices/CONTRACT/events",
    "/api/devices/<serial>/presence": "/api/devices/CONTRACT/presence",
    "/api/devices/<serial>/sensors": "/api/devices/CONTRACT/sensors",
    "/api/soil-health/history": "/api/soil-health/history",
    "/api/soil-health/stations": "/api/soil-health/stations",
    "/api/soil-health/statistics": "/api/soil-health/statistics",
    "/api/devices/<serial>/supervision": "/api/devices/contract-pi/supervision",
    "/api/scans": "/api/scans",
    "/api/register_device": "/api/register_device",
    "/api/enrolments": "/api/enrolments",
    "/api/devices/<serial>/commands": "/api/devices/contract-pi/commands",
    "/api/commands": "/api/commands",
    "/api/commands/<command>": "/api/commands",
    "/api/notifications": "/api/notifications",
    "/api/notifications/stats": "/api/notifications/stats",
    "/api/notifications/<notification>": "/api/notifications",
    "/api/groups": "/api/groups",
    "/api/groups/<name>": "/api/groups/contract",
    "/api/groups/<name>/devices": "/api/groups/contract/devices",
    "/api/devices/pick": "/api/devices/pick",
    "/api/rosters": "/api/rosters",
    "/api/rosters/<site>": "/api/rosters/plant-1",
    "/api/alarms": "/api/alarms",
    "/api/alarms/<alarm>": "/api/alarms/1",
    "/api/alarm-rules": "/api/alarm-rules",
    "/api/devices/<serial>/twin": "/api/devices/contract-pi/twin",
    "/api/releases": "/api/releases",
    "/api/releases/<version>": "/api/releases/1.0",
    "/api/ota/check_update": "/api/ota/check_update",
    "/api/access": "/api/access",
    "/api/rollouts": "/api/rollouts",
    "/api/rollouts/<rollout>": "/api/rollouts",
    "/api/rollouts/<rollout>/devices": "/api/rollouts",
    "/api/maintenance-windows": "/api/maintenance-windows",
    "/api/payload_keys": "/api/payload_keys",
    "/api/devices/<serial>/payload_key": "/api/devices/contract-sealed/payload_key",
    "/api/followers": "/api/followers",
    "/api/pi_devices": "/api/pi_devices",
    "/api/pi_device/<name>": "/api/pi_device/pi",
    "/api/resolve": "/api/resolve",
    "/api/supervision": "/api/supervision",
    "/api/dead-letters": "/api/dead-letters",
    "/api/dead-letters/reasons": "/api/dead-letters/reasons",
    "/api/dead-letters/<letter>": "/api/dead-letters/1",
    "/api/links": "/api/links",
    "/api/brokers": "/api/brokers",
    "/api/supervision/<path:path>": "/api/supervision/devices/contract-pi",
    "/api/crashes": "/api/crashes",
    "/api/crashes/<group>": "/api/crashes/1",
    "/api/tokens": "/api/tokens",
    "/api/audit": "/api/audit",
    "/api/session": "/api/session",
}
QUERY = {
    "/api/register_device": {"device_id": "contract-edge", "nonce": "0123456789abcdef"},
    "/api/ota/check_update": {"device_id": "CONTRACT"},
}
BY_PATH = {(route.method, route.path): route for route in ROUTES}


def remember_a_crash(data_dir):
    file = CrashFile(data_dir / FILE)
    file.open()
    crashes = [SingleCrash(1, "server/devices/d1", "no")]
    file.save([CrashGroup(1, "ValueError", "x.py:1 in x", "devices/*", 1, 1, 1, "no", "Traceback", crashes)], set())
    file.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A server that has heard a Pi, a datalogger and a soil station with a reading each, and bytes that are nothing.

    It has a release, and a rollout of it; and what crashed in an earlier run.
    """
    server = MusterUp(env={"MUSTER_ENROLMENT_KEY": KEY})
    remember_a_crash(server.data)
    with server:
        with Device(server.broker_url) as wire:
            wire.publish("devices/announce", PI)
            wire.publish("devices/status", PI | {"status": "online", "supervision": TREE})
            wire.publish("plant-1/datalogger/monstro/1/heartbeat", BEAT)
            wire.publish("plant-1/datalogger/monstro/1/input", BEAT | {"temperature": 21.5, "level": 3})
            wire.publish("harit-samarth/sensor/data", SOIL)
            wire.publish("devices/announce", b"\xff\xfe")
        server.post("/api/tokens", {"name": "contract", "role": "read"}, expect=201)
        server.post("/api/scans", SCAN, expect=201)
        server.post("/api/groups", {"name": "contract", "rule": {"serial": "contract-*"}}, expect=201)
        server.call("PUT", "/api/rosters/plant-1", {"serials": ["CONTRACT", "missing"]})
        server.post("/api/register_device", REQUEST, expect=201)
        eventually(lambda: server.readings("CONTRACT"), what="the reading is stored")
        eventually(lambda: server.readings("contract-soil"), what="the soil station's reading is stored")
        eventually(server.dead_letters, what="the dead letter is kept")
        eventually(lambda: (server.device("contract-pi") or {}).get("supervised"), what="the Pi's tree is known")
        rule = {"name": "contract", "kind": "metric", "metric": "temperature", "over": -100}
        server.post("/api/alarm-rules", rule, expect=201)
        with Device(server.broker_url) as wire:
            wire.publish("plant-1/datalogger/monstro/1/input", BEAT | {"temperature": 22.5, "level": 3})
        eventually(lambda: server.items("/api/alarms"), what="the alarm is raised")
        made = server.post("/api/devices/contract-pi/commands", {"name": "ping", "timeout": 600})
        READ["/api/commands/<command>"] = f"/api/commands/{made['id']}"
        sent = server.post("/api/notifications", {"device": "contract-pi", "title": "Hot"})
        READ["/api/notifications/<notification>"] = f"/api/notifications/{sent['id']}"
        server.post("/api/devices", {"serial": "contract-sealed", "kind": "raspberry_pi"}, expect=201)
        server.post("/api/devices/contract-sealed/payload_key/require", expect=200)
        key = PrivateKey.generate()
        trust(server.data, key)
        upload(server, make_release(tmp_path_factory.mktemp("release"), key))
        rollout = server.post("/api/rollouts", {"release": "1.0", "device": "contract-pi"}, expect=201)
        READ["/api/rollouts/<rollout>"] = f"/api/rollouts/{rollout['id']}"
        READ["/api/rollouts/<rollout>/devices"] = f"/api/rollouts/{rollout['id']}/devices"
        server.call("PUT", "/api/maintenance-windows/plant-1", {"windows": [{"begin": "22:00", "end": "04:00"}]})
        yield server


def hold(answer, type_):
    """The answer has all fields of the type, with values of its types, and no other field."""
    kept = json.loads(msgspec.json.encode(msgspec.convert(answer, type_)))
    assert kept == answer


@pytest.mark.parametrize("route", READ)
def test_what_is_read_has_the_promised_form(up, route):
    answer = up.get(READ[route], **QUERY.get(route, {}))
    hold(answer, BY_PATH["GET", route].answer)
    assert answer.get("items") != []


def test_every_route_that_reads_json_is_looked_at():
    told = {route.path for route in ROUTES if route.method == "GET" and route.answer}
    assert told == set(READ)


def test_readings_in_buckets_and_with_an_analysis_have_the_promised_form(up):
    route = BY_PATH["GET", "/api/devices/<serial>/readings"]
    path = "/api/devices/contract-soil/readings"
    readings, buckets = up.get(path), up.get(path, metric="pH", bucket="1h")
    hold(readings, route.answer)
    hold(buckets, route.other_answer)
    assert {odd["measure"] for odd in readings["items"][0]["anomalies"]} == {"pH"}
    assert buckets["items"] == [{"ts": "2025-10-17T10:00:00.000Z", "n": 1, "avg": 3.8, "min": 3.8, "max": 3.8}]


def test_a_reading_that_is_handed_in_is_answered_in_the_promised_form_new_or_not(up):
    route = BY_PATH["POST", "/api/soil-health/analyze"]
    for status in (route.status, route.known_status):
        answer = up.call("POST", route.path, SOIL | {"id": "contract-1"})
        assert answer.status == status, answer
        promised = msgspec.to_builtins(msgspec.convert(answer.body, route.answer))
        # An analyser may tell more.
        assert promised == {name: answer.body[name] for name in promised}
        assert answer.body["duplicate"] is (status == route.known_status)


def test_a_scan_that_is_handed_in_is_answered_in_the_promised_form_new_or_not(up):
    route = BY_PATH["POST", "/api/scans"]
    for status in (route.status, route.known_status):
        answer = up.call("POST", route.path, SCAN | {"scan_id": "contract-2", "code": "4006381333932"})
        assert answer.status == status, answer
        hold(answer.body, route.answer)
        assert (answer.body["symbology"], answer.body["valid"]) == ("EAN-13", False)
        assert answer.body["duplicate"] is (status == route.known_status)


def test_enrolling_and_what_operators_decide_has_the_promised_form(up):
    other = REQUEST | {"device_id": "contract-2"}
    hold(up.post("/api/register_device", other, expect=201), BY_PATH["POST", "/api/register_device"].answer)
    for action in ("deny", "approve"):
        answer = up.post(f"/api/enrolments/contract-2/{action}", expect=200)
        hold(answer, BY_PATH["POST", f"/api/enrolments/<serial>/{action}"].answer)
    assert up.call("DELETE", "/api/enrolments/contract-2").status == 204


def test_commands_that_are_given_and_cancelled_have_the_promised_form(up):
    ping = {"name": "ping", "timeout": 600}
    one = up.post("/api/devices/contract-pi/commands", ping)
    hold(one, BY_PATH["POST", "/api/devices/<serial>/commands"].answer)
    hold(up.post("/api/commands", ping | {"group": "contract"}), BY_PATH["POST", "/api/commands"].answer)
    cancelled = up.post(f"/api/commands/{one['id']}/cancel", expect=200)
    hold(cancelled, BY_PATH["POST", "/api/commands/<command>/cancel"].answer)


def test_notifications_that_are_sent_have_the_promised_form_known_or_not(up):
    topic = {"topic": "contract", "title": "Hot"}
    for path, body in (
        ("/api/notifications", {"group": "contract", "title": "Hot"}),
        ("/api/notifications/topic", topic),
        ("/api/notifications/bulk", {"notifications": [topic, topic | {"topic": "+"}]}),
    ):
        hold(up.post(path, body), BY_PATH["POST", path].answer)


def test_what_a_device_asks_and_tells_of_updates_has_the_promised_form(up):
    route = BY_PATH["GET", "/api/ota/check_update"]
    offer = up.get("/api/ota/check_update", device_id="contract-pi", version="0.9", platform=own_platform())
    assert offer["update"] is True
    hold(offer, route.other_answer)
    told = {"device_id": "contract-pi", "state": "downloading", "version": "1.0", "progress": 0.5}
    hold(up.post("/api/ota/update_status", told, expect=200), BY_PATH["POST", "/api/ota/update_status"].answer)


def test_rollouts_and_releases_that_are_changed_have_the_promised_form(up):
    body = {"size": 9, "sha256": "0" * 64, "name": "x.muster"}
    route = BY_PATH["POST", "/api/releases/uploads"]
    hold(up.post("/api/releases/uploads", body, expect=201), route.answer)
    path = READ["/api/rollouts/<rollout>"]
    for order in ("pause", "resume", "cancel"):
        answer = up.post(f"{path}/{order}", expect=200)
        hold(answer, BY_PATH["POST", f"/api/rollouts/<rollout>/{order}"].answer)
    revoked = up.post("/api/releases/1.0/revoke", {"reason": "x"}, expect=200)
    hold(revoked, BY_PATH["POST", "/api/releases/<version>/revoke"].answer)


def test_twins_that_are_changed_have_the_promised_form(up):
    path = "/api/devices/contract-pi/twin"
    change = {"desired": {"heartbeat": 15}, "version": up.get(path)["desired_version"]}
    for method, route, target, body in (
        ("PATCH", "/api/devices/<serial>/twin", path, change),
        ("PATCH", "/api/twins", "/api/twins", {"device": "contract-pi", "desired": {"heartbeat": 20}}),
    ):
        answer = up.call(method, target, body)
        assert answer.status == 200, answer
        hold(answer.body, BY_PATH[method, route].answer)
    for body, status in ((change, 409), ({"desired": {}}, 428)):
        answer = up.call("PATCH", path, body)
        assert answer.status == status, answer
        hold(answer.body, ErrorBody)


def test_what_is_created_changed_and_told_has_the_promised_form(up):
    letter = up.dead_letters()[0]["id"]
    for method, route, path, body, status in (
        ("POST", "/api/devices", "/api/devices", {"serial": "made"}, 201),
        ("PATCH", "/api/devices/<serial>", "/api/devices/made", {"label": "x"}, 200),
        ("POST", "/api/groups", "/api/groups", {"name": "made", "members": ["CONTRACT"]}, 201),
        ("PATCH", "/api/groups/<name>", "/api/groups/made", {"rule": {"site": "plant-*"}}, 200),
        ("PUT", "/api/rosters/<site>", "/api/rosters/plant-2", {"serials": ["CONTRACT"]}, 200),
        ("POST", "/api/tokens", "/api/tokens", {"name": "n", "role": "read"}, 201),
        ("POST", "/api/links/<name>/reconnect", "/api/links/local.data/reconnect", {}, 202),
        ("POST", "/api/links/<name>/pause", "/api/links/local.data/pause", {}, 202),
        ("POST", "/api/links/<name>/resume", "/api/links/local.data/resume", {}, 202),
        ("POST", "/api/dead-letters/<letter>/replay", f"/api/dead-letters/{letter}/replay", {}, 202),
        ("POST", "/api/alarms/<alarm>/acknowledge", "/api/alarms/1/acknowledge", {}, 200),
        ("POST", "/api/alarms/<alarm>/silence", "/api/alarms/1/silence", {"seconds": 60}, 200),
        ("POST", "/api/alarm-rules", "/api/alarm-rules", {"name": "made", "kind": "flapping"}, 201),
        ("PATCH", "/api/alarm-rules/<name>", "/api/alarm-rules/made", {"severity": "info"}, 200),
        ("POST", "/api/login", "/api/login", {"token": up.token}, 200),
    ):
        answer = up.call(method, path, body)
        assert answer.status == status, answer
        hold(answer.body, BY_PATH[method, route].answer)
    hold(up.post("/api/supervision/subscribers/subscriber.site/restart"), BY_PATH["POST", TOLD].answer)


def test_what_went_wrong_has_the_promised_form(up):
    for method, path, body, status in (
        ("GET", "/api/nothing", None, 404),
        ("GET", "/api/devices/unknown", None, 404),
        ("PUT", "/api/devices", None, 405),
        ("POST", "/api/devices", {"serial": "a b"}, 400),
        ("POST", "/api/devices", {"serial": "CONTRACT"}, 409),
        ("POST", "/api/soil-health/analyze", {"publisher_id": "a b", "sensor_readings": {"pH": 6}}, 400),
        ("POST", "/api/scans", {"device_id": "contract-pi"}, 400),
        ("POST", "/api/register_device", REQUEST | {"enrolment_key": "another key"}, 401),
        ("POST", "/api/register_device", REQUEST, 409),
        ("POST", "/api/enrolments/nobody/approve", {}, 404),
        ("POST", "/api/groups", {"name": "contract"}, 409),
        ("POST", "/api/groups", {"name": "typo", "members": ["typo"]}, 404),
        ("GET", "/api/groups/typo", None, 404),
        ("POST", "/api/devices/unknown/commands", {"name": "ping"}, 404),
        ("POST", "/api/commands", {"name": "ping"}, 400),
        ("POST", "/api/commands", {"name": "ping", "group": "nobody"}, 404),
        ("POST", "/api/commands/nothing/cancel", {}, 404),
    ):
        answer = up.call(method, path, body)
        assert answer.status == status, answer
        hold(answer.body, ErrorBody)


def events(server, wanted):
    """Every event since the server's start as `(kind, data)`, read until all kinds that are wanted were there."""
    with contextlib.closing(http.client.HTTPConnection(server.address, timeout=15)) as connection:
        headers = {"Authorization": f"Bearer {server.token}"}
        connection.request("GET", "/api/events", headers=headers)
        answer = connection.getresponse()
        epoch = next(line for line in answer if line.startswith(b"id: "))[4:].partition(b"-")[0].decode()
    with contextlib.closing(http.client.HTTPConnection(server.address, timeout=15)) as connection:
        connection.request("GET", f"/api/events?last_event_id={epoch}-0", headers=headers)
        kind, left = "", set(wanted)
        for line in connection.getresponse():
            name, _, value = line.rstrip(b"\n").partition(b": ")
            if name == b"event":
                kind = value.decode()
            elif name == b"data" and kind not in ("beat", "resync"):
                left.discard(kind)
                yield kind, json.loads(value)
            if not left:
                return


def test_every_kind_of_event_has_the_promised_form(up):
    up.post("/api/devices", {"serial": "gone"}, expect=201)
    assert up.call("DELETE", "/api/devices/gone").status == 204
    up.post("/api/links/local.data/pause")
    up.post("/api/links/local.data/resume")
    told = {}
    for kind, data in events(up, EVENTS):
        told.setdefault(kind, []).append(data)
        assert [type_ for type_ in EVENTS[kind] if is_of(data, type_)], (kind, data)
    assert set(told) == set(EVENTS)


def is_of(answer, type_):
    try:
        hold(answer, type_)
    except (msgspec.ValidationError, AssertionError):
        return False
    return True


def test_the_contract_is_that_of_these_types(up):
    served = up.get("/api/openapi.json")
    for route in ROUTES:
        if not route.answer:
            continue
        path = re.sub(r"<(\w+)[^>]*>", r"{\1}", route.path)
        content = served["paths"][path][route.method.lower()]["responses"][str(route.status)]["content"]
        forms = content["application/json"]["schema"]
        promised = [route.answer, *filter(None, [route.other_answer])]
        for form, type_ in zip(forms.get("anyOf", [forms]), promised, strict=True):
            schema = served["components"]["schemas"][form["$ref"].rpartition("/")[2]]
            fields = {field.encode_name for field in msgspec.inspect.type_info(type_).fields}
            assert set(schema["properties"]) == fields, json.dumps(schema)
