"""What a request says of its way here, and who is believed."""

from __future__ import annotations

import pytest

from tests.web.fakes import Client, make_face, view
from web.limits import Rate, Rates
from web.proxies import Proxies


def revealed(proxies, peer, **headers):
    """Client, scheme and host of a request after the proxies were looked through."""
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "inside:5000"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    proxies.reveal(environ)
    assert not any("FORWARDED" in name for name in environ)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]


TWO = Proxies(["10.0.0.1", "127.0.0.0/8", "fd00::/8"])
RFC = Proxies(["10.0.0.1", "127.0.0.0/8"], "forwarded")


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.2", "", "unknown", "::1"])
def test_who_is_no_proxy_of_ours_is_not_believed(peer):
    headers = {"x_forwarded_for": "198.51.100.1", "x_forwarded_proto": "https", "x_forwarded_host": "muster.example"}
    assert revealed(TWO, peer, **headers) == (peer, "http", "inside:5000")
    assert revealed(Proxies(), "127.0.0.1", **headers) == ("127.0.0.1", "http", "inside:5000")


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("203.0.113.9, 198.51.100.1, 127.0.0.1", "198.51.100.1"),
        ("127.0.0.1, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("198.51.100.1, unknown", "127.0.0.9"),
        ("198.51.100.1, ", "127.0.0.9"),
        ("", "127.0.0.9"),
        ("nonsense", "127.0.0.9"),
        ("198.51.100.1, 10.0.0.1" + ", 127.0.0.1" * 100, "127.0.0.1"),
    ],
)
def test_the_last_address_that_is_none_of_ours_is_the_client(said, client):
    assert revealed(TWO, "127.0.0.9", x_forwarded_for=said)[0] == client


def test_scheme_and_host_are_those_that_the_client_has_dialled():
    one = {"x_forwarded_for": "198.51.100.1", "x_forwarded_proto": "https", "x_forwarded_host": "muster.example:8443"}
    assert revealed(TWO, "127.0.0.1", **one) == ("198.51.100.1", "https", "muster.example:8443")
    chain = {
        "x_forwarded_for": "203.0.113.9, 198.51.100.1, 10.0.0.1",
        "x_forwarded_proto": "gopher, https, http",
        "x_forwarded_host": "made.up, muster.example, inner",
    }
    assert revealed(TWO, "127.0.0.1", **chain) == ("198.51.100.1", "https", "muster.example")


@pytest.mark.parametrize("host", ["a b", "a\r\nX: y", "a/b", "user@host", "x" * 300, ""])
def test_a_host_or_a_scheme_that_is_none_is_left_out(host):
    headers = {"x_forwarded_for": "198.51.100.1", "x_forwarded_proto": "gopher", "x_forwarded_host": host}
    assert revealed(TWO, "127.0.0.1", **headers) == ("198.51.100.1", "http", "inside:5000")


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("for=198.51.100.1;proto=https;host=muster.example", ("198.51.100.1", "https", "muster.example")),
        ('For="[2001:db8::1]:4711" ; Proto=https', ("2001:db8::1", "https", "inside:5000")),
        ("for=203.0.113.9;host=made.up, for=198.51.100.1;proto=https", ("198.51.100.1", "https", "inside:5000")),
        ("for=198.51.100.1;host=real, for=10.0.0.1;host=inner", ("198.51.100.1", "http", "real")),
        ("for=198.51.100.1, for=_hidden", ("127.0.0.1", "http", "inside:5000")),
        ("for=198.51.100.1, by=10.0.0.1", ("127.0.0.1", "http", "inside:5000")),
        ('for="198.51.100.1', ("127.0.0.1", "http", "inside:5000")),
        ("for=198.51.100.1 for=10.0.0.2", ("127.0.0.1", "http", "inside:5000")),
        ('for="198.51.100\\.1"', ("198.51.100.1", "http", "inside:5000")),
        ("", ("127.0.0.1", "http", "inside:5000")),
    ],
)
def test_the_header_of_rfc_7239_says_the_same_where_it_is_chosen(said, seen):
    assert revealed(RFC, "127.0.0.1", forwarded=said) == seen


def test_only_the_headers_that_the_proxies_write_are_read():
    assert revealed(TWO, "127.0.0.1", forwarded="for=198.51.100.1")[0] == "127.0.0.1"
    assert revealed(RFC, "127.0.0.1", x_forwarded_for="198.51.100.1")[0] == "127.0.0.1"


BEHIND = {"REMOTE_ADDR": "127.0.0.1"}


def behind(address, **headers):
    return BEHIND | {"HTTP_X_FORWARDED_FOR": address} | headers


def test_the_limits_are_counted_by_the_client_behind_the_proxy():
    client = Client(make_face(), token=None, rates=Rates(client=Rate(1, 2)), proxies=Proxies(["127.0.0.1"]))
    assert [client.get("/api/health", **behind("192.0.2.1")).status for _ in range(3)] == [200, 200, 429]
    assert client.get("/api/health", **behind("192.0.2.2")).status == 200
    assert client.get("/api/health", **behind("192.0.2.9, 192.0.2.1")).status == 429


def test_without_a_configured_proxy_nobody_changes_his_address():
    client = Client(make_face(), token=None, rates=Rates(client=Rate(1, 2)))
    assert [client.get("/api/health", **behind(f"192.0.2.{n}")).status for n in range(3)] == [200, 200, 429]


def test_the_cookie_is_secure_and_hsts_is_told_behind_tls_only():
    client = Client(make_face(view("pi-1")), token=None, proxies=Proxies(["127.0.0.1"]))
    secure = behind("192.0.2.1", HTTP_X_FORWARDED_PROTO="https")
    answer = client.post("/api/login", {"token": "the-read-token"}, **secure)
    assert answer.headers["Set-Cookie"].endswith("; Secure")
    assert answer.headers["Strict-Transport-Security"] == "max-age=15552000"
    for headers in (behind("192.0.2.1"), secure | {"REMOTE_ADDR": "192.0.2.1"}):
        client.cookie = ""
        answer = client.post("/api/login", {"token": "the-read-token"}, **headers)
        assert "Secure" not in answer.headers["Set-Cookie"]
        assert "Strict-Transport-Security" not in answer.headers


def test_a_device_is_told_by_the_host_and_the_address_that_the_proxy_was_called_with():
    face = make_face()
    client = Client(face, token=None, proxies=Proxies(["127.0.0.1"]))
    url = "/api/register_device?device_id=pi-1&nonce=0123456789abcdef"
    headers = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_HOST": "muster.example"}
    client.get(url, **behind("192.0.2.1", **headers))
    assert (face.enrolments.asked["address"], face.enrolments.asked["host"]) == ("192.0.2.1", "muster.example:443")
    client.get(url, HTTP_HOST="muster.example", HTTP_X_FORWARDED_PROTO="https", REMOTE_ADDR="192.0.2.1")
    assert (face.enrolments.asked["address"], face.enrolments.asked["host"]) == ("192.0.2.1", "muster.example:80")
