"""Which names and addresses a server takes for its own."""

from ipaddress import ip_address

import pytest

from supervisor.server.own_hosts import Authority, OwnHosts, interface_addresses, read_authority


def hosts(*configured):
    return OwnHosts(
        configured,
        "srv1",
        host_name=lambda: "Barn",
        addresses=lambda: {ip_address("127.0.0.1"), ip_address("10.0.0.2"), ip_address("fe80::2")},
    )


def includes(own, host, client="10.0.0.66", port=5000):
    return own.include(Authority(host, port), client=client, port=5000)


@pytest.mark.parametrize("host", ["10.0.0.2", "fe80::2", "fe80:0::2", "barn", "barn.local", "muster-srv1.local"])
def test_addresses_of_its_interfaces_and_names_of_its_own_are_its_own(host):
    assert includes(hosts(), host)
    assert includes(hosts(), host, port=443)


def test_another_port_of_this_machine_is_that_of_another_program():
    assert not includes(hosts(), "10.0.0.2", port=5001)
    assert not includes(hosts(), "127.0.0.1", client="127.0.0.1", port=5001)


@pytest.mark.parametrize("host", ["farm.example", "203.0.113.7", "fd00::7"])
def test_what_is_configured_is_its_own_at_any_port(host):
    assert includes(hosts("Farm.Example", "203.0.113.7", "fd00:0:0::7"), host, port=8443)


@pytest.mark.parametrize("host", ["10.0.0.66", "::2", "0.0.0.0", "barn2", "barn.lan", "farm.example", "167772162", ""])
def test_all_others_are_not(host):
    assert not includes(hosts(), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_the_loopback_address_is_this_machine_only_for_this_machine(host):
    for client in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert includes(hosts(), host, client)
    for client in ("10.0.0.66", "10.0.0.2", "", "nobody"):
        assert not includes(hosts(), host, client)


def test_the_addresses_of_this_machine_are_found():
    assert ip_address("127.0.0.1") in interface_addresses()


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("Muster.Local:5000", ("muster.local", 5000)),
        ("[FD00::7]:5000", ("fd00::7", 5000)),
        ("muster", ("muster", None)),
        ("a@b:1", None),
        ("a b", None),
        ("a:99999", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_a_host_header_is_read(header, read):
    assert read_authority(header) == read
