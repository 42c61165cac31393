"""What a device may do with a user of its own, and what it may not: real clients, real Mosquitto, both mechanisms."""

from __future__ import annotations

import time

import pytest

from supervisor.server.access.accounts import Account, BrokerAwayError
from supervisor.server.access.dynsec import Dynsec
from supervisor.server.mosquitto import BrokerUser
from tests.access.broker import MECHANISMS, SERVER_USER, SHARED_USER, Guarded
from tests.support.mqtt import Device, Will
from tests.support.wait import eventually

ONE, TWO = Account("pi-1", "first"), Account("pi-2", "second")
FOREIGN = (
    *("devices/pi-2/scans", "devices/pi-2/status", "devices/pi-2/notifications", "devices/pi-1x/scans"),
    *("devices/announce", "devices/heartbeat", "devices/status", "devices", "devices/", "/devices/pi-1/scans"),
    *("server/requests", "server/discovery", "server/markers/pi-2", "server/markers/muster", "elsewhere"),
    *("plant/gateway/7/heartbeat", "plant/datalogger/monstro/1/input", "harit-samarth/sensor/data"),
    *("harit-samarth/status", "harit-samarth/soil-health/analysis", "DEVICES/pi-1/scans", "devices/pi-"),
)
CONTROL = ("$CONTROL/dynamic-security/v1", "$CONTROL/other/v1", "$SYS/broker/uptime")
WIDE = (
    *("#", "+", "+/+", "+/+/+", "+/+/#", "devices/#", "devices/+/#", "devices/+/notifications", "devices/pi-2/#"),
    *("devices/pi-2/notifications", "devices/pi-2/+", "+/pi-2/#", "server/markers/#", "server/markers/+"),
    *("$share/g/#", "$share/g/devices/#", "$share/g/devices/pi-2/notifications", "$share/devices/pi-1/#"),
    *("$SYS/#", "$SYS/+/+", "$CONTROL/#", "$CONTROL/dynamic-security/v1/response", "$CONTROL/+/+/+"),
)
SECRET = (
    *("devices/pi-2/notifications", "devices/pi-2/commands", "devices/pi-2/twin/desired", "devices/pi-2/receipts"),
    *("server/markers/pi-2", "plant/gateway/7/input", "harit-samarth/sensor/data", "elsewhere"),
)


@pytest.fixture(params=[f"{how} {kind}" for how in MECHANISMS for kind in ("plain", "tls")])
def broker(request, needs):
    needs("mosquitto")
    how, kind = request.param.split()
    with Guarded(how, tls=kind == "tls") as running:
        running.put(ONE, TWO)
        yield running


@pytest.fixture(params=MECHANISMS)
def plain(request, needs):
    needs("mosquitto")
    with Guarded(request.param) as running:
        running.put(ONE, TWO)
        yield running


def refuses(device: Device, topic: str) -> bool:
    """Whether a subscription is refused, or granted and of no use."""
    try:
        device.subscribe(topic)
    except AssertionError:
        return True
    return False


def test_a_device_speaks_under_its_own_name_and_under_no_other(broker):
    with broker.server() as server, broker.client("pi-1", "first") as pi:
        server.subscribe("#")
        assert not pi.publish("devices/pi-1/scans", "mine").is_failure
        assert all(pi.publish(topic, "forged").is_failure for topic in (*FOREIGN, *CONTROL))
        assert server.next("devices/#").payload == b"mine"
        assert not pi.publish("devices/pi-1/scans", "still here").is_failure
        assert server.next("devices/#").payload == b"still here"
        assert {message.topic for message in server.received} == {"devices/pi-1/scans"}


