"""Downloads: how they end, how fast they are, and what they leave of the server to others."""

from __future__ import annotations

import contextlib
import http.client
import threading

import pytest

from actors.runtime import ManualClock
from tests.support.wait import eventually
from tests.web.fake_releases import RELEASE
from tests.web.fakes import Client, make_face, view
from tests.web.running import ADMIN
from web.downloads import CHUNK, SLOW_AFTER, Pace

PATH = f"/api/ota/download_update?release={RELEASE['id']}"
DEVICE = {"Authorization": "Bearer the-device-token"}
LARGE = bytes(range(256)) * 200_000
"""More than sockets buffer."""
CUT = (http.client.IncompleteRead, ConnectionResetError)
"""What a client sees of an answer that ends before its length."""


def begin(server, headers=ADMIN, **more):
    """An answer whose body waits to be read."""
    connection = server.connect()
    connection.request("GET", PATH, headers=headers | more)
    return connection, connection.getresponse()


def outcome(server, expected):
    """Wait until a download has ended like this."""
    eventually(lambda: server.face.releases.outcomes[expected], what=f"a download that ends as {expected}")


def large(serve, **settings):
    server = serve(view("pi-1"), **settings)
    server.face.releases.content = LARGE
    return server


def test_a_large_file_arrives_as_it_is(serve):
    server = large(serve)
    connection, answer = begin(server)
    with contextlib.closing(connection):
        assert answer.read() == LARGE
    outcome(server, "whole")
    assert server.face.releases.sent == len(LARGE)


def test_a_revoked_release_ends_its_downloads_before_their_length(serve):
    server = large(serve)
    connection, answer = begin(server)
    with contextlib.closing(connection):
        answer.read(CHUNK)
        server.face.releases.revoked.add(RELEASE["id"])
        with pytest.raises(CUT):
            answer.read()
    outcome(server, "revoked")


def test_a_revoked_token_ends_its_downloads(serve):
    server = large(serve)
    connection, answer = begin(server, DEVICE)
    with contextlib.closing(connection):
        answer.read(CHUNK)
        del server.face.tokens.known["the-device-token"]
        with pytest.raises(CUT):
            answer.read()
    outcome(server, "revoked")


def test_the_next_download_of_a_device_ends_the_one_before(serve):
    server = large(serve, downloads=2)
    first, stuck = begin(server, DEVICE)
    second, answer = begin(server, DEVICE, Range=f"bytes={CHUNK}-")
    with contextlib.closing(first), contextlib.closing(second):
        assert answer.read() == LARGE[CHUNK:]
        with pytest.raises(CUT):
            stuck.read()
    outcome(server, "replaced")
    outcome(server, "part")


def test_one_who_goes_gives_the_place_back(serve):
    server = large(serve, downloads=1)
    connection, answer = begin(server)
    assert server.get(PATH)[0] == 503
    answer.close()
    connection.close()
    outcome(server, "broken")
    assert server.get(PATH)[0] == 200


def test_downloads_that_wait_leave_the_api_alone(serve):
    server = large(serve, threads=2, streams=1, downloads=3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.callback(begin(server)[0].close)
        for _ in range(20):
            assert server.get(PATH)[0] == 503
            assert server.get("/api/health")[0] == 200


def test_a_stop_does_not_wait_for_downloads(serve):
    server = large(serve, download_rate=2.0**16)
    connection, answer = begin(server)
    with contextlib.closing(connection):
        stopped = threading.Thread(target=server.stop)
        stopped.start()
        with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):
            answer.read()
        stopped.join(15)
        assert not stopped.is_alive()
    outcome(server, "stopped")


def test_the_pace_is_that_of_all_together():
    pace = Pace(1000.0)
    assert [pace.wait(500, 10.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    assert pace.wait(500, 11.0) == 0.5
    assert pace.wait(500, 99.0) == 0.0
    assert Pace(None).wait(10**9, 0.0) == 0.0


def test_a_download_that_is_hardly_read_loses_its_place():
    clock = ManualClock()
    client = Client(make_face(clock=clock))
    client.face.releases.content = LARGE
    _, _, answer = client.open("GET", PATH)
    pieces = iter(answer)
    next(pieces)
    clock.advance(SLOW_AFTER + len(LARGE))
    assert list(pieces) == []
    answer.close()
    assert client.face.releases.outcomes == {"slow": 1}
