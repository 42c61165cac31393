import socket

import pytest
from zeroconf import IPVersion, ServiceInfo, Zeroconf

from actors.resolver import Budget, Found, LocalSteps
from actors.resolver.addresses import subnet_of
from actors.resolver.mdns import Answer, answer_of, browse_network, local_name, matches, usable
from tests.resolver.support import wanted
from tests.support.need import unavailable

LOOPBACK = subnet_of("127.0.0.1", "255.255.255.248")
EDGE, SSH = "_muster-edge._tcp.local.", "_ssh._tcp.local."


def service(kind, name, server, address, port, **properties):
    addresses = [socket.inet_aton(address)]
    return ServiceInfo(kind, f"{name}.{kind}", addresses=addresses, port=port, properties=properties, server=server)


# --- the pure part


@pytest.mark.parametrize(
    "hostname", ["raspberrypi", "RaspberryPi", "raspberrypi.local", "raspberrypi.local.", "raspberrypi.lan"]
)
def test_a_host_has_one_name_in_the_local_domain(hostname):
    assert local_name(hostname) == "raspberrypi.local."


@pytest.mark.parametrize("hostname", ["", ".", "localhost", "a b", "pi_1", "pi;reboot", "grüße", "x" * 64])
def test_what_cannot_be_a_host_name_is_not_asked_for(hostname):
    assert local_name(hostname) == ""


def test_a_service_with_the_devices_serial_is_the_device_whatever_its_host_name():
    assert matches(wanted(), Answer(host="other.local.", addresses=(), serial="pi-1"))


def test_a_service_with_another_serial_is_another_device_even_with_the_same_host_name():
    assert not matches(wanted(), Answer(host="raspberrypi.local.", addresses=(), serial="pi-2"))


def test_a_service_without_a_serial_is_known_by_its_host_name():
    assert matches(wanted(), Answer(host="RaspberryPi.local.", addresses=()))
    assert not matches(wanted(), Answer(host="raspberrypi-2.local.", addresses=()))
    assert not matches(wanted(hostname=""), Answer(host="", addresses=()))


def test_public_addresses_in_an_answer_are_not_used():
    assert usable(Answer(host="", addresses=("8.8.8.8", "192.168.1.5", "224.0.0.1"))) == ["192.168.1.5"]


def test_a_service_record_is_read():
    info = service(EDGE, "one", "pi-9.local.", "127.0.0.7", 5000, serial="pi-1")
    assert answer_of(info) == Answer(host="pi-9.local.", addresses=("127.0.0.7",), port=5000, serial="pi-1")


@pytest.mark.parametrize(
    ("properties", "serial"), [({}, ""), ({"device_id": "pi-1"}, "pi-1"), ({"serial": b"\xff"}, "\ufffd")]
)
def test_the_serial_of_a_service_has_several_names_and_may_be_missing(properties, serial):
    assert answer_of(service(SSH, "one", "pi.local.", "127.0.0.7", 22, **properties)).serial == serial


# --- the step, with a fake network


def step(*answers, neighbours=dict, asked=None):
    def browse(name, own, budget):
        if asked is not None:
            asked.append((name, list(own)))
        yield from answers

    return LocalSteps(browse=browse, neighbours=neighbours, subnets=lambda: [LOOPBACK])


def test_the_network_is_asked_on_the_interfaces_with_private_addresses_only():
    asked = []
    assert step(asked=asked).mdns(wanted(), Budget(5.0)) is None
    assert asked == [("raspberrypi.local.", ["127.0.0.1"])]


def test_without_a_private_interface_the_network_is_not_asked():
    def browse(*_):
        pytest.fail("the network was asked")

    assert LocalSteps(browse=browse, neighbours=dict, subnets=list).mdns(wanted(), Budget(5.0)) is None


def test_the_first_answer_about_the_device_counts():
    answers = [
        Answer(host="printer.local.", addresses=("127.0.0.5",), port=22),
        Answer(host="raspberrypi.local.", addresses=("8.8.8.8", "127.0.0.7"), port=22),
        Answer(host="raspberrypi.local.", addresses=("127.0.0.8",)),
    ]
    assert step(*answers).mdns(wanted(), Budget(5.0)) == Found("127.0.0.7", 22)


def test_an_answer_at_whose_address_another_machine_lives_is_dropped():
    answers = [Answer(host="raspberrypi.local.", addresses=(address,)) for address in ("127.0.0.7", "127.0.0.8")]
    table = {"127.0.0.7": "020000000001"}
    assert step(*answers, neighbours=lambda: table).mdns(wanted(), Budget(5.0)) == Found("127.0.0.8", None)


def test_the_sockets_are_closed_as_soon_as_the_device_is_found():
    closed = []

    def browse(*_):
        try:
            yield Answer(host="raspberrypi.local.", addresses=("127.0.0.7",))
            pytest.fail("asked on")
        finally:
            closed.append(True)

    local = LocalSteps(browse=browse, neighbours=dict, subnets=lambda: [LOOPBACK])
    assert local.mdns(wanted(), Budget(5.0)) == Found("127.0.0.7", None)
    assert closed == [True]


# --- the real thing, on loopback


@pytest.fixture(scope="module")
def responders():
    """Two machines that announce themselves on loopback."""
    try:
        network = Zeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    except OSError as error:
        unavailable(f"needs multicast on loopback: {error}")
    with network:
        network.register_service(service(EDGE, "one", "muster-a.local.", "127.0.0.7", 5000, serial="pi-1"))
        network.register_service(service(SSH, "two", "muster-b.local.", "127.0.0.8", 22))
        yield


def real_step():
    return LocalSteps(browse=browse_network, neighbours=dict, subnets=lambda: [LOOPBACK], mdns_seconds=20.0)


@pytest.mark.usefixtures("responders")
def test_a_real_device_is_found_by_the_serial_that_its_service_tells():
    found = real_step().mdns(wanted(serial="pi-1", hostname=""), Budget(30.0))
    assert found == Found("127.0.0.7", 5000)


@pytest.mark.usefixtures("responders")
def test_a_real_device_is_found_by_its_host_name():
    found = real_step().mdns(wanted(serial="pi-2", hostname="muster-b"), Budget(30.0))
    assert found.address == "127.0.0.8"


@pytest.mark.usefixtures("responders")
def test_a_browse_for_a_device_that_is_away_ends_with_its_budget():
    assert real_step().mdns(wanted(serial="pi-3", hostname="muster-c"), Budget(0.7)) is None


def test_a_browse_without_an_interface_opens_nothing():
    assert list(browse_network("raspberrypi.local.", [], Budget(5.0))) == []
