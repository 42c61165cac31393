"""The HTTP actor on a real port, with clients that are slow, rude or gone."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
import threading
import time
from pathlib import Path

import pytest

import web.listener
from actors.runtime import ExitReason
from actors.storage.errors import StoreUnavailable
from tests.support.wait import eventually
from tests.web.fakes import make_face, view
from tests.web.running import ADMIN, Monitor, read_to_the_end
from web.pump import Pump
from web.server import HttpActor, HttpSettings


def open_files():
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Stream:
    """A client of `/api/events`; the connection's timeout is the deadline of each read."""

    def __init__(self, server, query="", **headers):
        self.connection = server.connect()
        self.connection.request("GET", f"/api/events{query}", headers=ADMIN | headers)
        self.answer = self.connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()
        self.connection.close()

    def until(self, wanted):
        """Read lines until one starts with `wanted`."""
        while True:
            line = self.answer.readline()
            assert line, "the stream ended"
            if line.startswith(wanted):
                return line

    def to_the_end(self):
        """Read until the server ends the stream; a cut connection is an end too."""
        with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):
            while self.answer.readline():
                pass


def test_it_serves_on_the_port_it_names_until_it_is_stopped(serve):
    server = serve(view("pi-1"))
    status, body = server.get("/api/devices/pi-1")
    assert (status, json.loads(body)["serial"]) == (200, "pi-1")
    assert server.stop().reason is ExitReason.SHUTDOWN
    with pytest.raises(OSError):
        server.raw(timeout=1)


def test_a_port_that_is_taken_is_a_failed_start(serve, runtime):
    server = serve()
    told = []
    monitor = runtime.launch(Monitor(told))
    actor = HttpActor(server.face, HttpSettings(port=server.port))
    runtime.launch(actor, monitor=monitor, child_id="http")
    exit_ = eventually(lambda: told and told[0])
    assert exit_.reason is ExitReason.CRASHED
    assert isinstance(exit_.error, OSError)
    assert "is taken by another program; choose another one with --http" in str(exit_.error)
    monitor.stop()


@pytest.mark.parametrize("what", ["a port that is taken", "a certificate that is not there"])
def test_a_start_that_fails_leaves_no_file_open(runtime, what):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = {"port": taken.getsockname()[1]} if "port" in what else {"port": 0, "cert": "/nowhere.pem"}
        face = make_face(clock=runtime.clock)
        before = open_files()
        for _ in range(5):
            with pytest.raises(OSError):
                HttpActor(face, HttpSettings(**given)).on_start()
        assert open_files() <= before


def test_the_port_is_free_again_after_a_stop(serve, runtime):
    server = serve()
    server.get("/api/health")
    server.stop()
    again = HttpActor(server.face, HttpSettings(port=server.port))
    ref = runtime.launch(again)
    eventually(lambda: can_connect(server), what="the second server on the same port")
    ref.stop()


def can_connect(server):
    try:
        server.raw(timeout=1).close()
    except OSError:
        return False
    return True


def test_a_listener_that_dies_crashes_the_actor_and_frees_the_port(serve):
    server = serve()
    server.actor._listener.interrupt = ZeroDivisionError("injected")
    exit_ = eventually(lambda: server.exit, timeout=15, what="the crash")
    assert exit_.reason is ExitReason.CRASHED
    assert "listener" in str(exit_.error)
    assert not can_connect(server)


def test_a_killed_actor_frees_the_port_and_ends_its_streams(serve, runtime):
    server = serve()
    with Stream(server) as stream:
        runtime.kill(server.ref)
        eventually(lambda: not can_connect(server), what="the port to be free")
        stream.to_the_end()


def test_events_reach_a_stream_within_a_moment(serve):
    server = serve()
    with Stream(server, "?kinds=presence") as stream:
        stream.until(b": muster")
        started = time.monotonic()
        server.face.ring.publish("restart", "", {})
        server.face.ring.publish("presence", "pi-1", {"serial": "pi-1", "presence": "offline"})
        stream.until(b"event: presence")
        assert b'"offline"' in stream.until(b"data: ")
        # Four looks a second; the rest is room for a busy machine.
        assert time.monotonic() - started < 2.0