@pytest.mark.parametrize("topic", ["devices/pi-2/status", "server/discovery", "$CONTROL/dynamic-security/v1"])
def test_a_device_cannot_leave_a_will_for_another(broker, topic):
    with broker.server() as server:
        server.subscribe("#")
        server.subscribe("$CONTROL/#")
        for retain in (False, True):
            thief = broker.client("pi-1", "first", will=Will(topic, "offline", 1, retain)).connect()
            thief.drop()
        honest = broker.client("pi-2", "second", will=Will("devices/pi-2/status", "gone")).connect()
        honest.drop()
        assert server.next().payload == b"gone"


def test_a_device_does_not_read_what_another_is_told_however_it_asks(broker):
    """Before and after it asks, retained and not; Mosquitto may grant the filter and holds back what is not its own."""
    with broker.server() as server, broker.client("pi-1", "first") as thief:
        for topic in SECRET:
            server.publish(topic, "kept for another", retain=True)
        for topic in WIDE:
            refuses(thief, topic)
        for topic in SECRET:
            server.publish(topic, "for another", retain=True)
            server.publish(topic, "for another", qos=2)
        thief.subscribe("devices/pi-1/#")
        server.publish("devices/pi-1/notifications", "for pi-1")
        thief.next("devices/pi-1/#")
        assert {message.topic for message in thief.received} == {"devices/pi-1/notifications"}


def test_a_session_that_is_taken_over_by_its_client_id_gives_nothing_away(needs):
    """With files a client id is free: what is queued for its owner stays with nobody else."""
    needs("mosquitto")
    with Guarded("files") as broker:
        broker.put(ONE, TWO)
        with broker.server() as server:
            owner = broker.client("pi-2", "second", keeps=60).connect()
            owner.subscribe("devices/pi-2/#")
            owner.disconnect()
            server.publish("devices/pi-2/notifications", "for pi-2")
            with broker.client("pi-1", "first", client_id="pi-2", keeps=60) as thief:
                thief.subscribe("devices/pi-1/#")
                server.publish("devices/pi-2/notifications", "for pi-2 again")
                server.publish("devices/pi-1/notifications", "for pi-1")
                thief.next("devices/pi-1/#")
                assert {message.topic for message in thief.received} == {"devices/pi-1/notifications"}


@pytest.mark.parametrize("who", ["shared", "nobody"])
def test_who_has_no_user_of_its_own_finds_its_place_in_what_comes(plain, who):
    """The link's marker: it bears the client id."""
    if who == "nobody":
        with Guarded(plain.how, anonymous=True, shared=False) as broker, Device(broker.url, client_id="pi-9") as old:
            assert not old.publish("server/markers/pi-9", "probe").is_failure
            assert old.publish("server/markers/pi-8", "claim").is_failure
        return
    with plain.client(*SHARED_USER, client_id="pi-9") as old:
        old.subscribe("server/markers/pi-9")
        assert not old.publish("server/markers/pi-9", "probe").is_failure
        assert old.next("server/markers/pi-9").payload == b"probe"
        assert old.publish("server/markers/pi-8", "claim").is_failure


def test_a_device_hears_where_the_server_is_and_what_it_asks(broker):
    with broker.server() as server, broker.client("pi-1", "first") as pi:
        server.publish("server/discovery", "here", retain=True)
        pi.subscribe("server/discovery")
        pi.subscribe("server/requests")
        assert pi.next("server/discovery").payload == b"here"
        server.publish("server/requests", "announce")
        assert pi.next("server/requests").payload == b"announce"


def test_nobody_comes_in_as_a_device_without_its_password(broker):
    assert broker.lets_in(None) is False
    assert broker.lets_in(BrokerUser("pi-1", "second")) is False
    assert broker.lets_in(BrokerUser("pi-9", "first")) is False


def test_who_is_revoked_is_disconnected_within_a_second_and_stays_out(broker):
    with broker.client("pi-2", "second") as other, broker.client("pi-1", "first") as pi:
        gone: list[float] = []
        pi.client.on_disconnect = lambda *_: gone.append(time.monotonic())
        pi.client._reconnect_on_failure = False
        began = time.monotonic()
        broker.remove("pi-1")
        eventually(lambda: gone, 5, "the connection ends")
        assert gone[0] - began < 1.0
        assert broker.lets_in(BrokerUser("pi-1", "first")) is False
        assert not other.publish("devices/pi-2/scans", "as before").is_failure


