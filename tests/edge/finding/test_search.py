"""One search: the order of the places, and who is taken for the server. Real servers; mDNS and subnets are played."""

import ipaddress
import os

import pytest

from actors.resolver.addresses import Subnet
from actors.resolver.budget import Budget
from edge.bearings import Credentials, MqttAccess
from edge.finding.mdns import Announced
from edge.finding.search import Search, Vain
from edge.settings import EdgeSettings, FindSettings
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.registrar import KEY, Registrar

LOOP = ipaddress.IPv4Network("127.7.7.0/29")


class World:
    """A device that searches."""

    def __init__(self, tmp_path):
        self.rundir = tmp_path / "run"
        self.announced = []
        self.asked_network = 0
        self.port = free_port()
        self.subnets = []
        self.closed = False

    def ask(self, _budget):
        self.asked_network += 1
        try:
            for url in self.announced:
                yield Announced(url=url)
        finally:
            self.closed = True

    def search(self, **settings):
        settings = {"enrolment_key": KEY, **settings}
        return Search(
            EdgeSettings(**settings),
            "pi-1",
            self.rundir,
            port=self.port,
            ask=self.ask,
            subnets=lambda: self.subnets,
        )

    def run(self, credentials=None, *, wide=True, seconds=60.0, **settings):
        return self.search(**settings).run(credentials, Budget(seconds), wide=wide)

    def leave(self, server, key):
        files = ServerFiles(url=server.url, token="admin", enrolment_key=key, broker_url="", pid=os.getpid())
        directory = RuntimeDirectory(self.rundir)
        directory.publish(files)
        return directory


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def server():
    with Registrar() as server:
        yield server


@pytest.fixture
def other():
    """Another server of the same fleet key."""
    with Registrar(server_id="srv-2") as other:
        yield other


@pytest.fixture
def hostile():
    """Answers, and does not know the key."""
    with Registrar(key="some-other-key-of-mine") as hostile:
        yield hostile


def enrolled(server, url=None):
    """Credentials of that server."""
    server.states["pi-1"], server.tokens["pi-1"] = "enrolled", "a-token"
    return Credentials(
        device_id="pi-1",
        server_id=server.server_id,
        connection_string="",
        mqtt=MqttAccess("127.0.0.1", 1883),
        token="a-token",
        server_url=url or server.url,
        enrolled_at=1.0,
    )


def gone():
    return f"http://127.0.0.1:{free_port()}"


def place(found):
    assert not isinstance(found, Vain), found
    return found.place.source, found.place.url


# --- the order


def test_the_configured_server_comes_first(world, server, other):
    world.announced = [other.url]
    assert place(world.run(server_url=server.url)) == ("configured", server.url)
    assert (world.asked_network, other.asked) == (0, [])


def test_then_the_place_where_it_was(world, server, other):
    with_other = world.leave(other, KEY)
    assert place(world.run(enrolled(server))) == ("last_known", server.url)
    with_other.withdraw()


def test_then_the_server_of_this_user_by_the_key_that_it_has_left(world, other):
    other.key = "its-own-key-of-this-run"
    directory = world.leave(other, other.key)
    assert place(world.run(enrolment_key="")) == ("runtime_directory", other.url)
    directory.withdraw()


def test_then_mdns_which_is_closed_once_a_server_is_found(world, server):
    world.announced = [gone(), server.url]
    assert place(world.run()) == ("mdns", server.url)
    assert world.closed


def test_then_the_candidates(world, server):
    world.announced = [gone()]
    assert place(world.run(candidates=(gone(), server.url))) == ("candidate", server.url)
    assert world.asked_network == 1


def test_a_candidate_may_be_a_subnet_of_another_segment(world):
    with Registrar(host="127.7.7.5", port=world.port) as server:
        assert place(world.run(candidates=("127.7.7.0/29",))) == ("candidate", server.url)


def test_then_our_own_subnets(world):
    world.subnets = [Subnet(LOOP, ipaddress.IPv4Address("127.7.7.1"))]
    with Registrar(host="127.7.7.5", port=world.port) as server:
        assert place(world.run()) == ("scan", server.url)
        assert server.asked[0] == "/api/health"


def test_mdns_and_scan_can_be_switched_off_and_are_left_out_of_a_narrow_search(world, server):
    world.announced = [server.url]
    assert isinstance(world.run(find=FindSettings(mdns=False, scan=False)), Vain)
    assert isinstance(world.run(wide=False), Vain)
    assert world.asked_network == 0


def test_a_place_is_asked_once_in_a_search_however_many_name_it(world, hostile):
    world.announced = [hostile.url, f"{hostile.url}/"]
    world.run(server_url=hostile.url, candidates=(hostile.url,), find=FindSettings(scan=False))
    assert len(hostile.asked) == 1


