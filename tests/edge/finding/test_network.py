"""Two hosts on a network of their own: real multicast, a real scan, a server that moves."""

import json
import sys

import pytest

from tests.support.network import Network
from tests.support.processes import Process
from tests.support.wait import eventually

HOSTS = "tests.edge.finding.hosts"

pytestmark = pytest.mark.slow


@pytest.fixture
def network():
    with Network() as network:
        network.add_host("srv", "192.168.78.20/26")
        network.add_host("pi", "192.168.78.5/26")
        yield network


def serve(network, address, announces):
    process = Process(*network.on("srv"), sys.executable, "-m", HOSTS, "server", address, announces)
    eventually(lambda: "READY" in process.output, 60, "the server")
    return process


def search(network, last_url=""):
    with Process(*network.on("pi"), sys.executable, "-m", HOSTS, "device", last_url, "a-token") as process:
        assert process.wait(100) == 0, process.output
        return json.loads(process.output.splitlines()[-1])


def test_a_server_is_found_by_what_it_announces(network):
    with serve(network, "192.168.78.20", "announce"):
        assert search(network) == ["mdns", "http://192.168.78.20:5000"]


def test_a_server_that_announces_nothing_is_found_by_looking_through_the_subnet(network):
    with serve(network, "192.168.78.20", "silent"):
        assert search(network) == ["scan", "http://192.168.78.20:5000"]


def test_a_server_that_has_moved_is_found_at_its_new_address(network):
    with serve(network, "192.168.78.20", "announce"):
        assert search(network, "http://192.168.78.20:5000") == ["last_known", "http://192.168.78.20:5000"]
    network.move("srv", "192.168.78.20/26", "192.168.78.33/26")
    with serve(network, "192.168.78.33", "announce"):
        assert search(network, "http://192.168.78.20:5000") == ["mdns", "http://192.168.78.33:5000"]
