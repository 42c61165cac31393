"""An upload that goes on: what is tried again, what is not, and for how long."""

from __future__ import annotations

import hashlib

import pytest

from supervisor.cli.client import ApiError, NoServerError
from supervisor.cli.uploading import FIRST, SMALLEST, Upload
from web.releases import CHUNK

GONE = ApiError("The server cannot be reached.")


def refused(status, code="", **details):
    return ApiError("refused", status=status, body={"error": {"code": code, "message": "", "details": details}})


class Server:
    """Takes a file; `troubles` are raised first, in turn, by requests of that kind."""

    def __init__(self, size):
        self.size = size
        self.content = b""
        self.troubles = {"connect": [], "post": [], "send": []}
        self.pieces = []
        self.connections = 0

    def _trouble(self, kind):
        if self.troubles[kind] and (error := self.troubles[kind].pop(0)) is not None:
            raise error

    def connect(self):
        self._trouble("connect")
        self.connections += 1
        return self

    def __exit__(self, *_):
        pass

    def post(self, path, body):
        self._trouble("post")
        assert (path, body["size"]) == ("/api/releases/uploads", self.size)
        self.sha256 = body["sha256"]
        return {"id": "u", "offset": len(self.content), "release": self._release()}

    def send(self, path, body, headers):
        assert path == "/api/releases/uploads/u"
        self._trouble("send")
        offset = int(headers["Upload-Offset"])
        if offset > len(self.content):
            raise refused(409, "wrong_offset", offset=len(self.content))
        self.pieces.append(len(body))
        self.content = self.content[:offset] + body
        return {"offset": len(self.content), "release": self._release()}

    def _release(self):
        return "1.0" if hashlib.sha256(self.content).hexdigest() == self.sha256 else None


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.muster"
    path.write_bytes(bytes(range(256)) * 12_000)
    return path


@pytest.fixture
def server(path):
    return Server(path.stat().st_size)


class Time:
    now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    def monotonic(self):
        return self.now


@pytest.fixture
def upload(path, server):
    def make(patience=60.0):
        time = Time()
        return Upload(path, server.connect, patience, sleep=time.sleep, monotonic=time.monotonic)

    return make


def test_a_file_is_sent_in_pieces_that_grow_on_a_quick_line(upload, server, path):
    told = []
    assert upload().run(told.append) == "1.0"
    assert server.content == path.read_bytes()
    assert server.pieces[:3] == [FIRST, 2 * FIRST, CHUNK]
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size


@pytest.mark.parametrize(
    "trouble",
    [GONE, refused(503, "busy"), refused(500), refused(502), refused(429), refused(409, "wrong_offset"), refused(404)],
    ids=["gone", "busy", "bug", "proxy", "limited", "offset", "lost"],
)
def test_what_passes_is_waited_for_and_gone_on_from_where_the_server_is(upload, server, path, trouble):
    server.troubles["send"] = [None, trouble, None]
    server.troubles["connect"] = [None, NoServerError("none")]
    assert upload().run(lambda _: None) == "1.0"
    assert server.content == path.read_bytes()
    assert server.connections == 2


def test_a_server_that_was_started_anew_may_want_another_token(upload, server):
    server.troubles["send"] = [None, GONE]
    server.troubles["post"] = [None, refused(401)]
    assert upload().run(lambda _: None) == "1.0"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 507])
def test_what_does_not_pass_ends_it_at_once(upload, server, status):
    error = refused(status, "whatever")
    server.troubles["post"] = [error]
    with pytest.raises(ApiError) as caught:
        upload().run(lambda _: None)
    assert caught.value is error
    assert server.connections == 1


def test_without_any_progress_it_is_given_up_after_a_while(upload, server):
    server.troubles["send"] = [None] + [GONE] * 100
    with pytest.raises(ApiError, match="cannot be reached"):
        upload(patience=60.0).run(lambda _: None)
    assert 80 < len(server.troubles["send"]) < 95


def test_pieces_shrink_on_a_line_that_breaks(upload, server, path):
    server.troubles["send"] = [GONE] * 6
    assert upload(patience=1e9).run(lambda _: None) == "1.0"
    assert server.pieces[0] == SMALLEST
