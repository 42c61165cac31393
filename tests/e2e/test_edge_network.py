"""Hosts of their own: the edge changes its address, the server changes its address, a cable is out."""

from __future__ import annotations

import pytest

from tests.support.edge import Edge
from tests.support.muster import MusterUp
from tests.support.network import Network
from tests.support.wait import eventually

KEY = "a-fleet-key-for-the-tests"


class Host(MusterUp):
    """`muster up --lan` on a host of its own, port 5000."""

    def __init__(self, network, host, address):
        super().__init__("--lan", env={"MUSTER_HTTP": "0.0.0.0:5000", "MUSTER_ENROLMENT_KEY": KEY})
        self.address = f"{address}:5000"
        self.prefix = network.on(host)


@pytest.fixture
def network():
    with Network() as network:
        yield network


@pytest.fixture
def server(network):
    """A server at 192.168.77.2."""
    address = network.add_host("srv", "192.168.77.2/24")
    with Host(network, "srv", address) as server:
        yield server


@pytest.fixture
def pi(network, server):
    """An edge at 192.168.77.5 that knows the fleet key and nothing else."""
    network.add_host("pi", "192.168.77.5/24")
    env = {"MUSTER_ENROLMENT_KEY": KEY}
    with Edge("pi-7", env=env, prefix=network.on("pi")) as edge:
        yield edge


def address_of(server):
    return server.device("pi-7")["ip_address"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_elsewhere_is_found_by_mdns_and_the_edge_enrols(server, pi):
    device = server.wait_presence("pi-7", "online", timeout=60)
    assert device["ip_address"] == "192.168.77.5"
    eventually(lambda: pi.status["server"]["url"] == "http://192.168.77.2:5000", what="its own view")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_changed_address_of_the_edge_is_known_at_once_and_is_no_absence(network, server, pi):
    server.wait_presence("pi-7", "online", timeout=60)
    network.move("pi", "192.168.77.5/24", "192.168.77.99/24")
    eventually(lambda: address_of(server) == "192.168.77.99", 30, "the new address")
    events = [event for event in server.items("/api/devices/pi-7/events") if event["kind"] == "presence"]
    assert [event["data"]["presence"] for event in events] == ["online"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_cable_that_was_out_for_a_while_is_no_trouble(network, server, pi):
    server.wait_presence("pi-7", "online", timeout=60)
    network.ip("pi", "link", "set", "lan", "down")
    pi.run("scan", "40063813")
    network.ip("pi", "link", "set", "lan", "up")
    (scan,) = eventually(lambda: server.items("/api/scans"), 60, "the scan")
    assert scan["code"] == "40063813"
    server.wait_presence("pi-7", "online")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_that_moves_to_another_address_is_found_again(network, server, pi):
    server.wait_presence("pi-7", "online", timeout=60)
    network.move("srv", "192.168.77.2/24", "192.168.77.200/24")
    pi.run("scan", "40063813")
    eventually(lambda: server.items("/api/scans"), 120, "the scan arrives at the new address")
    eventually(lambda: pi.status["server"]["url"] == "http://192.168.77.200:5000", 30, "the edge says so, too")
    server.wait_presence("pi-7", "online")
    assert [item["state"] for item in server.items("/api/enrolments")] == ["enrolled"]
