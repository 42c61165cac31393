"""The certificates of `muster install server`: those of broker and page, and the authority that signs for devices.

They are two authorities. The one of broker and page is root's alone; the one of devices signs while the server runs,
and is the server's. Who breaks into the server cannot make certificates of servers.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cryptography import x509

from supervisor.installer import File, InstallError, Seed, Target
from supervisor.pki.certificates import Pair, Signer, is_good, issue, make_authority, sign_revocations
from supervisor.pki.names import own_name, own_names
from supervisor.server.mosquitto import DEVICES_CA, DEVICES_CRL

NAME: Final = "muster"
TLS: Final = "/etc/muster/tls"
CA_FILE: Final = "/etc/muster/ca.pem"
HTTP_FILE: Final = "/etc/muster/http.pem"
"""Key and certificate of the page in one file."""
BROKER: Final = "/etc/mosquitto/muster"
"""Of the broker's own user, who reads certificates after it has given up root's rights."""
BROKER_GROUP: Final = "mosquitto"
_SEED = ("ca.key", "ca.pem", "crl.pem")


class Site(NamedTuple):
    """What of the choices concerns certificates."""

    domain: str
    https: bool


def server_certificates(site: Site, target: Target) -> list[File]:
    """Return authority and certificate of broker and page; those of the last run where they are good still.

    Raises:
        InstallError: what is there of them cannot be used.

    """
    authority = Pair(read_again(target, CA_FILE), read_again(target, f"{TLS}/ca.key"))
    if bool(authority.cert) != bool(authority.key):
        raise InstallError(
            f"Of the authority only {CA_FILE if authority.cert else f'{TLS}/ca.key'} is there: put the other half back,"
            f" {TLS}/ca.key beside {CA_FILE}, or remove this one; then every device has to trust a new authority."
        )
    if not authority.cert:
        authority = make_authority(f"Muster of {site.domain or own_name()}")
    names = own_names(site.domain)
    server = Pair(read_again(target, f"{BROKER}/server.pem"), read_again(target, f"{BROKER}/server.key"))
    if not is_good(server, authority, names[:1]):
        try:
            server = issue(authority, names)
        except ValueError as error:
            raise InstallError(
                f"{CA_FILE} and {TLS}/ca.key cannot be used ({error}); put back what was there."
            ) from None
    page = [File(HTTP_FILE, server.key + server.cert, mode=0o640, group=NAME)] if site.https else []
    return [
        File(f"{TLS}/ca.key", authority.key, mode=0o600),
        File(f"{TLS}/ca.pem", authority.cert),
        File(CA_FILE, authority.cert),
        *page,
        for_broker(f"{BROKER}/ca.pem", authority.cert),
        for_broker(f"{BROKER}/server.pem", server.cert),
        for_broker(f"{BROKER}/server.key", server.key),
    ]


def device_authority(directory: str, access: str, site: Site, target: Target) -> tuple[Seed, list[File]]:
    """Return the authority of devices as it begins, and what the broker has to know of it as it is.

    Args:
        directory: of the authority.
        access: where the server keeps what it tells the broker.
        site: the choices.
        target: where, to find the authority of the last run.

    Raises:
        InstallError: what is there of it cannot be used.

    """
    ca, crl = (read_again(target, f"{directory}/{name}") for name in _SEED[1:])
    known = ca or crl or read_again(target, f"{directory}/{_SEED[0]}")
    seed: dict[str, bytes] = {}
    if not known:
        made = make_authority(f"Devices of Muster of {site.domain or own_name()}")
        ca, crl = made.cert, sign_revocations(Signer.of(made), (), number=1)
        seed = dict(zip(_SEED, (made.key, ca, crl), strict=True))
    try:
        x509.load_pem_x509_certificate(ca)
        x509.load_pem_x509_crl(crl)
    except ValueError:
        raise InstallError(
            f"{directory} holds no authority that can be used: put back its {_SEED[1]} and {_SEED[2]} from a backup."
        ) from None
    files = [for_broker(f"{access}/{name}", pem) for name, pem in ((DEVICES_CA, ca), (DEVICES_CRL, crl))]
    return Seed(directory, seed, user=NAME), files


def for_broker(path: str, content: bytes) -> File:
    """Return a file that the broker reads."""
    return File(path, content, mode=0o640, group=BROKER_GROUP)


def read_again(target: Target, path: str) -> bytes:
    """Return a file of an earlier run, nothing where there is none.

    Raises:
        InstallError: it cannot be read.

    """
    try:
        return target.path(path).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InstallError(f"{path} cannot be read: {error.strerror}; try as root.") from None
