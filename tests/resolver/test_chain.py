import pytest

from actors.resolver import Budget, Found, Resolution, of_type, resolve, select_primary
from actors.resolver.chain import DEFAULT_PORTS, MAX_PORTS, announced_ports, describe
from tests.resolver.support import MAC_DIGITS, FakeSteps, device, stored

NOW = 1_760_000_000.0


def find(*devices, steps=None, presence=stored, budget=None):
    return resolve(devices, presence=presence, steps=steps or FakeSteps(), budget=budget, now=lambda: NOW)


# --- the primary device


def test_the_pinned_device_is_primary_even_when_it_is_offline():
    pinned = device("b", pinned=True)
    assert select_primary([device("a", presence="online"), pinned], stored) is pinned


def test_else_the_device_that_is_online_longest_is_primary():
    oldest = device("b", presence="online", since_us=5)
    others = [device("a", presence="online", since_us=9), device("c", since_us=1, last_seen_us=99)]
    assert select_primary([*others, oldest], stored) is oldest


def test_a_device_that_nobody_can_see_counts_below_one_that_is_online():
    unseen, online = device("a", since_us=1), device("b", presence="online", since_us=9)
    views = {"a": "unknown", "b": "online"}
    assert select_primary([unseen, online], lambda d: views[d.serial]) is online


def test_a_device_that_nobody_can_see_counts_above_one_that_is_offline():
    unseen, offline = device("a", last_seen_us=1), device("b", last_seen_us=9)
    views = {"a": "unknown", "b": "offline"}
    assert select_primary([offline, unseen], lambda d: views[d.serial]) is unseen


def test_when_all_are_offline_the_one_heard_last_is_primary():
    last = device("b", last_seen_us=9)
    assert select_primary([device("a", last_seen_us=1), last, device("c", last_seen_us=8)], stored) is last


def test_of_two_pinned_devices_the_one_online_is_primary():
    online = device("b", pinned=True, presence="online")
    assert select_primary([device("a", pinned=True), online], stored) is online


def test_equal_devices_are_told_apart_by_serial_so_that_the_answer_does_not_change():
    first, second = device("a"), device("b")
    assert select_primary([second, first], stored) is select_primary([first, second], stored) is first


def test_a_type_is_the_kind_or_the_announced_type():
    pi, monstro = device("a"), device("b", kind="datalogger", type="monstro")
    assert of_type([pi, monstro], "raspberry_pi") == [pi]
    assert of_type([pi, monstro], "monstro") == [monstro]
    assert of_type([pi, monstro], "") == []


# --- the chain


def test_a_device_in_the_roll_call_is_answered_without_touching_the_network():
    steps = FakeSteps(last_known=Found("127.0.0.9", 22))
    services = b'{"scanner": {"status": "active"}, "ssh": {"port": 22}, "web": {"port": 5000}}'
    found = find(device(presence="online", services=services, last_seen_us=int((NOW - 12) * 1e6)), steps=steps)
    assert (found.method, found.address, found.port, found.presence) == ("roll_call", "127.0.1.4", 22, "online")
    assert found.age_s == pytest.approx(12.0)
    assert found.checked_at == NOW
    assert steps.taken == []


@pytest.mark.parametrize("view", ["offline", "unknown"])
def test_a_device_that_is_not_online_is_never_answered_from_the_roll_call(view):
    steps = FakeSteps(last_known=Found("127.0.1.4", 22))
    found = find(device(), steps=steps, presence=lambda _: view)
    assert (found.method, found.presence) == ("last_known", view)


@pytest.mark.parametrize("told", ["", "pi.example.org", "$(reboot)", "192.168.1"])
def test_a_device_online_that_told_no_address_is_looked_for(told):
    found = find(device(presence="online", ip_address=told), steps=FakeSteps(mdns=Found("127.0.0.3", None)))
    assert (found.method, found.address, found.port) == ("mdns", "127.0.0.3", None)


def test_the_steps_are_taken_in_order_until_one_finds_the_device():
    steps = FakeSteps(mdns=Found("127.0.0.3", 22), scan=Found("127.0.0.4", 22))
    assert find(device(), steps=steps).address == "127.0.0.3"
    assert steps.taken == ["last_known", "mdns"]


def test_a_device_that_answers_nowhere_is_not_found_and_no_other_is_named_instead():
    steps = FakeSteps()
    assert find(device("a", last_seen_us=9), device("b", last_seen_us=1), steps=steps) is None
    assert steps.taken == ["last_known", "mdns", "scan"]
    assert steps.wanted.serial == "a"


