"""A server proves once more that it is ours before a token goes to it over a connection of its own."""

from __future__ import annotations

import pytest

from edge.bearings import Bearings, Credentials, MqttAccess
from edge.finding.reassurance import still_ours
from edge.home import Places
from edge.settings import EdgeSettings
from tests.support.ports import free_port
from tests.support.registrar import Registrar

ENROLLED = Credentials(
    device_id="pi-1",
    server_id="srv-1",
    connection_string="mqtt://b",
    mqtt=MqttAccess(host="b.local", port=1883, username="devices", password="pw", tls=False),
    token="t0ken",
    server_url="",
    enrolled_at=0.0,
)


@pytest.fixture
def bearings(tmp_path):
    (tmp_path / "edge").mkdir()
    made = Bearings(Places(tmp_path / "edge"), EdgeSettings(), "pi-1")
    made.adopt(ENROLLED)
    made.show("found", "here")
    return made


def test_a_server_that_knows_our_token_is_taken(bearings):
    with Registrar() as server:
        server.tokens["pi-1"] = "t0ken"
        bearings.verified(server.url)
        assert still_ours(bearings, "pi-1").url == server.url
        assert server.bearers == []


def test_a_stranger_at_its_address_gets_no_token_and_is_searched_no_more(bearings):
    with Registrar(key="another-key-than-that-of-the-fleet") as stranger:
        bearings.verified(stranger.url)
        assert still_ours(bearings, "pi-1") is None
        assert stranger.bearers == []
        assert bearings.server() is None


def test_nobody_at_its_address_is_no_proof_and_no_reason_to_search(bearings):
    bearings.verified(f"http://127.0.0.1:{free_port()}")
    assert still_ours(bearings, "pi-1") is None
    assert bearings.server() is not None
