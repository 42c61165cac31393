"""The broker that `muster up` brings along, against the real mosquitto and the real amqtt."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from supervisor.server import embedded
from supervisor.server.embedded import BrokerError, BrokerProcess, find_mosquitto
from supervisor.server.probe import probe_broker
from tests.server.support import alive
from tests.support.mqtt import Device, Will
from tests.support.ports import free_port
from tests.support.wait import eventually

SERVER = """
import sys, time
from pathlib import Path
from supervisor.server.embedded import BrokerProcess
broker = BrokerProcess(Path(sys.argv[1]), port=int(sys.argv[2]), implementation=sys.argv[3])
broker.start()
print(broker.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["mosquitto", "amqtt"])
def implementation(request, needs):
    if request.param == "mosquitto":
        needs("mosquitto")
    else:
        pytest.importorskip("amqtt")
    return request.param


@pytest.fixture
def make(tmp_path):
    made = []

    def call(**options) -> BrokerProcess:
        options.setdefault("port", free_port())
        made.append(BrokerProcess(tmp_path / "broker", **options))
        return made[-1]

    yield call
    for broker in made:
        broker.stop()


@pytest.fixture
def broker(make, implementation) -> BrokerProcess:
    """Running, once for each implementation."""
    process = make(implementation=implementation)
    process.start()
    return process


@pytest.fixture
def mosquitto_broker(make, needs) -> BrokerProcess:
    needs("mosquitto")
    process = make(implementation="mosquitto")
    process.start()
    return process


@pytest.fixture
def amqtt_broker(make) -> BrokerProcess:
    pytest.importorskip("amqtt")
    process = make(implementation="amqtt")
    process.start()
    return process


def device(broker, **options) -> Device:
    """MQTT 3.1.1: what both implementations speak."""
    return Device(broker.url, protocol=MQTTProtocolVersion.MQTTv311, **options)


# -- both -------------------------------------------------------------------------------------------------------------


def test_it_serves_as_soon_as_it_is_started(broker):
    with device(broker) as receiver, device(broker) as sender:
        receiver.subscribe("greeting")
        sender.publish("greeting", "hello")
        assert receiver.next("greeting").payload == b"hello"


def test_it_listens_on_loopback_only(broker):
    commands = psutil.Process(broker.pid).children(recursive=True)
    listening = [
        found.laddr
        for command in commands
        for found in command.net_connections(kind="inet")
        if found.status == psutil.CONN_LISTEN
    ]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", broker.port)]


def test_it_ends_when_the_server_is_killed(tmp_path, implementation):
    port = free_port()
    arguments = [str(tmp_path / "broker"), str(port), implementation]
    server = subprocess.Popen([sys.executable, "-c", SERVER, *arguments], stdout=subprocess.PIPE, text=True)
    runner = psutil.Process(int(server.stdout.readline()))
    family = [runner, *runner.children(recursive=True)]
    assert len(family) == 2
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    eventually(lambda: not any(map(alive, family)), what="trampoline and broker to end")
    assert not probe_broker("127.0.0.1", port, timeout=1)


def test_it_keeps_its_port_when_it_is_started_again(broker):
    port, first = broker.port, broker.pid
    broker.kill()
    broker.wait()
    broker.start()
    assert broker.port == port
    assert broker.pid != first
    assert probe_broker("127.0.0.1", port, timeout=1)


def test_starting_a_running_one_changes_nothing(broker):
    first = broker.pid
    broker.start()
    assert broker.pid == first


def test_stopping_leaves_nothing_running(broker):
    family = psutil.Process(broker.pid).children(recursive=True)
    broker.stop()
    assert not broker.running
    assert not any(map(alive, family))


# -- the port ---------------------------------------------------------------------------------------------------------


def test_a_later_run_takes_the_port_of_the_last_one(make, mosquitto_broker):
    port = mosquitto_broker.port
    mosquitto_broker.stop()
    heir = make(port=0)
    heir.start()
    assert heir.port == port


def test_a_port_that_was_taken_meanwhile_is_not_insisted_on(make, mosquitto_broker):
    port = mosquitto_broker.port
    mosquitto_broker.stop()
    with socket.create_server(("127.0.0.1", port)):
        heir = make(port=0)
        heir.start()
        assert heir.port != port


