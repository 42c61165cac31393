"""The way of an answer from a link to the commander, and who is told that a device is there."""

from __future__ import annotations

import pytest

from actors.device_messages import Told
from tests.support.world import Server, known

ANSWER = {"id": "c1", "state": "running"}


@pytest.fixture
def told():
    return []


def served(told, *devices):
    server = Server(*devices)
    server.serve("commander", told)
    return server


def test_an_answer_is_handed_to_the_commander_and_is_evidence_of_life(told):
    server = served(told, known())
    delivery = server.say("devices/pi-1/responses", ANSWER)
    (message,) = told
    assert isinstance(message, Told)
    assert (message.serial, message.delivery, message.body.command_id) == ("pi-1", delivery, "c1")
    assert server.transitions == [("online", "data")]


def test_a_device_that_nobody_knew_is_known_by_its_answer(told):
    server = served(told)
    server.say("devices/pi-7/responses", ANSWER)
    assert server.presence("pi-7") == "online"
    assert len(told) == 1


def test_an_answer_that_the_broker_kept_makes_no_device_and_is_handed_on(told):
    server = served(told)
    server.say("devices/pi-7/responses", ANSWER, retain=True)
    assert "pi-7" not in server.fleet
    assert len(told) == 1


def test_the_answer_of_a_parked_device_is_handed_on_all_the_same(told):
    server = served(told, known(quarantined=True))
    server.say("devices/pi-1/responses", ANSWER)
    assert len(told) == 1


def test_an_answer_that_cannot_be_read_is_a_dead_letter(told):
    server = served(told, known())
    server.say("devices/pi-1/responses", b"{}")
    assert [(letter.reason, letter.serial) for letter in server.dead_letters] == [("missing_field", "pi-1")]
    assert told == []


def test_whoever_listens_is_told_of_each_change_however_many_there_are(told):
    server = served(told, *(known(f"pi-{number}") for number in range(1500)))
    heard = []
    server.world.live.on_presence.append(lambda serial, presence: heard.append((serial, presence)))
    server.hand(
        *(
            server.delivery("devices/heartbeat", {"device_id": f"pi-{number}", "status": "online"})
            for number in range(1500)
        )
    )
    assert {presence for _, presence in heard} == {"online"}
    assert len({serial for serial, _ in heard}) == 1500
    assert server.resyncs >= 1
