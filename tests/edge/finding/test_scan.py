"""Looking through subnets, with real servers on addresses of the loopback network."""

import ipaddress
import socket
from types import SimpleNamespace

import pytest

from actors.resolver.addresses import Subnet
from actors.resolver.budget import Budget
from edge.finding import subnets as subnets_module
from edge.finding.scan import far_hosts, near_hosts
from edge.finding.subnets import own_subnets
from tests.support.registrar import Registrar

LOOP = ipaddress.IPv4Network("127.7.7.0/28")


@pytest.fixture
def server():
    with Registrar(host="127.7.7.9") as server:
        yield server


def test_a_host_in_our_subnet_that_answers_is_found(server):
    subnet = Subnet(LOOP, ipaddress.IPv4Address("127.7.7.1"))
    assert list(near_hosts([subnet], server.port, Budget(30))) == ["127.7.7.9"]


def test_this_machine_is_asked_first():
    with Registrar() as here, Registrar(host="127.7.7.9", port=here.port):
        subnet = Subnet(LOOP, ipaddress.IPv4Address("127.7.7.1"))
        assert list(near_hosts([subnet], here.port, Budget(30))) == ["127.0.0.1", "127.7.7.9"]


def test_a_host_of_another_subnet_is_found(server):
    assert list(far_hosts([LOOP], server.port, Budget(30))) == ["127.7.7.9"]


def test_nothing_is_asked_when_the_time_is_over(server):
    assert list(far_hosts([LOOP], server.port, Budget(0))) == []


def entry(address):
    return SimpleNamespace(family=socket.AF_INET, address=address, netmask="255.255.255.0")


def test_networks_of_containers_are_left_out(monkeypatch):
    names = ("eth0", "docker0", "veth12ab", "br-0af3", "virbr0", "wlan0", "eth1")
    addresses = {name: [entry(f"10.0.{number}.7")] for number, name in enumerate(names)}
    states = {name: SimpleNamespace(isup=name != "eth1") for name in names}
    monkeypatch.setattr(subnets_module.psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(subnets_module.psutil, "net_if_stats", lambda: states)
    assert [str(subnet.network) for subnet in own_subnets()] == ["10.0.0.0/24", "10.0.5.0/24"]
