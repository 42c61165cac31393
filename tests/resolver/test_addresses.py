import ipaddress
import socket
from types import SimpleNamespace

import pytest

from actors.resolver.addresses import (
    Subnet,
    is_checkable,
    is_scannable,
    local_subnets,
    nearest_first,
    subnet_of,
)

UP, DOWN = SimpleNamespace(isup=True), SimpleNamespace(isup=False)


def v4(address, netmask):
    return SimpleNamespace(family=socket.AF_INET, address=address, netmask=netmask)


def networks(addresses, states=None):
    states = states or dict.fromkeys(addresses, UP)
    return [str(subnet.network) for subnet in local_subnets(addresses, states)]


@pytest.mark.parametrize(
    "address", ["192.168.1.5", "10.1.2.3", "172.16.0.9", "169.254.7.7", "100.64.0.8", "127.0.0.1", "::1", "fe80::1"]
)
def test_a_private_address_may_be_checked(address):
    assert is_checkable(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "224.0.0.251",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "ff02::fb",
        "",
        "localhost",
        "pi.local",
        "192.168.1",
        "192.168.1.5:22",
        "192.168.1.5/24",
        "3232235777",
    ],
)
def test_what_a_device_announces_never_makes_the_server_knock_at_a_foreign_door(address):
    assert not is_checkable(address)


def test_the_private_subnets_of_the_interfaces_are_found():
    found = networks({"eth0": [v4("192.168.1.7", "255.255.255.0")], "wlan0": [v4("10.3.2.1", "255.255.252.0")]})
    assert found == ["192.168.1.0/24", "10.3.0.0/22"]


def test_public_subnets_and_loopback_are_left_out():
    assert networks({"lo": [v4("127.0.0.1", "255.0.0.0")], "eth0": [v4("8.8.8.1", "255.255.255.0")]}) == []


def test_other_families_and_addresses_without_a_mask_are_left_out():
    entries = [
        SimpleNamespace(family=socket.AF_INET6, address="fe80::1", netmask="ffff::"),
        SimpleNamespace(family=socket.AF_INET, address="192.168.1.7", netmask=None),
    ]
    assert networks({"eth0": entries}) == []


def test_an_interface_that_is_down_or_has_no_state_is_left_out():
    addresses = {"eth0": [v4("192.168.1.7", "255.255.255.0")], "eth1": [v4("192.168.2.7", "255.255.255.0")]}
    assert networks(addresses, {"eth0": DOWN}) == []


def test_a_large_subnet_is_cut_to_the_24_around_our_own_address():
    assert networks({"eth0": [v4("10.7.8.9", "255.0.0.0")]}) == ["10.7.8.0/24"]
    assert networks({"eth0": [v4("169.254.3.4", "255.255.0.0")]}) == ["169.254.3.0/24"]
    assert networks({"eth0": [v4("10.7.8.9", "255.255.248.0")]}) == ["10.7.8.0/24"]


def test_a_point_to_point_link_has_no_neighbours():
    assert subnet_of("10.8.0.2", "255.255.255.255") is None
    assert subnet_of("10.8.0.2", "255.255.255.254") is None


def test_an_address_that_is_listed_twice_gives_one_subnet():
    found = local_subnets({"eth0": [v4("10.0.0.5", "255.255.255.0"), v4("10.0.0.5", "255.255.255.0")]}, {"eth0": UP})
    assert len(found) == 1


def test_the_hosts_of_a_subnet_are_all_but_ourselves():
    subnet = subnet_of("127.0.1.1", "255.255.255.248")
    assert list(subnet.hosts()) == [f"127.0.1.{n}" for n in range(2, 7)]


@pytest.mark.parametrize(
    "text", ["8.8.8.0/24", "10.0.0.0/8", "192.168.0.0/16", "172.32.0.0/24", "0.0.0.0/0", "10.0.0.0/21"]
)
def test_a_public_or_large_network_must_not_be_scanned(text):
    assert not is_scannable(ipaddress.IPv4Network(text))


def test_the_subnet_of_the_last_known_address_comes_first():
    near, far = subnet_of("192.168.9.1", "255.255.255.0"), subnet_of("10.0.0.1", "255.255.255.0")
    assert nearest_first([far, near], "192.168.9.77") == [near, far]
    assert nearest_first([far, near], "") == [far, near]


def test_what_is_no_ipv4_address_is_in_no_subnet():
    subnet = Subnet(ipaddress.IPv4Network("127.0.1.0/29"), ipaddress.IPv4Address("127.0.1.1"))
    assert "127.0.1.4" in subnet
    assert "fe80::1" not in subnet
    assert "nonsense" not in subnet