def test_a_stream_goes_on_after_a_reconnect(serve):
    server = serve()
    with Stream(server) as stream:
        server.face.ring.publish("restart", "", {"n": 1})
        seen = last_id(stream)
    server.face.ring.publish("restart", "", {"n": 2})
    with Stream(server, **{"Last-Event-ID": seen}) as stream:
        stream.until(b"event: restart")
        assert stream.until(b"data: ") == b'data: {"n":2}\n'


def last_id(stream):
    """The id of the event that follows the opening."""
    stream.until(b"event: beat")
    return stream.until(b"id: ").removeprefix(b"id: ").strip().decode()


def test_a_stop_does_not_wait_for_open_streams(serve):
    server = serve(streams=20)
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(server)) for _ in range(20)]
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 5
        for stream in streams:
            stream.to_the_end()


def test_full_streams_leave_the_api_alone_and_a_gone_client_frees_its_slot(serve):
    server = serve(streams=1, threads=1)

    def status():
        with Stream(server) as stream:
            return stream.answer.status

    with Stream(server):
        assert status() == 503
        assert server.get("/api/health")[0] == 200
    eventually(lambda: status() == 200, timeout=5, what="a free slot")


def test_two_hundred_streams_hold_no_thread_of_the_server(serve):
    server = serve(view("pi-1"), threads=1, downloads=1)
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(server)) for _ in range(200)]
        eventually(lambda: server.face.http.streams == 200, what="all streams")
        assert server.get("/api/devices/pi-1")[0] == 200
        server.face.ring.publish("presence", "pi-1", {})
        for stream in streams:
            assert stream.until(b"event: presence")
    eventually(lambda: server.face.http.streams == 0, what="the end of all streams")
    assert server.face.http.streams_ended == {"closed": 200}


def test_streams_leave_files_for_others(serve, monkeypatch, caplog):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (8, 8))
    server = serve(streams=100)
    with Stream(server) as stream:
        stream.until(b": muster")
        with Stream(server, Authorization="Bearer the-read-token") as other:
            assert other.answer.status == 429
    assert "this process may have 8 files open: 2 event streams are taken, not 100" in caplog.text


def test_a_body_that_does_not_come_with_the_question_for_a_stream_holds_up_nobody(serve, monkeypatch):
    drained = []
    monkeypatch.setattr(web.listener.Connection, "_drain", lambda _: drained.append(threading.current_thread().name))
    server = serve()
    with Stream(server) as stream, server.raw() as client:
        stream.until(b": muster")
        client.sendall(b"GET /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n")
        client.sendall(f"Authorization: {ADMIN['Authorization']}\r\n\r\n{{".encode())
        eventually(lambda: server.face.http.streams == 2, what="the stream")
        client.sendall(b"x" * 5000)
        assert b"event: beat" in read_to_the_end(client)
        assert server.face.http.streams_ended == {"rude": 1}
        server.face.ring.publish("presence", "pi-1", {})
        stream.until(b"event: presence")
    assert drained == []


def test_a_stream_of_http_1_0_goes_on_without_chunks(serve):
    server = serve()
    with server.raw() as client:
        client.sendall(b"GET /api/events HTTP/1.0\r\nAuthorization: Bearer the-admin-token\r\n\r\n")
        lines = client.makefile("rb")
        eventually(lambda: server.face.http.streams, what="the stream")
        server.face.ring.publish("presence", "pi-1", {"n": 1})
        while (line := lines.readline()) != b"event: presence\n":
            assert line
        assert lines.readline() == b'data: {"n":1}\n'
        server.stop()
        assert lines.read() == b"\n"


def test_a_token_that_is_revoked_ends_its_streams(serve):
    server = serve()
    with Stream(server, Authorization="Bearer the-read-token") as stream, Stream(server) as other:
        stream.until(b": muster")
        del server.face.tokens.known["the-read-token"]
        stream.to_the_end()
        assert server.face.http.streams_ended == {"revoked": 1}
        server.face.ring.publish("presence", "pi-1", {})
        other.until(b"event: presence")


def test_a_stream_goes_on_while_nobody_can_say_whether_its_token_was_revoked(serve, monkeypatch):
    server = serve()
    asked = []

    def verify(plain):
        asked.append(plain)
        raise StoreUnavailable("away")

    with Stream(server) as stream:
        stream.until(b": muster")
        monkeypatch.setattr(server.face.tokens, "verify", verify)
        eventually(lambda: len(asked) > 1, what="the question")
        server.face.ring.publish("presence", "pi-1", {})
        stream.until(b"event: presence")