def test_a_port_that_was_asked_for_and_is_taken_is_refused(make, needs):
    needs("mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"^Port {port}, .* taken by another program\.$"):
            make(port=port).start()


# -- mosquitto --------------------------------------------------------------------------------------------------------


def test_mosquitto_is_durable_and_amqtt_is_not(make, needs):
    needs("mosquitto")
    assert make().durable
    assert not make(implementation="amqtt").durable


def test_its_files_are_for_the_user_alone(mosquitto_broker, tmp_path):
    assert (tmp_path / "broker").stat().st_mode & 0o077 == 0
    for name in ("mosquitto.conf", "broker.log", "port"):
        assert (tmp_path / "broker" / name).stat().st_mode & 0o077 == 0


def test_a_client_that_is_away_misses_nothing(mosquitto_broker):
    """By default mosquitto keeps 1,000 messages for it and drops what is newer."""
    total = 3000
    receive(mosquitto_broker, 0)
    sender = paho.Client(CallbackAPIVersion.VERSION2)
    sender.max_inflight_messages_set(0)
    sender.connect("127.0.0.1", mosquitto_broker.port)
    sender.loop_start()
    sent = [sender.publish("stream", str(number), qos=1) for number in range(total)]
    for message in sent:
        message.wait_for_publish(10)
    sender.disconnect()
    sender.loop_stop()
    assert [int(payload) for payload in receive(mosquitto_broker, total)] == list(range(total))


def test_what_is_queued_survives_a_restart(mosquitto_broker):
    receive(mosquitto_broker, 0)
    with device(mosquitto_broker) as sender:
        sender.publish("stream", "kept")
    mosquitto_broker.stop()
    mosquitto_broker.start()
    assert receive(mosquitto_broker, 1) == [b"kept"]


def test_it_tells_how_many_messages_it_has_dropped(mosquitto_broker):
    with device(mosquitto_broker) as reader:
        reader.subscribe("$SYS/broker/publish/messages/dropped")
        assert reader.next("$SYS/broker/publish/messages/dropped", timeout=10).payload == b"0"


def test_a_damaged_store_is_set_aside_with_a_warning(mosquitto_broker, tmp_path, caplog):
    mosquitto_broker.stop()
    (tmp_path / "broker" / "mosquitto.db").write_bytes(b"\x00 half of a file")
    with caplog.at_level(logging.ERROR):
        mosquitto_broker.start()
    assert probe_broker("127.0.0.1", mosquitto_broker.port, timeout=1)
    (aside,) = (tmp_path / "broker").glob("mosquitto.db.damaged-*")
    assert aside.read_bytes() == b"\x00 half of a file"
    assert str(aside) in caplog.text


def test_a_broker_that_does_not_start_is_told_with_its_last_words(make, monkeypatch, tmp_path):
    broken = tmp_path / "mosquitto"
    broken.write_text("#!/bin/sh\necho 'Error: out of luck.'\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: str(broken))
    with pytest.raises(BrokerError, match=r"^The embedded broker did not start: Error: out of luck\.$"):
        make().start()


def test_it_is_found_where_debian_hides_it(needs):
    needs("mosquitto")
    assert find_mosquitto(path="/nowhere") == shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    )


@pytest.mark.parametrize("wanted", ["auto", "mosquitto", "amqtt"])
def test_without_any_broker_one_is_told_what_to_install(make, monkeypatch, wanted):
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
    monkeypatch.setattr(embedded, "has_amqtt", lambda: False)
    with pytest.raises(BrokerError, match=r"apt install mosquitto.*MUSTER_BROKER_URL"):
        make(implementation=wanted)


def test_without_mosquitto_amqtt_is_taken(make, monkeypatch):
    pytest.importorskip("amqtt")
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
    assert not make().durable


# -- amqtt, mended ----------------------------------------------------------------------------------------------------


def test_a_newcomer_is_not_sent_the_retained_messages_of_others(amqtt_broker):
    with device(amqtt_broker) as one, device(amqtt_broker) as other:
        one.subscribe("secret/#")
        one.publish("secret/of/one", "hidden", retain=True)
        one.next("secret/of/one")
        other.subscribe("public")
        # Whatever the broker sent at the connection came before this.
        one.publish("public", "done")
        other.next("public")
        assert [message.topic for message in other.received] == ["public"]


def test_a_late_subscriber_still_gets_the_retained_messages_it_asked_for(amqtt_broker):
    with device(amqtt_broker) as one, device(amqtt_broker) as other:
        one.publish("news/today", "kept", retain=True)
        other.subscribe("news/#")
        message = other.next("news/today")
        assert (message.payload, message.retain) == (b"kept", True)


def test_the_will_of_a_client_that_fell_silent_is_published(amqtt_broker):
    with device(amqtt_broker) as watcher:
        watcher.subscribe("wills")
        silent = open_and_say_nothing(amqtt_broker.port, keepalive=1)
        assert watcher.next("wills", timeout=10).payload == b"gone"
        silent.close()


def test_a_client_that_breaks_off_has_its_will_published(amqtt_broker):
    with device(amqtt_broker) as watcher:
        watcher.subscribe("wills")
        leaving = device(amqtt_broker, will=Will("wills", "broken off"))
        leaving.connect()
        leaving.drop()
        assert watcher.next("wills").payload == b"broken off"


def open_and_say_nothing(port: int, *, keepalive: int) -> socket.socket:
    """Connect with a will on `wills`, then keep the connection open without a word."""

    def text(value: bytes) -> bytes:
        return len(value).to_bytes(2, "big") + value

    # MQTT 3.1.1 section 3.1: clean session and will.
    body = text(b"MQTT") + b"\x04\x06" + keepalive.to_bytes(2, "big") + text(b"silent") + text(b"wills") + text(b"gone")
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(bytes((0x10, len(body))) + body)
    assert re.match(rb"\x20\x02\x00\x00", connection.recv(4))
    return connection


def receive(broker: BrokerProcess, count: int) -> list[bytes]:
    """Connect with the persistent session `keeper`, wait for `count` messages and leave."""
    payloads: list[bytes] = []
    subscribed = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, "keeper", clean_session=False, protocol=paho.MQTTv311)
    client.on_message = lambda _c, _u, message: payloads.append(message.payload)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda *_: client.subscribe("stream", qos=1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert subscribed.wait(10)
    eventually(lambda: len(payloads) >= count, timeout=20, what=f"{count} messages")
    client.disconnect()
    client.loop_stop()
    return payloads
