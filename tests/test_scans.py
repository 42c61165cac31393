"""Scans on their way from a link or a request to the registry, and what follows their commit."""

from __future__ import annotations

import json
from datetime import UTC
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import device
from actors.barcodes import identify
from actors.device_messages import Scanned
from actors.effects import MOST_IDS, MOST_SCANS_SHOWN, Aftermath, Committed, EffectsActor, StoredScan
from actors.events import EventRing
from actors.link.messages import Publish
from actors.messages import Delivery, StoreDeadLetter, StoreScan
from actors.payloads import LARGEST_ANNOUNCEMENT, REASONS, RefusedError
from actors.runtime import GuardedFuture
from actors.scan_payloads import LONGEST_CODE, ScanBody, decode_scan
from actors.subscriber import Ingest
from supervisor.server import devices
from supervisor.server.tree import bury
from tests.support.world import Server, known
from tests.test_payloads import JSON

SCANS = "devices/A/scans"
NOON = "2026-08-22T12:00:00Z"
NOON_US = 1_787_400_000_000_000
EAN = "4006381333931"


def delivery(body, topic=SCANS, **fields):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    values = {"link": "local.data", "token": 77, "qos": 1, "retain": False, "dup": False, "live": True}
    return Delivery(topic=topic, payload=payload, **(values | {"rx_us": NOON_US + 5, "rx_at": 1.0} | fields))


def decode(body, *, bound_id="A", how="mqtt", key="", **fields):
    return decode_scan(delivery(body, **fields), bound_id=bound_id, zone=UTC, source=how, idempotency_key=key)


def refusal(body, **how):
    with pytest.raises(RefusedError) as refused:
        decode(body, **how)
    return refused.value.reason, refused.value.detail


# Decoding


def test_everything_that_a_sender_tells_is_taken():
    told = {"scan_id": "0199-a", "code": EAN, "symbology": "EAN-13", "valid": True, "timestamp": NOON}
    scan = decode(told | {"device_id": "A", "scanner": "Zebra", "clock": "ntp", "unknown": [1]})
    assert (scan.serial, scan.scan_id, scan.code, scan.symbology, scan.valid) == ("A", "0199-a", EAN, "EAN-13", True)
    assert (scan.ts_us, scan.rx_us, scan.clock, scan.scanner) == (NOON_US, NOON_US + 5, "ntp", "Zebra")
    assert (scan.named, scan.stamped, scan.source, scan.link, scan.token) == (True, False, "mqtt", "local.data", 77)


@pytest.mark.parametrize(
    ("told", "symbology", "valid"),
    [
        ({}, "EAN-13", True),
        ({"symbology": None, "valid": None}, "EAN-13", None),
        ({"symbology": "", "valid": False}, "EAN-13", False),
        ({"symbology": "EAN-13"}, "EAN-13", True),
        ({"symbology": "Code 128"}, "Code 128", None),
        ({"symbology": "Code 128", "valid": True}, "Code 128", True),
        ({"valid": False}, "EAN-13", False),
    ],
)
def test_what_the_sender_leaves_out_is_read_off_the_code(told, symbology, valid):
    scan = decode({"code": EAN} | told)
    assert (scan.symbology, scan.valid) == (symbology, valid)


def test_a_wrong_check_digit_is_told_and_not_refused():
    scan = decode({"code": "4006381333932"})
    assert (scan.symbology, scan.valid) == ("EAN-13", False)


def test_a_group_separator_is_part_of_a_code():
    code = "0104006381333931\x1d10ABC"
    assert decode({"code": code}).code == code


def test_a_clock_that_is_no_quality_is_passed_over():
    assert [decode({"code": "1", "clock": clock}).clock for clock in ("rtc", "sundial", 7, None)] == ["rtc", "", "", ""]


