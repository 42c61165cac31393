"""An authority of one's own: what it signs is trusted for its names, and for no others."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading

import pytest

from supervisor.pki.certificates import LIFETIME, Pair, is_good, issue, make_authority

NAMES = ("muster.local", "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def authority():
    return make_authority("Muster of a test")


@pytest.fixture(scope="module")
def pair(authority):
    return issue(authority, NAMES)


def shake_hands(pair, authority, name, tmp_path):
    """Connect to a server that has the certificate, as a device that trusts the authority and wants `name`."""
    for file, content in (("cert", pair.cert), ("key", pair.key), ("ca", authority.cert)):
        (tmp_path / file).write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca"))
    trust.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    here, there = socket.socketpair()
    here.settimeout(10)
    there.settimeout(10)

    def serve():
        try:
            server.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        trust.wrap_socket(here, server_hostname=name).close()
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_a_device_trusts_each_of_its_names(pair, authority, name, tmp_path):
    shake_hands(pair, authority, name, tmp_path)


@pytest.mark.parametrize("name", ["other.local", "127.0.0.2"])
def test_a_device_trusts_no_other_name(pair, authority, name, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(pair, authority, name, tmp_path)


def test_a_device_trusts_no_other_authority(pair, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(pair, make_authority("another"), NAMES[0], tmp_path)


def test_a_certificate_is_good_for_its_names_until_its_last_year(pair, authority):
    assert is_good(pair, authority, NAMES)
    assert not is_good(pair, authority, ("other.local",))
    assert not is_good(pair, make_authority("another"), NAMES)
    late = dt.datetime.now(dt.UTC) + LIFETIME - dt.timedelta(days=300)
    assert not is_good(pair, authority, NAMES, at=late)


def test_a_key_of_another_certificate_is_not_good(pair, authority):
    assert not is_good(Pair(pair.cert, issue(authority, NAMES).key), authority, NAMES)


@pytest.mark.parametrize("damaged", [Pair(b"", b""), Pair(b"-----BEGIN CERTIFICATE-----", b"x")])
def test_a_damaged_certificate_is_not_good(damaged, authority):
    assert not is_good(damaged, authority, NAMES)


def test_no_key_is_ever_shown(pair):
    assert "PRIVATE" not in repr(pair)
