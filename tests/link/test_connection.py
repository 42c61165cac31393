"""Refusals, take-overs, TLS and old brokers."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

import pytest

from actors.link.messages import Reconnect
from tests.link.rig import Rig, running
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.ports import free_port
from tests.support.wait import eventually


class OldBroker:
    """Refuses MQTT 5 with the given CONNACK and passes everything else on to a real broker."""

    def __init__(self, target, refusal):
        self.refusal = refusal
        self.target = target
        self.levels = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self.server.getsockname()[1]}"
        self.threads = []

    def __enter__(self):
        self._spawn(self._accept)
        return self

    def __exit__(self, *exc_info):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for thread in self.threads:
            thread.join(5)

    def _spawn(self, target, *args):
        self.threads.append(threading.Thread(target=target, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._spawn(self._serve, self.server.accept()[0])

    def _serve(self, near):
        with near, contextlib.suppress(OSError):
            first = near.recv(4096)
            level = first[first.index(b"MQTT") + 4]
            self.levels.append(level)
            if level == 5:
                near.sendall(self.refusal)
                near.recv(1)
                return
            with (
                socket.create_connection((self.target.host, self.target.port)) as far,
                selectors.DefaultSelector() as both,
            ):
                far.sendall(first)
                both.register(near, selectors.EVENT_READ, far)
                both.register(far, selectors.EVENT_READ, near)
                while True:
                    for key, _ in both.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        key.data.sendall(data)


@pytest.mark.parametrize("refusal", [b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x01"], ids=["0x84", "0x01"])
@pytest.mark.parametrize("kind", ["control", "data"])
def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(mosquitto, tmp_path, refusal, kind):
    with OldBroker(mosquitto, refusal) as old, running(Rig(old.url, tmp_path, kind=kind)) as rig:
        rig.until("subscribed")
        assert rig.board.status.protocol == "3.1.1"
        assert old.levels == [5, 4]
        with Device(mosquitto.url) as device:
            device.publish("t/1", b"one")
        (item,) = rig.wait_items(1)
        if kind == "data":
            rig.settle([item])
            eventually(lambda: rig.counters.acknowledged == 1, what="the acknowledgement")


def test_a_3_1_1_session_keeps_what_was_not_settled(mosquitto, tmp_path):
    with OldBroker(mosquitto, b"\x20\x02\x00\x01") as old:
        with running(Rig(old.url, tmp_path, kind="data")) as rig:
            rig.until_live()
            with Device(mosquitto.url) as device:
                device.publish("t/1", b"one")
            rig.wait_items(1)
        with running(Rig(old.url, tmp_path, kind="data")) as rig:
            (item,) = rig.wait_items(1)
            assert (item.payload, item.dup, item.live) == (b"one", True, False)
        assert old.levels == [5, 4, 5, 4]


def test_refused_credentials_are_shown_and_tried_again_slowly(tmp_path):
    with Mosquitto(users={"muster": "right"}) as broker:
        with running(Rig(broker.url.replace("://", "://muster:wrong@"), tmp_path, kind="control")) as rig:
            eventually(lambda: "refused" in rig.board.status.last_error, what="the refusal")
            assert "Not authorized" in rig.board.status.last_error
            assert rig.state == "backing_off"
            assert rig.actor._connection.seconds_to_next() > 3
            assert rig.sight.changes == []
        with running(Rig(broker.url.replace("://", "://muster:right@"), tmp_path, kind="control")) as rig:
            rig.until("subscribed")


@pytest.mark.parametrize("kind", ["control", "data"])
def test_tls_is_verified_and_carries_messages(tmp_path, kind):
    with Mosquitto(tls=True) as broker:
        ca = broker.authority.ca_file
        with running(Rig(f"{broker.url}?ca={ca}", tmp_path, kind=kind)) as rig:
            rig.until("subscribed")
            with Device(broker.url, ca_file=ca) as device:
                for number in range(20):
                    device.publish("t/1", bytes([number]) * 40_000)
            items = rig.wait_items(20)
            assert [item.payload[0] for item in items] == list(range(20))


def test_a_certificate_that_nobody_vouches_for_is_shown_and_refused(tmp_path):
    with Mosquitto(tls=True) as broker, running(Rig(broker.url, tmp_path, kind="control")) as rig:
        eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in rig.board.status.last_error, what="the refusal")
        assert rig.actor._connection.seconds_to_next() > 3


def test_a_broker_that_asks_for_a_certificate_gets_ours(tmp_path):
    class Strict(Mosquitto):
        def is_ready(self):
            with socket.create_connection((self.host, self.port)):
                return True

    with Strict(tls=True, config=["require_certificate true"]) as broker:
        cert, key = broker.authority.issue("muster")
        url = f"{broker.url}?ca={broker.authority.ca_file}&cert={cert}&key={key}"
        with running(Rig(url, tmp_path, kind="control")) as rig:
            rig.until("subscribed")


@pytest.mark.parametrize("kind", ["control", "data"])
def test_of_two_servers_with_one_client_id_one_gives_way_for_good(mosquitto, tmp_path, kind):
    with running(Rig(mosquitto.url, tmp_path, kind=kind)) as older:
        older.until("subscribed")
        eventually(lambda: older.board.claimed_ms, what="the claim")
        with running(Rig(mosquitto.url, tmp_path, kind=kind)) as newer:
            eventually(lambda: {older.state, newer.state} == {"subscribed", "taken_over"}, 10, what="a decision")
            loser = older if older.state == "taken_over" else newer
            assert "another client" in loser.board.status.last_error
            assert loser.sight.changes[-1] == "lost"
            winner = newer if loser is older else older
            attempts = loser.actor._connection.epoch
            with Device(mosquitto.url) as device:
                eventually(
                    lambda: not device.publish("t/1", b"heard by one").is_failure and winner.subscriber.items,
                    what="a message, once the winner has its connection back",
                )
            winner.until("subscribed")
            assert loser.actor._connection.epoch == attempts
            assert loser.state == "taken_over"
        loser.ref.tell(Reconnect())
        loser.until("subscribed")


def test_a_claim_restored_from_the_past_is_no_rival(mosquitto, tmp_path):
    with running(Rig(mosquitto.url, tmp_path, kind="control")) as rig:
        rig.until("subscribed")
        eventually(lambda: rig.board.claimed_ms, what="the claim")
        with Device(mosquitto.url) as device:
            device.publish("server/markers/muster-test-control", b"claim 0123 1700000000000", retain=True)
            device.publish("server/markers/muster-test-control", b"\xff nonsense", retain=True)
        rig.ref.tell(Reconnect())
        eventually(lambda: rig.counters.connections == 2, what="the second connection")
        rig.until("subscribed")


def test_a_broker_that_says_taken_over_is_believed(tmp_path):
    def take_over(near):
        near.sendall(b"\xe0\x02\x8e\x00")
        # A close over unread bytes is a reset, which can overtake the DISCONNECT.
        while near.recv(4096):
            continue

    with scripted_broker(take_over) as url, running(Rig(url, tmp_path, kind="data")) as rig:
        rig.until("taken_over")
        assert rig.counters.connections == 1


def test_a_new_incarnation_takes_the_connection_over_and_keeps_it(mosquitto, tmp_path):
    with running(Rig(mosquitto.url, tmp_path, kind="data")) as rig:
        rig.until("subscribed")
        before = rig.actor
        rig.runtime.kill(rig.ref)
        rig.start()
        rig.until_live()
        eventually(lambda: not before._connection.up, what="the end of the former incarnation")
        assert rig.state == "subscribed"


def test_an_operator_can_hasten_the_next_attempt(tmp_path, mosquitto):
    mosquitto.stop()
    with running(Rig(mosquitto.url, tmp_path, kind="control")) as rig:
        eventually(lambda: rig.board.status.last_error, what="a failure")
        rig.actor._connection._failures = 100
        eventually(lambda: rig.actor._connection.seconds_to_next() > 1, 20, what="a long wait")
        mosquitto.start()
        rig.ref.tell(Reconnect())
        rig.until("subscribed", timeout=3)


def test_an_unknown_host_is_shown_and_the_link_stays_responsive(tmp_path):
    with running(Rig("mqtt://no-such-host.invalid:1883", tmp_path, kind="control")) as rig:
        eventually(lambda: "no-such-host.invalid:1883" in rig.board.status.last_error, 20, what="the failure")
        rig.ref.tell("anybody there?")
        eventually(lambda: rig.counters.unexpected == 1, 20, what="an answer")


def test_a_broker_that_accepts_and_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("actors.link.connection.ANSWER_WITHIN", 0.2)
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        running(Rig(f"mqtt://127.0.0.1:{port}", tmp_path, kind="control")) as rig,
    ):
        eventually(lambda: "did not answer" in rig.board.status.last_error, what="the verdict")


def test_a_refused_subscription_is_not_sight_and_is_tried_again(tmp_path, monkeypatch):
    # Mosquitto 2.0 grants what it then denies, so a broker of our own refuses.
    monkeypatch.setattr("actors.link.connection.RESUBSCRIBE_AFTER", 1.0)
    codes = []

    def grant_the_second_time(near):
        while data := near.recv(4096):
            if data[0] == 0x82 and b"t/#" in data:
                codes.append(0 if codes else 0x87)
                near.sendall(b"\x90\x04" + data[2:4] + b"\x00" + bytes([codes[-1]]))

    with scripted_broker(grant_the_second_time) as url, running(Rig(url, tmp_path, kind="control")) as rig:
        eventually(lambda: "refused the subscription of t/#" in rig.board.status.last_error, what="the refusal")
        assert rig.sight.changes == []
        rig.until("subscribed")
        assert rig.board.status.last_error == ""
        assert codes == [0x87, 0]


@contextlib.contextmanager
def scripted_broker(after_connack):
    """Welcome each MQTT 5 client, then do with its socket what the script says."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                with near, contextlib.suppress(OSError):
                    near.recv(4096)
                    near.sendall(b"\x20\x03\x00\x00\x00")
                    after_connack(near)
                    near.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