def test_without_a_device_of_the_type_nothing_is_searched():
    steps = FakeSteps(scan=Found("127.0.0.4", 22))
    assert find(steps=steps) is None
    assert steps.taken == []


def test_a_step_that_fails_is_passed_over(caplog):
    steps = FakeSteps(last_known=OSError("too many open files"), scan=Found("127.0.0.4", 22))
    assert find(device(), steps=steps).method == "scan"
    assert "last_known of pi-1 failed: too many open files" in caplog.text


def test_no_step_is_begun_when_the_time_is_used_up():
    steps = FakeSteps(scan=Found("127.0.0.4", 22))
    assert find(device(), steps=steps, budget=Budget(0.0)) is None
    assert steps.taken == []


# --- what the steps are told


def test_the_steps_learn_the_ports_that_the_device_announced():
    primary = device(services=b'{"web": {"port": 5000}, "ssh": {"port": 22}}')
    assert describe(primary, [device("b", services=b'{"vnc": {"port": 5900}}')]).ports == (5000, 22)


def test_a_device_that_announced_no_port_is_tried_at_those_of_its_peers():
    peers = [device(), device("b", services=b'{"vnc": {"port": 5900}}'), device("c", services=b'{"x": {"port": 5900}}')]
    assert describe(peers[0], peers).ports == (5900,)


def test_without_any_announced_port_ssh_and_web_are_tried():
    assert describe(device(), [device()]).ports == DEFAULT_PORTS == (22, 5000)


def test_a_device_cannot_make_the_server_knock_at_hundreds_of_ports():
    services = "{" + ", ".join(f'"s{port}": {{"port": {port}}}' for port in range(1, 500)) + "}"
    assert len(describe(device(services=services.encode()), []).ports) == MAX_PORTS


@pytest.mark.parametrize(
    "services",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"ssh": 22}',
        b'{"ssh": {"port": "22"}}',
        b'{"ssh": {"port": true}}',
        b"\xff",
        b'{"ssh": {"port": 0}}',
        b'{"ssh": {"port": 65536}}',
        b'{"ssh": {"port": -1}}',
        b'{"ssh": {"port": 22.5}}',
    ],
)
def test_announced_services_that_make_no_sense_give_no_port(services):
    assert announced_ports(services) == []


def test_the_steps_get_a_public_address_for_nothing():
    assert describe(device(ip_address="8.8.8.8"), []).address == ""
    assert describe(device(ip_address="192.168.1.5"), []).address == "192.168.1.5"


def test_the_steps_get_the_mac_in_one_spelling():
    assert describe(device(mac_address="2C-CF-67-6C-45-F2"), []).mac == MAC_DIGITS


# --- time, and the answer as JSON


def test_a_part_of_a_budget_is_never_longer_than_the_whole():
    now = [10.0]
    whole = Budget(3.0, monotonic=lambda: now[0])
    assert whole.part(1.0).left() == 1.0
    assert whole.part(9.0).left() == 3.0
    now[0] = 14.0
    assert whole.spent()
    assert whole.part(1.0).spent()


def test_the_answer_as_json_has_the_promised_fields():
    found = find(device(presence="online", services=b'{"ssh": {"port": 22}}', last_seen_us=1_755_876_600_250_000))
    assert found.to_json() == {
        "serial": "pi-1",
        "address": "127.0.1.4",
        "hostname": "raspberrypi",
        "mac_address": "2c:cf:67:6c:45:f2",
        "method": "roll_call",
        "port": 22,
        "presence": "online",
        "last_seen": "2025-08-22T15:30:00.250Z",
    }


def test_an_answer_survives_the_way_through_json():
    found = find(device(presence="online", last_seen_us=1_755_876_600_250_000))
    assert Resolution.from_json(found.to_json(), checked_at=NOW) == found


def test_a_device_that_was_never_heard_has_no_age():
    found = find(device(last_seen_us=0), steps=FakeSteps(scan=Found("127.0.0.4", 22)))
    assert found.age_s is None
    assert found.to_json()["last_seen"] is None
    assert Resolution.from_json(found.to_json(), checked_at=NOW) == found


@pytest.mark.parametrize(
    ("field", "value"),
    [("serial", None), ("port", "22"), ("method", "guess"), ("presence", 1), ("last_seen", 5), ("last_seen", "noon")],
)
def test_an_answer_with_a_wrong_field_is_refused(field, value):
    body = find(device(presence="online")).to_json() | {field: value}
    with pytest.raises(ValueError):
        Resolution.from_json(body, checked_at=NOW)


def test_an_answer_that_is_no_object_is_refused():
    with pytest.raises(ValueError, match="not a JSON object"):
        Resolution.from_json(["pi-1"], checked_at=NOW)
