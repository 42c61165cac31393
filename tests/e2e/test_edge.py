"""A server in one terminal, an edge in another, nothing configured."""

from __future__ import annotations

import contextlib

import pytest

from tests.support.edge import Edge
from tests.support.wait import eventually


@pytest.fixture
def edge():
    """`edge("pi-7", up)`: a running edge of the same user as a server."""
    with contextlib.ExitStack() as stack:

        def start(device_id, up, **options):
            return stack.enter_context(Edge(device_id, runtime_dir=up.directory / "run", **options))

        yield start


def test_an_edge_beside_a_server_is_found_enrolled_and_online_with_nothing_configured(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    device = up.wait_presence("pi-7", "online")
    assert device["kind"] == "raspberry_pi"
    assert device["hostname"]
    assert device["services"]
    (enrolment,) = up.items("/api/enrolments")
    assert (enrolment["serial"], enrolment["state"]) == ("pi-7", "enrolled")
    assert [event["data"]["action"] for event in up.items("/api/devices/pi-7/events") if event["kind"] == "enrolment"]
    status = eventually(lambda: (found := pi.status)["link"]["state"] == "subscribed" and found, what="its own view")
    assert status["device_id"] == "pi-7"
    pi.stop()
    assert up.wait_presence("pi-7", "offline")["reason"] == "goodbye"


def test_an_edge_without_an_id_makes_one_and_keeps_it(muster_up, edge):
    up = muster_up()
    pi = edge("", up)
    (serial,) = eventually(lambda: [item["serial"] for item in up.items("/api/devices")], what="the device")
    up.wait_presence(serial, "online")
    pi.stop()
    up.wait_presence(serial, "offline")
    pi.start()
    up.wait_presence(serial, "online")
    assert len(up.items("/api/devices")) == 1


def test_an_edge_that_is_killed_is_offline_by_its_will_and_comes_back_as_the_same(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    pi.kill()
    assert up.wait_presence("pi-7", "offline")["reason"] == "will"
    pi.start()
    up.wait_presence("pi-7", "online")
    assert [item["state"] for item in up.items("/api/enrolments")] == ["enrolled"], "it has kept its credentials"


def test_an_edge_that_comes_first_waits_for_its_server(muster_up, edge):
    up = muster_up()
    up.stop()
    edge("pi-7", up).wait_log("No server")
    up.start()
    up.wait_presence("pi-7", "online", timeout=60)


def test_a_server_that_is_killed_finds_its_edge_again(muster_up, edge):
    up = muster_up()
    edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    up.kill()
    up.restart()
    up.wait_presence("pi-7", "online", timeout=60)
    assert len(up.items("/api/devices")) == 1


def test_the_server_shows_the_tree_of_the_edge(muster_up, edge):
    up = muster_up()
    edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    tree = eventually(
        lambda: (found := up.call("GET", "/api/devices/pi-7/supervision")).status == 200 and found.body, what="its tree"
    )
    assert {child["id"] for child in tree["children"]} >= {"outbox", "presence", "contact", "network", "locator"}


def test_a_scan_by_hand_reaches_the_server_and_the_page_of_scans(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    code, text = pi.run("scan", "4006381333931")
    assert code == 0, text
    (scan,) = eventually(lambda: up.items("/api/scans"), what="the scan")
    assert (scan["device_id"], scan["code"], scan["symbology"], scan["valid"]) == (
        "pi-7",
        "4006381333931",
        "EAN-13",
        True,
    )
    eventually(lambda: pi.status["outbox"]["items"] == 0, what="the receipt")


def test_a_scan_that_was_queued_while_no_edge_ran_is_delivered_by_the_next(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    pi.stop()
    code, text = pi.run("scan", "40063813")
    assert code == 0, text
    assert not up.items("/api/scans")
    pi.start()
    (scan,) = eventually(lambda: up.items("/api/scans"), 60, "the scan")
    assert scan["code"] == "40063813"


def test_an_edge_says_in_one_sentence_what_is_wrong_with_its_configuration(tmp_path):
    for env, named in (
        ({"MUSTER_HEARTBEAT": "soon"}, "MUSTER_HEARTBEAT"),
        ({"MUSTER_DEVICE_ID": "not a serial"}, "MUSTER_DEVICE_ID"),
        ({"MUSTER_SERVER_URL": "ftp://x"}, "MUSTER_SERVER_URL"),
        ({"MUSTER_BROKER_URL": "http://x"}, "MUSTER_BROKER_URL"),
    ):
        pi = Edge("pi-7", env=env)
        try:
            code, text = pi.run("run")
            assert (code, text.count("\n")) == (2, 1), text
            assert named in text
        finally:
            pi.close()


def test_a_second_edge_on_the_same_directory_refuses_with_one_sentence(muster_up, edge):
    up = muster_up()
    pi = edge("pi-7", up)
    up.wait_presence("pi-7", "online")
    code, text = pi.run("run", timeout=30)
    assert (code, text.count("\n")) == (1, 1), text
    assert str(pi.home) in text
    assert up.presence("pi-7") == "online"
