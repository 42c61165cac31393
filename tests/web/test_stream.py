"""What an event stream writes."""

from __future__ import annotations

import pytest

from actors.events import STATES, EventRing
from actors.storage.errors import StoreUnavailable
from tests.web.fakes import Client, make_face
from web.routes_events import BEAT, BEAT_EVERY, EVENT_KINDS, Frames


def frames_of(ring, start=0, kinds=(), authorised=lambda: True):
    return Frames(ring, start, frozenset(kinds), authorised)


def kinds_in(written):
    return [line.removeprefix(b"event: ").decode() for line in written.split(b"\n") if line.startswith(b"event: ")]


def test_a_stream_opens_with_a_comment_at_once():
    assert b": muster\n\n" in frames_of(EventRing()).first()


def test_a_look_writes_all_that_is_new_and_then_nothing():
    ring = EventRing()
    frames = frames_of(ring)
    ring.publish("restart", "", {})
    ring.publish("presence", "a", {})
    assert kinds_in(frames.look()) == ["restart", "presence"]
    assert frames.look() == b""


def test_states_of_one_device_become_one_event_a_look():
    ring = EventRing()
    frames = frames_of(ring)
    for presence in ("online", "offline", "online"):
        ring.publish("presence", "a", {"presence": presence})
    written = frames.look()
    assert kinds_in(written) == ["presence"]
    assert b'"online"' in written
    assert f"id: {ring.epoch}-3".encode() in written


def test_kinds_that_were_not_asked_for_are_left_out():
    ring = EventRing()
    frames = frames_of(ring, kinds=["presence"])
    ring.publish("restart", "", {})
    assert frames.look() == b""
    ring.publish("presence", "a", {})
    assert kinds_in(frames.look()) == ["presence"]


def test_a_stream_that_fell_off_the_ring_is_told_to_resync_and_goes_on():
    ring = EventRing(4)
    frames = frames_of(ring)
    for _ in range(9):
        ring.publish("restart", "", {})
    assert kinds_in(frames.look()) == ["resync"]
    ring.publish("restart", "", {})
    assert kinds_in(frames.look()) == ["restart"]


def test_a_sign_of_life_comes_every_ten_seconds_with_a_comment_in_it():
    frames = frames_of(EventRing())
    written = [frames.look() for _ in range(BEAT_EVERY * 2)]
    assert [number for number, frame in enumerate(written, 1) if frame] == [BEAT_EVERY, BEAT_EVERY * 2]
    assert written[BEAT_EVERY - 1] == BEAT
    assert BEAT.startswith(b": ")


def test_a_stream_whose_token_is_revoked_says_nothing_more():
    ring = EventRing()
    allowed = [True]
    frames = frames_of(ring, authorised=lambda: allowed[0])
    ring.publish("restart", "", {})
    assert kinds_in(frames.look()) == ["restart"]
    allowed[0] = False
    ring.publish("restart", "", {})
    assert frames.look() is None


def test_a_revoked_token_ends_a_quiet_stream_within_ten_seconds():
    frames = frames_of(EventRing(), authorised=lambda: False)
    assert [frames.look() for _ in range(BEAT_EVERY)] == [b""] * (BEAT_EVERY - 1) + [None]


def test_a_stream_goes_on_while_nobody_can_say_whether_its_token_was_revoked(monkeypatch):
    client = Client(make_face())
    _, _, answer = client.open("GET", "/api/events")
    parts = iter(answer)
    next(parts)

    def verify(_plain):
        raise StoreUnavailable("away")

    monkeypatch.setattr(client.face.tokens, "verify", verify)
    client.face.ring.publish("restart", "", {})
    assert kinds_in(next(parts)) == ["restart"]
    monkeypatch.setattr(client.face.tokens, "verify", lambda _plain: None)
    client.face.ring.publish("restart", "", {})
    assert list(parts) == []


def opening(client, **headers):
    status, found, answer = client.open("GET", "/api/events", **headers)
    first = next(iter(answer))
    answer.close()
    return status, found, first


def test_a_new_stream_starts_with_what_comes_next():
    face = make_face()
    face.ring.publish("restart", "", {})
    status, headers, first = opening(Client(face))
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    assert kinds_in(first) == []


def test_a_stream_goes_on_where_it_was():
    face = make_face()
    for _ in range(3):
        face.ring.publish("restart", "", {})
    client = Client(face)
    _, _, answer = client.open("GET", "/api/events", HTTP_LAST_EVENT_ID=face.ring.event_id(1))
    parts = iter(answer)
    assert kinds_in(next(parts)) == []
    assert kinds_in(next(parts)) == ["restart", "restart"]
    answer.close()


@pytest.mark.parametrize("seen", ["deadbeef-1", "nonsense"])
def test_an_id_of_another_process_is_answered_with_resync(seen):
    face = make_face()
    _, _, first = opening(Client(face), HTTP_LAST_EVENT_ID=seen)
    assert kinds_in(first) == ["resync"]


@pytest.mark.parametrize("kinds", ["typo", "presence,typo", "beat"])
def test_a_kind_that_does_not_exist_is_400_and_those_that_do_are_named(kinds):
    client = Client(make_face(), streams=1)
    answer = client.get(f"/api/events?kinds={kinds}")
    assert (answer.status, answer.error["details"]) == (400, {"field": "kinds"})
    assert all(kind in answer.error["message"] for kind in EVENT_KINDS)
    assert client.open("GET", "/api/events")[0] == 200


def test_every_state_of_the_ring_is_a_kind_that_can_be_asked_for():
    assert set(EVENT_KINDS) >= STATES
    assert Client(make_face()).open("GET", f"/api/events?kinds={','.join(EVENT_KINDS)},")[0] == 200


def test_streams_beyond_the_cap_are_503_until_one_ends():
    client = Client(make_face(), streams=2)
    first = client.open("GET", "/api/events")[2]
    client.open("GET", "/api/events")
    refused = client.get("/api/events")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    first.close()
    assert client.open("GET", "/api/events")[0] == 200


def test_closing_a_stream_twice_frees_one_slot():
    client = Client(make_face(), streams=1)
    stream = client.open("GET", "/api/events")[2]
    stream.close()
    stream.close()
    assert client.open("GET", "/api/events")[0] == 200
    assert client.get("/api/events").status == 503


def test_a_head_request_holds_no_slot():
    client = Client(make_face(), streams=1)
    assert client.call("HEAD", "/api/events").status == 200
    assert client.open("GET", "/api/events")[0] == 200


def test_streams_end_when_the_server_stops():
    client = Client(make_face())
    _, _, answer = client.open("GET", "/api/events")
    client.site.stop.set()
    assert len(list(answer)) == 1
