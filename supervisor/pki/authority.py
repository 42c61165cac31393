"""`Authority`: a directory that is an authority, and what it has issued and revoked.

    {directory}, 0700   ca.pem 0644   ca.key 0600   index.jsonl 0600   crl.pem 0644   servers/NAME.pem 0600   lock

Several processes may use it at a time, one after the other. Every file is replaced at once and durably; what was issued
is in the index before anybody is given it, and what was revoked before the list says so.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from actors.topics import SERIAL
from supervisor.pki import certificates
from supervisor.pki.certificates import (
    Pair,
    Signer,
    check_name,
    make_authority,
    make_request,
    names_of,
    read_request,
    sign_device,
    sign_revocations,
    sign_server,
)
from supervisor.pki.directory import found_in, locked, read_revocations, read_signer, refuse_used, write_public
from supervisor.pki.errors import PkiError
from supervisor.pki.index import Index, Kind, Record
from supervisor.process.private_file import write_private

AUTHORITY_DAYS, SERVER_DAYS, DEVICE_DAYS = 3_650, 397, 365
"""How long certificates are good; browsers take none of a server that lasts longer than 398 days."""
_DAY = 86_400


class Issued(NamedTuple):
    """A certificate that was issued."""

    record: Record
    cert: bytes
    """PEM."""
    key: bytes = b""
    """PEM; empty where somebody else has the key."""

    def __repr__(self) -> str:
        return f"Issued({self.record.kind} {self.record.name}, {self.record.serial})"

    @property
    def combined(self) -> bytes:
        """Return key and certificate as one file, which is replaced at once where two files never are."""
        return self.key + self.cert


class Authority:
    """An authority in a directory; any thread may use it."""

    def __init__(self, directory: Path, certificate: bytes, key: Callable[[], Signer]) -> None:
        """Assign; see `create` and `open`."""
        self.directory = directory
        self.certificate = certificate
        """PEM, for whoever is to trust it."""
        self._open_key = key
        self._signer: Signer | None = None
        self._index = Index(directory / "index.jsonl")
        self._thread = threading.RLock()
        self._revocations: tuple[int, dt.datetime] | None = None

    @classmethod
    def create(
        cls,
        directory: Path,
        name: str,
        *,
        passphrase: bytes | None = None,
        days: int = 3_650,
        adopt: Pair | None = None,
    ) -> Authority:
        """Make an authority in a new or empty directory.

        Args:
            directory: made where it is missing, mode 0700.
            name: of the authority, for people.
            passphrase: seals its key.
            days: how long it is good.
            adopt: key and certificate of an authority that there is already.

        Raises:
            PkiError: there is one already, or the directory cannot be used.

        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_used(directory)
            directory.chmod(0o700)
            with locked(directory):
                refuse_used(directory)
                pair = adopt or make_authority(name, passphrase=passphrase, lifetime=dt.timedelta(days=days))
                write_private(directory / "ca.key", pair.key, durable=True)
                write_public(directory / "ca.pem", pair.cert)
        except OSError as error:
            raise PkiError("unwritable", f"{directory} cannot be used: {error.strerror}.") from None
        made = cls.open(directory, passphrase=passphrase)
        made.revocations()
        return made

    @classmethod
    def open(cls, directory: Path, *, passphrase: bytes | None = None) -> Authority:
        """Return the authority of a directory; its key is read when something is to be signed.

        Raises:
            PkiError: there is none, or its certificate cannot be read.

        """
        try:
            certificate = (directory / "ca.pem").read_bytes()
            x509.load_pem_x509_certificate(certificate)
        except FileNotFoundError:
            existing = found_in(directory)
            mend = f"make one with `muster pki init --dir {directory}`"
            if existing:
                mend = f"{existing} is there, put back the ca.pem that belongs to it"
            raise PkiError("no_authority", f"There is no authority in {directory}; {mend}.") from None
        except OSError as error:
            raise PkiError("unreadable", f"{directory / 'ca.pem'} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise PkiError("unreadable", f"{directory / 'ca.pem'} holds no certificate in PEM.") from None
        return cls(directory, certificate, lambda: read_signer(directory, certificate, passphrase))

    @classmethod
    def open_or_create(cls, directory: Path, name: str, *, passphrase: bytes | None = None) -> Authority:
        """Return the authority of a directory, made where there is none. Raises as both."""
        if found_in(directory):
            return cls.open(directory, passphrase=passphrase)
        return cls.create(directory, name, passphrase=passphrase)

    @property
    def ca_file(self) -> Path:
        """Where its certificate is."""
        return self.directory / "ca.pem"

    @property
    def crl_file(self) -> Path:
        """Where the list of what it has revoked is."""
        return self.directory / "crl.pem"

    @property
    def ends(self) -> dt.datetime:
        """When it is no longer good, and nothing that it has issued either."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc

    def records(self) -> list[Record]:
        """Return everything that it has issued, oldest first. Raises PkiError when the index cannot be read."""
        with self._thread:
            self._index.refresh()
            return list(self._index)

    def find(self, name: str, kind: Kind | None = None) -> list[Record]:
        """Return what it has issued to a name, or under a serial number of a certificate, oldest first."""
        with self._thread:
            self._index.refresh()
            by_serial = self._index.get(name.lower().replace(":", ""))
            return self._index.of(name, kind) or ([by_serial] if by_serial is not None else [])

    def issue_server(self, names: Sequence[str], *, days: int = SERVER_DAYS) -> Issued:
        """Return key and certificate for a server that is reached by these names; kept in `server_file` too.

        Raises:
            PkiError: a name is none, or the authority cannot sign.

        """
        try:
            checked = tuple(dict.fromkeys(check_name(name) for name in names))
        except ValueError as error:
            raise PkiError("bad_name", f"{error}.") from None
        if not checked:
            raise PkiError("bad_name", "A server needs a name or an address, by which others reach it.")
        key = ec.generate_private_key(ec.SECP256R1())
        with self._signing() as signer:
            lifetime = dt.timedelta(days=days)
            issued = self._record("server", checked[0], sign_server(signer, key.public_key(), checked, lifetime), days)
            made = issued._replace(key=_plain(key))
            path = self.server_file(checked[0])
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, made.combined, durable=True)
        return made

    def server_file(self, name: str) -> Path:
        """Return where key and certificate of a server are kept, in one file of mode 0600."""
        return self.directory / "servers" / f"{name.replace(':', '_').replace('*', '_')}.pem"

    def issue_device(self, serial: str, *, days: int = DEVICE_DAYS) -> Issued:
        """Return a new key and a certificate for a device. Raises as `sign_request`."""
        _check_serial(serial)
        request = make_request(serial)
        return self.sign_request(request.cert, serial, days=days)._replace(key=request.key)

    def sign_request(self, request: bytes, serial: str, *, days: int = DEVICE_DAYS) -> Issued:
        """Return a certificate for the key of a device, which never leaves it.

        Args:
            request: a certificate signing request in PEM, whose common name is the serial number.
            serial: of the device.
            days: how long it is to be good.

        Raises:
            PkiError: the serial number or the request is none, or the authority cannot sign.

        """
        public = self.check_request(request, serial)
        with self._signing() as signer:
            return self._record("device", serial, sign_device(signer, public, serial, dt.timedelta(days=days)), days)

    @staticmethod
    def check_request(request: bytes, serial: str) -> ec.EllipticCurvePublicKey:
        """Return the key of a device's request. Raises as `sign_request`, and signs nothing."""
        _check_serial(serial)
        try:
            return read_request(request, serial)
        except ValueError as error:
            raise PkiError("bad_request", f"The request of {serial} is refused: {error}.") from None

    def renew(self, name: str, kind: Kind | None = None) -> Issued:
        """Return a certificate like the last one of this name, with a new key; that one stays good until it ends.

        Raises:
            PkiError: nothing was ever issued to that name, or the last one was revoked.

        """
        known = self.find(name, kind)
        if not known:
            raise PkiError("unknown", f"Nothing was issued to `{name}`; `muster pki list` shows to whom.")
        last = known[-1]
        if last.revoked:
            raise PkiError("unknown", f"The certificate of `{name}` was revoked; issue a new one if it is to have one.")
        days = max(1, last.lifetime // _DAY)
        return (
            self.issue_server(last.names or (last.name,), days=days)
            if last.kind == "server"
            else self.issue_device(last.name, days=days)
        )

    def revoke(self, name: str, kind: Kind | None = None) -> list[Record]:
        """Revoke everything that is still good of a name, or one certificate by its serial number; write the list.

        Returns:
            What was revoked now; nothing when all of it had been already.

        Raises:
            PkiError: nothing was ever issued to that name, or the authority cannot sign.

        """
        with self._signing() as signer:
            known = self.find(name, kind)
            if not known:
                raise PkiError("unknown", f"Nothing was issued to `{name}`; `muster pki list` shows to whom.")
            now = int(certificates.now().timestamp())
            good = [record for record in known if not record.revoked and record.not_after > now]
            if good:
                self._index.add(*(_revoked(record, now) for record in good))
            # Written in any case: a power cut may have come between index and list.
            self._write_revocations(signer)
            return [_revoked(record, now) for record in good]

    def revocations(self) -> bytes:
        """Return the list of what is revoked, in PEM; written anew where it is missing or does not say all of it.

        Raises:
            PkiError: it cannot be read, or is missing and cannot be signed.

        """
        try:
            pem = self.crl_file.read_bytes()
        except FileNotFoundError:
            pem = b""
        except OSError as error:
            raise PkiError("unreadable", f"{self.crl_file} cannot be read: {error.strerror}.") from None
        if self._is_whole(pem):
            return pem
        with self._signing() as signer:
            return self._write_revocations(signer)

    def _is_whole(self, pem: bytes) -> bool:
        """Tell whether a list is good now and names all that is revoked: a power cut comes between index and list."""
        try:
            known = x509.load_pem_x509_crl(pem)
        except ValueError:
            return False
        public = x509.load_pem_x509_certificate(self.certificate).public_key()
        with self._thread:
            self._index.refresh()
            named = {entry.serial_number for entry in known}
            return (
                isinstance(public, ec.EllipticCurvePublicKey)
                and known.is_signature_valid(public)
                and known.last_update_utc <= certificates.now()
                and named >= {serial for serial, _ in self._revoked()}
            )

    @contextlib.contextmanager
    def _signing(self) -> Iterator[Signer]:
        """Hold the authority for a signature."""
        with self._thread:
            if self._signer is None:
                self._signer = self._open_key()
            if self.ends <= certificates.now():
                raise PkiError(
                    "expired",
                    f"The authority in {self.directory} has ended on {self.ends:%Y-%m-%d}: nothing that it signs is"
                    " good. Make a new one in another directory, and have devices trust it.",
                )
            try:
                with locked(self.directory):
                    self._index.refresh()
                    yield self._signer
            except OSError as error:
                raise PkiError("unwritable", f"{self.directory} cannot be written: {error.strerror}.") from None

    def _record(self, kind: Kind, name: str, certificate: x509.Certificate, days: int) -> Issued:
        record = Record(
            serial=f"{certificate.serial_number:x}",
            kind=kind,
            name=name,
            not_before=int(certificate.not_valid_before_utc.timestamp()),
            not_after=int(certificate.not_valid_after_utc.timestamp()),
            names=tuple(names_of(certificate)) if kind == "server" else (),
            lifetime=days * _DAY,
        )
        self._index.add(record)
        return Issued(record, certificate.public_bytes(serialization.Encoding.PEM))

    def _write_revocations(self, signer: Signer) -> bytes:
        number, before = read_revocations(self.crl_file)
        pem = sign_revocations(signer, self._revoked(), number=number + 1, after=before)
        write_public(self.crl_file, pem)
        return pem

    def _revoked(self) -> list[tuple[int, dt.datetime]]:
        """Return what a list has to name: an expired certificate is refused as it is, and need not stand there."""
        horizon = certificates.now().timestamp() - 30 * _DAY
        return [
            (int(record.serial, 16), dt.datetime.fromtimestamp(record.revoked, dt.UTC))
            for record in self._index
            if record.revoked and record.not_after > horizon
        ]


def _revoked(record: Record, now: int) -> Record:
    return msgspec.structs.replace(record, revoked=now)


def _check_serial(serial: str) -> None:
    if not SERIAL.fullmatch(serial):
        raise PkiError("bad_name", f"`{serial[:80]}` is not a serial number ({SERIAL.pattern}).")


def _plain(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
