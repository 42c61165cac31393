"""The actor that keeps the broker at what the database says: a real registry, a real Mosquitto, both mechanisms."""

from __future__ import annotations

import pytest

from actors.enrolment.rules import Enrolment
from actors.registry import Execute, RegistryActor, RegistryBoard
from actors.runtime import Directory
from actors.storage.access import find_accounts
from actors.storage.enrolment import find_enrolment, put_enrolment
from actors.storage.errors import StoreUnavailable
from supervisor.server.access.accounts import Account
from supervisor.server.access.actor import AccessActor, AccessBoard
from supervisor.server.access.messages import (
    Compare,
    Grant,
    Look,
    RenewDevices,
    RetireShared,
    Revoke,
    RotateServer,
    UnknownDeviceError,
)
from supervisor.server.access.roster import ServerUsers
from supervisor.server.mosquitto import BrokerUser
from tests.access.broker import MECHANISMS, PREFIXES, SERVER_USER, SHARED_USER, Guarded
from tests.support.wait import eventually

KEY = bytes(range(32))
DAY = 86_400.0


class World:
    """An actor beside a broker and a database of its own."""

    def __init__(self, how, directory, runtime):
        self.broker, self.directory, self.runtime = Guarded(how), directory, runtime
        self.broker.start()
        self.services, self.ref = Directory(), None
        self.tokens: dict[str, tuple[str, ...]] = {}
        self.renewals: list[str] = []
        self.linked = SERVER_USER.name
        self.switched: list[str] = []
        self.is_away = False
        board = RegistryBoard()
        self.registry = runtime.launch(
            RegistryActor(f"sqlite:///{directory}/muster.db", self.services, runtime, board=board)
        )
        eventually(lambda: board.status.since, what="the database is open")
        self.begin()

    def begin(self):
        """Start the actor, or another one after it."""
        if self.ref is not None:
            self.ref.stop(block=True)
        self.users = ServerUsers(
            self.directory / "users.json", server=SERVER_USER, devices=SHARED_USER.password, prefixes=PREFIXES
        )
        self.broker.each_user = lambda: self.users.now.servers
        self.board = AccessBoard()
        self.ref = self.runtime.launch(
            AccessActor(
                ask=self.ask_registry,
                mechanism=self.broker.mechanism,
                users=self.users,
                key=KEY,
                topics=lambda serial: self.tokens.get(serial, ()),
                request_renewal=lambda serials, number: self.renewals.append((tuple(serials), number)),
                switch=self.switch,
                runtime=self.runtime,
                board=self.board,
            )
        )

    def switch(self):
        """Have the links connect as the server's user of now, unless they do."""
        name = self.users.now.server.name
        if name != self.linked:
            self.linked = name
            self.switched.append(name)

    def ask_registry(self, message):
        if self.is_away:
            raise StoreUnavailable("the database is away")
        return self.registry.ask(message, timeout=10)

    def enrol(self, *serials, state="enrolled"):
        """Note them, as the enrolment does before anybody asks for a user."""

        def work(database):
            for serial in serials:
                put_enrolment(database, find_enrolment(database, serial), Enrolment(serial=serial, state=state))

        self.registry.ask(Execute(work), timeout=10)

    def grant(self, *serials, publishes=False):
        self.enrol(*serials)
        return self.ask(Grant(dict.fromkeys(serials, publishes)))

    def ask(self, message):
        return self.ref.ask(message, timeout=30)

    def rows(self):
        return {row.serial: row for row in self.registry.ask(Execute(find_accounts), timeout=10)}

    def lets_in(self, serial, password):
        return self.broker.lets_in(BrokerUser(serial, password)) is True

    def wait_settled(self):
        self.ask(Revoke(()))  # whatever it began with has been done
        eventually(lambda: not self.board.waiting and not self.board.reason, 20, "the broker has taken everything")


@pytest.fixture(params=MECHANISMS)
def world(request, tmp_path, runtime, needs):
    needs("mosquitto")
    made = World(request.param, tmp_path, runtime)
    yield made
    made.ref.stop(block=True)
    made.registry.stop(block=True)
    made.broker.close()


def test_who_is_granted_comes_in_and_who_is_revoked_does_not(world):
    passwords = world.grant("pi-1", "pi-2")
    assert world.lets_in("pi-1", passwords["pi-1"])
    assert world.ask(Revoke(("pi-1", "nobody"))) == 1
    assert not world.lets_in("pi-1", passwords["pi-1"])
    assert world.lets_in("pi-2", passwords["pi-2"])
    assert set(world.rows()) == {"pi-2"}


