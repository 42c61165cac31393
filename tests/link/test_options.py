from __future__ import annotations

import ssl

import pytest

from actors.link.options import BrokerOptions, BrokerURLError, parse_broker_url


def test_a_plain_url_with_credentials_is_read():
    options = parse_broker_url("mqtt://user:p%40ss%2Fword@broker.example:1884", name="plant")
    assert (options.name, options.address, options.tls) == ("plant", "broker.example:1884", False)
    assert (options.username, options.password) == ("user", "p@ss/word")


@pytest.mark.parametrize(("url", "port", "tls"), [("mqtt://h", 1883, False), ("mqtts://h/", 8883, True)])
def test_the_scheme_decides_the_port_and_tls(url, port, tls):
    options = parse_broker_url(url)
    assert (options.port, options.tls) == (port, tls)


def test_an_ipv6_address_keeps_its_brackets():
    assert parse_broker_url("mqtt://[::1]:1883").address == "[::1]:1883"


def test_files_and_keepalive_come_from_the_query(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    options = parse_broker_url(f"mqtts://h:1?ca={ca}&keepalive=30")
    assert (options.ca_file, options.keepalive) == (str(ca), 30)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://h", "scheme"),
        ("h:1883", "scheme"),
        ("mqtt://", "host"),
        ("mqtt://u:secret@h:99999", "host and port"),
        ("mqtt://u:sec/ret@h:1883", "host and port"),
        ("mqtt://h:0", "port"),
        ("mqtt://h/topic", "nothing may follow"),
        ("mqtt://h?keepalive=soon", "keepalive"),
        ("mqtt://h?keepalive=1", "keepalive"),
        ("mqtt://h?color=red", "color"),
        ("mqtts://h?ca=/no/such/file", "ca: there is no file"),
        (f"mqtt://h?ca={__file__}", "mqtts"),
        (f"mqtts://h?cert={__file__}", "belong together"),
    ],
)
def test_a_bad_url_is_refused_with_the_part_and_without_the_password(url, part):
    with pytest.raises(BrokerURLError, match=part) as caught:
        parse_broker_url(url)
    assert "sec" not in str(caught.value).replace("seconds", "")


def test_the_password_is_not_shown():
    assert "secret" not in repr(BrokerOptions(username="u", password="secret"))


def test_a_tls_context_verifies_the_broker():
    context = parse_broker_url("mqtts://h").tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert parse_broker_url("mqtt://h").tls_context() is None
