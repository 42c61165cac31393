"""The broker that `muster up --lan` brings along: on every address, for its two users, each within its rights.

`pi-2` has a user of its own; how devices get theirs is in `tests/access`.
"""

from __future__ import annotations

import json
import stat

import psutil
import pytest

from supervisor.server import embedded
from supervisor.server.access.files import PASSWORDS, write_files
from supervisor.server.access.users import keep_users
from supervisor.server.child import ChildError
from supervisor.server.embedded import BrokerError, BrokerProcess
from supervisor.server.mosquitto import BrokerUser, password_file
from supervisor.server.values import broker_url
from tests.support.mqtt import Device, Will
from tests.support.ports import free_port


@pytest.fixture
def users(tmp_path):
    return keep_users(tmp_path / "broker", ["harit-samarth"])


@pytest.fixture
def broker(tmp_path, users, needs):
    needs("mosquitto")
    write_files(tmp_path / "broker", {PASSWORDS: password_file([BrokerUser("pi-2", "its own")])})
    process = BrokerProcess(tmp_path / "broker", port=free_port(), users=users)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def connect(broker, users):
    """`connect("server" | "devices", client_id)`: a connection; closed in the end."""
    opened = []

    def call(user, client_id=None, password=None, **options) -> Device:
        who = getattr(users, user)
        password = who.password if password is None else password
        url = broker_url("127.0.0.1", broker.port, tls=False, username=who.name, password=password)
        opened.append(Device(url, client_id=client_id, **options))
        return opened[-1]

    yield call
    for device in opened:
        device.disconnect()


def refused(code):
    return code.is_failure


def test_it_listens_on_every_address(broker):
    (command,) = psutil.Process(broker.pid).children(recursive=True)
    listening = {found.laddr.ip for found in command.net_connections(kind="inet") if found.status == psutil.CONN_LISTEN}
    assert "0.0.0.0" in listening


def test_nobody_comes_in_without_a_password(broker, connect):
    with pytest.raises(AssertionError, match="refused: Not authorized"):
        Device(f"mqtt://127.0.0.1:{broker.port}").connect()
    with pytest.raises(AssertionError, match="refused: Not authorized"):
        connect("devices", password="wrong").connect()


def test_the_servers_url_lets_it_do_everything(broker):
    with Device(broker.url) as server:
        server.subscribe("#")
        server.subscribe("$SYS/broker/version")
        assert server.next("$SYS/#").payload
        server.publish("devices/pi-1/notifications", "hello")
        assert server.next("devices/pi-1/notifications").payload == b"hello"


def test_a_device_speaks_on_its_own_topics_and_not_on_those_of_another(broker, connect):
    server = connect("server").connect()
    server.subscribe("devices/#")
    pi = connect("devices", "pi-1", will=Will("devices/pi-1/status", "offline")).connect()
    assert not refused(pi.publish("devices/pi-1/scans", "mine"))
    assert server.next("devices/pi-1/scans").payload == b"mine"
    assert refused(pi.publish("devices/pi-2/scans", "forged"))
    assert refused(pi.publish("server/requests", "forged"))
    pi.drop()
    assert server.next("devices/pi-1/status").payload == b"offline"
    assert {message.topic for message in server.received} == {"devices/pi-1/scans", "devices/pi-1/status"}


def test_the_will_that_a_device_leaves_for_another_is_not_published(broker, connect):
    server = connect("server").connect()
    server.subscribe("devices/#")
    thief = connect("devices", "thief", will=Will("devices/pi-2/status", "offline")).connect()
    honest = connect("devices", "pi-1", will=Will("devices/pi-1/status", "offline")).connect()
    thief.drop()
    honest.drop()
    server.next("devices/pi-1/status")
    assert {message.topic for message in server.received} == {"devices/pi-1/status"}


def test_who_publishes_what_it_may_not_is_told_so_and_stays_connected(broker, connect):
    server = connect("server").connect()
    server.subscribe("devices/#")
    pi = connect("devices", "pi-1").connect()
    goodbyes = []
    pi.client.on_disconnect = lambda *_: goodbyes.append(_)
    assert refused(pi.publish("devices/pi-2/scans", "forged"))
    assert not refused(pi.publish("devices/pi-1/scans", "mine"))
    assert goodbyes == []


def test_a_device_does_not_hear_what_another_is_told(broker, connect):
    server = connect("server").connect()
    thief = connect("devices", "pi-1").connect()
    # Mosquitto 2.0 grants every subscription and delivers only what may be read.
    thief.subscribe("devices/+/notifications")
    server.publish("devices/pi-2/notifications", "for pi-2")
    server.publish("devices/pi-1/notifications", "for pi-1")
    assert thief.next("devices/#").payload == b"for pi-1"


def test_a_device_hears_where_the_server_is_and_what_it_asks(broker, connect):
    server = connect("server").connect()
    server.publish("server/discovery", "here", retain=True)
    pi = connect("devices", "pi-1").connect()
    pi.subscribe("server/#")
    assert pi.next("server/discovery").payload == b"here"
    server.publish("server/requests", "announce")
    assert pi.next("server/requests").payload == b"announce"


@pytest.mark.parametrize(
    "topic",
    [
        "devices/announce",
        "devices/heartbeat",
        "devices/status",
        "plant/datalogger/soil/7/input",
        "plant/gateway/7/heartbeat",
        "harit-samarth/sensor/data",
    ],
)
def test_what_all_devices_share_is_open_to_each(broker, connect, topic):
    server = connect("server").connect()
    server.subscribe(topic)
    assert not refused(connect("devices", "some-client").connect().publish(topic, "hello"))
    assert server.next(topic).payload == b"hello"


def test_a_sender_for_several_stations_gets_the_receipts_of_each(broker, connect):
    server = connect("server").connect()
    sender = connect("devices", "muster-pub-1").connect()
    sender.subscribe("devices/soil-7/receipts")
    server.publish("devices/soil-7/receipts", "{}")
    assert sender.next("devices/soil-7/receipts").payload == b"{}"


def test_passwords_are_kept_and_for_our_eyes_only(tmp_path, users):
    path = tmp_path / "broker" / "users.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keep_users(tmp_path / "broker", []).devices == users.devices
    assert json.loads(path.read_bytes())["server"] not in repr(users)


def test_a_damaged_file_of_users_is_refused_with_what_to_do(tmp_path, users):
    (tmp_path / "broker" / "users.json").write_text("{")
    with pytest.raises(ChildError, match=r"users.json cannot be used .* remove the file"):
        keep_users(tmp_path / "broker", [])


def test_amqtt_is_never_opened(tmp_path, users, monkeypatch):
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
    monkeypatch.setattr(embedded, "has_amqtt", lambda: True)
    with pytest.raises(BrokerError, match=r"Only mosquitto may be opened .* `apt install mosquitto`"):
        BrokerProcess(tmp_path / "broker", users=users)