def test_another_grant_ends_the_password_of_before_and_is_never_the_same(world):
    first = world.grant("pi-1")["pi-1"]
    world.ask(Revoke(("pi-1",)))
    second = world.grant("pi-1")["pi-1"]
    third = world.grant("pi-1")["pi-1"]
    assert len({first, second, third}) == 3
    assert not world.lets_in("pi-1", first)
    assert not world.lets_in("pi-1", second)
    assert world.lets_in("pi-1", third)


def test_no_password_is_in_the_database(world):
    password = world.grant("pi-1")["pi-1"]
    world.ref.stop(block=True)
    files = list(world.directory.glob("muster.db*"))
    assert files
    assert not any(password.encode() in path.read_bytes() for path in files)


def test_what_is_granted_while_the_broker_is_away_arrives_later(world):
    world.wait_settled()
    world.broker.stop()
    passwords = world.grant("pi-1")
    world.broker.start()
    eventually(lambda: world.lets_in("pi-1", passwords["pi-1"]), 20, "the device comes in")


def test_what_is_revoked_while_the_broker_is_away_is_gone_when_it_is_back(world):
    passwords = world.grant("pi-1", "pi-2")
    world.broker.stop()
    world.ask(Revoke(("pi-1",)))
    world.broker.start()
    eventually(lambda: not world.lets_in("pi-1", passwords["pi-1"]), 20, "the device is refused")
    assert world.lets_in("pi-2", passwords["pi-2"])


def test_a_server_that_is_started_again_goes_on_where_it_was(world):
    passwords = world.grant("pi-1")
    world.broker.stop()
    passwords |= world.grant("pi-2")
    world.begin()
    world.broker.start()
    for serial in ("pi-1", "pi-2"):
        eventually(lambda serial=serial: world.lets_in(serial, passwords[serial]), 20, f"{serial} comes in")


def test_a_broker_that_has_lost_everything_is_told_of_everybody_anew(world):
    passwords = world.grant("pi-1", "pi-2")
    world.broker.kill()
    for name in ("dynsec.json", "passwords", "acl"):
        (world.broker.directory / name).unlink(missing_ok=True)
    world.broker._prepared = False
    world.broker.start()
    assert not world.lets_in("pi-1", passwords["pi-1"])
    world.ref.tell(Compare())
    eventually(lambda: world.lets_in("pi-2", passwords["pi-2"]), 20, "the devices come in")
    assert world.lets_in("pi-1", passwords["pi-1"])


def test_who_is_in_the_broker_and_in_no_row_is_removed(world):
    world.wait_settled()
    world.broker.mechanism = world.broker.make_mechanism("somebody-else")
    world.broker.put(Account("ghost", "a password"))
    assert world.lets_in("ghost", "a password")
    world.ref.tell(Compare())
    eventually(lambda: not world.lets_in("ghost", "a password"), 20, "the stranger is refused")


def test_a_database_that_is_away_is_told_to_whoever_asks_and_holds_nothing_up(world):
    passwords = world.grant("pi-1")
    world.is_away = True
    with pytest.raises(StoreUnavailable):
        world.grant("pi-1", "pi-2")
    world.is_away = False
    passwords |= world.grant("pi-2")
    assert all(world.lets_in(serial, password) for serial, password in passwords.items())


def test_a_topic_that_a_device_registers_is_readable_at_once(world):
    password = world.grant("pi-1")["pi-1"]
    with world.broker.server() as server, world.broker.client("pi-1", password) as pi:
        world.tokens["pi-1"] = ("hall/alerts",)
        world.ref.tell(Look(("pi-1",)))
        eventually(lambda: world.rows()["pi-1"].topics == ("hall/alerts",), what="it is noted")
        world.ask(Revoke(()))  # what was told before has been done
        pi.subscribe("hall/alerts")
        server.publish("hall/alerts", "fire")
        assert pi.next("hall/alerts").payload == b"fire"


