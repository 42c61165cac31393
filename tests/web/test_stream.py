"""What is written to event streams, and how one is opened."""

from __future__ import annotations

import pytest

from actors.events import STATES, EventRing
from tests.web.fakes import Client, make_face
from web.pump import BATCH, LOOK_BYTES, Choice, Look, beat
from web.routes_events import EVENT_KINDS


def choice(*kinds, device=""):
    return Choice(frozenset(kinds), device)


def kinds_in(written):
    return [line.removeprefix(b"event: ").decode() for line in written.split(b"\n") if line.startswith(b"event: ")]


def ids_in(written):
    return [line.removeprefix(b"id: ").decode() for line in written.split(b"\n") if line.startswith(b"id: ")]


# One look


def test_a_look_writes_all_that_is_new_and_then_nothing():
    ring = EventRing()
    ring.publish("restart", "", {})
    ring.publish("presence", "a", {})
    written = Look(ring).at(0, choice())
    assert kinds_in(written.data) == ["restart", "presence"]
    assert Look(ring).at(written.seq, choice()) == (b"", 2, False)


def test_states_of_one_device_become_one_event_a_look():
    ring = EventRing()
    for presence in ("online", "offline", "online"):
        ring.publish("presence", "a", {"presence": presence})
    written = Look(ring).at(0, choice()).data
    assert kinds_in(written) == ["presence"]
    assert b'"online"' in written
    assert f"id: {ring.epoch}-3".encode() in written


def test_kinds_that_were_not_asked_for_are_left_out():
    ring = EventRing()
    ring.publish("restart", "", {})
    assert Look(ring).at(0, choice("presence")) == (b"", 1, False)
    ring.publish("presence", "a", {})
    assert kinds_in(Look(ring).at(0, choice("presence")).data) == ["presence"]


def test_a_stream_of_one_device_leaves_out_what_is_about_others_and_keeps_what_concerns_all():
    ring = EventRing()
    for serial in ("a", "b"):
        for kind in ("device", "presence", "reading", "scan", "command", "enrolment", "twin", "removed"):
            ring.publish(kind, serial, {"of": serial})
        ring.publish("alarm", "7", {"of": serial}, serial)
        ring.publish("delivery", f"n {serial}", {"of": serial}, serial)
    ring.publish("sight", "local.control", {"of": "a"})
    ring.publish("delivery", "", {"more": 7, "of": "a"})
    written = Look(ring).at(0, choice(device="a"))
    assert b'"of":"b"' not in written.data
    assert written.data.count(b'"of":"a"') == 12
    assert written.seq == ring.last


def test_who_fell_off_the_ring_is_told_to_resync_and_goes_on():
    ring = EventRing(4)
    for _ in range(9):
        ring.publish("restart", "", {})
    written = Look(ring).at(0, choice(device="a"))
    assert (kinds_in(written.data), written.seq, written.resync) == (["resync"], 9, True)
    ring.publish("restart", "", {})
    assert kinds_in(Look(ring).at(written.seq, choice()).data) == ["restart"]


def test_the_ring_is_read_once_for_each_place_and_put_together_once_for_each_choice(monkeypatch):
    ring = EventRing()
    for number in range(10):
        ring.publish("reading", f"s-{number}", {})
    read = []
    monkeypatch.setattr(ring, "since", lambda seq, limit: read.append(seq) or EventRing.since(ring, seq, limit))
    look = Look(ring)
    first = [look.at(0, choice()) for _ in range(100)]
    assert read == [0]
    assert all(written.data is first[0].data for written in first)
    look.at(0, choice("presence"))
    assert read == [0]
    look.at(4, choice())
    assert read == [0, 4]


def test_more_than_is_written_at_one_look_comes_at_the_next_ones():
    ring = EventRing()
    for number in range(1000):
        ring.publish("scan", f"s-{number}", {"n": number, "x": "x" * 1000})
    seq, written = 0, []
    while seq < ring.last:
        look = Look(ring).at(seq, choice())
        assert len(look.data) <= LOOK_BYTES
        written.append(look.data)
        seq = look.seq
    assert len(written) > 1
    assert ids_in(b"".join(written)) == [ring.event_id(seq) for seq in range(1, 1001)]


def test_an_event_that_is_larger_than_a_look_is_written_all_the_same():
    ring = EventRing()
    ring.publish("device", "a", {"x": "x" * LOOK_BYTES})
    ring.publish("device", "b", {})
    assert [Look(ring).at(seq, choice()).seq for seq in (0, 1)] == [1, 2]


