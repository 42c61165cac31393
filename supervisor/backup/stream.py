"""The frame of an encrypted file: a header, then chunks that are each sealed by AES-256-GCM.

| bytes | what |
|---|---|
| 8 | `MUSTERBK` |
| 1 | format, 1 |
| 1 | how the keys come from the secret: 1 scrypt (a passphrase), 2 HKDF-SHA256 (a key file) |
| 1 | scrypt's cost, log2 N; r is 8 and p is 1. 0 without scrypt |
| 1 | size of a chunk, log2 |
| 16 | salt |
| 32 | HMAC-SHA256 of the 28 bytes above: the secret is the right one, or it is told before anything is read |

From secret and salt come 64 bytes: the key of the chunks, then the key of the header's HMAC. Every file has a salt of
its own, so no key is ever used for two. The chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway,
Vizar 2015): the nonce is seven zero bytes, the chunk's number (4 bytes, big-endian) and 1 in the last chunk, else 0;
the additional data are the header. So chunks cannot be left out, repeated, put in another order or cut off. All but
the last are full; each is followed by its tag of 16 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import IO, Final, NamedTuple, Protocol

from .errors import BackupError

MAGIC: Final = b"MUSTERBK"
FORMAT: Final = 1
TAG: Final = 16
CHUNK_LOG2: Final = 16
#: 128 MB and some 0.4 s: what OWASP asks for; a Pi with 512 MB can do it, too.
SCRYPT_LOG2: Final = 17
#: A file that somebody else has made may ask for no more: 1 GB.
MOST_SCRYPT_LOG2: Final = 20
MOST_CHUNK_LOG2: Final = 24
MOST_CHUNKS: Final = 2**32
_FIXED: Final = struct.Struct(">8sBBBB16s")
_NONCE: Final = struct.Struct(">7xIB")
_MAC: Final = 32


class Derived(NamedTuple):
    """What a secret gives for one salt."""

    chunks: bytes
    header: bytes

    def __repr__(self) -> str:
        return "Derived(...)"


class Secret(Protocol):
    """A passphrase or a key."""

    kind: int
    cost: int
    """log2 of scrypt's N for a new file, 0 without scrypt."""

    def derive(self, salt: bytes, cost: int) -> Derived:
        """Return the keys for a salt."""
        ...


class SealedWriter:
    """A file object that can be written to; `finish` seals the last chunk."""

    def __init__(self, file: IO[bytes], secret: Secret, *, chunk_log2: int = CHUNK_LOG2) -> None:
        """Write the header.

        Raises:
            OSError: the disk is full, or gone.

        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt = os.urandom(16)
        fixed = _FIXED.pack(MAGIC, FORMAT, secret.kind, secret.cost, chunk_log2, salt)
        keys = secret.derive(salt, secret.cost)
        self._header = fixed + hmac.digest(keys.header, fixed, hashlib.sha256)
        self._cipher = AESGCM(keys.chunks)
        self._file, self._chunk = file, 1 << chunk_log2
        self._buffer = bytearray()
        self._number = 0
        self._abandoned = False
        file.write(self._header)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take more; a chunk is sealed when something follows it."""
        if self._abandoned:
            return len(data)
        self._buffer += data
        while len(self._buffer) > self._chunk:
            self._seal(bytes(self._buffer[: self._chunk]), last=False)
            del self._buffer[: self._chunk]
        return len(data)

    def abandon(self) -> None:
        """Write nothing any more: the file is given up, and those who write to us still want to say good-bye."""
        self._abandoned = True

    def flush(self) -> None:
        """Do nothing: what is not a whole chunk waits."""

    def finish(self) -> None:
        """Seal what is left as the last chunk."""
        self._seal(bytes(self._buffer), last=True)
        self._buffer.clear()

    def _seal(self, plain: bytes, *, last: bool) -> None:
        if self._number >= MOST_CHUNKS:
            raise BackupError("disk", "the backup would be larger than its format allows")
        self._file.write(self._cipher.encrypt(_NONCE.pack(self._number, last), plain, self._header))
        self._number += 1


class SealedReader:
    """A file object that can be read from; it gives out nothing that it has not authenticated."""

    def __init__(self, file: IO[bytes], secret: Secret) -> None:
        """Read and check the header.

        Raises:
            BackupError: it is no backup, of a newer format, or the secret is not the one of it.

        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._file = file
        self._header = file.read(_FIXED.size + _MAC)
        fixed = self._header[: _FIXED.size]
        if fixed[: len(MAGIC)] != MAGIC:
            raise BackupError("not_a_backup", "this file is no backup of Muster")
        if len(self._header) < _FIXED.size + _MAC:
            raise BackupError("truncated", "the file ends within its header")
        _, version, kind, cost, chunk_log2, salt = _FIXED.unpack(fixed)
        _check_header(version, kind, cost, chunk_log2, secret)
        keys = secret.derive(salt, cost)
        if not hmac.compare_digest(hmac.digest(keys.header, fixed, hashlib.sha256), self._header[_FIXED.size :]):
            raise BackupError("wrong_key", "passphrase or key is not the one of this backup, or its header was changed")
        self._cipher = AESGCM(keys.chunks)
        self._sealed = (1 << chunk_log2) + TAG
        self._next = file.read(self._sealed)
        self._number = 0
        self._plain = b""
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer only at the end.

        Raises:
            BackupError: `tampered` or `truncated`.

        """
        parts = [self._plain]
        have = len(self._plain)
        while not self._ended and (size < 0 or have < size):
            parts.append(self._open())
            have += len(parts[-1])
        plain = b"".join(parts)
        cut = len(plain) if size < 0 else size
        self._plain = plain[cut:]
        return plain[:cut]

    def _open(self) -> bytes:
        from cryptography.exceptions import InvalidTag

        sealed, self._next = self._next, self._file.read(self._sealed)
        last = not self._next
        try:
            plain = self._cipher.decrypt(_NONCE.pack(self._number, last), sealed, self._header)
        except (InvalidTag, ValueError):
            raise self._refusal(sealed, last=last) from None
        self._number += 1
        self._ended = last
        return plain

    def _refusal(self, sealed: bytes, *, last: bool) -> BackupError:
        """Tell a file that was cut off from one that was changed."""
        if last:
            from contextlib import suppress

            from cryptography.exceptions import InvalidTag

            if len(sealed) < self._sealed:
                return BackupError("truncated", "the file was cut off, or its end was changed")
            with suppress(InvalidTag, ValueError):
                self._cipher.decrypt(_NONCE.pack(self._number, 0), sealed, self._header)
                return BackupError("truncated", "the file was cut off: its last part is missing")
        return BackupError("tampered", f"part {self._number} of the file was changed after it was written")


def _check_header(version: int, kind: int, cost: int, chunk_log2: int, secret: Secret) -> None:
    if version != FORMAT:
        raise BackupError("newer", f"the backup has format {version}, and this release of Muster reads {FORMAT}")
    if kind != secret.kind:
        wanted = {1: "a passphrase: give --passphrase-file", 2: "a key file: give --key-file"}.get(kind, "another kind")
        raise BackupError("wrong_key", f"the backup was sealed with {wanted}")
    if cost > MOST_SCRYPT_LOG2 or chunk_log2 > MOST_CHUNK_LOG2:
        raise BackupError("tampered", "the header asks for more memory than any backup of Muster does")
