"""The live events as a command reads them: over breaks and restarts, and nothing vanishes silently."""

from __future__ import annotations

import itertools

import pytest

from supervisor.cli.client import ApiClient, ApiError, NoServerError
from supervisor.cli.stream import Event, EventStream, parse
from tests.cli.conftest import TOKEN, error

EVENTS = ("GET", "/api/events")


def frame(number, kind="presence", data=b'{"serial":"a"}'):
    return b"id: e-%d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), data)


def in_turn(server, *answers):
    """Each connection gets the next answer; the last for ever. The headers of each are kept."""
    left = list(answers)

    def answer(_call):
        body = left.pop(0) if len(left) > 1 else left[0]
        return (200, iter(body)) if isinstance(body, list) else body

    server.answers[EVENTS] = answer


def take(stream, number):
    return list(itertools.islice(iter(stream), number))


def kinds(items):
    return [item.kind if isinstance(item, Event) else type(item).__name__ for item in items]


@pytest.fixture
def stream(server):
    return lambda *args, **options: EventStream(
        lambda: ApiClient(server.url, TOKEN), *args, wait=lambda _: None, **options
    )


def test_frames_become_events_and_comments_do_not():
    lines = [b"retry: 2000\n", b": muster\n", b"\n", b"id: e-1\n", b"event: link\n", b'data: {"name":"x"}\n', b"\n"]
    assert list(parse(lines)) == [Event("e-1", "link", {"name": "x"})]


def test_a_frame_that_was_cut_off_is_no_event():
    assert list(parse([b"id: e-1\n", b"event: link\n", b'data: {"na'])) == []


def test_what_is_no_json_is_handed_on_as_text():
    assert list(parse([b"event: new\n", b"data: <\xff\n", b"\n"])) == [Event("", "new", {"text": "<\ufffd"})]


def test_after_a_break_it_goes_on_where_it_was(server, stream):
    in_turn(server, [frame(1)], [frame(2)])
    seen = take(stream(["presence", "link"]), 5)
    assert kinds(seen) == ["Opened", "presence", "Broken", "Opened", "presence"]
    assert [seen[0].again, seen[3].again] == [False, True]
    assert "ended the stream" in seen[2].reason
    assert [call.query for call in server.calls] == [{"kinds": "presence,link"}] * 2
    assert [call.last_id for call in server.calls] == ["", "e-1"]


def test_it_goes_on_behind_an_id_that_it_is_given(server, stream):
    in_turn(server, [frame(8)])
    take(stream(since="e-7"), 2)
    assert server.calls[-1].last_id == "e-7"


def test_a_break_before_the_first_event_is_told_as_a_loss(server, stream):
    in_turn(server, [], [frame(1)])
    assert kinds(take(stream(), 5)) == ["Opened", "Broken", "Opened", "resync", "presence"]


def test_a_server_that_is_away_for_a_while_is_waited_for(server, stream):
    in_turn(server, [frame(1)], error(503, "as many streams are open as this server has"), [frame(2)])
    seen = take(stream(), 6)
    assert kinds(seen) == ["Opened", "presence", "Broken", "Broken", "Opened", "presence"]
    assert "as many streams" in seen[3].reason


def test_a_refusal_for_good_ends_it(server, stream):
    in_turn(server, [frame(1)], error(401, "this token is not known"))
    events = iter(stream())
    assert kinds(itertools.islice(events, 3)) == ["Opened", "presence", "Broken"]
    with pytest.raises(ApiError, match="this token is not known"):
        next(events)


def test_what_is_wrong_at_the_first_attempt_is_raised():
    def nobody():
        raise NoServerError("none")

    with pytest.raises(NoServerError):
        next(iter(EventStream(nobody)))
    with pytest.raises(ApiError, match="cannot be reached"):
        next(iter(EventStream(lambda: ApiClient("http://127.0.0.1:1"))))


def test_the_pauses_grow_and_begin_anew_after_a_success(server):
    busy = error(503, "busy")
    in_turn(server, [frame(1)], busy, busy, [frame(2)], busy, [])
    pauses = []
    stream = EventStream(lambda: ApiClient(server.url, TOKEN), wait=pauses.append)
    seen = kinds(take(stream, 10))
    assert seen.count("Broken") == 5
    assert pauses == [0.5, 1.0, 2.0, 0.5, 1.0][: len(pauses)]