def test_what_was_superseded_behind_the_end_of_a_look_comes_with_its_latest_state():
    ring = EventRing()
    for round_ in range(2):
        for number in range(600):
            ring.publish("reading", f"s-{number}", {"round": round_, "x": "x" * 1000})
    first = Look(ring).at(0, choice())
    rest, seq = b"", first.seq
    while seq < ring.last:
        look = Look(ring).at(seq, choice())
        rest, seq = rest + look.data, look.seq
    assert (first.data + rest).count(b'"round":1') == 600


def test_a_stream_far_behind_is_led_on_piece_by_piece():
    ring = EventRing()
    for _ in range(BATCH + 5):
        ring.publish("restart", "", {})
    written = Look(ring).at(0, choice())
    assert written.seq == BATCH
    assert len(kinds_in(Look(ring).at(written.seq, choice()).data)) == 5


def test_a_beat_comes_behind_what_is_new_with_the_place_of_its_stream():
    ring = EventRing()
    ring.publish("reading", "a", {})
    ring.publish("reading", "b", {})
    look = Look(ring, beat=True)
    assert kinds_in(look.at(0, choice()).data) == ["reading", "reading", "beat"]
    quiet = look.at(0, choice("alarm")).data
    assert (kinds_in(quiet), ids_in(quiet)) == (["beat"], [ring.event_id(2)])
    assert quiet.startswith(b": ")


def test_a_chunk_is_as_long_as_it_says():
    ring = EventRing()
    ring.publish("presence", "a", {})
    plain = Look(ring).at(0, choice()).data
    assert Look(ring).at(0, choice(), chunked=True).data == b"%x\r\n%b\r\n" % (len(plain), plain)
    assert Look(ring).at(1, choice(), chunked=True).data == b""


# Opening one


def opening(client, url="/api/events", **headers):
    status, found, answer = client.open("GET", url, **headers)
    first = b"".join(answer)
    answer.close()
    return status, found, first


def test_a_stream_opens_at_once_with_a_comment_and_a_sign_of_life():
    ring = make_face().ring
    status, headers, first = opening(Client(make_face(ring=ring)))
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    assert first == b"retry: 2000\n: muster\n\n" + beat(ring, 0)


def test_a_new_stream_starts_with_what_comes_next():
    face = make_face()
    face.ring.publish("restart", "", {})
    client = Client(face)
    assert kinds_in(opening(client)[2]) == ["beat"]
    assert client.handed_over[0].seq == 1


@pytest.mark.parametrize("how", ["header", "query", "both"])
def test_a_stream_goes_on_where_it_was(how):
    face = make_face()
    for _ in range(3):
        face.ring.publish("restart", "", {})
    client, seen = Client(face), face.ring.event_id(1)
    # A browser that comes back by itself tells the newer one in the header.
    asked = {"query": seen, "both": face.ring.event_id(0)}.get(how)
    url = f"/api/events?last_event_id={asked}" if asked else "/api/events"
    _, _, first = opening(client, url, **({} if how == "query" else {"HTTP_LAST_EVENT_ID": seen}))
    assert kinds_in(first) == ["beat"]
    assert client.handed_over[0].seq == 1


@pytest.mark.parametrize("seen", ["deadbeef-1", "nonsense"])
@pytest.mark.parametrize("how", ["header", "query"])
def test_an_id_of_another_process_is_answered_with_resync(seen, how):
    client = Client(make_face())
    client.face.ring.publish("restart", "", {})
    if how == "header":
        _, _, first = opening(client, HTTP_LAST_EVENT_ID=seen)
    else:
        _, _, first = opening(client, f"/api/events?last_event_id={seen}")
    assert kinds_in(first) == ["resync", "beat"]
    assert client.handed_over[0].seq == 1
    assert client.face.http.resyncs == {"gone": 1}


def test_a_page_can_go_on_from_where_its_session_was_told():
    client = Client(make_face())
    client.face.ring.publish("restart", "", {})
    seen = client.get("/api/session").json["last_event_id"]
    client.face.ring.publish("restart", "", {})
    opening(client, f"/api/events?last_event_id={seen}")
    assert client.handed_over[0].seq == 1


def test_kinds_and_device_are_handed_on():
    client = Client(make_face())
    opening(client, "/api/events?kinds=presence,reading&device=pi-1")
    assert client.handed_over[0].choice == choice("presence", "reading", device="pi-1")