REFUSED = [
    ("not_utf8", b'{"code":"\xff"}', ""),
    ("not_json", b"ABC-123", ""),
    ("not_json", b"", ""),
    ("not_an_object", b'["1"]', ""),
    ("missing_field", b"{}", "code"),
    ("missing_field", b'{"code":""}', "code"),
    ("wrong_type", b'{"code":4006381333931}', "code"),
    ("wrong_type", b'{"code":null}', "code"),
    ("wrong_type", b'{"code":"1","valid":"yes"}', "valid"),
    ("wrong_type", b'{"code":"1","scan_id":7}', "scan_id"),
    ("wrong_type", b'{"code":"1","device_id":7}', "device_id"),
    ("too_long", json.dumps({"code": "1" * (LONGEST_CODE + 1)}).encode(), "code"),
    ("too_long", json.dumps({"code": "1", "scan_id": "x" * 129}).encode(), "scan_id"),
    ("too_long", json.dumps({"code": "1", "symbology": "x" * 65}).encode(), "symbology"),
    ("too_long", json.dumps({"code": "1", "scanner": "x" * 256}).encode(), "scanner"),
    ("too_large", b" " * (LARGEST_ANNOUNCEMENT + 1), ""),
    ("too_deep", b'{"code":"1","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}", ""),
    ("nul", b'{"code":"a\\u0000"}', "code"),
    ("nul", b'{"code":"1","scanner":"\\u0000"}', "scanner"),
    ("bad_id", b'{"code":"1","scan_id":"a b"}', "scan_id"),
    ("bad_id", '{"code":"1","scan_id":"ä"}'.encode(), "scan_id"),
    ("bad_id", b'{"code":"1","scan_id":"a\\u0000"}', "scan_id"),
    ("bad_timestamp", b'{"code":"1","timestamp":"yesterday"}', "timestamp"),
    ("bad_timestamp", b'{"code":"1","timestamp":-1}', "timestamp"),
    ("bad_serial", b'{"code":"1","device_id":"no serial"}', "device_id"),
    ("unbound", b'{"code":"1","device_id":"B"}', ""),
    ("unbound", b'{"code":"1","serial_number":"B"}', ""),
]


@pytest.mark.parametrize(("reason", "body", "field"), REFUSED)
def test_what_is_no_scan_is_refused_with_its_reason_and_the_name_of_the_field(reason, body, field):
    told, detail = refusal(body)
    assert told == reason
    assert f"`{field}`" in detail.replace("$.", "") or not field


def test_a_scan_that_nobody_is_bound_for_must_say_whose_it_is():
    assert refusal({"code": "1"}, bound_id="")[0] == "missing_field"
    assert decode({"code": "1", "serial_number": "B"}, bound_id="").serial == "B"


CODES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)


@given(CODES, st.none() | st.from_regex(r"[!-~]{1,128}", fullmatch=True), st.none() | st.integers(0, 2**31))
def test_any_code_is_taken_as_it_is(code, scan_id, at):
    told = {"code": code, "scan_id": scan_id, "timestamp": at}
    scan = decode({name: value for name, value in told.items() if value is not None})
    assert (scan.code, scan.named) == (code, scan_id is not None)
    assert scan.scan_id == (scan_id or scan.scan_id)
    assert scan.scan_id.isascii()
    assert 0 < len(scan.scan_id) <= 128
    assert scan.ts_us == (scan.rx_us if at is None else at * 1_000_000)
    assert (scan.symbology, scan.valid) == identify(code)


FIELDS = st.sampled_from(ScanBody.__struct_fields__)
BODIES = st.dictionaries(FIELDS, JSON | CODES, max_size=6) | JSON


@given(st.binary(max_size=60) | BODIES.map(lambda body: json.dumps(body).encode()))
def test_whatever_comes_is_a_scan_or_refused_with_a_known_reason(payload):
    found = judged(payload)
    if isinstance(found, RefusedError):
        assert found.reason in REASONS
        assert found.detail
        return
    assert isinstance(found, StoreScan)
    assert 0 < len(found.code) <= LONGEST_CODE
    assert "\0" not in found.code + found.scanner + found.symbology + found.scan_id


def judged(payload):
    try:
        return decode(payload)
    except RefusedError as refused:
        return refused


# Identity