@pytest.mark.parametrize("what", ["streams", "checks"])
def test_a_thread_of_the_streams_that_dies_crashes_the_actor(serve, monkeypatch, what):
    monkeypatch.setattr(Pump, {"streams": "look", "checks": "check"}[what], lambda *_: 1 / 0)
    server = serve()
    with Stream(server) as stream:
        stream.to_the_end()
    exit_ = eventually(lambda: server.exit, timeout=15, what="the crash")
    assert exit_.reason is ExitReason.CRASHED
    assert what in str(exit_.error)
    assert not can_connect(server)


def test_silent_connections_hold_no_thread(serve):
    server = serve(streams=1, threads=1)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.raw())
        assert server.get("/api/health")[0] == 200


def test_a_request_that_drips_in_is_cut(serve, monkeypatch):
    monkeypatch.setattr(web.listener, "READ_WITHIN", 0.5)
    server = serve(streams=1, threads=1)
    cut = threading.Event()

    def drip(client):
        with contextlib.suppress(OSError):
            client.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\n")
            while True:
                client.sendall(b"X: y\r\n")
                if cut.wait(0.1):
                    return

    with server.raw() as client:
        dripping = threading.Thread(target=drip, args=(client,))
        dripping.start()
        assert b'"code":"bad_request"' in read_to_the_end(client)
        cut.set()
        dripping.join(5)
    assert not dripping.is_alive()


def test_a_body_that_drips_in_is_cut_too(serve, monkeypatch):
    monkeypatch.setattr(web.listener, "READ_WITHIN", 0.5)
    server = serve()
    with server.raw() as client:
        head = "POST /api/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the-admin-token\r\n"
        client.sendall(f"{head}Connection: close\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert b"shorter than its Content-Length" in read_to_the_end(client)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"nonsense\r\n\r\n", "bad_request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "bad_request"),
        (b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", "too_large"),
        (b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", "bad_request"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", "too_large"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", "too_large"),
    ],
    ids=["no request", "no header", "huge body", "bad length", "huge path", "huge header"],
)
def test_what_never_reaches_the_application_is_refused_in_the_common_form(serve, request_, code):
    server = serve()
    with server.raw() as client:
        client.sendall(request_)
        head, _, body = read_to_the_end(client).partition(b"\r\n\r\n")
    assert json.loads(body)["error"]["code"] == code
    assert b"Content-Security-Policy" in head
    assert b"Connection: close" in head


def test_a_body_over_the_limit_is_refused_unread(serve):
    server = serve()
    with server.raw() as client:
        client.sendall(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 1000001\r\n\r\n")
        assert b'"code":"too_large"' in read_to_the_end(client)


def test_a_bulk_of_thousands_is_taken_over_the_wire(serve):
    bulk = {"notifications": [{"topic": "a", "title": "x", "body": "y" * 1_000}] * 5_000}
    with contextlib.closing(serve().connect()) as connection:
        connection.request("POST", "/api/notifications/bulk", json.dumps(bulk), ADMIN)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["accepted"]) == (202, 5_000)


def test_a_long_body_of_a_stranger_is_not_read(serve):
    server = serve()
    with server.raw() as client:
        client.sendall(b"POST /api/notifications/bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n")
        head, _, body = read_to_the_end(client).partition(b"\r\n\r\n")
    assert json.loads(body)["error"]["code"] == "unauthenticated"
    assert b"Connection: close" in head


def test_connections_are_kept_for_the_next_request(serve):
    server = serve(view("pi-1"))
    with contextlib.closing(server.connect()) as connection:
        for _ in range(3):
            connection.request("GET", "/api/devices/pi-1", headers=ADMIN)
            assert connection.getresponse().read()
            kept = connection.sock
            assert kept is not None


def test_the_actor_answers_while_requests_hang(serve):
    server = serve(threads=2, streams=1)
    hang = threading.Event()
    server.face.history.sensors = lambda serial: (hang.wait(20), [])[1]
    server.face.fleet.put(view("pi-1"))
    clients = [threading.Thread(target=server.get, args=("/api/devices/pi-1/sensors",)) for _ in range(2)]
    for client in clients:
        client.start()
    server.ref.tell("are you there")
    eventually(server.ref.actor_inbox.empty, what="the actor to take its message")
    hang.set()
    for client in clients:
        client.join(10)
