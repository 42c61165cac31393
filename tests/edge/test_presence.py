"""What a device says of itself, and when, in virtual time."""

from __future__ import annotations

import json
from types import SimpleNamespace

import msgspec
import pytest

from actors.link.messages import Publish, Reconnect
from actors.messages import Deliveries, Delivery
from actors.payloads import LARGEST_ANNOUNCEMENT, decode_announcement, decode_beat
from actors.runtime import Directory, PooledActor, Runtime
from edge.facts import Boards, Facts
from edge.locator import Renew
from edge.network import Address, NetworkChanged
from edge.presence import Announce, Connected, Pace, PresenceActor, SetHeartbeat, TellStatus

LAN = Address("eth0", "192.168.7.2", 24, "b8:27:eb:00:00:01")
WIFI = Address("wlan0", "10.0.0.9", 16, "b8:27:eb:00:00:02")
TOP = {"path": "edge", "state": "running", "restarts": 0, "incarnation": 0, "children": []}


class Link(PooledActor):
    """Writes down what it is told."""

    def __init__(self, told):
        super().__init__()
        self._told = told

    def on_receive(self, message):
        self._told.append(message)


class Device:
    """A presence actor with its surroundings in virtual time."""

    def __init__(self, *, jitter=0.0, tree=None):
        self.runtime = Runtime.manual()
        self.boards = Boards([], 0.0)
        self.boards.network.addresses = (LAN,)
        self.told = []
        self.directory = Directory()
        self.directory.publish("link", self.runtime.launch(Link(self.told)))
        self.pace = Pace(configured=30.0)
        self.facts = Facts(
            device_id="pi-7",
            device_type="raspberry_pi",
            boot_id="b007",
            boards=self.boards,
            clock=self.runtime.clock,
            describe=lambda: tree or TOP,
        )
        self._jitter = jitter
        self.start()

    def start(self):
        actor = PresenceActor(
            facts=self.facts,
            boards=self.boards,
            pace=self.pace,
            directory=self.directory,
            runtime=self.runtime,
            rng=lambda: self._jitter,
        )
        self.ref = self.runtime.launch(actor)
        self.runtime.run()

    def connect(self, ip=LAN.ip):
        self.boards.sight.regained(self.runtime.clock.monotonic())
        self.boards.line.local_ip = ip
        self.tell(Connected())

    def disconnect(self):
        self.boards.sight.lost(self.runtime.clock.monotonic())
        self.boards.line.local_ip = ""

    def tell(self, message):
        self.ref.tell(message)
        self.runtime.run()

    def ask(self, body, *, retain=False):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        delivery = Delivery("link", 0, "server/requests", payload, 0, retain, False, True, 0, 0.0)
        self.tell(Deliveries("link", [delivery], 0.0, number=1))

    def said(self, topic=""):
        """What it has said since it was asked last, on a topic."""
        self.runtime.run()
        found = [item for item in self.told if isinstance(item, Publish) and item.topic.endswith(topic)]
        self.told.clear()
        return [json.loads(item.payload) for item in found]


@pytest.fixture
def device():
    return Device()


def test_a_connection_is_greeted_with_an_announcement_and_a_status(device):
    device.connect()
    announcement, status = device.said()
    assert announcement["device_id"] == announcement["serial_number"] == "pi-7"
    assert announcement["ip_address"] == LAN.ip
    assert announcement["mac_address"] == LAN.mac
    assert announcement["session"] == status["session"] == device.boards.line.session
    assert announcement["boot_id"] == "b007"
    assert announcement["services"]["link"] == "subscribed"
    assert "supervision" not in announcement
    assert status["status"] == "online"
    assert status["supervision"]["path"] == "edge"


def test_the_server_understands_every_word(device):
    announced = decode_announcement(device.facts.announcement()[1])
    assert announced.device_id == "pi-7"
    assert decode_announcement(device.facts.status()[1]).status == "online"
    assert decode_beat(device.facts.heartbeat()[1]).session == device.boards.line.session
    gone = decode_announcement(device.facts.offline("will")[1])
    assert (gone.status, gone.reason, gone.session) == ("offline", "will", device.boards.line.session)


def test_a_heartbeat_comes_every_thirty_seconds_and_never_later(device):
    device.connect()
    device.said()
    device.runtime.advance(29.9)
    assert device.said() == []
    device.runtime.advance(0.2)
    assert [beat["status"] for beat in device.said("/heartbeat")] == ["online"]
    device.runtime.advance(90.0)
    assert len(device.said("/heartbeat")) == 3


def test_jitter_only_shortens():
    device = Device(jitter=0.999)
    device.connect()
    device.said()
    device.runtime.advance(27.1)
    assert len(device.said("/heartbeat")) == 1


def test_nothing_is_said_without_a_connection(device):
    device.runtime.advance(1_000.0)
    device.tell(TellStatus())
    device.tell(Announce())
    assert device.said() == []


def test_a_status_comes_every_five_minutes_and_whenever_something_has_changed(device):
    device.connect()
    device.said()
    device.runtime.advance(301.0)
    assert len(device.said("/status")) == 1
    device.tell(TellStatus())
    assert len(device.said("/status")) == 1


def test_a_request_of_the_server_is_answered_within_the_spread_that_it_names():
    device = Device(jitter=0.5)
    device.connect()
    device.said()
    device.ask({"request": "announce", "spread": 100})
    device.runtime.advance(49.0)
    assert device.said("/announce") == []
    device.runtime.advance(2.0)
    assert len(device.said("/announce")) == 1


