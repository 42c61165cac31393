import ipaddress

import pytest

from actors.resolver import Budget, Found, LocalSteps
from actors.resolver.addresses import Subnet, is_scannable, subnet_of
from actors.resolver.neighbours import parse_arp
from actors.resolver.reachability import Limits
from actors.resolver.scan import scan
from actors.resolver.steps import own_subnets
from tests.resolver.support import MAC, MAC_DIGITS, listening, silent, wanted
from tests.support.ports import free_port

SUBNET = subnet_of("127.0.1.1", "255.255.255.248")
ROW = "{address} 0x1 0x2 {mac} * eth0\n"


def table(**owners):
    """A neighbour table from `mac=address` as the kernel prints it."""
    return parse_arp("header\n" + "".join(ROW.format(address=a, mac=m) for m, a in owners.items()))


def run(device, owners, subnets=(SUBNET,), **options):
    neighbours = owners if callable(owners) else lambda: owners
    budget = options.pop("budget", None) or Budget(5.0)
    return scan(device, subnets, neighbours=neighbours, budget=budget, limits=Limits(timeout=0.5), **options)


def test_the_device_is_found_by_its_mac_among_hosts_with_the_same_open_port():
    with listening("127.0.1.4") as port, listening("127.0.1.5", port), listening("127.0.1.6", port):
        owners = table(**{"02:00:00:00:00:01": "127.0.1.4", MAC: "127.0.1.5", "02:00:00:00:00:02": "127.0.1.6"})
        assert run(wanted(ports=(port,)), owners) == Found("127.0.1.5", port)


def test_a_host_that_the_table_does_not_know_yet_is_found_after_the_knock():
    with listening("127.0.1.5") as port:
        looks = []

        def neighbours():
            looks.append(None)
            return {"127.0.1.5": MAC_DIGITS} if len(looks) > 1 else {}

        assert run(wanted(ports=(port,)), neighbours) == Found("127.0.1.5", port)
        assert len(looks) == 2


def test_a_second_port_is_found_at_the_devices_own_address():
    with listening("127.0.1.5") as port:
        assert run(wanted(ports=(free_port(), port)), {"127.0.1.5": MAC_DIGITS}) == Found("127.0.1.5", port)


def test_an_open_port_alone_never_makes_a_device():
    with listening("127.0.1.4") as port:
        assert run(wanted(ports=(port,)), {}) is None
        assert run(wanted(ports=(port,)), {"127.0.1.4": "020000000001"}) is None


def test_without_a_known_mac_nothing_is_sent():
    def forbidden():
        pytest.fail("the table was read")

    with listening("127.0.1.4") as port:
        assert run(wanted(ports=(port,), mac=""), forbidden) is None


def test_the_devices_mac_without_an_open_port_is_no_answer():
    assert run(wanted(ports=(free_port(),)), {"127.0.1.4": MAC_DIGITS}) is None


def test_an_address_outside_the_local_subnets_is_not_tried_even_with_the_right_mac():
    with listening("127.0.2.4") as port:
        assert run(wanted(ports=(port,)), {"127.0.2.4": MAC_DIGITS}) is None


def test_of_two_addresses_with_the_mac_the_one_that_answers_counts():
    with listening("127.0.1.5") as port:
        owners = {"127.0.1.3": MAC_DIGITS, "127.0.1.5": MAC_DIGITS}
        assert run(wanted(ports=(port,)), owners) == Found("127.0.1.5", port)


@pytest.mark.parametrize(("address", "netmask"), [("8.8.8.1", "255.255.255.0"), ("10.0.0.1", "255.255.0.0")])
def test_a_public_or_large_subnet_is_refused_before_anything_is_sent(address, netmask):
    network = ipaddress.IPv4Network(f"{address}/{netmask}", strict=False)
    with pytest.raises(ValueError, match="must not be scanned"):
        run(wanted(), {}, subnets=[Subnet(network, ipaddress.IPv4Address(address))])


def test_a_large_subnet_is_looked_through_in_portions_until_the_device_appears():
    near = subnet_of("127.0.4.1", "255.255.255.0")
    with listening("127.0.4.100") as port:
        looks = []

        def neighbours():
            looks.append(None)
            return {"127.0.4.100": MAC_DIGITS} if len(looks) == 3 else {}

        assert run(wanted(ports=(port,)), neighbours, subnets=[near]) == Found("127.0.4.100", port)
        assert len(looks) == 3


def test_a_scan_ends_with_its_budget():
    with silent("127.0.1.4") as mute:
        device = wanted(ports=(mute,))
        assert scan(device, [SUBNET], neighbours=dict, budget=Budget(0.1), limits=Limits(timeout=30.0)) is None


# --- the steps on this machine


def steps(**fields):
    """Steps that see nothing of the machine they run on."""

    def no_browse(*_):
        pytest.fail("mDNS was asked")
        yield

    values = {"neighbours": dict, "subnets": lambda: [SUBNET], "browse": no_browse}
    return LocalSteps(**(values | fields))


def test_the_last_known_address_is_checked_at_every_port():
    with listening("127.0.1.4") as port:
        assert steps().last_known(wanted(ports=(free_port(), port)), Budget(5.0)) == Found("127.0.1.4", port)


def test_a_last_known_address_where_nobody_listens_is_no_answer():
    assert steps().last_known(wanted(ports=(free_port(),)), Budget(5.0)) is None


def test_a_last_known_address_that_another_device_has_now_is_no_answer():
    with listening("127.0.1.4") as port:
        another = steps(neighbours=lambda: {"127.0.1.4": "020000000001"})
        assert another.last_known(wanted(ports=(port,)), Budget(5.0)) is None
        same = steps(neighbours=lambda: {"127.0.1.4": MAC_DIGITS})
        assert same.last_known(wanted(ports=(port,)), Budget(5.0)) == Found("127.0.1.4", port)


def test_without_a_last_known_address_nothing_is_checked():
    assert steps().last_known(wanted(address=""), Budget(5.0)) is None


def test_a_last_known_address_that_keeps_silent_takes_only_its_time():
    with silent("127.0.1.4") as mute:
        assert steps(check_seconds=0.1).last_known(wanted(ports=(mute,)), Budget(30.0)) is None


def test_the_scan_step_looks_through_the_local_subnets():
    with listening("127.0.1.5") as port:
        local = steps(neighbours=lambda: {"127.0.1.5": MAC_DIGITS})
        assert local.scan(wanted(ports=(port,)), Budget(5.0)) == Found("127.0.1.5", port)


def test_a_scan_that_is_switched_off_does_not_even_look_at_the_interfaces():
    def forbidden():
        pytest.fail("the interfaces were read")

    assert steps(use_scan=False, subnets=forbidden).scan(wanted(), Budget(5.0)) is None
    assert steps(use_mdns=False, subnets=forbidden).mdns(wanted(), Budget(5.0)) is None


def test_the_subnets_of_this_machine_may_all_be_scanned():
    assert all(is_scannable(subnet.network) and not subnet.own.is_loopback for subnet in own_subnets())
