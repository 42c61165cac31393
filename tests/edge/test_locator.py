"""The locator as an actor: it finds, enrols, waits, moves with its server, and searches again when contact is lost."""

import os
import threading

import pytest

from actors.link.status import LinkBoard, LinkState, LinkStatus
from actors.runtime import Runtime
from actors.uplink.board import UplinkBoard, UplinkStatus
from actors.uplink.link import LinkWatch
from edge import locator as locator_module
from edge.bearings import Bearings, MqttAccess
from edge.enrol import Introduction
from edge.finding import agenda as agenda_module
from edge.finding.entry import Entry
from edge.finding.mdns import Announced
from edge.finding.search import Search
from edge.finding.trouble import Contact
from edge.home import Places
from edge.locator import Locator, Look, Renew, make_locator
from edge.network import Address, NetworkChanged
from edge.settings import BrokerSettings, EdgeSettings, FindSettings
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from tests.support.ports import free_port
from tests.support.registrar import KEY, Registrar
from tests.support.wait import eventually, throughout


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Seconds become tenths: what is tested is the order of things."""
    monkeypatch.setattr(locator_module, "TICK", 0.05)
    for name in ("BASE", "CAP", "CAP_DOWN", "WIDE_BASE", "WIDE_CAP", "WIDE_CAP_UP", "APPROVAL"):
        monkeypatch.setattr(agenda_module, name, 0.2)


class World:
    """A device with its locator; the link and the uplink are what the test says."""

    def __init__(self, tmp_path):
        self.places = Places(tmp_path)
        self.rundir = tmp_path / "run"
        self.runtime = Runtime.system()
        self.runtime.start()
        self.contact = Contact(LinkWatch(), LinkBoard.of("link"), UplinkBoard())
        self.announced = []
        self.asking = threading.Event()
        self.holds = threading.Event()
        """While it is clear, mDNS has nothing to say and does not end."""
        self.holds.set()
        self.found = []
        self.ref = None
        self.bearings = None

    def start(self, **settings):
        settings = EdgeSettings(**{"enrolment_key": KEY, **settings})
        self.bearings = Bearings(self.places, settings, "pi-1")
        search = Search(settings, "pi-1", self.rundir, port=free_port(), ask=self.ask, subnets=list)
        entry = Entry(
            self.bearings,
            device_id="pi-1",
            trust=search.trust,
            introduce=lambda: Introduction("pi-host"),
            clock=self.runtime.clock,
        )
        actor = Locator(
            bearings=self.bearings,
            search=search,
            entry=entry,
            contact=self.contact,
            runtime=self.runtime,
            on_found=lambda: self.found.append(self.bearings.broker()),
        )
        self.actor = actor
        self.ref = self.runtime.launch(actor, child_id="locator")
        return self.bearings

    def ask(self, budget):
        self.asking.set()
        while not self.holds.wait(0.01) and not budget.spent():
            pass
        for url in self.announced:
            yield Announced(url=url)

    def wait(self, state):
        eventually(lambda: self.bearings.state == state, what=f"state {state}, {self.bearings!r}")
        return self.bearings

    def restart(self, **settings):
        self.stop()
        return self.start(**settings)

    def stop(self):
        if self.ref is not None:
            self.ref.stop(block=True, timeout=20)

    def close(self):
        self.stop()
        self.runtime.stop()

    def link(self, state, attempts=0, error=""):
        self.contact.watch.attempts = attempts
        self.contact.link.status = LinkStatus(name="link", state=state, last_error=error)

    def up(self):
        self.link(LinkState.SUBSCRIBED)

    def fail(self, error="cannot connect"):
        self.link(LinkState.BACKING_OFF, 4, error)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def server():
    with Registrar() as server:
        yield server


def test_a_device_finds_its_server_enrols_and_says_so_once(world, server):
    bearings = world.start(server_url=server.url)
    world.wait("found")

    assert bearings.server().token == server.tokens["pi-1"]
    assert bearings.broker().username == "devices"
    eventually(lambda: len(world.found) == 1, what="the call")
    assert server.posted[0]["hostname"] == "pi-host"
    world.up()
    throughout(0.3, lambda: len(server.asked) == 1 and len(world.found) == 1, "quiet afterwards")


def test_a_device_that_has_enrolled_shows_nothing_secret_and_keeps_its_credentials(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    credentials = world.bearings.credentials
    server.posted.clear()

    bearings = world.restart(server_url=server.url)
    assert bearings.broker() is not None  # at once, whatever the server does
    world.wait("found")

    assert bearings.credentials == credentials
    assert server.secrets_seen == []
    assert len(world.found) == 1


def test_a_server_that_is_started_on_this_machine_later_is_found(world, server):
    world.start(enrolment_key="")
    eventually(lambda: "MUSTER_ENROLMENT_KEY" in world.bearings.detail, what="a helpful sentence")

    files = ServerFiles(url=server.url, token="admin", enrolment_key=server.key, broker_url="", pid=os.getpid())
    directory = RuntimeDirectory(world.rundir)
    directory.publish(files)
    world.wait("found")
    directory.withdraw()
    assert server.bearers == []


def test_an_operator_approves_after_a_while_and_the_key_is_not_sent_again_and_again(world, server):
    server.approves = False
    world.start(server_url=server.url)
    world.wait("waiting_for_approval")
    assert world.bearings.server() is None
    eventually(lambda: len(server.asked) > 4, what="questions")
    assert len(server.posted) == 1

    server.states["pi-1"] = "approved"
    world.wait("found")
    assert {body["claim"] for body in server.posted} == {server.posted[0]["claim"]}


def test_a_device_that_was_denied_says_so_and_enrols_once_it_is_approved(world, server):
    server.states["pi-1"] = "denied"
    world.start(server_url=server.url)
    world.wait("refused")
    assert "operator" in world.bearings.detail

    server.states["pi-1"] = "approved"
    world.wait("found")


def test_a_device_whose_token_was_revoked_asks_anew_and_waits(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    del server.tokens["pi-1"]
    server.states["pi-1"] = "denied"
    world.contact.uplink.counters.posted += 1
    world.contact.uplink.status = UplinkStatus(http_error="no such token (status 401)")

    world.wait("refused")
    assert world.bearings.server() is None
    assert server.bearers == []


def test_a_refusal_that_was_there_before_does_not_make_it_ask_for_ever(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    world.contact.uplink.counters.posted += 1
    world.contact.uplink.status = UplinkStatus(http_error="status 401")
    eventually(lambda: len(server.asked) == 2, what="one more question")
    throughout(0.4, lambda: len(server.asked) == 2, "no further one")


def test_the_server_moves_and_is_found_with_its_broker_at_the_new_address(world, server):
    world.start()
    world.announced = [server.url]
    world.ref.tell(Look())
    world.wait("found")
    world.up()
    token = world.bearings.credentials.token
    server.__exit__()

    with Registrar(host="127.0.0.9") as moved:
        moved.states, moved.tokens = server.states, server.tokens
        moved.mqtt = {"host": "127.0.0.9", "port": 1884, "tls": False}
        world.announced = [moved.url]
        world.fail()
        eventually(lambda: world.bearings.server_url == moved.url, what="the new address")
        eventually(lambda: world.found[-1].address == "127.0.0.9:1884", what="the new broker")
        assert world.bearings.credentials.token == token
        assert world.found[-1].password == "shared"
        assert moved.secrets_seen == []


def test_a_stranger_at_the_servers_address_gets_nothing_and_is_told_nothing(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    server.__exit__()
    with Registrar(port=server.port, key="my-own-key") as stranger:
        world.ref.tell(NetworkChanged(()))
        world.wait("refused")
        eventually(lambda: stranger.asked, what="a question")
        assert world.bearings.server() is None
        assert stranger.secrets_seen == []


def test_a_broker_that_is_away_makes_it_ask_the_server_now_and_then_and_change_nothing(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    eventually(lambda: len(world.found) == 1, what="the call")
    world.fail()
    eventually(lambda: len(server.asked) > 3, what="questions")
    assert world.bearings.state == "found"
    assert len(world.found) == 1

    world.up()
    eventually(lambda: not world.actor._agenda._in_trouble, what="calm")
    asked = len(server.asked)
    throughout(0.3, lambda: len(server.asked) == asked, "quiet again")


def test_a_broker_that_refuses_the_password_makes_it_enrol_anew_once_with_its_token(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    old = server.tokens["pi-1"]
    server.account = {"username": "devices", "password": "another"}
    world.fail("the broker refused the connection: Not authorized")

    eventually(lambda: world.bearings.broker().password == "another", what="the new password")
    assert server.bearers == [old]
    assert world.bearings.credentials.token == server.tokens["pi-1"] != old
    eventually(lambda: len(server.asked) > 5, what="more questions")
    assert len(server.posted) == 2


def test_a_key_that_has_been_changed_at_the_server_is_not_sent_for_another_password(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    server.key = "the-next-key-of-the-fleet"
    world.fail("the broker refused the connection: Not authorized")
    eventually(lambda: len(server.posted) == 2, what="another enrolment")
    world.wait("found")
    assert "enrolment_key" not in server.posted[1]
    assert len(server.bearers) == 1


def test_a_server_that_asks_for_it_gives_another_password(world, server):
    world.start(server_url=server.url)
    world.wait("found")
    for number in (2, 3):  # at once, however short ago the last one was
        server.account["password"] = f"password {number}"
        world.ref.tell(Renew())
        eventually(lambda number=number: len(server.posted) == number, what="another enrolment")
        eventually(lambda: world.bearings.credentials.mqtt.password == server.account["password"], what="it is used")


def test_a_broker_that_was_configured_is_nothing_to_enrol_for(world, server):
    world.start(server_url=server.url, broker=BrokerSettings(url="mqtt://127.0.0.1:1"))
    world.wait("found")
    world.fail("the broker refused the connection: Not authorized")
    eventually(lambda: len(server.asked) > 3, what="questions")
    assert len(server.posted) == 1
    assert world.found == []


def test_a_change_of_the_network_ends_a_search_and_begins_another(world, server):
    world.start()
    world.holds.clear()
    world.ref.tell(Look())
    assert world.asking.wait(20)
    world.announced = [server.url]
    world.asking.clear()
    world.ref.tell(NetworkChanged(()))
    assert world.asking.wait(20)
    world.holds.set()
    world.wait("found")


LAN = Address("eth0", "192.168.7.2", 24, "b8:27:eb:00:00:01")
VETH = Address("veth12", "fe80::1", 64, "02:42:ac:11:00:02")


def search_in(world, addresses):
    """Cut the first search short by a change of the network; the next one lasts until `holds` is set."""
    world.holds.clear()
    world.start()
    assert world.asking.wait(20)
    world.asking.clear()
    world.ref.tell(NetworkChanged(addresses))
    assert world.asking.wait(20)


def test_containers_that_come_and_go_disturb_no_search(world, server):
    search_in(world, (LAN,))
    world.announced = [server.url]
    world.asking.clear()
    for addresses in ((LAN, VETH), (LAN,), (LAN, VETH)):
        world.ref.tell(NetworkChanged(addresses))
    throughout(0.5, lambda: not world.asking.is_set(), "the search goes on")
    world.holds.set()
    world.wait("found")
    eventually(lambda: not world.actor.actor_inbox.queue, what="all is read")
    assert world.bearings.server() is not None


def test_a_network_that_keeps_changing_cuts_a_search_short_only_now_and_then(world, monkeypatch):
    search_in(world, (LAN,))
    world.asking.clear()
    world.ref.tell(NetworkChanged(()))
    throughout(0.5, lambda: not world.asking.is_set(), "the next one goes on")
    monkeypatch.setattr(locator_module, "DISTURBED_EVERY", 0.0)
    assert world.asking.wait(20)


def test_a_server_that_the_uplink_no_longer_trusts_has_to_prove_itself_before_it_gets_the_token(world, server):
    bearings = world.start(server_url=server.url)
    world.wait("found")
    world.up()
    asked = len(server.asked)
    bearings.lost()
    assert bearings.server() is None
    eventually(lambda: bearings.server() is not None, what="the proof")
    assert len(server.asked) == asked + 1
    server.__exit__()
    bearings.lost()
    with Registrar(port=server.port, key="my-own-key") as stranger:
        world.wait("refused")
        assert bearings.server() is None
        assert stranger.secrets_seen == []


def test_a_stop_and_a_sever_end_a_search(world):
    world.start()
    world.holds.clear()
    world.ref.tell(Look())
    assert world.asking.wait(20)
    world.ref.stop(block=True, timeout=20)

    world.asking.clear()
    world.start()
    assert world.asking.wait(20)
    world.actor.sever()
    world.ref.stop(block=True, timeout=20)


def test_a_configured_server_that_was_away_is_taken_again(world, server):
    port = free_port()
    world.start(server_url=server.url)
    world.wait("found")
    bearings = world.restart(server_url=f"http://127.0.0.1:{port}")
    world.wait("found")
    assert bearings.server_url == server.url

    with Registrar(port=port, server_id="srv-new") as configured:
        eventually(lambda: bearings.server_url == configured.url, what="the configured server")
        world.wait("found")
        assert bearings.credentials.server_id == "srv-new"


def test_a_server_that_cannot_enrol_now_is_asked_again(world, server):
    server.status = 503
    world.start(server_url=server.url)
    eventually(lambda: "503" in world.bearings.detail, what="the reason")
    server.status = None
    world.wait("found")


def test_encryption_of_the_broker_is_not_given_up_over_plain_http(world, server):
    server.mqtt = {"host": "127.0.0.1", "port": 8883, "tls": True}
    world.start(server_url=server.url)
    world.wait("found")
    server.mqtt = {"host": "127.0.0.66", "port": 1883, "tls": False}
    world.ref.tell(NetworkChanged(()))
    eventually(lambda: len(server.asked) > 1, what="another question")
    world.wait("found")
    assert world.bearings.credentials.mqtt == MqttAccess("127.0.0.1", 8883, "devices", "shared", tls=True)


def test_a_device_with_a_certificate_stays_at_the_listener_for_certificates(world, server):
    server.mqtt = {"host": "127.0.0.1", "port": 8883, "tls": True}
    world.start(server_url=server.url)
    kept = MqttAccess("127.0.0.1", 8884, "pi-1", tls=True)
    world.wait("found").certified(kept)
    world.restart(server_url=server.url)
    assert world.wait("found").credentials.mqtt == kept, "what a search tells is the listener for passwords"
    world.stop()
    elsewhere = MqttAccess("broker.example", 8884, "pi-1", tls=True)
    world.bearings.certified(elsewhere)
    world.restart(server_url=server.url)
    assert world.wait("found").credentials.mqtt == elsewhere


def test_a_listener_for_certificates_moves_with_its_server(world, server):
    world.start(server_url=server.url)
    world.wait("found").certified(MqttAccess("127.0.0.1", 8884, "pi-1", tls=True))
    moved = server.url.replace("127.0.0.1", "localhost")
    world.restart(server_url=moved)
    assert world.wait("found").credentials.mqtt == MqttAccess("localhost", 8884, "pi-1", tls=True)


def test_without_key_or_token_a_configured_server_is_used_with_the_token_that_was_given(world, server):
    bearings = world.start(server_url=server.url, enrolment_key="", api_token="given")
    world.wait("found")
    assert bearings.server().token == "given"
    assert server.posted == []
    assert server.secrets_seen == []


def test_the_hub_of_an_enrolment_is_said(world, server):
    server.hub = "HostName=h;DeviceId=pi-1;SharedAccessKey=a2V5"
    bearings = world.start(server_url=server.url, broker=BrokerSettings(url="mqtt://127.0.0.1:1"))
    world.wait("found")
    eventually(lambda: len(world.found) == 1, what="the call")
    assert bearings.hub() == server.hub


def test_messages_of_others_are_dropped(world, server, caplog):
    world.start(server_url=server.url)
    world.ref.tell("hello")
    world.ref.tell(locator_module.Tick("of a predecessor"))
    world.wait("found")
    assert "unexpected message 'hello'" in caplog.text


def test_the_tree_makes_it_of_what_it_has(world, tmp_path, server):
    settings = EdgeSettings(server_url=server.url, enrolment_key=KEY, find=FindSettings(mdns=False, scan=False))
    world.bearings = Bearings(world.places, settings, "pi-1")
    actor = make_locator(
        settings=settings,
        device_id="pi-1",
        rundir=tmp_path / "run",
        bearings=world.bearings,
        introduce=Introduction,
        contact=world.contact,
        runtime=world.runtime,
        on_found=lambda: world.found.append(1),
    )
    world.ref = world.runtime.launch(actor, child_id="locator")
    world.wait("found")
