"""`muster up --lan --tls`: page and broker encrypt, a device is known by its certificate, and nobody else is it."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import socket
import ssl
import stat
import tempfile
import threading
import urllib.error
import urllib.request

import pytest
from cryptography import x509

from supervisor.pki import certificates
from supervisor.pki.authority import Authority
from supervisor.pki.certificates import make_request
from tests.support.edge import Edge
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.ports import free_port
from tests.support.wait import eventually


class Up(MusterUp):
    """With TLS on free ports of every address."""

    def __init__(self):
        port = free_port()
        super().__init__("--lan", "--tls", "--http", f"0.0.0.0:{port}")
        self.address = f"127.0.0.1:{port}"
        self.env["MUSTER_HTTP"] = ""
        self.ca_file = self.data / "pki/ca.pem"
        (self.data / "broker").mkdir(parents=True)
        for name in ("tls-port", "certificate-port"):  # as if of the last run
            (self.data / "broker" / name).write_text(str(free_port()))

    def health(self):
        if not self.ca_file.exists():
            raise OSError("no authority yet")
        return super().health()

    def port(self, name):
        return int((self.data / "broker" / name).read_text())

    @property
    def server_broker_url(self):
        password = json.loads((self.data / "broker/users.json").read_bytes())["server"]
        return f"mqtt://muster:{password}@127.0.0.1:{self.broker_port}"

    @property
    def key(self):
        return (self.directory / "run/enrolment-key").read_text()

    @property
    def authority(self):
        return Authority.open(self.data / "pki")

    def lets_in(self, combined):
        """Whether the broker answers a CONNECT of who has this certificate, none if it is empty."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        address = ("127.0.0.1", self.port("certificate-port"))
        with tempfile.NamedTemporaryFile() as file:
            if combined:
                file.write(combined)
                file.flush()
                trust.load_cert_chain(file.name)
            try:
                with (
                    socket.create_connection(address, timeout=10) as plain,
                    trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
                ):
                    connection.sendall(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05ready")
                    return connection.recv(4) == b"\x20\x02\x00\x00"
            except OSError:
                return False

    def enrol(self, serial, **more):
        return self.post("/api/register_device", {"device_id": serial, "enrolment_key": self.key, **more}, expect=201)


@contextlib.contextmanager
def as_if_days_ago(days):
    """What is issued now is as old as that."""
    with pytest.MonkeyPatch.context() as patch:
        at = certificates.now() - dt.timedelta(days=days)
        patch.setattr(certificates, "now", lambda: at)
        yield


@pytest.fixture
def up(needs):
    needs("mosquitto")
    with Up() as server:
        yield server


@pytest.fixture
def device(up, tmp_path):
    """`device(certificate, client_id)`: a connection with a certificate; closed in the end."""
    opened = []

    def connect(combined, client_id="anything", port="certificate-port", **options):
        path = tmp_path / f"{len(opened)}.pem"
        path.write_bytes(combined)
        url = f"mqtts://127.0.0.1:{up.port(port)}"
        opened.append(Device(url, client_id=client_id, ca_file=up.ca_file, cert_file=path, **options))
        return opened[-1]

    yield connect
    for each in opened:
        each.disconnect()


def enrolled(up, serial):
    """Key and certificate of a device that has enrolled, and what it was told."""
    request = make_request(serial)
    told = up.enrol(serial, csr=request.cert.decode())
    return request.key + told["certificate"].encode(), told


# -- an edge ----------------------------------------------------------------------------------------------------------


def test_an_edge_that_nobody_has_configured_is_known_by_its_certificate(up):
    with Edge("edge-1", runtime_dir=up.directory / "run") as edge:
        up.wait_presence("edge-1", "online")
        state = eventually(lambda: (found := edge.status)["link"]["state"] == "subscribed" and found, 20)
        assert state["server"]["certified"] is True
        assert state["server"]["url"].startswith("https://")
        pem = next(edge.directory.rglob("device.pem"))
        assert stat.S_IMODE(pem.stat().st_mode) == 0o600
        kept = json.loads(pem.with_name("enrolment.json").read_bytes())
        assert (kept["mqtt"]["port"], kept["mqtt"]["password"]) == (up.port("certificate-port"), "")
        code, told = edge.run("scan", "4006381333931")
        assert code == 0, told
        eventually(lambda: up.items("/api/scans"), 20, "the scan is stored")


def test_an_edge_renews_its_certificate_before_it_ends_and_stays_connected(up):
    with Edge("edge-1", runtime_dir=up.directory / "run") as edge:
        up.wait_presence("edge-1", "online")
        eventually(lambda: edge.status["server"]["certified"], 20, "the edge has a certificate")
        edge.stop()
        pem = next(edge.directory.rglob("device.pem"))
        request = make_request("edge-1")
        with as_if_days_ago(300):
            old = up.authority.sign_request(request.cert, "edge-1", days=365)
        pem.write_bytes(request.key + old.cert)
        edge.start()
        eventually(lambda: pem.read_bytes() != request.key + old.cert, 30, "the certificate is renewed")
        renewed = x509.load_pem_x509_certificate(pem.read_bytes()[pem.read_bytes().index(b"-----BEGIN CERT") :])
        assert (renewed.not_valid_after_utc - renewed.not_valid_before_utc).days > 300
        up.wait_presence("edge-1", "online")


def test_an_edge_whose_certificates_are_revoked_is_thrown_out_at_once_and_kept_out(up):
    with Edge("edge-1", runtime_dir=up.directory / "run") as edge:
        up.wait_presence("edge-1", "online")
        eventually(lambda: edge.status["server"]["certified"], 20, "the edge has a certificate")
        assert up.call("DELETE", "/api/enrolments/edge-1").status == 204
        eventually(lambda: edge.status["link"]["state"] != "subscribed", 20, "the link is down")
        eventually(lambda: "revoked" in edge.status["link"]["error"], 20, "the edge is told why")


# -- who is let in ----------------------------------------------------------------------------------------------------


def test_the_name_in_the_certificate_is_the_user_whatever_the_client_says(up, device):
    combined, told = enrolled(up, "pi-1")
    assert (told["mqtt"]["port"], told["mqtt"]["tls"], told["mqtt"]["password"]) == (
        up.port("certificate-port"),
        True,
        "",
    )
    with Device(up.server_broker_url) as server:
        server.subscribe("devices/#")
        pi = device(combined, "pi-2").connect()
        assert not pi.publish("devices/pi-1/scans", "mine").is_failure
        assert server.next("devices/pi-1/scans").payload == b"mine"
        for forged in ("devices/pi-2/scans", "devices/announce", "server/requests", "$CONTROL/x"):
            assert pi.publish(forged, "forged").is_failure, forged
        pi.subscribe("devices/+/notifications")
        server.publish("devices/pi-2/notifications", "for another")
        server.publish("devices/pi-1/notifications", "for me")
        assert pi.next("devices/#").payload == b"for me"


def test_certificates_of_another_authority_and_no_certificate_are_refused(up, tmp_path):
    stranger = Authority.create(tmp_path / "other", "another").issue_device("pi-1")
    assert not up.lets_in(stranger.combined)
    assert not up.lets_in(b"")


def test_an_expired_certificate_is_refused(up):
    with as_if_days_ago(400):
        expired = up.authority.issue_device("pi-1", days=365)
    assert not up.lets_in(expired.combined)
    assert up.lets_in(up.authority.issue_device("pi-1").combined)


def test_a_certificate_of_a_server_is_none_of_a_device(up):
    assert not up.lets_in(up.authority.issue_server(["pi-1"]).combined)


def test_revoking_with_the_command_ends_a_live_connection_and_keeps_it_out(up, device):
    combined, _ = enrolled(up, "pi-1")
    pi = device(combined, "pi-1").connect()
    gone = threading.Event()
    pi.client.on_disconnect = lambda *_: gone.set()
    code, said = up.run("pki", "revoke", "pi-1")
    assert code == 0, said
    assert gone.wait(10), "still connected"

    eventually(lambda: not up.lets_in(combined), 10, "the revoked certificate is refused")
    other, _ = enrolled(up, "pi-2")
    assert up.lets_in(other)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/enrolments/pi-1"),
        ("POST", "/api/enrolments/pi-1/deny"),
        ("DELETE", "/api/devices/pi-1"),
    ],
    ids=["revoked", "denied", "deleted"],
)
def test_who_is_shut_out_loses_its_certificate_and_gets_no_other(up, device, method, path):
    combined, told = enrolled(up, "pi-1")
    pi = device(combined, "pi-1").connect()
    gone = threading.Event()
    pi.client.on_disconnect = lambda *_: gone.set()
    eventually(lambda: up.device("pi-1"), 10, "the device is known")
    assert up.call(method, path).status in (200, 204)
    assert gone.wait(10), "still connected"
    eventually(lambda: not up.lets_in(combined), 10, "its certificate is refused")
    up.token, admin = told["http"]["token"], up.token
    status, _ = up.call("POST", "/api/devices/pi-1/certificate", {"csr": make_request("pi-1").cert.decode()})
    assert status in (401, 409)
    up.token = admin


