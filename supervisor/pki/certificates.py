"""Certificates as values: made, asked for, judged, revoked. Keys are on P-256, all is PEM, nothing touches the disk."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=3_650)
"""Of an authority, and of certificates that nobody renews: devices in the field trust what they were given."""
RENEW_BEFORE = dt.timedelta(days=365)
"""A certificate of that lifetime that ends sooner is made anew."""
BACKDATED = dt.timedelta(days=1)
"""A device whose clock is behind by less trusts a new certificate, too."""
DEVICE_URI = "urn:muster:device:"
"""What stands before the serial number in the alternative name of a device; its colons are percent-encoded."""

_SECOND = dt.timedelta(seconds=1)
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_LARGEST_REQUEST = 8_192


def now() -> dt.datetime:
    """Return the time; certificates go by the wall clock."""
    return dt.datetime.now(dt.UTC)


class Pair(NamedTuple):
    """A certificate and its private key, PEM."""

    cert: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(...)"


class Signer(NamedTuple):
    """An authority that can sign: its certificate, and its key without a seal."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return "Signer(...)"

    @classmethod
    def of(cls, authority: Pair, passphrase: bytes | None = None) -> Signer:
        """Read an authority.

        Raises:
            ValueError: it cannot be read, or key and certificate do not belong together.
            TypeError: the key is sealed and there is no passphrase, or the other way round.

        """
        certificate = x509.load_pem_x509_certificate(authority.cert)
        key = _load_key(authority.key, passphrase)
        if key.public_key() != certificate.public_key():
            raise ValueError("key and certificate do not belong together")
        return cls(certificate, key)


def make_authority(name: str, *, passphrase: bytes | None = None, lifetime: dt.timedelta = LIFETIME) -> Pair:
    """Return a new authority that may sign certificates of servers and devices and no authority below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = (
        _builder(subject, subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key, passphrase)


def issue(authority: Pair, names: Sequence[str], *, lifetime: dt.timedelta = LIFETIME) -> Pair:
    """Return a certificate for a server that is reached by these names and addresses; the first one names it."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _pair(sign_server(Signer.of(authority), key.public_key(), names, lifetime), key)


def sign_server(
    signer: Signer, public: ec.EllipticCurvePublicKey, names: Sequence[str], lifetime: dt.timedelta
) -> x509.Certificate:
    """Return a server's certificate: for these names and addresses, and for nothing but to be a server."""
    leaf = _Leaf(names[0], [_alternative(name) for name in names], ExtendedKeyUsageOID.SERVER_AUTH)
    return _sign_leaf(signer, public, leaf, lifetime)


def sign_device(
    signer: Signer, public: ec.EllipticCurvePublicKey, serial: str, lifetime: dt.timedelta
) -> x509.Certificate:
    """Return a device's certificate: its serial number is the common name, which brokers take for the user's."""
    own = x509.UniformResourceIdentifier(DEVICE_URI + serial.replace(":", "%3A"))
    return _sign_leaf(signer, public, _Leaf(serial, [own], ExtendedKeyUsageOID.CLIENT_AUTH), lifetime)


def sign_revocations(
    signer: Signer, revoked: Iterable[tuple[int, dt.datetime]], *, number: int, after: dt.datetime | None = None
) -> bytes:
    """Return a list of revoked certificates.

    It ends with the authority itself: a list that has ended would shut every device out, and whoever revokes writes a
    new one.

    Args:
        signer: the authority.
        revoked: serial number of each certificate, and since when.
        number: of the list, higher than that of any before.
        after: the date of the list before. OpenSSL goes by the later of two, so that each is dated a second after the
            last one, and not by the clock: were that ahead for a while, the broker would take the list for one of the
            future afterwards, and shut every device out.

    """
    made = now().replace(microsecond=0) - BACKDATED
    if after is not None and after < now():
        made = after + _SECOND
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(made)
        .next_update(max(signer.certificate.not_valid_after_utc, made + _SECOND))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    for serial, since in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_request(serial: str) -> Pair:
    """Return a new key of a device, and a request to sign it (in place of a certificate)."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_named(serial)).sign(key, hashes.SHA256())
    return Pair(request.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def read_request(pem: bytes, serial: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a device's request.

    Raises:
        ValueError: it is no request, has not signed itself, names another device, or its key is of another kind.

    """
    if len(pem) > _LARGEST_REQUEST:
        raise ValueError(f"a request has at most {_LARGEST_REQUEST} bytes")
    try:
        request = x509.load_pem_x509_csr(pem)
        public, is_signed = request.public_key(), request.is_signature_valid
    except Exception:  # noqa: BLE001 - whatever a stranger sends; the library has an error for every kind of it
        raise ValueError("it is no certificate signing request in PEM") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise ValueError("its key is not on the curve P-256")  # noqa: TRY004 - a value
    if not is_signed:
        raise ValueError("it is not signed with its own key")
    if common_name(request.subject) != serial:
        raise ValueError(f"its common name is not {serial}")
    return public


def is_good(pair: Pair, authority: Pair, names: Sequence[str], *, at: dt.datetime | None = None) -> bool:
    """Return whether a certificate is signed by the authority, good for these names, and for a good while."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.cert)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert))
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits = _load_key(pair.key).public_key() == certificate.public_key()
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one mends it
        return False
    return fits and all(_alternative(name) in known for name in names) and not is_due(certificate, at=at)


def is_due(certificate: x509.Certificate, *, at: dt.datetime | None = None) -> bool:
    """Return whether it is time to renew: in the last third of its life, which for a long one is its last year."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (at or now()) >= end - min((end - begin) / 3, RENEW_BEFORE)


def check_name(name: str) -> str:
    """Return the name or address of a server as it stands in a certificate.

    Raises:
        ValueError: it is neither.

    """
    if "%" not in name:  # a scope says something on one machine alone
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            pass
    host = name.rstrip(".")
    if not host or len(host) > 253 or not _DNS_NAME.fullmatch(host) or host.rpartition(".")[2].isdecimal():
        raise ValueError(f"`{name[:80]}` is neither a host name nor an address")
    return host


def common_name(name: x509.Name) -> str:
    """Return the common name; empty without one."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is good for."""
    try:
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in known]


class _Leaf(NamedTuple):
    """Whom a certificate names, and what it is for."""

    name: str
    alternatives: Sequence[x509.GeneralName]
    use: x509.ObjectIdentifier


def _sign_leaf(
    signer: Signer, public: ec.EllipticCurvePublicKey, leaf: _Leaf, lifetime: dt.timedelta
) -> x509.Certificate:
    # What outlives its authority is worth nothing, and nobody would be told.
    until = signer.certificate.not_valid_after_utc
    builder = (
        _builder(_named(leaf.name), signer.certificate.subject, public, lifetime, until=until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([leaf.use]), critical=False)
        .add_extension(x509.SubjectAlternativeName(leaf.alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    return builder.sign(signer.key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    lifetime: dt.timedelta,
    *,
    until: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    begin = now()
    end = begin + lifetime
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - BACKDATED)
        .not_valid_after(min(end, until) if until is not None else end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    # X.520: a common name has at most 64 characters; the alternative names, which count, have all of it.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_key(pem: bytes, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the private key is of another kind than those that Muster makes")  # noqa: TRY004 - a value
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    sealed: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> Pair:
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key, passphrase))
