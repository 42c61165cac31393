"""mDNS: what servers announce, as the child hears it. Real multicast, on loopback."""

import json
import socket
import sys

import pytest
from zeroconf import IPVersion, ServiceInfo, Zeroconf

from actors.resolver.budget import Budget
from edge.finding import browse, mdns
from edge.finding.mdns import Announced, ask_network
from tests.support.need import unavailable
from tests.support.wait import eventually


def service(name, url, port=5000, **more):
    return ServiceInfo(
        browse.SERVICE,
        f"{name}.{browse.SERVICE}",
        addresses=[socket.inet_aton("127.0.0.7")],
        port=port,
        properties={"url": url, "server_id": name, "version": "0.1.0", **more},
        server=f"{name}.local.",
    )


@pytest.fixture(scope="module")
def servers():
    """Two servers that announce themselves on loopback."""
    try:
        network = Zeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    except OSError as error:
        unavailable(f"needs multicast on loopback: {error}")
    with network:
        network.register_service(service("srv-1", "http://127.0.0.7:5000"))
        network.register_service(service("srv-2", "https://muster.lan:5000"))
        yield


@pytest.fixture
def patient(monkeypatch):
    """A loaded machine takes longer to start a child."""
    monkeypatch.setattr(mdns, "SECONDS", 15.0)
    monkeypatch.setattr(mdns, "START_UP", 30.0)


def children():
    import psutil

    return [c for c in psutil.Process().children() if any("edge.finding.browse" in part for part in c.cmdline())]


@pytest.mark.usefixtures("servers", "patient")
def test_servers_are_heard_of_and_the_child_ends_when_nobody_asks_any_more():
    heard = {}
    answers = ask_network(Budget(60), own=["127.0.0.1"])
    for announced in answers:
        heard[announced.server_id] = announced.urls()
        if len(heard) == 2:
            break
    answers.close()

    assert heard == {
        "srv-1": ["http://127.0.0.7:5000"],
        "srv-2": ["https://muster.lan:5000", "https://127.0.0.7:5000"],
    }
    eventually(lambda: not children(), what="the end of the child")


@pytest.mark.usefixtures("servers")
def test_the_child_prints_a_line_of_json_for_each_and_ends_by_itself(capfd):
    assert browse.main(["--seconds", "2", "--interface", "127.0.0.1"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {line["server_id"] for line in lines} <= {"srv-1", "srv-2"}


def test_a_search_whose_time_is_over_ends_the_child():
    assert list(ask_network(Budget(0.3), own=["127.0.0.1"])) == []
    eventually(lambda: not children(), what="the end of the child")


def test_without_the_library_it_is_said_and_the_search_goes_on(monkeypatch, tmp_path, caplog):
    (tmp_path / "zeroconf.py").write_text("raise ImportError('no')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with caplog.at_level("INFO"):
        assert list(ask_network(Budget(60))) == []
    assert "zeroconf, which is not installed" in caplog.text


def test_nothing_in_the_working_directory_takes_the_place_of_a_module(monkeypatch, tmp_path, caplog):
    (tmp_path / "zeroconf.py").write_text("raise ImportError('shadowed')")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO"):
        assert list(ask_network(Budget(0.5), own=["127.0.0.1"])) == []
    assert "no help" not in caplog.text


def test_without_an_interface_nothing_is_asked():
    assert list(browse.browse(5.0, [])) == []


def test_a_child_that_cannot_be_started_is_said(monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert list(ask_network(Budget(5))) == []
    assert "cannot be started" in caplog.text


@pytest.mark.parametrize(
    ("announced", "urls"),
    [
        (Announced(url="", addresses=("10.0.0.1", "fd00::1"), port=80), ["http://10.0.0.1:80", "http://[fd00::1]:80"]),
        (Announced(url="gopher://x", addresses=("10.0.0.1",)), ["http://10.0.0.1:5000"]),
        (Announced(url="http://a\nb", addresses=("x y",)), []),
        (Announced(url="https://a", port=0, addresses=("10.0.0.1",)), ["https://a"]),
        # Whoever announces a name answers for it too: without a certificate only an address tells who was dialled.
        (Announced(url="http://muster.local:5000", addresses=("10.0.0.1",)), ["http://10.0.0.1:5000"]),
    ],
)
def test_what_strangers_announce_is_a_url_or_nothing(announced, urls):
    assert announced.urls() == urls
