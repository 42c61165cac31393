"""Every QoS 1 message is stored once, whatever becomes of the server in the middle of it."""

from __future__ import annotations

import random

import pytest

from tests.support.killing import kill_round, streaming
from tests.support.wait import eventually

MESSAGES = 20_000


def assert_kept(outcome):
    assert outcome.kept, f"lost {outcome.lost[:20]}, twice {outcome.twice[:20]}, {outcome.dead_letters} dead letters"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_message_is_lost_or_stored_twice_when_the_server_is_killed_again_and_again(mosquitto, muster):
    server = muster()
    outcome = kill_round(server, mosquitto.url, messages=MESSAGES, kills=3, chance=random.Random(), timeout=90)
    assert_kept(outcome)
    assert outcome.kills == 3
    assert server.health()["devices"]["total"] == 100
    server.stop()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_messages_that_came_while_the_server_was_down_are_stored_and_are_no_sign_of_life(mosquitto, muster):
    server = muster(offline_after=2)
    with streaming(server, mosquitto.url, messages=1000) as stream:
        stream.finish()
        eventually(lambda: server.health()["devices"]["offline"] == 100, 10, "all are silent")
    server.kill()
    with streaming(server, mosquitto.url, first=1000, messages=2000) as stream:
        assert stream.publisher.wait(30) == 0
        server.restart()
        stream.finish()
        assert_kept(stream.compare())
    assert server.health()["devices"]["online"] == 0


@pytest.mark.timeout(120)
def test_an_orderly_stop_in_mid_stream_loses_nothing_either(mosquitto, muster):
    server = muster()
    with streaming(server, mosquitto.url, messages=6000) as stream:
        for share in (1500, 3500):
            stream.wait_stored(share)
            server.stop()
            server.restart()
        stream.finish()
        assert_kept(stream.compare())


@pytest.mark.timeout(120)
def test_a_broker_that_restarts_in_mid_stream_loses_and_doubles_nothing(mosquitto, muster):
    server = muster()
    with streaming(server, mosquitto.url, messages=4000, rate=2000) as stream:
        stream.wait_stored(1000)
        mosquitto.restart()
        stream.finish()
        assert_kept(stream.compare())
