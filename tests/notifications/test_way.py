"""The way of a receipt from the link to the ledger: evidence of life, and acknowledged by nobody on the way."""

from __future__ import annotations

import pytest

from actors.device_messages import Told
from actors.messages import Settled
from actors.notifications.receipts import Receipt
from tests.support.world import Server

RECEIPTS = "devices/A/receipts"


@pytest.fixture
def ledger():
    return []


@pytest.fixture
def server(ledger):
    server = Server()
    server.serve("ledger", ledger)
    return server


def test_a_receipt_reaches_the_ledger_and_shows_that_its_device_is_there(server, ledger):
    server.say(RECEIPTS, {"notification_id": "n1", "state": "received", "id": "r1"})
    (told,) = ledger
    assert isinstance(told, Told)
    assert (told.serial, told.delivery.link) == ("A", "local.data")
    assert told.delivery.token
    assert isinstance(told.body, Receipt)
    assert server.presence("A") == "online"
    assert not any(isinstance(message, Settled) for message in server.told["local.data"])


def test_what_the_server_has_said_itself_is_settled_and_is_no_sign_of_life(server, ledger):
    delivery = server.say(RECEIPTS, {"stored": ["s1"], "refused": {}})
    assert ledger == []
    assert "A" not in server.fleet
    assert Settled([delivery.token]) in server.told["local.data"]
    assert server.intake.counts["own_receipts"] == 1


def test_a_receipt_that_cannot_be_read_is_a_dead_letter(server, ledger):
    server.say(RECEIPTS, {"notification_id": "n1", "state": "seen"})
    assert ledger == []
    assert [letter.reason for letter in server.dead_letters] == ["wrong_type"]
