"""Behind a real nginx, with the configuration of `docs/behind-a-proxy.md`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import ssl
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.muster import TOKEN, MusterUp
from tests.support.need import need
from tests.support.server import Server
from tests.support.wait import eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


class Nginx(Server):
    """nginx in front of a server, as the document says."""

    def __init__(self, upstream):
        self._binary = need("nginx")
        super().__init__()
        self._upstream = upstream
        self.authority = Authority(self.directory)

    def prepare(self):
        block = re.search(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
        certificate = self.authority.issue("muster.example.com")
        for old, new in (
            ("listen 443 ssl", f"listen {self.host}:{self.port} ssl"),
            ("/etc/ssl/muster.example.com.pem", str(certificate.cert_file)),
            ("/etc/ssl/muster.example.com.key", str(certificate.key_file)),
            ("http://127.0.0.1:5000", f"http://{self._upstream}"),
        ):
            assert old in block
            block = block.replace(old, new)
        places = "".join(
            f"{kind}_temp_path {self.directory}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        text = f"{user}daemon off;\nworker_processes 1;\npid {self.directory}/pid;\nerror_log stderr;\n"
        text += f"events {{}}\nhttp {{\naccess_log off;\n{places}{block}}}\n"
        (self.directory / "nginx.conf").write_text(text)

    def command(self):
        return [self._binary, "-e", "stderr", "-p", self.directory, "-c", self.directory / "nginx.conf"]

    def connect(self):
        trust = ssl.create_default_context(cafile=str(self.authority.ca_file))
        # nginx calls us from 127.0.0.1; a client has another address.
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=20, context=trust, source_address=("127.0.0.2", 0)
        )

    def ask(self, method, path, body=None, headers=AUTH):
        """(status, headers, body)"""
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, {"Host": "muster.example.com"} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def is_ready(self):
        return self.ask("GET", "/api/health", headers={})[0] == 200


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    toml = tmp_path_factory.mktemp("behind") / "muster.toml"
    toml.write_text('[http]\nproxies = ["127.0.0.1"]\n\n[enrolment]\nhosts = ["muster.example.com"]\n')
    with MusterUp(env={"MUSTER_CONFIG": str(toml), "MUSTER_ENROLMENT_KEY": "the key behind the proxy"}) as server:
        yield server


@pytest.fixture(scope="module")
def nginx(up):
    with Nginx(up.address) as server:
        yield server


def test_who_comes_by_tls_gets_a_secure_cookie_and_is_told_to_come_so_again(nginx):
    status, headers, _ = nginx.ask("POST", "/api/login", json.dumps({"token": TOKEN}), {})
    assert status == 200
    assert headers["Set-Cookie"].endswith("; Secure")
    assert headers["Strict-Transport-Security"] == "max-age=15552000"


def test_what_a_client_says_of_his_address_is_not_believed(up, nginx):
    forged = AUTH | {"X-Forwarded-For": "198.51.100.1, 203.0.113.5", "Forwarded": "for=198.51.100.9"}
    body = json.dumps({"serial": "behind-1"})
    assert nginx.ask("POST", "/api/devices", body, forged)[0] == 201
    entry = eventually(lambda: up.items("/api/audit", subject="behind-1"), what="the entry of the audit log")[0]
    assert (entry["who"], entry["address"], entry["outcome"]) == ("admin", "127.0.0.2", "done")


def test_a_device_is_proved_to_under_the_proxys_name(nginx):
    url = "/api/register_device?device_id=behind-2&nonce=0123456789abcdef"
    inspected = json.loads(nginx.ask("GET", url, headers={})[2])
    assert inspected["proofs"]["enrolment_key"], inspected["detail"]
    other = json.loads(nginx.ask("GET", url, headers={"Host": "other.example.com"})[2])
    assert not other["proofs"]["enrolment_key"]


def test_live_events_come_through_at_once(up, nginx):
    with contextlib.closing(nginx.connect()) as connection:
        connection.request("GET", "/api/events?kinds=device", headers=AUTH)
        answer = connection.getresponse()
        assert answer.status == 200
        up.post("/api/devices", {"serial": "behind-3"}, expect=201)
        up.call("PATCH", "/api/devices/behind-3", {"label": "seen through nginx"})
        lines = iter(answer.readline, b"")
        assert any(b"seen through nginx" in line for line in lines)


def test_a_large_bulk_passes_and_a_larger_one_is_refused(nginx):
    bulk = json.dumps({"notifications": [{"topic": "a", "title": "x", "body": "y" * 1_000}] * 5_000})
    assert nginx.ask("POST", "/api/notifications/bulk", bulk)[0] == 202
    assert nginx.ask("POST", "/api/devices", "x" * 2_000_000)[0] == 413


def test_a_body_in_chunks_reaches_us_with_a_length(nginx):
    def pieces():
        yield b'{"serial": '
        yield b'"behind-4"}'

    with contextlib.closing(nginx.connect()) as connection:
        connection.request("POST", "/api/devices", pieces(), AUTH, encode_chunked=True)
        assert connection.getresponse().status == 201


def test_requests_that_two_readers_would_split_differently_come_to_one_end(nginx):
    for headers in ({"Transfer-Encoding": "chunked", "Content-Length": "4"}, {"Content-Length": "4, 5"}):
        with contextlib.closing(nginx.connect()) as connection:
            connection.putrequest("POST", "/api/devices")
            for name, value in (AUTH | headers).items():
                connection.putheader(name, value)
            connection.endheaders(b"0\r\n\r\n")
            assert connection.getresponse().status == 400
