"""Ed25519 keys of those who may release: made, kept in files, and trusted by name (RFC 8032).

A private key is PEM (PKCS 8), mode 0600, sealed with a passphrase where one is given. A public key is one line that
fits into a configuration: `muster-release-key ed25519 BASE64 COMMENT`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor.release.errors import KeyFileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX: Final = "muster-release-key ed25519"
_RAW_BYTES: Final = 32
_LARGEST: Final = 16_384
"""Bytes of a file with a key."""
_COMMENT: Final = 128


@dataclass(frozen=True)
class PublicKey:
    """A key that may be trusted."""

    raw: bytes
    """32 bytes (RFC 8032, 5.1.5)."""
    comment: str = ""

    @property
    def key_id(self) -> str:
        """Return 16 hexadecimal digits that name it."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def line(self) -> str:
        """Return it as the line of a file."""
        return f"{_PREFIX} {base64.b64encode(self.raw).decode()} {self.comment}".rstrip() + "\n"

    @classmethod
    def read(cls, line: str) -> PublicKey:
        """Return the key of a line.

        Raises:
            ValueError: the line holds none; the message says what is wrong with it.

        """
        rest = line.strip().removeprefix(f"{_PREFIX} ")
        if rest == line.strip():
            raise ValueError(f"a release key begins with `{_PREFIX}`")
        text, _, comment = rest.partition(" ")
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("its third word is no base64") from None
        if len(raw) != _RAW_BYTES:
            raise ValueError(f"it has {len(raw)} bytes, an Ed25519 key has {_RAW_BYTES}")
        return cls(raw, comment.strip()[:_COMMENT])

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Return whether this key has signed the content."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True


TrustedKeys = Mapping[str, PublicKey]
"""Key id to key."""


class PrivateKey:
    """A key that signs. It shows itself nowhere."""

    def __init__(self, key: Ed25519PrivateKey, comment: str = "") -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw(), comment)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.key_id})"

    @classmethod
    def generate(cls, comment: str = "") -> PrivateKey:
        """Return a new key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate(), comment)

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> PrivateKey:
        """Return the key of a file.

        Raises:
            KeyFileError: there is none, it is open to others, or the passphrase is missing or wrong.

        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        pem = _read(path)
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} may be read by others; run `chmod 600 {path}`, and think of who has read it.")
        try:
            key = load_pem_private_key(pem, passphrase)
        except TypeError:
            raise KeyFileError(
                f"{path} needs no passphrase." if passphrase else f"{path} is sealed; give its passphrase."
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            wrong = "or the passphrase is not the one of it" if passphrase else "in PEM"
            raise KeyFileError(f"{path} holds no private key, {wrong}.") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path} holds a key of another kind, not Ed25519; run `muster release keygen`.")
        return cls(key)

    def save(self, path: Path, passphrase: bytes | None = None) -> None:
        """Write it to a new file, mode 0600.

        Raises:
            KeyFileError: the file exists, or cannot be written.

        """
        from cryptography.hazmat.primitives import serialization

        sealed: serialization.KeySerializationEncryption = (
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        )
        pem = self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise KeyFileError(f"{path} exists; a key is never overwritten.") from None
        except OSError as error:
            raise KeyFileError(f"{path} cannot be written: {error.strerror}.") from None

    def sign(self, content: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(content)


def load_public(path: Path) -> list[PublicKey]:
    """Return the keys of a file, one a line; empty lines and those that begin with `#` are passed over.

    Raises:
        KeyFileError: naming the line.

    """
    keys = []
    for number, line in enumerate(_read(path).decode("utf-8", "replace").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                keys.append(PublicKey.read(line))
            except ValueError as error:
                raise KeyFileError(f"{path}, line {number}: {error}.") from None
    return keys


def load_trusted(places: Iterable[Path]) -> dict[str, PublicKey]:
    """Return the keys of files and of the `*.pub` in directories; a place that is missing holds none.

    Raises:
        KeyFileError: one of them cannot be used.

    """
    keys: dict[str, PublicKey] = {}
    for place in places:
        for path in sorted(place.glob("*.pub")) if place.is_dir() else [place] if place.exists() else []:
            keys |= {key.key_id: key for key in load_public(path)}
    return keys


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}.") from None
