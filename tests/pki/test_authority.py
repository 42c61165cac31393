"""An authority in a directory: what it issues, renews and revokes, and what it refuses."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import multiprocessing
import ssl
import stat
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from supervisor.pki.authority import Authority
from supervisor.pki.certificates import (
    Pair,
    Signer,
    common_name,
    is_due,
    make_authority,
    make_request,
    sign_revocations,
)
from supervisor.pki.errors import PkiError
from supervisor.process.lock import FileLock

DAY = dt.timedelta(days=1)


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "pki", "Muster of a test")


def read(pem):
    return x509.load_pem_x509_certificate(pem)


def extension(pem, kind):
    return read(pem).extensions.get_extension_for_class(kind).value


def revoked(authority):
    return {f"{entry.serial_number:x}" for entry in x509.load_pem_x509_crl(authority.crl_file.read_bytes())}


@pytest.fixture
def later(monkeypatch):
    """`later(days=...)`: that much later, for the library."""

    def travel(**delta):
        at = dt.datetime.now(dt.UTC) + dt.timedelta(**delta)
        monkeypatch.setattr("supervisor.pki.certificates.now", lambda: at)

    return travel


# -- what it issues ---------------------------------------------------------------------------------------------------


def test_the_authority_may_sign_leaves_and_lists_and_nothing_else(authority):
    assert extension(authority.certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)
    usage = extension(authority.certificate, x509.KeyUsage)
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert isinstance(read(authority.certificate).public_key().curve, ec.SECP256R1)


def test_a_server_has_every_name_it_was_given_and_is_nothing_but_a_server(authority):
    names = ["muster.local", "muster", "192.0.2.7", "fd00::7", "*.example.org"]
    pem = authority.issue_server(names).cert
    found = extension(pem, x509.SubjectAlternativeName)
    assert found.get_values_for_type(x509.DNSName) == ["muster.local", "muster", "*.example.org"]
    assert found.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(one) for one in names[2:4]]
    assert list(extension(pem, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extension(pem, x509.BasicConstraints).ca is False
    read(pem).verify_directly_issued_by(read(authority.certificate))


def test_a_device_bears_its_serial_number_as_common_name_and_as_a_uri(authority):
    pem = authority.issue_device("b8:27:eb:01").cert
    assert common_name(read(pem).subject) == "b8:27:eb:01"
    uris = extension(pem, x509.SubjectAlternativeName).get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["urn:muster:device:b8%3A27%3Aeb%3A01"]
    assert list(extension(pem, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_strict_verifier_takes_server_and_device(authority):
    store = Store([read(authority.certificate)])
    server = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("muster.local"))
    server.verify(read(authority.issue_server(["muster.local"]).cert), [])
    PolicyBuilder().store(store).build_client_verifier().verify(read(authority.issue_device("pi-1").cert), [])


def test_a_certificate_is_valid_for_a_device_whose_clock_is_almost_a_day_behind(authority):
    issued = read(authority.issue_device("pi-1").cert)
    assert dt.datetime.now(dt.UTC) - issued.not_valid_before_utc >= DAY - dt.timedelta(minutes=1)


def test_no_certificate_outlives_its_authority(tmp_path):
    short = Authority.create(tmp_path / "pki", "short", days=30)
    assert read(short.issue_device("pi-1", days=365).cert).not_valid_after_utc == short.ends


def test_every_certificate_has_a_serial_number_of_its_own_that_the_index_knows(authority):
    made = [authority.issue_device("pi-1"), authority.issue_device("pi-1"), authority.issue_server(["a.local"])]
    assert [record.serial for record in authority.records()] == [one.record.serial for one in made]
    assert len({record.serial for record in authority.records()}) == 3
    assert authority.find(made[0].record.serial) == [made[0].record]


def test_the_key_of_a_device_that_asks_never_leaves_it(authority):
    request = make_request("pi-1")
    issued = authority.sign_request(request.cert, "pi-1")
    assert issued.key == b""
    own = serialization.load_pem_private_key(request.key, None).public_key()
    assert read(issued.cert).public_key() == own


def _request(key, name):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)


def _pem(request):
    return request.public_bytes(serialization.Encoding.PEM)


def _forged(name):
    der = bytearray(_request(ec.generate_private_key(ec.SECP256R1()), name).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return ssl.DER_cert_to_PEM_cert(bytes(der)).replace(" CERTIFICATE", " CERTIFICATE REQUEST").encode()


@pytest.mark.parametrize(
    ("request_pem", "reason"),
    [
        (lambda: make_request("pi-2").cert, "its common name is not pi-1"),
        (lambda: _pem(_request(ec.generate_private_key(ec.SECP384R1()), "pi-1")), "not on the curve P-256"),
        (lambda: _pem(_request(rsa.generate_private_key(65537, 2048), "pi-1")), "not on the curve P-256"),
        (lambda: _pem(_request(ed25519.Ed25519PrivateKey.generate(), "pi-1")), "not on the curve P-256"),
        (lambda: _forged("pi-1"), "not signed with its own key"),
        (lambda: b"", "no certificate signing request"),
        (lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "no certificate sig"),
        (lambda: b"x" * 10_000, "at most 8192 bytes"),
    ],
)
def test_a_request_that_is_not_the_devices_own_is_refused_with_the_reason(authority, request_pem, reason):
    with pytest.raises(PkiError, match=reason) as refused:
        authority.sign_request(request_pem(), "pi-1")
    assert refused.value.code == "bad_request"
    assert authority.records() == []


@pytest.mark.parametrize(
    "name", ["", "a b", "-a.local", "a..b", "../etc", "1.2.3", "a" * 300, "a/b", "x\n.y", "fe80::1%eth0"]
)
def test_a_server_is_not_given_a_name_that_is_none(authority, name):
    with pytest.raises(PkiError, match="neither a host name nor an address"):
        authority.issue_server([name])
    assert authority.records() == []


@pytest.mark.parametrize("serial", ["", "pi/1", "pi 1", "a" * 65, "pi-1\n", "+"])
def test_a_device_is_not_given_a_name_that_is_no_serial_number(authority, serial):
    with pytest.raises(PkiError, match="is not a serial number"):
        authority.issue_device(serial)


# -- renewal ----------------------------------------------------------------------------------------------------------


def test_a_renewal_has_a_new_key_and_the_same_names_and_the_one_before_stays_good(authority):
    first = authority.issue_server(["muster.local", "192.0.2.7"], days=90)
    second = authority.renew("muster.local")
    assert (second.record.names, second.record.lifetime) == (first.record.names, first.record.lifetime)
    assert read(second.cert).public_key() != read(first.cert).public_key()
    assert authority.server_file("muster.local").read_bytes() == second.combined
    assert not authority.records()[0].revoked


def test_a_certificate_is_due_in_the_last_third_of_its_life(authority):
    issued = read(authority.issue_device("pi-1", days=90).cert)
    now = dt.datetime.now(dt.UTC)
    assert [is_due(issued, at=now + days * DAY) for days in (0, 58, 61)] == [False, False, True]


def test_what_was_revoked_or_never_issued_is_not_renewed(authority):
    authority.issue_device("pi-1")
    authority.revoke("pi-1")
    for name, reason in (("pi-1", "was revoked"), ("pi-2", "Nothing was issued")):
        with pytest.raises(PkiError, match=reason):
            authority.renew(name)


# -- revocation -------------------------------------------------------------------------------------------------------


def test_revoking_a_name_ends_all_its_certificates_and_no_other(authority):
    ours = {authority.issue_device("pi-1").record.serial for _ in range(2)}
    authority.issue_device("pi-2")
    assert {record.serial for record in authority.revoke("pi-1")} == ours
    assert revoked(authority) == ours
    assert x509.load_pem_x509_crl(authority.crl_file.read_bytes()).is_signature_valid(
        read(authority.certificate).public_key()
    )


def test_a_single_certificate_is_revoked_by_its_serial_number(authority):
    first, _second = authority.issue_device("pi-1"), authority.issue_device("pi-1")
    authority.revoke(first.record.serial)
    assert revoked(authority) == {first.record.serial}


def test_a_second_revocation_changes_nothing(authority):
    authority.issue_device("pi-1")
    assert len(authority.revoke("pi-1")) == 1
    assert authority.revoke("pi-1") == []
    assert len(revoked(authority)) == 1


def test_each_list_is_dated_after_the_one_before_also_within_a_second(authority):
    lists = []
    for serial in ("pi-1", "pi-2", "pi-3"):
        authority.issue_device(serial)
        authority.revoke(serial)
        lists.append(x509.load_pem_x509_crl(authority.crl_file.read_bytes()))
    dates = [one.last_update_utc for one in lists]
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in lists]
    assert sorted(set(dates)) == dates
    assert numbers == [2, 3, 4]
    assert max(dates) < dt.datetime.now(dt.UTC)


def test_the_list_does_not_end_before_the_authority(authority):
    known = x509.load_pem_x509_crl(authority.revocations())
    assert known.next_update_utc == authority.ends
    assert list(known) == []


def test_a_certificate_that_has_ended_leaves_the_list_a_month_later(authority, later):
    authority.issue_device("pi-1", days=10)
    authority.revoke("pi-1")
    later(days=60)
    authority.issue_device("pi-2")
    authority.revoke("pi-2")
    assert len(revoked(authority)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(sign_revocations(Signer.of(make_authority("another")), (), number=9)),
    ],
    ids=["missing", "cut short", "of another authority"],
)
def test_a_list_that_is_of_no_use_is_written_anew(authority, damage):
    issued = authority.issue_device("pi-1")
    authority.revoke("pi-1")
    damage(authority.crl_file)
    authority.revocations()
    assert revoked(authority) == {issued.record.serial}


def test_a_list_that_a_power_cut_has_kept_from_being_written_is_written_by_the_next_look(authority, monkeypatch):
    issued = authority.issue_device("pi-1")
    with monkeypatch.context() as broken:
        broken.setattr("supervisor.pki.authority.write_public", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O")))
        with pytest.raises(PkiError, match="cannot be written"):
            authority.revoke("pi-1")
    Authority.open(authority.directory).revocations()
    assert revoked(authority) == {issued.record.serial}


def test_a_clock_that_was_ahead_for_a_while_leaves_no_list_of_the_future(authority, later):
    authority.issue_device("pi-1", days=1_000)
    authority.issue_device("pi-2", days=1_000)
    later(days=30)
    authority.revoke("pi-1")
    later(days=0)
    known = x509.load_pem_x509_crl(authority.crl_file.read_bytes())
    assert known.last_update_utc < dt.datetime.now(dt.UTC)


def test_a_list_of_the_future_is_written_anew(authority, monkeypatch):
    # A release before dated lists by the clock.
    with monkeypatch.context() as patch:
        patch.setattr("supervisor.pki.certificates.now", lambda: dt.datetime.now(dt.UTC) + 30 * DAY)
        ahead = sign_revocations(
            Signer.of(Pair(authority.certificate, (authority.directory / "ca.key").read_bytes())), (), number=5
        )
    authority.crl_file.write_bytes(ahead)
    known = x509.load_pem_x509_crl(authority.revocations())
    assert known.last_update_utc < dt.datetime.now(dt.UTC)
    assert known.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 6


def test_a_list_that_a_power_cut_has_kept_from_being_written_is_written_by_the_next_try(authority, monkeypatch):
    issued = authority.issue_device("pi-1")
    with monkeypatch.context() as broken:
        broken.setattr("supervisor.pki.authority.write_public", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O")))
        with pytest.raises(PkiError, match="cannot be written"):
            authority.revoke("pi-1")
    assert revoked(authority) == set()
    Authority.open(authority.directory).revoke("pi-1")
    assert revoked(authority) == {issued.record.serial}


# -- the directory ----------------------------------------------------------------------------------------------------


def test_directory_and_keys_are_for_their_owner_alone(authority):
    authority.issue_server(["muster.local"])
    modes = {
        path.relative_to(authority.directory).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (authority.directory, *authority.directory.rglob("*"))
    }
    assert modes == {
        ".": 0o700,
        "ca.key": 0o600,
        "ca.pem": 0o644,
        "crl.pem": 0o644,
        "index.jsonl": 0o600,
        "lock": 0o600,
        "servers": 0o700,
        "servers/muster.local.pem": 0o600,
    }


def test_an_authority_is_never_overwritten(authority):
    before = authority.ca_file.read_bytes()
    with pytest.raises(PkiError, match="never overwritten") as refused:
        Authority.create(authority.directory, "another")
    assert (refused.value.code, authority.ca_file.read_bytes()) == ("exists", before)


def test_half_an_authority_is_not_made_whole_by_another_key(authority):
    authority.ca_file.unlink()
    with pytest.raises(PkiError, match="There is no authority"):
        Authority.open_or_create(authority.directory, "another")


def test_a_key_that_a_power_cut_has_left_alone_is_no_authority_yet(tmp_path):
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.key").write_bytes(make_authority("never finished").key)
    made = Authority.open_or_create(tmp_path / "pki", "Muster of a test")
    made.issue_device("pi-1")


def test_a_directory_of_others_is_left_as_it_is(tmp_path):
    others = tmp_path / "etc"
    others.mkdir(mode=0o755)
    (others / "fstab").touch()
    with pytest.raises(PkiError, match="holds fstab; give the authority a directory of its own") as refused:
        Authority.create(others, "Muster of a test")
    assert refused.value.code == "exists"
    assert stat.S_IMODE(others.stat().st_mode) == 0o755
    assert [path.name for path in others.iterdir()] == ["fstab"]


def test_half_an_authority_says_what_is_missing(authority):
    authority.ca_file.unlink()
    with pytest.raises(PkiError, match=r"crl.pem is there, put back the ca.pem"):
        Authority.open(authority.directory)


def test_an_authority_of_before_is_taken_over(tmp_path):
    pair = make_authority("Muster of 2025")
    adopted = Authority.create(tmp_path / "pki", "unused", adopt=pair)
    assert adopted.certificate == pair.cert
    read(adopted.issue_device("pi-1").cert).verify_directly_issued_by(read(pair.cert))


def test_a_sealed_key_signs_only_with_its_passphrase(tmp_path):
    directory = tmp_path / "pki"
    Authority.create(directory, "sealed", passphrase=b"correct horse")
    assert b"ENCRYPTED" in (directory / "ca.key").read_bytes()
    for passphrase, code in ((None, "sealed"), (b"wrong", "unreadable")):
        with pytest.raises(PkiError) as refused:
            Authority.open(directory, passphrase=passphrase).issue_device("pi-1")
        assert refused.value.code == code
    Authority.open(directory, passphrase=b"correct horse").issue_device("pi-1")


def test_a_passphrase_for_a_key_without_a_seal_is_a_mistake_that_is_told(authority):
    with pytest.raises(PkiError, match="needs no passphrase"):
        Authority.open(authority.directory, passphrase=b"x").issue_device("pi-1")


def test_an_authority_that_has_ended_signs_nothing(tmp_path, later):
    short = Authority.create(tmp_path / "pki", "short", days=1)
    later(days=2)
    with pytest.raises(PkiError, match="has ended on") as refused:
        short.issue_device("pi-1")
    assert refused.value.code == "expired"


def test_a_key_that_others_may_read_is_not_used(authority):
    (authority.directory / "ca.key").chmod(0o644)
    with pytest.raises(PkiError, match="chmod 600"):
        Authority.open(authority.directory).issue_device("pi-1")


def test_a_key_of_another_authority_is_not_used(authority):
    (authority.directory / "ca.key").write_bytes(make_authority("another").key)
    with pytest.raises(PkiError, match="do not belong together"):
        Authority.open(authority.directory).issue_device("pi-1")


@pytest.mark.parametrize("content", [b"", b"no PEM", Pair(b"", b"").cert])
def test_a_damaged_certificate_is_told_with_its_path(authority, content):
    authority.ca_file.write_bytes(content)
    with pytest.raises(PkiError, match=r"ca.pem holds no certificate"):
        Authority.open(authority.directory)


def test_half_a_line_that_a_power_cut_has_left_is_dropped(authority):
    first = authority.issue_device("pi-1")
    with (authority.directory / "index.jsonl").open("ab") as file:
        file.write(b'{"serial":"ab","kin')
    again = Authority.open(authority.directory)
    second = again.issue_device("pi-2")
    assert Authority.open(authority.directory).records() == [first.record, second.record]


def test_an_index_that_a_backup_has_made_shorter_is_read_anew(authority):
    first = authority.issue_device("pi-1")
    index = authority.directory / "index.jsonl"
    before = index.read_bytes()
    authority.issue_device("pi-2")
    with index.open("r+b") as file:  # the same file, as `cp` leaves it
        file.truncate(len(before))
    third = authority.issue_device("pi-3")
    assert Authority.open(authority.directory).records() == [first.record, third.record]


def test_a_damaged_line_is_told_and_nothing_is_issued_on_top_of_it(authority):
    authority.issue_device("pi-1")
    index = authority.directory / "index.jsonl"
    index.write_bytes(b"nonsense\n" + index.read_bytes())
    with pytest.raises(PkiError, match="is damaged"):
        Authority.open(authority.directory).issue_device("pi-2")


def test_the_index_holds_no_secret(authority):
    authority.issue_device("pi-1")
    (line,) = (authority.directory / "index.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {"serial", "kind", "name", "not_before", "not_after", "lifetime"}


def _issue_some(directory, name, count):
    authority = Authority.open(directory)
    for _ in range(count):
        authority.issue_device(name)


def test_processes_and_threads_that_use_it_at_a_time_lose_nothing(authority):
    context = multiprocessing.get_context("spawn")
    workers = [
        *(context.Process(target=_issue_some, args=(authority.directory, f"p-{n}", 10)) for n in range(2)),
        *(threading.Thread(target=_issue_some, args=(authority.directory, f"t-{n}", 10)) for n in range(3)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    records = authority.records()
    assert (len(records), len({record.serial for record in records})) == (50, 50)


def test_who_waits_too_long_for_another_process_is_told_which(authority, monkeypatch):
    monkeypatch.setattr("supervisor.pki.directory.PATIENCE", 0.05)
    with FileLock(authority.directory / "lock"), pytest.raises(PkiError, match=r"Process \d+ uses the authority"):
        authority.issue_device("pi-1")