def test_a_scan_without_an_id_is_named_by_its_code_and_time_over_every_way():
    told = {"code": EAN, "timestamp": NOON}
    scan = decode(told)
    spelt_otherwise = decode({"timestamp": NOON_US / 1e6, "device_id": "A", "code": EAN}, rx_us=1, token=3)
    assert {each.scan_id for each in (scan, spelt_otherwise, decode(told, how="http"))} == {scan.scan_id}
    assert (scan.named, scan.stamped) == (False, False)
    assert scan.scan_id != decode({"code": "other", "timestamp": NOON}).scan_id
    assert scan.scan_id != decode({"code": EAN, "timestamp": "2026-08-22T12:00:00.000001Z"}).scan_id


def test_a_key_names_a_scan_that_has_no_id_and_an_id_comes_before_the_key():
    first = decode({"code": EAN}, how="http", key="k1", rx_us=1)
    again = decode({"code": EAN, "timestamp": NOON}, how="http", key="k1", rx_us=2)
    assert first.scan_id == again.scan_id
    assert first.scan_id != decode({"code": EAN}, how="http", key="k2").scan_id
    assert first.scan_id != decode({"code": "other"}, how="http", key="k1").scan_id
    assert decode({"code": EAN, "scan_id": "mine"}, how="http", key="k1").scan_id == "mine"


def test_without_id_time_and_key_each_message_is_a_scan_of_its_own():
    over_mqtt = [decode({"code": EAN}, rx_us=1), decode({"code": EAN}, rx_us=2), decode({"code": EAN}, link="b.data")]
    over_http = [decode({"code": EAN}, how="http") for _ in range(2)]
    assert len({scan.scan_id for scan in over_mqtt + over_http}) == 5
    assert all(scan.stamped for scan in over_mqtt + over_http)
    told_again = decode({"code": EAN}, rx_us=1)
    assert told_again.scan_id == over_mqtt[0].scan_id, "what a link tells again after a crash is the same scan"


# From a link, through subscriber and device


@pytest.fixture
def server() -> Server:
    return Server()


def scans(server):
    return server.stored(StoreScan)


def test_a_scan_goes_through_its_device_to_the_registry(server):
    said = server.say(SCANS, {"scan_id": "s1", "code": EAN})
    (scan,) = scans(server)
    assert (scan.serial, scan.scan_id, scan.token, scan.topic) == ("A", "s1", said.token, SCANS)
    assert server.intake.counts["scans"] == 1
    assert server.dead_letters == []


def test_a_scan_is_a_sign_of_life_and_makes_an_unknown_device_known(server):
    server.say(SCANS, {"code": EAN})
    snapshot = server.record("A").snapshot
    assert (snapshot.kind, snapshot.family, snapshot.device_id) == ("raspberry_pi", "pi", "A")
    assert server.transitions == [("online", "data")]
    server.advance(61)
    assert server.presence("A") == "offline"
    server.say(SCANS, {"code": EAN})
    assert server.transitions[-1] == ("online", "data")


def test_a_scan_from_the_backlog_is_stored_and_is_no_sign_of_life():
    server = Server(known("A"))
    server.say(SCANS, {"code": EAN}, live=False)
    server.say(SCANS, {"code": EAN}, retain=True)
    assert len(scans(server)) == 2
    assert server.transitions == []


def test_a_scan_that_is_refused_is_a_dead_letter_of_its_device(server):
    said = server.say(SCANS, {"scan_id": "s1", "code": 7})
    (letter,) = server.dead_letters
    assert (letter.reason, letter.serial, letter.token) == ("wrong_type", "A", said.token)


def test_scans_of_one_batch_keep_their_order_and_a_bad_one_stops_none(server):
    bodies = [{"code": str(number)} if number != 3 else b"{" for number in range(6)]
    server.hand(*(server.delivery(SCANS, body) for body in bodies))
    assert [scan.code for scan in scans(server)] == ["0", "1", "2", "4", "5"]
    assert [letter.reason for letter in server.dead_letters] == ["not_json"]


def test_a_scan_of_a_quarantined_device_is_stored_all_the_same():
    server = Server(known("A", quarantined=True))
    server.say(SCANS, {"code": EAN})
    assert [scan.code for scan in scans(server)] == [EAN]


# Over HTTP


