"""Clients that are slow, many, confused or hostile: whoever asks for the health is answered all the same."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading

import pytest

import web.listener
import web.reader
from tests.support.wait import eventually
from tests.web.fakes import view
from tests.web.running import ADMIN, read_to_the_end
from web.reader import Reader

HEAD = "Host: x\r\nAuthorization: Bearer the-admin-token\r\n"
HEALTH = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(server, request):
    """What is answered to these bytes, until the end of the connection."""
    with server.raw() as client:
        client.sendall(request)
        return read_to_the_end(client)


def statuses(answers):
    """The status of each answer in a row of them."""
    return [int(part[9:12]) for part in answers.split(b"HTTP/1.1 ")[1:] for part in [b"HTTP/1.1 " + part]]


# Bodies that nobody wants


@pytest.mark.parametrize("path", ["/api/devices", "/api/nothing"])
@pytest.mark.parametrize("size", [1_000_001, 8_000_000])
def test_a_client_that_writes_all_of_a_body_that_is_too_long_is_told_so(serve, path, size):
    server = serve()
    with contextlib.closing(server.connect()) as connection:
        connection.request("POST", path, b"x" * size, ADMIN)
        answer = connection.getresponse()
        assert answer.status == (413 if path == "/api/devices" else 404)
        assert json.loads(answer.read())["error"]["code"] == ("too_large" if path == "/api/devices" else "not_found")


def test_a_body_that_the_listener_refuses_itself_is_answered_and_counted(serve):
    server = serve()
    with contextlib.closing(server.connect()) as connection:
        connection.request("POST", "/api/devices", b"x" * (web.listener.LONGEST_BODY + 1), ADMIN)
        assert connection.getresponse().status == 413
    assert server.face.http.refused["", "too_large"] == 1


def test_a_stranger_who_writes_a_long_body_is_told_that_a_token_is_needed(serve):
    server = serve()
    with contextlib.closing(server.connect()) as connection:
        connection.request("POST", "/api/notifications/bulk", b"x" * 20_000_000)
        assert connection.getresponse().status == 401


def test_a_body_without_an_end_is_not_read_for_ever(serve, monkeypatch):
    monkeypatch.setattr(web.listener, "DRAIN_WITHIN", 0.3)
    server = serve(threads=1, streams=1, downloads=1)
    stop = threading.Event()

    def pour(client):
        with contextlib.suppress(OSError):
            while not stop.is_set():
                client.sendall(b"x" * 65536)

    with server.raw() as client:
        client.sendall(f"POST /api/devices HTTP/1.1\r\n{HEAD}Content-Length: 900000000\r\n\r\n".encode())
        pouring = threading.Thread(target=pour, args=(client,))
        pouring.start()
        pouring.join(20)
        assert not pouring.is_alive(), "the connection was never closed"
    stop.set()


def test_what_is_refused_is_counted_by_reason(serve):
    server = serve()
    for request in (
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /api/devices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        ask(server, request)
    server.get("/api/devices", {})
    server.get("/api/devices", {"Authorization": "Bearer wrong"})
    server.get("/api/tokens", {"Authorization": "Bearer the-read-token"})
    assert dict(server.face.http.refused) == {
        ("", "bad_request"): 1,
        ("", "too_large"): 1,
        ("", "length_required"): 1,
        ("GET /api/devices", "unauthenticated"): 2,
        ("GET /api/tokens", "forbidden"): 1,
    }


@pytest.mark.parametrize("target", ["http://[::1", "//[", "http://[x]/", "http://a]/", "/[", "*", "//", "http://\xb2/"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
def test_a_url_that_cannot_be_read_is_no_failure_of_ours(serve, caplog, method, target):
    answers = ask(serve(), f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert len(statuses(answers)) == 1
    assert 200 <= statuses(answers)[0] < 500, answers
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("line", ["GET / HTTP/2.0", "GET / HTTP/0.9"])
def test_a_version_of_http_that_is_not_spoken_is_no_failure_of_ours(serve, line):
    server = serve()
    assert b'"code":"not_supported"' in ask(server, f"{line}\r\nHost: x\r\n\r\n".encode())
    assert dict(server.face.http.refused) == {("", "not_supported"): 1}


# Requests that two readers would take for different ones


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 4\r\n",
        "Content-Length: 0, 4\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0_0\r\n",
        "Content-Length : 0\r\n",
        "Content-Length\t: 0\r\n",
        "Content-Length:\r\n 0\r\n",
        "X: a\r\n b\r\nContent-Length: 0\r\n",
        "X: a\nContent-Length: 0\r\n",
        "X: a\rContent-Length: 0\r\n",
        "X\x00: a\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: y\r\nContent-Length: 0\r\n",
        "Authorization: Bearer the-read-token\r\nContent-Length: 0\r\n",
    ],
)
@pytest.mark.parametrize("path", ["/api/devices", "/api/nothing", "/api/logout"])
def test_a_request_whose_length_is_in_doubt_ends_its_connection(serve, path, headers):
    server = serve()
    smuggled = b"GET /api/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the-admin-token\r\n\r\n"
    answers = ask(server, f"POST {path} HTTP/1.1\r\n{HEAD}{headers}\r\n".encode("latin-1") + smuggled)
    assert len(statuses(answers)) == 1, answers
    assert statuses(answers)[0] in (400, 411, 501)
    assert b"Connection: close" in answers


def test_a_header_with_an_underscore_is_not_taken_for_another_one(serve):
    server = serve()
    answers = ask(server, b"GET /api/session HTTP/1.0\r\nX_Y: 1\r\nAuthorization: Bearer the-admin-token\r\n\r\n")
    assert statuses(answers) == [200]
    forged = b"GET /api/health HTTP/1.0\r\nTransfer_Encoding: chunked\r\nContent_Length: 5\r\n\r\n"
    assert statuses(ask(server, forged)) == [200]


def test_requests_in_a_row_are_answered_in_their_order(serve):
    server = serve(view("pi-1"))
    one = f"GET /api/devices/pi-1 HTTP/1.1\r\n{HEAD}\r\n".encode()
    none = f"GET /api/devices/pi-2 HTTP/1.1\r\n{HEAD}\r\n".encode()
    post = f"POST /api/devices HTTP/1.1\r\n{HEAD}Content-Length: 17\r\n\r\n".encode() + b'{"serial":"pi-3"}'
    last = one.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert statuses(ask(server, one + none + post + last)) == [200, 404, 201, 200]


# Slow and many


@pytest.fixture
def few(serve):
    """A server with three threads in all."""
    return serve(view("pi-1"), threads=1, streams=1, downloads=1)


def crowd(stack, server, number, beginning):
    """So many connections that have said this much."""
    clients = [stack.enter_context(server.raw()) for _ in range(number)]
    for client in clients:
        client.sendall(beginning)
    return clients


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"G",
        b"GET /api/health HTTP/1.1\r\nHost: x\r\n",
        b"GET /api/health HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{",
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{",
        b"POST /api/register_device HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n{",
        b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{",
        b"POST /api/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Length: 900000\r\n\r\n{",
    ],
    ids=[
        "silent",
        "a letter",
        "half the headers",
        "a body nobody reads",
        "login",
        "enrolment",
        "a stranger's body",
        "a wrong token's body",
    ],
)
def test_a_crowd_that_does_not_go_on_keeps_nobody_from_an_answer(few, beginning):
    with contextlib.ExitStack() as stack:
        crowd(stack, few, 200, beginning)
        assert few.get("/api/health", {})[0] in (200, 429)


def test_those_with_a_token_who_send_slowly_are_cut_when_others_wait(few):
    slow = f"POST /api/devices HTTP/1.1\r\n{HEAD}Content-Length: 900000\r\n\r\n{{".encode()
    with contextlib.ExitStack() as stack:
        crowd(stack, few, 3, slow)
        assert few.get("/api/health", {})[0] == 200


def test_those_who_do_not_read_their_answers_are_cut_when_others_wait(few):
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect((few.host, few.port))
            client.settimeout(1)
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(200):
                    client.sendall(HEALTH * 40)
        assert few.get("/api/health", {})[0] in (200, 429)


def test_headers_are_looked_at_once_however_slowly_the_body_drips_in(monkeypatch):
    looked = []
    monkeypatch.setattr(web.reader, "_wanted", lambda head: looked.append(len(head)) or 100)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = Reader(theirs)
        for byte in b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100:
            assert not reader.is_ready
            ours.send(bytes([byte]))
            reader.fill()
        assert reader.is_ready
        assert len(looked) == 1
        assert reader.read(28 + 100).endswith(b"Host: x\r\n\r\n" + b"x" * 100)
        ours.send(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100)
        assert reader.has_data()
        assert looked == [26, 16]


def test_a_request_that_drips_in_without_an_end_is_cut(few, monkeypatch):
    monkeypatch.setattr(web.listener, "READ_WITHIN", 0.5)
    with few.raw() as client:
        client.sendall(b"GET /api/health HTTP/1.1\r\n")

        def dripped():
            client.sendall(b"X: y\r\n")
            with contextlib.suppress(TimeoutError):
                client.settimeout(0.05)
                return client.recv(1000)

        assert b'"code":"bad_request"' in eventually(dripped, what="the end of it")


def test_more_connections_than_are_kept_push_out_the_one_that_is_silent_for_longest(few, monkeypatch):
    monkeypatch.setattr(few.actor._listener, "most_connections", 50)
    with contextlib.ExitStack() as stack:
        clients = crowd(stack, few, 80, b"")
        assert few.get("/api/health", {})[0] == 200
        assert clients[0].recv(1) == b""
        clients[-1].sendall(HEALTH)
        assert clients[-1].recv(15) == b"HTTP/1.1 200 OK"
    assert few.face.http.pushed_out >= 30


def test_connections_by_the_thousand_keep_nobody_from_an_answer(serve):
    server = serve()
    with contextlib.ExitStack() as stack:
        crowd(stack, server, 3_000, b"GET /api/health HTTP/1.1\r\n")
        assert server.get("/api/health", {})[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["no token", "a wrong token"])
def test_a_flood_keeps_nobody_with_a_token_from_an_answer(serve, headers):
    server = serve(view("pi-1"))
    stop = threading.Event()
    answered = []

    def flood():
        connection = server.connect()
        while not stop.is_set():
            try:
                connection.request("GET", "/api/devices", headers=headers)
                answer = connection.getresponse()
                answer.read()
                answered.append(answer.status)
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()

    floods = [threading.Thread(target=flood) for _ in range(20)]
    for each in floods:
        each.start()
    try:
        eventually(lambda: 429 in answered, what="the limit")
        assert server.get("/api/devices/pi-1")[0] == 200
    finally:
        stop.set()
        for each in floods:
            each.join(10)
    assert set(answered) == {401, 429}
