"""HTTPS on the real listener: who is trusted, what slow and confused clients do, and a certificate that is replaced."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import warnings
from contextlib import closing, contextmanager

import pytest

from actors.events import EventRing
from supervisor.pki.authority import Authority
from tests.support.wait import eventually, throughout
from tests.web.running import ADMIN
from web.board import HttpBoard
from web.listener import Listener
from web.pump import Pump
from web.tls import CertificateError, TlsAdapter

THREADS = 4
NAME = "127.0.0.1"


@pytest.fixture
def authority(tmp_path):
    made = Authority.create(tmp_path / "pki", "Muster of a test")
    made.issue_server([NAME])
    return made


@pytest.fixture
def adapter(authority):
    return TlsAdapter(str(authority.server_file(NAME)))


def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = f"{environ['wsgi.url_scheme']} {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def listener(adapter):
    board = HttpBoard()
    running = Listener((NAME, 0), app, THREADS, Pump(EventRing(), board), board)
    running.ssl_adapter = adapter
    running.prepare()
    thread = threading.Thread(target=running.serve, daemon=True)
    thread.start()
    yield running
    running.stop_within(10)
    thread.join(10)


@pytest.fixture
def connect(listener, authority):
    """`connect()`: an HTTPS connection that trusts the authority."""

    def make(**options):
        trust = ssl.create_default_context(cafile=str(authority.ca_file))
        for name, value in options.items():
            setattr(trust, name, value)
        return http.client.HTTPSConnection(NAME, listener.bind_addr[1], timeout=10, context=trust)

    return make


def get(connection, path="/", body=None):
    connection.request("POST" if body else "GET", path, body)
    return connection.getresponse().read().decode()


def shown(connection):
    """The serial number of the certificate that a new connection meets."""
    with closing(connection):
        connection.connect()
        return int(connection.sock.getpeercert()["serialNumber"], 16)


def test_requests_on_a_kept_connection_are_answered_one_after_the_other(connect):
    with closing(connect()) as connection:
        for size in (0, 10, 9_000, 20_000, 200_000):
            assert get(connection, f"/{size}", b"x" * size) == f"https /{size}"
        assert connection.sock.version() == "TLSv1.3"


def test_requests_that_come_in_one_piece_are_each_answered(listener, connect):
    with closing(connect()) as connection:
        connection.connect()
        connection.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(5)))
        got = b""
        while b"https /4" not in got:
            got += connection.sock.recv(65_536)
        assert got.count(b"200 OK") == 5


def test_what_is_older_than_tls_1_2_is_refused(connect, adapter):
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old = connect(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old._context.set_ciphers("ALL:@SECLEVEL=0")
    with closing(old), pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"):
        old.connect()
    with closing(connect(maximum_version=ssl.TLSVersion.TLSv1_2)) as good:
        assert get(good) == "https /"


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
def test_handshakes_that_do_not_go_on_hold_no_thread(listener, connect, sent):
    stuck = [socket.create_connection((NAME, listener.bind_addr[1])) for _ in range(10 * THREADS)]
    try:
        for each in stuck:
            each.sendall(sent)
        with closing(connect()) as connection:
            assert get(connection) == "https /"
        eventually(lambda: listener.requests.idle == THREADS, 10, "every thread is free")
    finally:
        for each in stuck:
            each.close()


def test_a_handshake_that_drips_in_is_cut_at_its_deadline(listener, monkeypatch):
    monkeypatch.setattr("web.listener.READ_WITHIN", 0.3)
    with socket.create_connection((NAME, listener.bind_addr[1]), timeout=10) as slow:
        gone, pause = threading.Event(), threading.Event()

        def drip():
            try:
                for byte in b"\x16\x03\x01\x02\x00\x01" + bytes(300):
                    slow.sendall(bytes([byte]))
                    pause.wait(0.05)
            except OSError:
                gone.set()

        threading.Thread(target=drip, daemon=True).start()
        eventually(lambda: (listener.cut_slow_requests(), gone.is_set())[1], 10, "it is cut")


def test_rubbish_ends_the_connection_and_is_counted(listener, adapter):
    with socket.create_connection((NAME, listener.bind_addr[1]), timeout=10) as client:
        client.sendall(b"\x00\x01\x02 this is no handshake")
        try:
            while client.recv(1024):
                pass
        except ConnectionResetError:
            pass
    eventually(lambda: adapter.board.failed == 1, 10, "it is counted")


def test_who_speaks_plain_http_is_told_so(listener):
    with closing(http.client.HTTPConnection(NAME, listener.bind_addr[1], timeout=10)) as plain:
        plain.request("GET", "/")
        answer = plain.getresponse()
        assert (answer.status, b"this port speaks https" in answer.read()) == (400, True)


def test_a_cut_connection_never_goes_on_in_the_clear(listener, adapter, connect):
    with closing(connect()) as connection:
        connection.request("POST", "/", headers={"Content-Length": "50000"})
        connection.sock.send(b"x" * 40_000)
        conn = eventually(
            lambda: next((worker.conn for worker in listener.requests._threads if worker.conn), None), 10, "it is read"
        )
        conn.socket.shutdown(socket.SHUT_RD)
        with pytest.raises(ssl.SSLError) as ended:
            connection.getresponse()
        assert ended.value.reason != "WRONG_VERSION_NUMBER"  # what TLS says of plain text


def test_a_new_certificate_is_shown_to_new_connections_and_the_open_one_stays(listener, adapter, authority, connect):
    with closing(connect()) as open_one:
        assert get(open_one) == "https /"
        before = shown(connect())
        authority.renew(NAME)
        adapter.reload()
        assert shown(connect()) == int(authority.find(NAME)[-1].serial, 16) != before
        assert get(open_one, "/again") == "https /again"
    assert (adapter.board.reloads, adapter.board.error) == (1, "")


def test_a_pair_of_files_is_taken_when_both_have_come(tmp_path, authority):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    first, second = authority.issue_server([NAME]), authority.issue_server([NAME])
    cert.write_bytes(first.cert)
    key.write_bytes(first.key)
    adapter = TlsAdapter(str(cert), str(key))
    before = adapter._context
    cert.write_bytes(second.cert)
    adapter.reload()
    assert (adapter._context is before, "do not belong together" in adapter.board.error) == (True, True)
    key.write_bytes(second.key)
    adapter.reload()
    assert (adapter._context is before, adapter.board.error, adapter.board.reloads) == (False, "", 1)


@pytest.mark.parametrize("content", [b"", b"no PEM", None])
def test_files_that_cannot_be_used_change_nothing_and_are_told(adapter, authority, listener, connect, content):
    path = authority.server_file(NAME)
    good = path.read_bytes()
    before = shown(connect())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    adapter.reload()
    assert str(path) in adapter.board.error
    assert shown(connect()) == before
    path.write_bytes(good)
    adapter.reload()
    assert adapter.board.error == ""


def test_without_a_certificate_nothing_is_served(tmp_path):
    with pytest.raises(CertificateError, match=r"missing.pem cannot be used: No such file"):
        TlsAdapter(str(tmp_path / "missing.pem"))


def test_a_sealed_key_asks_nobody_on_the_terminal(tmp_path):
    sealed = Authority.create(tmp_path / "pki", "sealed", passphrase=b"correct horse")
    with pytest.raises(CertificateError, match="the key is sealed"):
        TlsAdapter(str(sealed.ca_file), str(tmp_path / "pki/ca.key"))


def test_the_server_watches_its_certificate(serve, authority, monkeypatch):
    monkeypatch.setattr("web.server.WATCH_EVERY", 0.05)
    running = serve(cert=str(authority.server_file(NAME)))
    trust = ssl.create_default_context(cafile=str(authority.ca_file))

    def serial():
        return shown(http.client.HTTPSConnection(NAME, running.port, timeout=10, context=trust))

    before = serial()
    authority.renew(NAME)
    eventually(lambda: serial() != before, 10, "the new certificate is shown")


# Event streams


@pytest.fixture
def follow(serve, authority):
    """`follow()`: a server with https, and a stream of its events."""

    @contextmanager
    def open_stream():
        server = serve(cert=str(authority.server_file(NAME)))
        trust = ssl.create_default_context(cafile=str(authority.ca_file))
        with closing(http.client.HTTPSConnection(NAME, server.port, timeout=20, context=trust)) as connection:
            connection.request("GET", "/api/events", headers=ADMIN)
            with closing(connection.getresponse()) as answer:
                eventually(lambda: server.face.http.streams, what="the stream")
                yield server, answer
        eventually(lambda: server.face.http.streams == 0, what="the end of the stream")

    return open_stream


def test_events_come_over_https(follow):
    with follow() as (server, answer):
        server.face.ring.publish("presence", "pi-1", {})
        while answer.readline() != b"event: presence\n":
            pass
    assert server.face.http.streams_ended == {"closed": 1}


def test_a_client_that_lets_events_wait_gets_all_of_them_over_https(follow):
    with follow() as (server, answer):
        for _ in range(3000):
            server.face.ring.publish("scan", "pi-1", {"x": "x" * 3000})
        # More than kernel and TLS keep on their way: it waits in the pump, and is written in pieces.
        throughout(1.0, lambda: server.face.http.streams == 1, what="the stream")
        ids = []
        while len(ids) < 3000:
            line = answer.readline()
            if line.startswith(b"id: "):
                ids.append(line)
            if line == b"event: beat\n":
                ids.pop()
        assert [int(each.rpartition(b"-")[2]) for each in ids] == list(range(1, 3001))


def test_a_stop_ends_streams_over_https(follow):
    with follow() as (server, answer):
        server.stop()
        while answer.readline():
            pass
