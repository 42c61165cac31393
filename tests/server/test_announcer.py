"""The server in the local network: what is announced, when it changes, and how it ends; real multicast on loopback."""

from __future__ import annotations

import gc
import socket
from types import SimpleNamespace

import pytest
from zeroconf import IPVersion, ServiceBrowser, Zeroconf

from actors import announcer as module
from actors.announcer import (
    SERVICE_TYPE,
    AnnouncerActor,
    Card,
    Look,
    default_address,
    is_wildcard,
    own_addresses,
    usable,
)
from actors.runtime import Runtime
from supervisor.server.parts import Parts
from supervisor.server.settings import Config, Http, Mdns
from supervisor.server.tree import announcers
from tests.support.need import unavailable
from tests.support.wait import eventually

NAME = f"Muster 0a1b2c3d.{SERVICE_TYPE}"


@pytest.fixture
def network():
    """Somebody else who listens on loopback."""
    try:
        opened = Zeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    except OSError as error:
        unavailable(f"needs multicast on loopback: {error}")
    with opened:
        yield opened


@pytest.fixture
def runtime():
    running = Runtime.system()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def start(runtime):
    """Starts an announcer; `place` may be changed while it runs."""
    refs = []

    def launch(*, port=5000, addresses=("127.0.0.1",), server_id="0a1b2c3d"):
        place = SimpleNamespace(port=port, addresses=addresses)
        actor = AnnouncerActor(
            server_id=server_id,
            version="9.9",
            port=lambda: place.port,
            addresses=lambda: place.addresses,
            runtime=runtime,
            every=0.05,
        )
        refs.append(runtime.launch(actor))
        place.ref = refs[-1]
        return place

    yield launch
    for ref in refs:
        if ref.is_alive():
            ref.stop(timeout=20)


def browse(network):
    """The names of the services that are seen, kept up to date."""
    seen = set()

    def on_change(*, name, state_change, **_):
        if state_change.name == "Removed":
            seen.discard(name)
        else:
            seen.add(name)

    ServiceBrowser(network, SERVICE_TYPE, handlers=[on_change])
    return seen


def look_up(network):
    return network.get_service_info(SERVICE_TYPE, NAME, timeout=1000)


def url_of(network):
    found = look_up(network)
    return found and found.properties[b"url"].decode()


def test_the_network_is_told_where_the_server_is_and_that_it_leaves(network, start):
    seen = browse(network)
    place = start()
    eventually(lambda: NAME in seen, what="the server is seen")
    found = eventually(lambda: look_up(network), what="the service is resolved")
    assert (found.port, found.parsed_addresses()) == (5000, ["127.0.0.1"])
    assert found.properties == {b"url": b"http://127.0.0.1:5000", b"server_id": b"0a1b2c3d", b"version": b"9.9"}
    place.ref.stop(timeout=20)
    eventually(lambda: NAME not in seen, what="the goodbye")


def test_a_changed_address_is_announced_anew(network, start):
    place = start(port=0)
    assert look_up(network) is None
    place.port = 5000
    eventually(lambda: url_of(network) == "http://127.0.0.1:5000", what="the first address")
    place.addresses = ("127.0.0.2", "127.0.0.1")
    eventually(lambda: url_of(network) == "http://127.0.0.2:5000", what="the second address")


def test_a_server_without_an_address_says_nothing_more(network, start):
    seen = browse(network)
    place = start()
    eventually(lambda: NAME in seen, what="the server is seen")
    place.addresses = ()
    eventually(lambda: NAME not in seen, what="the goodbye")


# The library leaves the socket that it listens on to the garbage collector when it cannot open those it sends from.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_network_that_takes_no_multicast_ends_nothing(start, caplog):
    place = start(addresses=("203.0.113.7",))  # which is not ours
    eventually(lambda: "cannot be told" in caplog.text, what="the warning")
    assert place.ref.is_alive()
    place.ref.stop(timeout=20)
    caplog.clear()
    gc.collect()


def test_a_name_that_cannot_be_announced_ends_nothing(start, caplog):
    place = start(server_id="x" * 80)
    eventually(lambda: "cannot be told" in caplog.text, what="the warning")
    assert place.ref.is_alive()


def test_the_look_after_a_failure_comes_later(runtime):
    assert module.RETRY_AFTER > module.EVERY
    actor = AnnouncerActor(
        server_id="0a1b2c3d", version="9.9", port=int, addresses=tuple, runtime=runtime, every=module.EVERY
    )
    ref = runtime.launch(actor)
    ref.ask(Look())
    ref.stop(timeout=20)


# -- which addresses --------------------------------------------------------------------------------------------------


def entry(address, family=socket.AF_INET):
    return SimpleNamespace(family=family, address=address, netmask=None)


INTERFACES = {
    "lo": [entry("127.0.0.1")],
    "eth0": [entry("10.0.0.7"), entry("fe80::1", socket.AF_INET6)],
    "wlan0": [entry("10.1.0.7")],
    "docker0": [entry("172.17.0.1")],
    "tun0": [entry("10.9.0.1")],
}
STATES = {name: SimpleNamespace(isup=name != "wlan0") for name in INTERFACES if name != "tun0"}


def test_addresses_that_are_up_count_and_bridges_to_containers_do_not():
    assert usable(INTERFACES, STATES, ()) == ["10.0.0.7"]


def test_interfaces_that_were_named_are_the_only_ones():
    assert usable(INTERFACES, STATES, ("docker0", "wlan0")) == ["172.17.0.1"]


def test_a_server_at_one_address_announces_that_one():
    ours = own_addresses("0.0.0.0", ())
    assert own_addresses("203.0.113.7", ()) == ()
    for address in ours:
        assert own_addresses(address, ()) == (address,)
    assert ours[:1] == ((default_address(),) if default_address() in ours else ours[:1])


def test_a_wildcard_is_known_as_such():
    assert [is_wildcard(host) for host in ("0.0.0.0", "::", "10.0.0.7")] == [True, True, False]


def test_the_first_address_is_the_one_of_the_url():
    assert Card(("10.0.0.7", "10.1.0.7"), 5000).url == "http://10.0.0.7:5000"


# -- its place in the tree --------------------------------------------------------------------------------------------


def of_tree(runtime, tmp_path, **settings):
    return announcers(Parts(Config(data_dir=str(tmp_path), **settings), runtime, "0a1b2c3d"))


def test_a_server_for_this_machine_alone_is_not_announced(runtime, tmp_path):
    assert not of_tree(runtime, tmp_path)
    assert not of_tree(runtime, tmp_path, http=Http(host="0.0.0.0"), mdns=Mdns(announce=False))
    (spec,) = of_tree(runtime, tmp_path, http=Http(host="0.0.0.0"))
    assert isinstance(spec.start(), AnnouncerActor)
