"""The history of a presence is honest: through a broker that is away and a server that is killed."""

from __future__ import annotations

import itertools

from tests.e2e.payloads import gateway, site_beat
from tests.support.wait import eventually

SERIAL = "GW-1"


def history(server):
    return server.get(f"/api/devices/{SERIAL}/presence")["items"]


def words(server):
    return [(segment["presence"], segment["reason"]) for segment in history(server)]


def test_a_killed_server_does_not_claim_to_have_listened(muster, device):
    server, wire = muster(offline_after=30), device()
    wire.publish(gateway(1), site_beat(SERIAL))
    server.wait_recorded(SERIAL, "online")
    assert words(server) == [(None, None), ("online", "heartbeat")]
    server.kill()
    server.restart()
    server.wait_connected()
    eventually(lambda: words(server)[-1] == ("unknown", "startup"), what="it is known that it has not been heard yet")
    wire.publish(gateway(1), site_beat(SERIAL))
    server.wait_presence(SERIAL, "online")
    told = words(server)
    assert told[0] == (None, None)
    assert ("unknown", "down") in told
    assert told[-1] == ("online", "heartbeat")
    segments = history(server)
    assert all(before["until"] == after["since"] for before, after in itertools.pairwise(segments))


def test_an_end_in_order_and_a_start_leave_the_time_between_unknown(muster, device):
    server, wire = muster(offline_after=2), device()
    wire.publish(gateway(1), site_beat(SERIAL))
    server.wait_presence(SERIAL, "offline")
    server.wait_recorded(SERIAL, "offline")
    server.restart()
    server.wait_connected()
    eventually(lambda: words(server)[-1] == ("offline", "timeout"), what="sight is back")
    assert ("unknown", "down") in words(server)


def test_while_the_broker_is_away_nobody_knows(muster, device, mosquitto):
    server, wire = muster(offline_after=30), device()
    wire.publish(gateway(1), site_beat(SERIAL))
    server.wait_recorded(SERIAL, "online")
    mosquitto.stop()
    eventually(lambda: words(server)[-1] == ("unknown", "link_lost"), what="the blindness is kept")
    assert ("online", "heartbeat") in words(server)