@pytest.mark.parametrize(("device_id", "orders"), [("", 1), ("pi-7", 1), ("pi-8", 0)])
def test_a_new_password_is_fetched_when_we_are_asked_or_all_are(device_id, orders):
    device, told = Device(jitter=0.5), []
    device.directory.publish("locator", device.runtime.launch(Link(told)))
    device.connect()
    device.ask({"request": "renew", "device_id": device_id, "spread": 100})
    assert told == [Renew(50.0)] * orders


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        ({"request": "announce"}, 1),
        ({"request": "announce", "device_id": "pi-7"}, 1),
        ({"request": "announce", "device_id": "pi-8"}, 0),
        ({"request": "dance"}, 0),
        ({"request": "announce", "spread": -5}, 1),
        ({"request": "announce", "spread": "long"}, 0),
        (b"\xff", 0),
        (b"[]", 0),
        (b"", 0),
    ],
)
def test_only_what_is_asked_of_us_is_answered_and_nonsense_harms_nobody(device, body, answers):
    device.connect()
    device.said()
    device.ask(body)
    device.runtime.advance(1.0)
    assert len(device.said("/announce")) == answers
    assert device.ref.is_alive()


def test_a_retained_request_is_old_news(device):
    device.connect()
    device.said()
    device.ask({"request": "announce"}, retain=True)
    device.runtime.advance(1.0)
    assert device.said() == []


def test_an_address_that_is_gone_makes_us_connect_anew(device):
    device.connect()
    device.told.clear()
    device.boards.network.addresses = (WIFI,)
    device.tell(NetworkChanged((WIFI,)))
    assert device.told == [Reconnect(path_lost=True)]
    device.disconnect()
    device.connect(WIFI.ip)
    assert {body["ip_address"] for body in device.said()} == {WIFI.ip}


def test_a_network_that_comes_back_is_not_waited_for(device):
    device.told.clear()
    device.tell(NetworkChanged((LAN,)))
    assert device.told == [Reconnect()]


def test_a_network_that_goes_is_nothing_to_connect_through(device):
    device.told.clear()
    device.tell(NetworkChanged(()))
    assert device.told == []


def test_a_new_address_beside_the_connection_is_announced_at_once():
    """The broker is on this machine: the connection stays, and what others reach us by has changed."""
    device = Device()
    loopback = Address("lo", "127.0.0.1", 8, "")
    device.boards.network.addresses = (LAN, loopback)
    device.connect("127.0.0.1")
    assert device.said("/announce")[0]["ip_address"] == LAN.ip
    device.boards.network.addresses = (WIFI, loopback)
    device.tell(NetworkChanged((WIFI, loopback)))
    assert device.said("/announce")[0]["ip_address"] == WIFI.ip


def test_another_interface_beside_ours_is_no_news(device):
    device.connect()
    device.said()
    device.boards.network.addresses = (LAN, WIFI)
    device.tell(NetworkChanged((LAN, WIFI)))
    assert device.said() == []


def test_another_interval_holds_from_now_on(device):
    device.connect()
    device.tell(SetHeartbeat(5.0))
    device.said()
    device.runtime.advance(31.0)
    assert len(device.said("/heartbeat")) == 6
    device.tell(SetHeartbeat(None))
    device.runtime.advance(31.0)
    assert len(device.said("/heartbeat")) == 1


def test_a_next_incarnation_goes_on_at_once(device):
    device.connect()
    device.runtime.kill(device.ref)
    device.said()
    device.start()
    assert len(device.said("/announce")) == 1
    device.runtime.advance(31.0)
    assert len(device.said("/heartbeat")) == 1


def test_a_tree_full_of_tracebacks_still_fits_into_a_message():
    def crashed(number):
        error = {"reason": "crashed", "type": "E", "message": "m", "traceback": "x" * 9_000, "when": 0.0, "where": ""}
        node = {"path": f"edge/{number}", "state": "running", "restarts": 1, "incarnation": 2}
        return {**node, "last_exception": error, "children": []}

    few = Device(tree={**TOP, "children": [crashed(number) for number in range(2)]})
    (first, _) = json.loads(few.facts.status()[1])["supervision"]["children"]
    assert len(first["last_exception"]["traceback"]) == 1_500
    many = Device(tree={**TOP, "children": [crashed(number) for number in range(200)]})
    payload = many.facts.status()[1]
    assert len(payload) < LARGEST_ANNOUNCEMENT
    assert decode_announcement(payload).status == "online"


def test_the_twin_tells_the_same(device):
    device.connect()
    twin = device.facts.twin()
    assert (twin["online"], twin["address"]) == (True, LAN.ip)
    assert twin["services"]["hub"] == "off"
    assert msgspec.json.encode(twin)


def test_unexpected_messages_are_said_and_left(device):
    device.tell(SimpleNamespace())
    assert device.ref.is_alive()


def test_whoever_asks_on_this_machine_has_a_link_that_is_down_connect_at_once(device):
    device.tell(Announce(connect=True))
    assert device.told == [Reconnect()]
    device.connect()
    device.told.clear()
    device.tell(Announce(connect=True))
    assert [message.topic for message in device.told] == ["devices/pi-7/announce", "devices/pi-7/status"]
