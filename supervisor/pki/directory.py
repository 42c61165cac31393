"""The files of an authority's directory: which are there, read and written with the care that they need."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from supervisor.pki.certificates import Pair, Signer
from supervisor.pki.errors import PkiError
from supervisor.process.lock import FileLock, LockHeldError
from supervisor.process.private_file import write_private

PATIENCE = 10.0
"""Seconds to wait for another process that uses the authority."""
_BEGUN = ("lock", "ca.key", "ca.key.new", "ca.pem.new", "crl.pem.new")
"""What a power cut may leave of an authority that was being made."""


def refuse_used(directory: Path) -> None:
    """Raise PkiError for a directory that holds an authority, or anything of others, whose mode would be changed."""
    existing = found_in(directory)
    if existing:
        raise PkiError(
            "exists",
            f"{existing} exists; an authority is never overwritten: what it has issued would be worth nothing.",
        )
    foreign = next((path.name for path in directory.iterdir() if path.name.removeprefix(".") not in _BEGUN), None)
    if foreign:
        raise PkiError("exists", f"{directory} holds {foreign}; give the authority a directory of its own.")


def found_in(directory: Path) -> Path | None:
    """Return what there is of an authority that may have issued something.

    A key alone is what a power cut has left of one that was being made: the list is written when it is whole.
    """
    return next((path for name in ("ca.pem", "crl.pem", "index.jsonl") if (path := directory / name).exists()), None)


def read_signer(directory: Path, certificate: bytes, passphrase: bytes | None) -> Signer:
    """Return who signs: the key of a certificate. Raises PkiError."""
    path = directory / "ca.key"
    try:
        pem, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise PkiError(
            "unreadable", f"{path} cannot be read: {error.strerror}; without it nothing is signed."
        ) from None
    if mode & 0o077:
        raise PkiError(
            "open_to_others", f"{path} may be read by others; run `chmod 600 {path}`, and think of who has read it."
        )
    try:
        return Signer.of(Pair(certificate, pem), passphrase)
    except TypeError:
        told = "needs no passphrase" if passphrase else "is sealed; give its passphrase with --passphrase-file"
        raise PkiError("sealed", f"{path} {told}.") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "the passphrase is not the one of it" if passphrase else str(error) or "it holds no key"
        raise PkiError("unreadable", f"{path} cannot be used: {wrong}.") from None


def read_revocations(path: Path) -> tuple[int, dt.datetime | None]:
    """Return number and date of the list that there is."""
    try:
        known = x509.load_pem_x509_crl(path.read_bytes())
        number = known.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (OSError, ValueError, x509.ExtensionNotFound):
        return 0, None
    return number, known.last_update_utc


def write_public(path: Path, content: bytes) -> None:
    """Replace a file that everybody may read, where the directory lets them. Raises OSError."""
    write_private(path, content, durable=True)
    path.chmod(0o644)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes out. Raises PkiError when another one stays in, OSError when the lock cannot be used."""
    try:
        with FileLock(directory / "lock", patience=PATIENCE):
            yield
    except LockHeldError as held:
        raise PkiError("busy", f"Process {held.holder} uses the authority in {directory}; try again.") from None