def test_another_password_ends_the_one_of_before(plain):
    plain.put(ONE._replace(password="another"))
    assert plain.lets_in(BrokerUser("pi-1", "first")) is False
    with plain.client("pi-1", "another") as pi:
        assert not pi.publish("devices/pi-1/scans", "mine").is_failure


def test_a_client_id_is_pinned_where_the_plugin_can(needs):
    needs("mosquitto")
    with Guarded("dynsec") as broker:
        broker.put(ONE)
        with pytest.raises(AssertionError, match="Not authorized"):
            broker.client("pi-1", "first", client_id="pi-2").connect()


def test_another_client_id_gives_no_other_rights(needs):
    needs("mosquitto")
    with Guarded("files") as broker:
        broker.put(ONE, TWO)
        with broker.client("pi-1", "first", client_id="pi-2") as thief:
            assert thief.publish("devices/pi-2/scans", "forged").is_failure


def test_the_topic_that_a_device_has_registered_is_readable_and_for_nobody_else(plain):
    with plain.server() as server, plain.client("pi-1", "first") as pi, plain.client("pi-2", "second") as other:
        plain.allow(ONE._replace(topics=("hall 7/alerts",)))
        pi.subscribe("hall 7/alerts")
        refuses(other, "hall 7/alerts")
        other.subscribe("devices/pi-2/#")
        server.publish("hall 7/alerts", "fire")
        server.publish("devices/pi-2/last", "")
        assert pi.next("hall 7/alerts").payload == b"fire"
        other.next("devices/pi-2/last")
        assert {message.topic for message in other.received} == {"devices/pi-2/last"}
        assert pi.publish("hall 7/alerts", "forged").is_failure


def test_a_gateway_publishes_for_its_site_and_a_pi_does_not(plain):
    plain.put(Account("gw-7", "gate", publishes=True))
    with plain.client("gw-7", "gate") as gateway, plain.client("pi-1", "first") as pi:
        for topic in ("plant/gateway/7/heartbeat", "harit-samarth/sensor/data"):
            assert not gateway.publish(topic, "{}").is_failure
            assert pi.publish(topic, "{}").is_failure


def test_the_shared_user_of_before_cannot_speak_for_a_device_that_has_one_of_its_own(plain):
    with plain.server() as server, plain.client(*SHARED_USER, client_id="pi-1") as old:
        server.subscribe("devices/#")
        assert old.publish("devices/pi-1/scans", "forged").is_failure
        assert not old.publish("devices/announce", "{}").is_failure
    with plain.client(*SHARED_USER, client_id="pi-9") as old:
        assert not old.publish("devices/pi-9/scans", "as before").is_failure


def test_three_hundred_devices_are_granted_in_one_batch_and_known_after_a_restart(plain):
    crowd = [Account(f"crowd-{number}", f"password {number}") for number in range(300)]
    plain.put(*crowd)
    assert plain.mechanism.known() == {"pi-1", "pi-2", *(account.serial for account in crowd)}
    plain.restart()
    assert plain.mechanism.known() >= {account.serial for account in crowd}
    with plain.client("crowd-299", "password 299") as last:
        assert not last.publish("devices/crowd-299/scans", "mine").is_failure


def test_what_is_there_already_is_brought_to_what_it_has_to_be(plain):
    for _ in range(2):
        plain.put(ONE, TWO, Account("pi-3", "third"))
    plain.remove("pi-3", "pi-4")
    assert plain.mechanism.known() == {"pi-1", "pi-2"}


