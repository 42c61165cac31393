"""The certificate of a device: kept as one private file, renewed in time, and asked for where there is none."""

from __future__ import annotations

import datetime as dt
import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actors.runtime import Runtime
from edge.bearings import Bearings, Credentials, MqttAccess
from edge.certificate import actor as actor_module
from edge.certificate import files as files_module
from edge.certificate.actor import Certifier
from edge.certificate.files import CertificateFiles, Dates
from edge.home import Places
from edge.settings import EdgeSettings
from supervisor.pki import certificates
from supervisor.pki.authority import Authority
from tests.support.wait import eventually

ENROLLED = Credentials(
    device_id="pi-1",
    server_id="muster-1",
    connection_string="mqtt://b",
    mqtt=MqttAccess(host="b.local", port=8883, username="devices", password="pw", tls=True),
    token="t0ken",
    server_url="",
    enrolled_at=0.0,
)


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "pki", "Muster of a test")


@pytest.fixture
def places(tmp_path):
    home = tmp_path / "edge"
    home.mkdir()
    return Places(home)


@pytest.fixture
def files(places):
    return CertificateFiles(places, "pi-1")


def issue(authority, files, days_ago=0):
    """Keep a certificate that is so old."""
    request = files.request()
    with pytest.MonkeyPatch.context() as patch:
        at = certificates.now() - dt.timedelta(days=days_ago)
        patch.setattr(certificates, "now", lambda: at)
        issued = authority.sign_request(request.csr.encode(), "pi-1", days=365)
    assert files.keep(request.key, issued.cert.decode(), authority.certificate.decode())
    return issued


class Server:
    """Answers `POST /api/devices/pi-1/certificate` as it is told to."""

    def __init__(self, authority):
        self.authority, self.status, self.asked = authority, 201, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append((self.path, self.headers["Authorization"]))
                answer = json.dumps(server.answer(body)).encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, body):
        if self.status != 201:
            return {"error": {"code": "no", "message": "no"}}
        issued = self.authority.sign_request(body["csr"].encode(), "pi-1")
        mqtt = {"host": "b.local", "port": 8884, "username": "pi-1", "password": "", "tls": True}
        return {"certificate": issued.cert.decode(), "ca": self.authority.certificate.decode(), "mqtt": mqtt}

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(authority):
    running = Server(authority)
    yield running
    running.close()


@pytest.fixture
def certifier(places, files, server, monkeypatch):
    """`certifier()`: starts it; returns bearings and a list that grows with each change."""
    monkeypatch.setattr(actor_module, "TICK", 0.05)
    monkeypatch.setattr(actor_module, "UNKNOWN", 0.05)
    runtime = Runtime.system()
    runtime.start()
    refs = []

    def start():
        bearings = Bearings(places, EdgeSettings(), "pi-1")
        if bearings.credentials is None:
            bearings.adopt(ENROLLED)
        bearings.verified(server.url)
        bearings.show("found", "Found.")
        changed = []
        actor = Certifier(
            bearings=bearings,
            files=files,
            device_id="pi-1",
            runtime=runtime,
            on_changed=lambda: changed.append(bearings.broker()),
        )
        refs.append(runtime.launch(actor, child_id="certifier"))
        return bearings, changed

    yield start
    for ref in refs:
        ref.stop(block=True, timeout=10)
    runtime.stop()


def test_key_and_certificate_are_one_file_for_us_alone(authority, files):
    issued = issue(authority, files)
    assert stat.S_IMODE(files.path.stat().st_mode) == 0o600
    assert files.path.read_bytes().endswith(issued.cert)
    assert files.ca.read_bytes() == authority.certificate


def test_a_certificate_for_another_key_is_not_kept(authority, files):
    issued = issue(authority, files)
    before = files.path.read_bytes()
    assert not files.keep(files.request().key, issued.cert.decode(), "")
    assert files.path.read_bytes() == before


