"""A certificate authority of one's own, and a certificate for the broker; PEM, nothing is written to disk."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=3_650)
"""Of both: devices in the field have nobody who renews what they trust."""
RENEW_BEFORE = dt.timedelta(days=365)
"""A certificate that ends sooner is made anew."""
#: A device whose clock is a little behind trusts a new certificate, too.
_BACKDATED = dt.timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its private key, PEM."""

    cert: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(...)"


def make_authority(name: str) -> Pair:
    """Return a new authority that may sign certificates of servers and nothing below them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    usage = _usage(signs_certificates=True)
    builder = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, names: Sequence[str]) -> Pair:
    """Return a certificate for a server that is reached by these names and addresses; the first one names it."""
    ca = x509.load_pem_x509_certificate(authority.cert)
    ca_key = _load_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    ca_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder(_named(names[0]), ca.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(ca_id, critical=False)
    )
    return _pair(builder.sign(ca_key, hashes.SHA256()), key)


def is_good(pair: Pair, authority: Pair, names: Sequence[str], *, now: dt.datetime | None = None) -> bool:
    """Return whether a certificate is signed by the authority, good for these names, and for a good while."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.cert)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert))
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits = _load_key(pair.key).public_key() == certificate.public_key()
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one mends it
        return False
    until = certificate.not_valid_after_utc - RENEW_BEFORE
    return fits and all(_alternative(name) in known for name in names) and (now or dt.datetime.now(dt.UTC)) < until


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
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


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the private key is of another kind than those that Muster makes")  # noqa: TRY004 - a value
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.NoEncryption())
    return Pair(certificate.public_bytes(encoding), private)