def test_the_server_gets_another_user_while_the_one_of_before_is_good(plain):
    new = BrokerUser("muster~2", "the next one")
    with plain.server() as old:
        plain.use(new, ending=SERVER_USER)
        with plain.client(*new, client_id="next") as server:
            old.subscribe("devices/#")
            assert not server.publish("devices/pi-1/commands", "{}").is_failure
            assert old.next("devices/#").payload == b"{}"
    plain.use(new, ending=None)
    eventually(lambda: plain.lets_in(SERVER_USER) is False, 5, "the user of before is refused")
    assert plain.lets_in(SERVER_USER) is False
    assert plain.lets_in(new) is True


def test_a_broker_that_is_away_is_told_later(plain):
    plain.stop()
    if plain.how == "dynsec":
        with pytest.raises(BrokerAwayError, match="cannot be reached"):
            plain.put(Account("pi-3", "third"))
    else:
        plain.files._reload = lambda: None  # there is nobody to signal
        plain.put(Account("pi-3", "third"))
    plain.start()
    plain.files._reload = plain.reload
    plain.put(Account("pi-3", "third"))
    assert plain.lets_in(BrokerUser("pi-3", "third")) is True


def test_a_signal_that_was_lost_is_sent_again_until_who_was_revoked_is_out(needs):
    """As when systemd sees two changes as one, or the server ends between the file and the signal."""
    needs("mosquitto")
    with Guarded("files") as broker:
        broker.put(ONE, TWO)
        broker.files._reload = lambda: None
        with pytest.raises(BrokerAwayError, match="SIGHUP"):
            broker.remove("pi-1")
        assert broker.lets_in(BrokerUser("pi-1", "first")) is True
        broker.files._reload = broker.reload
        broker.remove("pi-1")
        assert broker.lets_in(BrokerUser("pi-1", "first")) is False
        broker.files = broker.mechanism = broker.make_files()  # of another process
        broker.remove("pi-2")
        assert broker.lets_in(BrokerUser("pi-2", "second")) is False


def test_files_that_are_not_read_hold_up_nobody_whom_the_plugin_knows(needs):
    needs("mosquitto")
    with Guarded("dynsec") as broker:
        broker.put(ONE, TWO)
        broker.files._reload = lambda: None
        with pytest.raises(BrokerAwayError, match="SIGHUP"):
            broker.put(Account("pi-3", "third"))
        with pytest.raises(BrokerAwayError, match="SIGHUP"):
            broker.remove("pi-2")
        assert broker.lets_in(BrokerUser("pi-2", "second")) is True  # by the file of before
        with broker.client("pi-3", "third") as pi:
            gone: list[object] = []
            pi.client.on_disconnect = lambda *_: gone.append(1)
            broker.files._reload = broker.reload
            broker.put(Account("pi-3", "third"))
            assert not pi.publish("devices/pi-3/scans", "still here").is_failure
            assert gone == []
        assert broker.lets_in(BrokerUser("pi-2", "second")) is False


def test_on_loopback_who_shows_nothing_may_be_a_device_without_a_user_and_no_other(needs, plain):
    with Guarded(plain.how, anonymous=True, shared=False) as broker:
        broker.put(ONE)
        with broker.server() as server, Device(broker.url, client_id="pi-1") as anybody:
            server.subscribe("#")
            assert not anybody.publish("devices/announce", "{}").is_failure
            assert not anybody.publish("devices/pi-9/scans", "{}").is_failure
            for topic in ("devices/pi-1/scans", "server/requests", "elsewhere", *CONTROL):
                assert anybody.publish(topic, "forged").is_failure
            refuses(anybody, "devices/#")
            refuses(anybody, "$SYS/#")
            server.publish("devices/pi-1/notifications", "for pi-1")
            server.publish("devices/pi-9/notifications", "for pi-9")
            anybody.next("devices/pi-9/notifications")
            assert not [message for message in anybody.received if message.topic.startswith("devices/pi-1/")]


