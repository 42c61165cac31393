"""Texts that are sealed in the database: what is sent to devices may hold secrets, which a stolen dump must not tell.

Each value is sealed by itself with AES-256-GCM: `muster-sealed:1:KEY:` and, in base64, a random nonce of 12 bytes, the
ciphertext and the tag; the names of table and column are the additional data. The keys lie in a file and never in the
database (`supervisor.server.sealing`). A value without that beginning is of a release before, and is read as it is.

The keys are the process's: fields belong to models, which are there once, whatever database they are used with.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any, Final

from peewee import TextField

BEGINNING: Final = "muster-sealed:1:"
_NONCE: Final = 12


class SealedError(Exception):
    """A value was sealed with a key that is not there, or was changed; the message is one sentence."""


class ChangedError(SealedError):
    """A value was changed after it was sealed, or moved to another place: no key opens it."""


class Keyring:
    """The keys, by id; immutable. Without any, values are stored as they are."""

    def __init__(self, keys: Mapping[str, bytes] | None = None, current: str = "", origin: str = "") -> None:
        """Take the keys.

        Args:
            keys: 32 bytes by id.
            current: the id of the one that seals; empty seals nothing.
            origin: where they come from, for messages.

        """
        self.current = current
        self._origin = origin
        self._ciphers: dict[str, Any] = {}
        if keys:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._ciphers

    def seal(self, text: str, place: str) -> str:
        """Return a text sealed for a place; nothing is left as it is."""
        if not text or not self.current:
            return text
        nonce = os.urandom(_NONCE)
        raw = nonce + self._ciphers[self.current].encrypt(nonce, text.encode("utf-8", "surrogatepass"), place.encode())
        return f"{BEGINNING}{self.current}:{base64.b64encode(raw).decode()}"

    def unseal(self, text: str, place: str) -> str:
        """Return what was sealed.

        Raises:
            SealedError: its key is not there; `ChangedError`: it was changed.

        """
        if not text.startswith(BEGINNING):
            return text
        from cryptography.exceptions import InvalidTag

        key_id, _, sealed = text.removeprefix(BEGINNING).partition(":")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            origin = self._origin or "nowhere: no keys were loaded"
            raise SealedError(f"{place} is sealed with the key {key_id[:16]!r}, which is not in {origin}; restore it")
        try:
            raw = base64.b64decode(sealed, validate=True)
            return str(cipher.decrypt(raw[:_NONCE], raw[_NONCE:], place.encode()).decode("utf-8", "surrogatepass"))
        except (InvalidTag, ValueError):
            raise ChangedError(f"a value of {place} was changed after it was sealed") from None

    def is_current(self, text: str) -> bool:
        """Return whether a text needs no sealing anew."""
        return not text or not self.current or text.startswith(f"{BEGINNING}{self.current}:")


class _Holder:
    """The process's keys; replaced as a whole, so any thread may read."""

    keyring = Keyring()


def use_keyring(keyring: Keyring) -> None:
    """Seal and unseal with these keys from now on."""
    _Holder.keyring = keyring


def keyring() -> Keyring:
    """Return the keys that are in use."""
    return _Holder.keyring


class SealedTextField(TextField):
    """A text that is sealed in the database and plain in Python."""

    def db_value(self, value: Any) -> Any:
        """Return what is stored."""
        return value if value is None else _Holder.keyring.seal(str(value), self.place)

    def python_value(self, value: Any) -> Any:
        """Return what was meant."""
        return value if value is None else _Holder.keyring.unseal(str(value), self.place)

    @property
    def place(self) -> str:
        """Return the names of table and column."""
        return f"{self.model._meta.table_name}.{self.column_name}"  # noqa: SLF001 - peewee's documented place
