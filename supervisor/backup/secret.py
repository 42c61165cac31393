"""What a backup is sealed with: the first line of a passphrase file, or a key file of 32 random bytes."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from .errors import BackupError
from .stream import SCRYPT_LOG2, Derived

SHORTEST_PASSPHRASE: Final = 12
"""Characters: whoever steals the file may try as many as he can pay for."""
_PREFIX: Final = "muster-backup-key "
_LARGEST: Final = 4096


class Passphrase:
    """What people can remember; scrypt makes trying others expensive."""

    kind = 1

    def __init__(self, text: bytes, *, cost: int = SCRYPT_LOG2) -> None:
        self._text = text
        self.cost = cost

    def derive(self, salt: bytes, cost: int) -> Derived:
        """Return the keys for a salt; takes 2 ** cost KB of memory."""
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        raw = Scrypt(salt=salt, length=64, n=1 << cost, r=8, p=1).derive(self._text)
        return Derived(raw[:32], raw[32:])


class Key:
    """256 random bits."""

    kind = 2
    cost = 0

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def derive(self, salt: bytes, cost: int) -> Derived:  # noqa: ARG002 - the protocol's
        """Return the keys for a salt."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        raw = HKDF(SHA256(), length=64, salt=salt, info=b"muster backup").derive(self._raw)
        return Derived(raw[:32], raw[32:])


def load_passphrase(path: Path) -> Passphrase:
    """Return the passphrase of a file.

    Raises:
        BackupError: `bad_key_file`.

    """
    line = _read(path).partition(b"\n")[0].strip()
    if len(line) < SHORTEST_PASSPHRASE:
        raise BackupError(
            "bad_key_file",
            f"the first line of {path} is too short to be a passphrase, {SHORTEST_PASSPHRASE} characters are needed",
        )
    return Passphrase(line)


def load_key(path: Path) -> Key:
    """Return the key of a file.

    Raises:
        BackupError: `bad_key_file`.

    """
    text = _read(path).decode("ascii", "replace").strip()
    try:
        raw = bytes.fromhex(text.removeprefix(_PREFIX))
    except ValueError:
        raw = b""
    if not text.startswith(_PREFIX) or len(raw) != 32:
        raise BackupError("bad_key_file", f"{path} holds no key; make one with `muster backup --new-key {path}`")
    return Key(raw)


def make_key(path: Path) -> None:
    """Write a new key to a new file, mode 0600.

    Raises:
        BackupError: the file exists, or cannot be written.

    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{_PREFIX}{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BackupError("exists", f"{path} exists; a key is never overwritten") from None
    except OSError as error:
        raise BackupError("disk", f"{path} cannot be written: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise BackupError("bad_key_file", f"{path} may be read by others; run `chmod 600 {path}`")
            return file.read(_LARGEST)
    except OSError as error:
        raise BackupError("bad_key_file", f"{path} cannot be read: {error.strerror}") from None