def test_a_request_for_another_device_is_refused_before_anything_is_given(up):
    body = {"device_id": "pi-1", "enrolment_key": up.key, "csr": make_request("pi-2").cert.decode()}
    status, answer = up.call("POST", "/api/register_device", body)
    assert (status, answer["error"]["code"], answer["error"]["details"]) == (400, "bad_field", {"field": "csr"})
    assert up.authority.find("pi-1") == []
    assert up.enrol("pi-1")["certificate"] == ""


def test_a_device_gets_certificates_for_itself_alone(up):
    token = up.enrol("pi-1")["http"]["token"]
    up.token, admin = token, up.token
    mine = up.post("/api/devices/pi-1/certificate", {"csr": make_request("pi-1").cert.decode()}, expect=201)
    assert "BEGIN CERTIFICATE" in mine["certificate"]
    status, _ = up.call("POST", "/api/devices/pi-2/certificate", {"csr": make_request("pi-2").cert.decode()})
    assert status == 403
    up.token = admin


def test_who_has_a_password_is_let_in_encrypted_on_the_other_port(up):
    told = up.enrol("pi-1")
    assert told["mqtt"]["port"] == up.port("tls-port")
    with Device(told["connection_string"], client_id="pi-1", ca_file=up.ca_file) as pi:
        assert not pi.publish("devices/pi-1/scans", "x").is_failure


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_trusted_by_the_authority_and_by_nothing_else(up):
    url = f"https://{up.address}/api/health"
    trust = ssl.create_default_context(cafile=str(up.ca_file))
    with urllib.request.urlopen(url, context=trust, timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(url, timeout=10)


def test_the_commands_of_this_user_trust_it_too(up):
    code, said = up.run("status", "--json")
    assert (code, json.loads(said)["status"]) == (0, "ok")


def test_a_renewal_under_traffic_loses_nothing(up, device):
    combined, _ = enrolled(up, "pi-1")
    pi = device(combined, "pi-1").connect()
    served, failed, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                up.get("/api/health")
            except (OSError, AssertionError) as error:
                failed.append(error)

    asking = threading.Thread(target=ask)
    with Device(up.server_broker_url) as server:
        server.subscribe("devices/pi-1/scans")
        asking.start()
        name = next(record.name for record in up.authority.records() if record.kind == "server")
        for number in range(60):
            if number % 20 == 10:
                up.authority.renew(name, "server")
                served.append(_wait_served(up, up.authority.find(name, "server")[-1].serial))
            assert not pi.publish("devices/pi-1/scans", str(number)).is_failure
        got = [int(server.next("devices/pi-1/scans").payload) for _ in range(60)]
    stop.set()
    asking.join(20)
    assert got == list(range(60))
    assert failed == []
    assert len(set(served)) == 3


def _wait_served(up, serial):
    """Wait until page and broker show a certificate; its serial number."""
    trust = ssl.create_default_context(cafile=str(up.ca_file))

    def shown(port):
        pem = ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(up.ca_file), timeout=5)
        return f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:x}" == serial

    assert trust.verify_mode == ssl.CERT_REQUIRED
    ports = (int(up.address.rpartition(":")[2]), up.port("tls-port"))
    eventually(lambda: all(shown(port) for port in ports), 20, "the new certificate is shown")
    return serial


def test_authority_and_ports_are_the_same_after_a_restart(up):
    combined, told = enrolled(up, "pi-1")
    before = up.ca_file.read_bytes()
    up.restart()
    assert up.ca_file.read_bytes() == before
    assert up.port("certificate-port") == told["mqtt"]["port"]
    assert up.lets_in(combined)