def test_a_plugin_that_has_lost_its_file_is_told_of_everybody_anew(needs):
    """Mosquitto 2.0 writes it in place: a power cut at that moment leaves it empty."""
    needs("mosquitto")
    with Guarded("dynsec") as broker:
        broker.put(ONE)
        broker.kill()
        (broker.directory / "dynsec.json").write_bytes(b"")
        broker.start()
        assert broker.lets_in(BrokerUser("pi-1", "first")) is True  # by the files
        assert broker.mechanism.known() == {"pi-1"}
        assert broker.mechanism.lacking({"pi-1"}) == {"pi-1"}
        broker.put(ONE)
        assert broker.mechanism.lacking({"pi-1"}) == set()
        with broker.server() as server, broker.client("pi-1", "first") as pi:
            server.subscribe("devices/#")
            assert not pi.publish("devices/pi-1/scans", "mine").is_failure
            assert pi.publish("devices/pi-2/scans", "forged").is_failure
            assert server.next("devices/#").payload == b"mine"


def test_whom_the_plugin_has_no_room_for_comes_in_by_the_files(needs):
    needs("mosquitto")
    with Guarded("dynsec") as broker:
        broker.mechanism = Dynsec(broker.each_options, "muster-test-access", broker.files, most=1)
        broker.put(ONE, TWO)
        assert broker.mechanism.known() == {"pi-1", "pi-2"}
        assert broker.mechanism.lacking({"pi-1", "pi-2"}) == set()
        with broker.server() as server, broker.client("pi-1", "first") as inside:
            server.subscribe("devices/#")
            with broker.client("pi-2", "second") as outside:
                for pi, own, other in ((inside, "pi-1", "pi-2"), (outside, "pi-2", "pi-1")):
                    assert not pi.publish(f"devices/{own}/scans", own).is_failure
                    assert pi.publish(f"devices/{other}/scans", "forged").is_failure
                    assert server.next("devices/#").payload == own.encode()
                broker.put(TWO._replace(password="another"))
                assert broker.lets_in(BrokerUser("pi-2", "second")) is False
                broker.remove("pi-1")
                assert broker.lets_in(BrokerUser("pi-1", "first")) is False
                assert broker.mechanism.lacking({"pi-2"}) == {"pi-2"}  # there is room now
                broker.put(TWO)
                assert broker.mechanism.lacking({"pi-2"}) == set()
                assert broker.lets_in(BrokerUser("pi-2", "second")) is True


def test_a_device_whose_name_no_file_can_have_is_always_told_to_the_plugin(needs):
    needs("mosquitto")
    mac = Account("b8:27:eb:00:00:01", "a password")
    with Guarded("dynsec") as broker:
        broker.mechanism = Dynsec(broker.each_options, "muster-test-access", broker.files, most=1)
        broker.put(ONE, TWO)
        assert broker.mechanism.lacking({"pi-1", "pi-2", mac.serial}) == {mac.serial}
        broker.put(mac)
        assert broker.mechanism.lacking({"pi-1", "pi-2", mac.serial}) == set()
        assert broker.mechanism.known() == {"pi-1", "pi-2", mac.serial}
        broker.restart()
        with broker.server() as server, broker.client(*mac[:2]) as pi:
            server.subscribe("devices/#")
            assert pi.publish("devices/pi-2/scans", "forged").is_failure
            assert not pi.publish(f"devices/{mac.serial}/scans", "mine").is_failure
            assert server.next("devices/#").payload == b"mine"


def test_a_damaged_file_of_the_plugin_is_no_reason_not_to_start(needs):
    needs("mosquitto")
    with Guarded("dynsec") as broker:
        broker.stop()
        (broker.directory / "dynsec.json").write_text("{")
        (broker.directory / "passwords").unlink()
        broker._prepared = False
        broker.start()
        broker.put(ONE)
        assert broker.lets_in(BrokerUser("pi-9", "x")) is False
        with broker.client("pi-1", "first") as pi:
            assert not pi.publish("devices/pi-1/scans", "mine").is_failure