@pytest.mark.parametrize("rubbish", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_rubbish_is_neither_kept_nor_trusted(files, rubbish):
    assert not files.keep(files.request().key, rubbish, rubbish)
    files.keep_authority(rubbish)
    assert not files.path.exists()
    assert not files.ca.exists()


def test_it_is_due_in_the_last_third_of_its_life():
    dates = Dates(0.0, 300.0)
    assert [dates.is_due(now) for now in (0.0, 199.0, 200.0, 400.0)] == [False, False, True, True]


def test_a_device_without_the_library_asks_for_nothing(files, monkeypatch):
    monkeypatch.setattr(files_module.importlib.util, "find_spec", lambda _name: None)
    assert files.request() is None


def test_a_device_that_has_enrolled_without_one_gets_its_first(certifier, server, files):
    bearings, changed = certifier()
    eventually(lambda: changed, 20, "the broker is to be reached in another way")
    assert server.asked == [("/api/devices/pi-1/certificate", "Bearer t0ken")]
    broker = bearings.broker()
    assert (broker.port, broker.cert_file, broker.key_file) == (8884, str(files.path), str(files.path))
    assert broker.ca_file == str(files.ca)
    assert broker.tls_context() is not None


def test_one_that_is_due_is_renewed_and_the_connection_stays(certifier, authority, files, server, places):
    old = issue(authority, files, days_ago=300)
    known = MqttAccess(host="b.local", port=8884, username="pi-1", tls=True)
    Bearings(places, EdgeSettings(), "pi-1").adopt(
        Credentials(
            **{name: getattr(ENROLLED, name) for name in ENROLLED.__struct_fields__}
            | {"mqtt": known, "certified": True}
        )
    )
    _, changed = certifier()
    eventually(lambda: server.asked, 20, "the server is asked")
    eventually(lambda: old.cert not in files.path.read_bytes(), 20, "the certificate is another")
    assert changed == []


def test_a_clock_that_finds_every_certificate_due_does_not_ask_without_end(
    certifier, authority, files, server, monkeypatch
):
    monkeypatch.setattr(Dates, "is_due", lambda *_: True)
    certifier()
    eventually(lambda: server.asked, 20, "the server is asked")
    looks = []
    real = files.dates
    files.dates = lambda: (looks.append(1), real())[1]
    eventually(lambda: len(looks) > 5, 20, "it has looked again")
    assert len(server.asked) == 1


def test_one_that_is_good_is_left_alone(certifier, authority, files, server):
    issue(authority, files)
    looked = threading.Event()
    real = files.dates
    files.dates = lambda: (looked.set(), real())[1]
    certifier()
    assert looked.wait(20)
    assert server.asked == []


@pytest.mark.parametrize("status", [404, 403, 503])
def test_a_server_that_gives_none_is_not_asked_again_at_once(certifier, server, files, status):
    server.status = status
    bearings, changed = certifier()
    eventually(lambda: server.asked, 20, "the server is asked")
    looks = []
    real = files.dates
    files.dates = lambda: (looks.append(1), real())[1]
    eventually(lambda: len(looks) > 3, 20, "it has looked again")
    assert (len(server.asked), changed, files.path.exists()) == (1, [], False)
    assert bearings.broker().cert_file == ""


def test_what_the_server_has_named_is_trusted_unless_the_owner_names_another(places, files, authority):
    files.keep_authority(authority.certificate.decode())
    assert Bearings(places, EdgeSettings(), "pi-1").ca_file == str(files.ca)
    assert Bearings(places, EdgeSettings(ca_file="/mine.pem"), "pi-1").ca_file == "/mine.pem"


def test_the_credentials_of_the_release_before_are_read(places):
    kept = {name: getattr(ENROLLED, name) for name in ENROLLED.__struct_fields__ if name not in ("mqtt", "certified")}
    kept["mqtt"] = {"host": "b.local", "port": 1883}
    places.enrolment.write_text(json.dumps(kept))
    assert Bearings(places, EdgeSettings(), "pi-1").broker().port == 1883