def post(server, body, *, topic="", **fields):
    future = GuardedFuture()
    said = server.delivery(topic, body, link="local.data", qos=0)
    server.services.tell("subscriber.pi", Ingest(said, future, **fields))
    server.run()
    return future


def reason_of(future):
    with pytest.raises(RefusedError) as refused:
        future.get(timeout=1)
    return refused.value.reason


def test_a_scan_that_is_posted_takes_the_same_way_and_bears_the_future(server):
    future = post(server, {"code": EAN, "device_id": "A"}, idempotency_key="k")
    (scan,) = scans(server)
    assert (scan.serial, scan.source, scan.topic, scan.token, scan.reply_to) == ("A", "http", SCANS, 0, future)
    assert server.presence("A") == "online"


def test_a_devices_token_speaks_only_for_itself_and_need_not_say_so(server):
    post(server, {"code": EAN}, serial="A")
    assert [scan.serial for scan in scans(server)] == ["A"]
    assert reason_of(post(server, {"code": EAN, "device_id": "B"}, serial="A")) == "unbound"
    assert reason_of(post(server, {"code": EAN})) == "missing_field"
    assert server.dead_letters == [], "who has posted it has been told"
    assert len(scans(server)) == 1


def test_who_posted_what_ended_its_device_learns_it(server, monkeypatch):
    def crash(*_):
        raise ZeroDivisionError

    monkeypatch.setitem(device._HANDLERS, Scanned, crash)
    future = post(server, {"code": EAN}, serial="A")
    server.advance(5)
    assert reason_of(future) == "crashed"
    assert [letter.reason for letter in server.dead_letters] == ["crashed"]


def test_who_posted_what_ended_the_subscriber_learns_it():
    future = GuardedFuture()
    mail = SimpleNamespace(
        message=Ingest(delivery(b"{}"), future), reason="crashed_twice", child_path="server/x", error=ValueError()
    )
    bury(SimpleNamespace(desk=None), mail)
    assert reason_of(future) == "crashed"


def test_who_posts_for_one_device_too_many_learns_it(monkeypatch):
    monkeypatch.setattr(devices, "MOST_DEVICES", 0)
    future = post(Server(), {"code": EAN}, serial="A")
    assert reason_of(future) == "fleet_full"


# After the commit


class Effects:
    """Effects in virtual time whose commits are played by the test."""

    def __init__(self):
        self.server = Server(known("A"))
        self.ring = EventRing()
        self.ref = self.server.runtime.launch(
            EffectsActor(
                Aftermath(
                    self.server.runtime,
                    self.server.fleet,
                    self.server.services,
                    self.ring,
                    self.server.analysts,
                    self.server.statistics,
                    default_link="local.control",
                )
            )
        )
        self.server.run()

    def commit(self, *new, known=(), dead=()):
        self.ref.tell(Committed([], [], list(dead), list(new), list(known)))
        self.server.run()

    def receipts(self):
        self.server.advance(0.1)
        told = [message for message in self.server.told["local.control"] if isinstance(message, Publish)]
        found = [msgspec.json.decode(message.payload) for message in told if message.topic == "devices/A/receipts"]
        return [(receipt["stored"], receipt["refused"]) for receipt in found]

    def events(self):
        return [event for event in self.ring.since(0).events if event.kind == "scan"]


@pytest.fixture
def effects():
    return Effects()


def test_a_scan_with_an_id_gets_a_receipt_when_it_is_new_and_when_it_is_known(effects):
    first, second = (decode({"scan_id": name, "code": EAN}) for name in ("s1", "s2"))
    effects.commit(first, second, decode({"code": EAN}))
    assert effects.receipts() == [(["s1", "s2"], {})]
    effects.commit(known=[first])
    assert effects.receipts()[1:] == [(["s1"], {})]


def test_a_refused_scan_gets_a_receipt_that_says_why(effects):
    payload = b'{"scan_id":"s9","id":"not-this","code":7}'
    effects.commit(dead=[StoreDeadLetter("wrong_type", "`code`", "local.data", SCANS, payload, 1, "A")])
    assert effects.receipts() == [([], {"s9": "wrong_type"})]


