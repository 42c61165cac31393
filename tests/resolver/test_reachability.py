import socket
import threading
import time

import pytest

from actors.resolver import Budget
from actors.resolver.reachability import Limits, open_ports
from tests.resolver.support import listening, silent
from tests.support.ports import free_port


def test_only_what_accepts_is_yielded():
    with listening("127.0.1.3") as here, listening("127.0.1.4") as there:
        targets = [("127.0.1.3", here), ("127.0.1.3", free_port()), ("127.0.1.4", there), ("127.0.1.5", here)]
        assert set(open_ports(targets, Budget(5.0))) == {("127.0.1.3", here), ("127.0.1.4", there)}


def test_ipv6_is_tried_too():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        target = ("::1", server.getsockname()[1])
        assert list(open_ports([target], Budget(5.0))) == [target]


def test_an_address_that_cannot_be_connected_to_is_passed_over():
    # A link-local address without its interface is refused by the kernel; nothing is sent.
    with listening("127.0.1.3") as port:
        assert list(open_ports([("fe80::1", port), ("127.0.1.3", port)], Budget(5.0))) == [("127.0.1.3", port)]


def test_an_attempt_that_stays_on_its_link_reaches_a_neighbour():
    with listening("127.0.1.3") as port:
        assert list(open_ports([("127.0.1.3", port)], Budget(5.0), Limits(on_link_only=True))) == [("127.0.1.3", port)]


def test_nothing_is_sent_and_the_connection_is_closed_at_once():
    with socket.create_server(("127.0.1.3", 0)) as server:
        assert list(open_ports([server.getsockname()], Budget(5.0))) == [server.getsockname()]
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5.0)
            assert connection.recv(1) == b""


def test_a_port_that_keeps_silent_is_given_up_after_its_time():
    with silent("127.0.1.3") as mute, listening("127.0.1.4") as port:
        began = time.monotonic()
        targets = [("127.0.1.3", mute), ("127.0.1.4", port)]
        assert list(open_ports(targets, Budget(30.0), Limits(timeout=0.2))) == [("127.0.1.4", port)]
        assert 0.2 <= time.monotonic() - began < 10.0


def test_only_so_many_attempts_are_under_way_at_a_time():
    with silent("127.0.1.3") as mute:
        began = time.monotonic()
        assert list(open_ports([("127.0.1.3", mute)] * 6, Budget(30.0), Limits(timeout=0.1, in_flight=2))) == []
        assert time.monotonic() - began >= 0.3


def test_attempts_begin_no_faster_than_the_rate():
    began = time.monotonic()
    targets = [("127.0.1.3", free_port())] * 21
    assert list(open_ports(targets, Budget(30.0), Limits(per_second=100.0))) == []
    # 20 intervals of 10 ms; up to 100 ms may be made good after a pause.
    assert time.monotonic() - began >= 0.1


def test_it_ends_with_the_budget():
    with silent("127.0.1.3") as mute:
        began = time.monotonic()
        assert list(open_ports([("127.0.1.3", mute)] * 100, Budget(0.2), Limits(timeout=30.0, in_flight=2))) == []
        assert 0.2 <= time.monotonic() - began < 10.0


def test_it_can_be_ended_from_another_thread():
    cancelled = threading.Event()
    with silent("127.0.1.3") as mute:
        timer = threading.Timer(0.1, cancelled.set)
        timer.start()
        budget = Budget(30.0, cancelled=cancelled)
        assert list(open_ports([("127.0.1.3", mute)], budget, Limits(timeout=30.0))) == []
        assert cancelled.is_set()
        timer.join()


@pytest.mark.parametrize("address", ["127.0.1.3"])
def test_no_socket_is_left_open_when_the_caller_has_seen_enough(address):
    # An unclosed socket is a ResourceWarning, which the settings of the tests make an error.
    with listening(address) as port, silent(address) as mute:
        attempts = open_ports([(address, port), (address, mute), (address, mute)], Budget(5.0))
        assert next(attempts) == (address, port)
        attempts.close()
        assert list(attempts) == []