@pytest.mark.parametrize("kinds", ["typo", "presence,typo", "beat"])
def test_a_kind_that_does_not_exist_is_400_and_those_that_do_are_named(kinds):
    client = Client(make_face(), streams=1)
    answer = client.get(f"/api/events?kinds={kinds}")
    assert (answer.status, answer.error["details"]) == (400, {"field": "kinds"})
    assert all(kind in answer.error["message"] for kind in EVENT_KINDS)
    assert client.open("GET", "/api/events")[0] == 200


@pytest.mark.parametrize("device", ["a b", "x" * 65, "%C3%A4", "a/b"])
def test_what_can_be_no_serial_is_400(device):
    client = Client(make_face(), streams=1)
    answer = client.get(f"/api/events?device={device}")
    assert (answer.status, answer.error["details"]) == (400, {"field": "device"})
    assert client.open("GET", "/api/events")[0] == 200


def test_every_state_of_the_ring_is_a_kind_that_can_be_asked_for():
    assert set(EVENT_KINDS) >= STATES
    assert Client(make_face()).open("GET", f"/api/events?kinds={','.join(EVENT_KINDS)},")[0] == 200


# Whose they are


def test_streams_beyond_the_cap_are_503_until_one_ends():
    client = Client(make_face(), streams=2)
    first = client.open("GET", "/api/events")[2]
    client.token = "the-read-token"
    client.open("GET", "/api/events", REMOTE_ADDR="192.0.2.8")
    client.token = "the-operate-token"
    refused = client.get("/api/events", REMOTE_ADDR="192.0.2.9")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert client.face.http.refused["GET /api/events", "unavailable"] == 1
    first.close()
    assert client.open("GET", "/api/events", REMOTE_ADDR="192.0.2.9")[0] == 200


def test_who_gets_no_stream_is_not_counted_among_those_who_fetch_everything_again():
    client = Client(make_face(), streams=1)
    stream = client.open("GET", "/api/events?last_event_id=deadbeef-1")[2]
    assert client.get("/api/events?last_event_id=deadbeef-1").status == 503
    assert client.face.http.resyncs == {"gone": 1}
    stream.close()


@pytest.mark.parametrize("other", ["the same token elsewhere", "another token from there"])
def test_nobody_gets_all_streams(other):
    client = Client(make_face(), streams=8)
    streams = [client.open("GET", "/api/events")[2] for _ in range(7)]
    address = "192.0.2.7" if "there" in other else "192.0.2.8"
    if "another" in other:
        client.token = "the-read-token"
    refused = client.get("/api/events", REMOTE_ADDR=address)
    assert (refused.status, refused.error["code"], refused.headers["Retry-After"]) == (429, "too_many_streams", "5")
    assert "7 streams" in refused.error["message"]
    assert client.face.http.refused["GET /api/events", "too_many_streams"] == 1
    client.token = "the-read-token"
    assert client.open("GET", "/api/events", REMOTE_ADDR="192.0.2.9")[0] == 200
    streams[0].close()
    assert client.open("GET", "/api/events", REMOTE_ADDR="192.0.2.9")[0] == 200


def test_all_sessions_of_one_token_count_together():
    client = Client(make_face(), token="", streams=2)
    statuses = []
    for address in ("192.0.2.7", "192.0.2.8"):
        client.cookie = ""
        client.post("/api/login", {"token": "the-read-token"}, HTTP_SEC_FETCH_SITE="same-origin")
        statuses.append(client.open("GET", "/api/events", REMOTE_ADDR=address)[0])
    assert statuses == [200, 429]


def test_closing_a_stream_twice_frees_one_slot():
    client = Client(make_face(), streams=1)
    stream = client.open("GET", "/api/events")[2]
    stream.close()
    stream.close()
    assert client.open("GET", "/api/events")[0] == 200
    assert client.get("/api/events").status == 503


def test_a_stream_that_was_handed_over_keeps_its_slot_until_it_is_released():
    client = Client(make_face(), streams=1)
    opening(client)
    assert client.get("/api/events").status == 503
    client.handed_over[0].release()
    client.handed_over[0].release()
    assert client.open("GET", "/api/events")[0] == 200
    assert client.get("/api/events").status == 503


def test_a_head_request_holds_no_slot():
    client = Client(make_face(), streams=1)
    assert client.call("HEAD", "/api/events").status == 200
    assert client.open("GET", "/api/events")[0] == 200