def test_a_search_whose_time_is_over_ends(world, server):
    world.announced = [server.url]
    assert isinstance(world.run(seconds=0.0), Vain)
    assert server.asked == []


# --- who is taken for the server


def test_a_stranger_gets_neither_key_nor_token_wherever_it_stands(world, server, hostile):
    credentials = enrolled(server, url=hostile.url)
    world.announced = [hostile.url]
    world.port = hostile.port
    result = world.run(credentials, server_url=hostile.url, candidates=(hostile.url,))
    assert isinstance(result, Vain)
    assert result.is_refused
    assert "does not prove" in result.detail
    assert hostile.url in result.detail
    assert hostile.secrets_seen == []


def test_a_program_on_the_port_that_is_not_muster_is_not_told_who_we_are(world):
    with Registrar(port=world.port) as server:
        server.is_muster = False
        assert isinstance(world.run(), Vain)
        assert server.asked == ["/api/health"]


def test_a_server_is_known_by_our_token_without_the_fleet_key(world, server):
    world.announced = [server.url]
    found = world.run(enrolled(server, url=gone()), enrolment_key="")
    assert place(found) == ("mdns", server.url)
    assert found.server.verdict == (False, True)


def test_our_server_is_taken_at_another_address(world, server):
    world.announced = [server.url]
    assert place(world.run(enrolled(server, url=gone()))) == ("mdns", server.url)


def test_another_server_of_the_fleet_is_not_taken_while_ours_is_away(world, server, other):
    world.announced = [other.url]
    result = world.run(enrolled(server, url=gone()))
    assert isinstance(result, Vain)


def test_another_server_is_taken_where_ours_used_to_be(world, server, other):
    """A server that was installed anew has another id."""
    assert place(world.run(enrolled(server, url=other.url))) == ("last_known", other.url)


def test_another_server_is_taken_when_the_owner_says_so(world, server, other):
    assert place(world.run(enrolled(server), server_url=other.url)) == ("configured", other.url)


def test_with_a_configured_server_nobody_else_is_asked_before_the_first_enrolment(world, other):
    world.announced = [other.url]
    directory = world.leave(other, KEY)
    result = world.run(server_url=gone(), candidates=(other.url,))
    directory.withdraw()
    assert isinstance(result, Vain)
    assert "as configured" in result.detail
    assert other.asked == []


def test_with_a_configured_server_that_is_away_ours_is_taken_elsewhere_and_no_other(world, server, other):
    world.announced = [other.url, server.url]
    assert place(world.run(enrolled(server, url=other.url), server_url=gone())) == ("mdns", server.url)


def test_without_anything_to_check_only_the_owners_word_counts(world, server):
    world.announced = [server.url]
    options = {"enrolment_key": "", "candidates": (server.url,)}
    result = world.run(**options)
    assert isinstance(result, Vain)
    assert "MUSTER_ENROLMENT_KEY" in result.detail
    assert server.asked == []

    found = world.run(server_url=server.url, **options)
    assert place(found) == ("configured", server.url)
    assert found.server is None


def test_what_is_configured_and_is_not_muster_is_not_used(world, server):
    server.is_muster = False
    result = world.run(server_url=server.url, enrolment_key="")
    assert isinstance(result, Vain)
    assert "not Muster" in result.detail


def test_with_a_ca_file_only_https_is_taken_from_mdns(world, tmp_path, server):
    authority = Authority(tmp_path)
    with Registrar(certificate=authority.issue("server")) as secure:
        world.announced = [server.url, secure.url]
        assert place(world.run(ca_file=str(authority.ca_file))) == ("mdns", secure.url)
    assert server.asked == []


def test_a_certificate_that_nobody_vouches_for_is_no_server(world, tmp_path):
    with Registrar(certificate=Authority(tmp_path).issue("server")) as secure:
        result = world.run(server_url=secure.url)
        assert isinstance(result, Vain)
        assert "certificate is not valid" in result.detail
        assert secure.asked == []


def test_candidates_that_are_none_are_said_and_left_out(world, server, caplog):
    assert place(world.run(candidates=("10.0.0.0/8", server.url))) == ("candidate", server.url)
    assert "10.0.0.0/8" in caplog.text


def test_a_runtime_directory_that_is_open_to_others_is_not_believed(world, server):
    directory = world.leave(server, KEY)
    world.rundir.chmod(0o755)
    assert isinstance(world.run(find=FindSettings(mdns=False, scan=False)), Vain)
    world.rundir.chmod(0o700)
    directory.withdraw()
