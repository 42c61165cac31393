"""`muster pki`: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import json
import os
import ssl
import stat

import pytest
from cryptography import x509

from supervisor.pki.authority import Authority
from supervisor.pki.certificates import make_request


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSTER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "pki"


@pytest.fixture
def authority(muster, directory):
    assert muster("pki", "init").code == 0
    return directory


def told(result):
    assert result.code == 0, result
    return json.loads(result.out)


def test_an_authority_is_made_where_muster_up_has_it(muster, directory):
    made = told(muster("pki", "init", "--name", "Muster of the farm", "--json"))
    assert (made["name"], made["ca"]) == ("CN=Muster of the farm", str(directory / "ca.pem"))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    again = muster("pki", "init")
    assert (again.code, "never overwritten" in again.err) == (1, True)


def test_a_server_gets_one_file_for_all_its_names(muster, authority, tmp_path):
    result = muster("pki", "issue", "--server", "broker", "--server", "192.0.2.7")
    assert (result.code, "broker.pem: key and certificate of broker" in result.out) == (0, True), result
    path = tmp_path / "broker.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    (issued,) = told(muster("pki", "show", "broker", "--json"))["items"]
    assert issued["names"] == ["broker", "192.0.2.7", "broker.local"]


def test_a_device_keeps_the_key_of_its_own_request(muster, authority, tmp_path):
    (tmp_path / "pi-1.csr").write_bytes(make_request("pi-1").cert)
    issued = told(muster("pki", "issue", "--device", "pi-1", "--request", "pi-1.csr", "--json"))
    pem = (tmp_path / issued["path"]).read_bytes()
    assert b"PRIVATE" not in pem
    assert f"{x509.load_pem_x509_certificate(pem).serial_number:x}" == issued["serial"]


def test_what_is_revoked_is_gone_from_the_list_and_shown_with_all(muster, authority):
    for serial in ("pi-1", "pi-2"):
        muster("pki", "issue", "--device", serial)
    (ended,) = told(muster("pki", "revoke", "pi-1", "--json"))["items"]
    assert (ended["name"], ended["state"]) == ("pi-1", "revoked")
    assert [item["name"] for item in told(muster("pki", "list", "--json"))["items"]] == ["pi-2"]
    every = told(muster("pki", "list", "--all", "--json"))["items"]
    assert [(item["name"], item["state"]) for item in every] == [("pi-1", "revoked"), ("pi-2", "valid")]
    assert "pi-2" in muster("pki", "list").out
    shown = told(muster("pki", "show", "--json"))
    assert (shown["valid"], shown["revoked"], shown["expired"]) == (1, 1, 0)


def test_a_key_is_overwritten_by_a_renewal_alone(muster, authority, tmp_path):
    muster("pki", "issue", "--device", "pi-1")
    kept = (tmp_path / "pi-1.pem").read_bytes()
    again = muster("pki", "issue", "--device", "pi-1")
    assert (again.code, "pi-1.pem exists" in again.err) == (1, True)
    assert (tmp_path / "pi-1.pem").read_bytes() == kept
    assert len(told(muster("pki", "list", "--json"))["items"]) == 1
    assert muster("pki", "renew", "pi-1").code == 0
    assert (tmp_path / "pi-1.pem").read_bytes() != kept


def test_what_is_revoked_already_is_said_to_be(muster, authority):
    muster("pki", "issue", "--device", "pi-1")
    muster("pki", "revoke", "pi-1")
    assert "revoked already" in muster("pki", "revoke", "pi-1").out


def test_a_renewal_has_a_new_serial_number_and_the_same_name(muster, authority):
    muster("pki", "issue", "--device", "pi-1", "--days", "30")
    first, second = (
        told(muster("pki", "show", "pi-1", "--json"))["items"][0],
        told(muster("pki", "renew", "pi-1", "--json")),
    )
    assert second["name"] == "pi-1"
    assert second["serial"] != first["serial"]


def test_only_servers_that_are_due_are_renewed(muster, authority, monkeypatch):
    muster("pki", "issue", "--server", "old.local", "--days", "10")
    muster("pki", "issue", "--server", "gone.local", "--days", "10")
    muster("pki", "issue", "--server", "new.local")
    muster("pki", "revoke", "gone.local")
    assert "Nothing is due." in muster("pki", "renew", "--due").out
    real = Authority.open(authority)
    before = real.server_file("old.local").read_bytes()
    from supervisor.pki import certificates

    at = certificates.now() + certificates.dt.timedelta(days=9)
    monkeypatch.setattr(certificates, "now", lambda: at)
    assert [item["name"] for item in told(muster("pki", "renew", "--due", "--json"))["items"]] == ["old.local"]
    assert real.server_file("old.local").read_bytes() != before


def test_the_key_of_the_authority_may_be_sealed(muster, tmp_path):
    (tmp_path / "phrase").write_text("correct horse\n")
    assert muster("pki", "init", "--passphrase-file", "phrase").code == 0
    refused = muster("pki", "issue", "--device", "pi-1")
    assert (refused.code, "is sealed; give its passphrase" in refused.err) == (1, True)
    assert muster("pki", "issue", "--device", "pi-1", "--passphrase-file", "phrase").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("show", "pi-9"), 1, "Nothing was issued to `pi-9`"),
        (("revoke", "pi-9"), 1, "Nothing was issued to `pi-9`"),
        (("renew", "pi-9"), 1, "Nothing was issued to `pi-9`"),
        (("issue", "--server", "a b"), 1, "neither a host name nor an address"),
        (("issue", "--device", "pi/1"), 1, "is not a serial number"),
        (("issue", "--device", "muster"), 1, "`muster` is the name of a user"),
        (("issue", "--device", "devices"), 1, "`devices` is the name of a user"),
        (("issue", "--device", "pi-1", "--out", "no/where.pem"), 1, "cannot be written"),
        (("issue", "--device", "pi-1", "--request", "missing"), 1, "cannot be read"),
        (("issue",), 2, "either --server or --device"),
        (("issue", "--server", "a", "--device", "b"), 2, "either --server or --device"),
        (("issue", "--server", "a", "--request", "b"), 2, "belongs to a --device"),
        (("renew",), 2, "either NAME or --due"),
        (("issue", "--device", "pi-1", "--days", "0"), 2, "0 is not in the range"),
        (("list", "--dir", "elsewhere"), 1, "There is no authority in elsewhere"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(muster, authority, arguments, code, reason):
    result = muster("pki", *arguments)
    assert (result.code, reason in result.err) == (code, True), result


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make what is another's")
def test_what_root_makes_belongs_to_whose_the_directory_is(muster, authority):
    for path in (authority, *authority.rglob("*")):
        os.chown(path, 12_345, 12_345)
    muster("pki", "issue", "--server", "a.local")
    muster("pki", "issue", "--device", "pi-1")
    muster("pki", "revoke", "pi-1")
    assert {path.stat().st_uid for path in (authority, *authority.rglob("*"))} == {12_345}


def test_an_authority_that_has_ended_is_told(muster, authority, monkeypatch):
    from supervisor.pki import certificates

    at = certificates.now() + certificates.dt.timedelta(days=4_000)
    monkeypatch.setattr(certificates, "now", lambda: at)
    result = muster("pki", "issue", "--device", "pi-1")
    assert (result.code, "has ended on" in result.err) == (1, True), result