def test_five_thousand_scans_are_receipted_in_parts(effects):
    effects.commit(*(decode({"scan_id": f"s{number}", "code": EAN}) for number in range(5_000)))
    told = effects.receipts()
    assert len(told) == 5_000 / MOST_IDS
    assert [name for stored, _ in told for name in stored] == [f"s{number}" for number in range(5_000)]


def test_live_pages_are_told_of_new_scans_only(effects):
    scan = decode({"scan_id": "s1", "code": EAN, "timestamp": NOON, "scanner": "Zebra"})
    effects.commit(scan)
    effects.commit(known=[scan])
    (event,) = effects.events()
    assert event.key == "A"
    data = json.loads(event.frame.decode().split("data: ")[1])
    assert data == {
        "scan_id": "s1",
        "device_id": "A",
        "code": EAN,
        "symbology": "EAN-13",
        "valid": True,
        "scanner": "Zebra",
        "clock": "",
        "timestamp": "2026-08-22T12:00:00.000Z",
        "received": "2026-08-22T12:00:00.000Z",
    }


def test_of_a_backlog_the_pages_are_told_the_newest(effects):
    effects.commit(*(decode({"scan_id": f"s{number}", "code": EAN}) for number in range(MOST_SCANS_SHOWN + 50)))
    events = effects.events()
    assert len(events) == MOST_SCANS_SHOWN
    assert f'"s{MOST_SCANS_SHOWN + 49}"'.encode() in events[-1].frame


def test_who_posted_a_scan_learns_whether_it_was_new(effects):
    scan = decode({"code": EAN}, how="http", key="k")
    first, second = GuardedFuture(), GuardedFuture()
    effects.commit(msgspec.structs.replace(scan, reply_to=first))
    effects.commit(known=[msgspec.structs.replace(scan, reply_to=second)])
    assert first.get(timeout=1) == StoredScan(scan, is_new=True)
    assert second.get(timeout=1) == StoredScan(scan, is_new=False)


# What an edge tells of itself

TREE = {"id": "edge", "state": "running", "children": [{"id": "outbox", "restarts": 2}]}


def status(server, **fields):
    server.say("devices/A/status", {"device_id": "A", "status": "online"} | fields)


def test_the_tree_that_an_edge_reports_is_shown_as_it_was_told(server):
    assert Server(known("A")).fleet.get("A").supervision == b""
    status(server, supervision=TREE)
    assert json.loads(server.fleet.get("A").supervision) == TREE
    status(server)
    server.beat("A")
    assert json.loads(server.fleet.get("A").supervision) == TREE, "a message without one changes nothing"


def test_pages_learn_that_a_tree_has_changed(server):
    status(server, supervision=TREE, services={"link": "subscribed"})
    server.forget()
    status(server, supervision=TREE | {"state": "restarting"}, services={"link": "subscribed"})
    assert [(view.snapshot.serial, facts) for view, facts in server.shown] == [("A", True)]
    server.forget()
    status(server, supervision=TREE | {"state": "restarting"}, services={"link": "subscribed"})
    assert server.shown == []


def test_a_tree_that_a_broker_had_kept_is_old_news():
    server = Server(known("A"))
    server.say("devices/A/status", {"status": "online", "supervision": TREE}, retain=True)
    assert server.fleet.get("A").supervision == b""


def test_a_tree_outlives_a_crash_of_the_devices_actor(server):
    status(server, supervision=TREE)
    server.kill("A")
    server.advance(1)
    assert json.loads(server.fleet.get("A").supervision) == TREE


def test_version_boot_and_clock_are_kept_beside_the_figures_of_the_system(server):
    server.say("devices/A/announce", {"version": "0.1.0", "boot_id": "b1", "clock": "unsynced"})
    assert json.loads(server.record("A").snapshot.system_info) == {
        "version": "0.1.0",
        "boot_id": "b1",
        "clock": "unsynced",
    }
    status(server, version="0.1.0", boot_id="b1", clock="ntp", system_info={"load": 0.5})
    status(server, clock="ntp")
    assert json.loads(server.record("A").snapshot.system_info) == {
        "version": "0.1.0",
        "boot_id": "b1",
        "clock": "ntp",
        "load": 0.5,
    }