def test_devices_that_are_to_renew_keep_their_password_until_they_have_another_one(world):
    passwords = world.grant("pi-1", "pi-2")
    assert world.ask(RenewDevices((), DAY)) == ["pi-1", "pi-2"]
    assert world.renewals == [((), 2)]
    assert world.board.renewing == 2
    assert all(world.lets_in(serial, password) for serial, password in passwords.items())
    new = world.grant("pi-1")["pi-1"]
    assert world.board.renewing == 1
    assert world.lets_in("pi-1", new)
    assert not world.lets_in("pi-1", passwords["pi-1"])
    assert world.lets_in("pi-2", passwords["pi-2"])


def test_who_has_not_renewed_in_time_is_let_in_no_more(world):
    passwords = world.grant("pi-1")
    world.ask(RenewDevices(("pi-1",), 0.5))
    eventually(lambda: not world.lets_in("pi-1", passwords["pi-1"]), 20, "the old password ends")
    assert world.board.counts["expired"] == 1
    assert world.lets_in("pi-1", world.grant("pi-1")["pi-1"])


def test_who_was_denied_while_it_enrolled_gets_no_user(world):
    world.enrol("pi-1", state="denied")
    assert world.ask(Grant({"pi-1": False, "never-seen": False})) == {}
    assert world.rows() == {}


def test_who_is_denied_has_no_user_after_a_crash_before_the_broker_was_told(world):
    passwords = world.grant("pi-1", "pi-2")
    world.enrol("pi-1", state="denied")
    world.begin()
    eventually(lambda: not world.lets_in("pi-1", passwords["pi-1"]), 20, "the device is refused")
    assert world.lets_in("pi-2", passwords["pi-2"])
    assert set(world.rows()) == {"pi-2"}


def test_a_device_that_is_named_twice_renews_once(world):
    world.grant("pi-1")
    assert world.ask(RenewDevices(("pi-1", "pi-1"), DAY)) == ["pi-1"]
    assert world.renewals == [(("pi-1",), 1)]


def test_a_device_without_a_user_of_its_own_has_nothing_to_renew(world):
    with pytest.raises(UnknownDeviceError, match="pi-9"):
        world.ask(RenewDevices(("pi-9",), DAY))


def test_the_server_changes_its_user_and_the_one_of_before_ends(world):
    passwords = world.grant("pi-1")
    assert world.ask(RotateServer(1.0)) == "muster~2"
    assert world.switched == ["muster~2"]
    assert world.broker.lets_in(SERVER_USER) is True
    assert world.broker.lets_in(world.users.now.server) is True
    eventually(lambda: world.broker.lets_in(SERVER_USER) is False, 20, "the user of before is refused")
    world.begin()
    world.wait_settled()
    assert world.users.now.server.name == "muster~2"
    assert world.lets_in("pi-1", passwords["pi-1"])


@pytest.mark.parametrize("crashes", [False, True])
def test_a_server_whose_broker_was_away_while_it_changed_its_user_connects_with_it_later(world, crashes):
    world.wait_settled()
    world.broker.stop()
    if world.broker.how == "files":
        world.broker.files._reload = lambda: None
    world.ask(RotateServer(DAY))
    if crashes:
        world.begin()
    world.broker.start()
    eventually(lambda: world.switched, 30, "the links connect anew")
    assert set(world.switched) == {"muster~2"}
    assert world.broker.lets_in(world.users.now.server) is True


def test_the_shared_user_ends_for_good(world):
    world.wait_settled()
    assert world.broker.lets_in(SHARED_USER) is True
    assert world.ask(RetireShared()) is True
    eventually(lambda: world.broker.lets_in(SHARED_USER) is False, 20, "the shared user is refused")
    world.begin()
    world.wait_settled()
    assert world.broker.lets_in(SHARED_USER) is False
    assert world.ask(RetireShared()) is False


def test_what_is_configured_anew_counts_again(world):
    world.ask(RotateServer(DAY))
    users = ServerUsers(world.directory / "users.json", server=("muster", "by hand"), devices="", prefixes=())
    assert users.now.server == BrokerUser("muster", "by hand")


def test_passwords_change_under_traffic_and_nothing_is_lost(world):
    password = world.grant("pi-1")["pi-1"]
    with world.broker.server() as server, world.broker.client("pi-1", password) as pi:
        server.subscribe("devices/pi-1/readings")
        for number in range(300):
            if number == 100:
                pi.client.username_pw_set("pi-1", world.grant("pi-1")["pi-1"])
            if number == 200:
                world.ask(RotateServer(DAY))
            pi.client.publish("devices/pi-1/readings", str(number), 1)
        eventually(lambda: len({message.payload for message in server.received}) == 300, 30, "everything arrives")
