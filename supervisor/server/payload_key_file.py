"""The server's own key for sealed payloads: a file of mode 0600, never made anew while a device has an older one."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actors.payload_keys.envelope import BadKeyError, new_private_key, read_key, show_key
from actors.storage.database import open_database
from actors.storage.models import PayloadKey as Row
from actors.storage.payload_keys import count_given_keys
from supervisor.backup.ownership import give_to_owner
from supervisor.process.lock import is_locked
from supervisor.process.private_file import write_private
from supervisor.server.instance import InstanceError

if TYPE_CHECKING:
    from supervisor.server.config import Config

FILE: Final = "payload.key"
"""In the data directory, and so in backups: without it every device has to give its key anew."""
_LABEL: Final = "muster-payload-key"


class OwnKeyError(BadKeyError):
    """The server's own key cannot be used: nothing is sealed or opened; the message is a part of a sentence."""


class LostKeyError(InstanceError):
    """Devices seal with a key that cannot be used; the message is one sentence."""


class PayloadKeyFile:
    """The server's private key. Any thread may use it."""

    def __init__(self, path: Path, *, is_needed: bool = False) -> None:
        """Assign.

        Args:
            path: the file.
            is_needed: whether a device seals with the key that was in it: another one is not made then.

        """
        self.path = path
        self._is_needed = is_needed
        self._private = b""
        self._lock = threading.Lock()

    def load(self) -> bytes:
        """Return the key, which is made when the first device needs it.

        Raises:
            OwnKeyError: the file cannot be read or written, is open to others, holds no key, or is gone.

        """
        with self._lock:
            if not self._private:
                self._private = self._read() or self.make()
            return self._private

    def make(self) -> bytes:
        """Make a key, in the place of any that is there.

        Raises:
            OwnKeyError: it cannot be written, or another one is needed.

        """
        if self._is_needed:
            raise OwnKeyError(f"The payload key {self.path} is gone")
        private = new_private_key()
        try:
            write_private(self.path, f"{_LABEL} {show_key(private)}\n".encode(), durable=True)
        except OSError as error:
            raise OwnKeyError(f"The payload key in {self.path} cannot be written: {error.strerror}") from None
        return private

    def _read(self) -> bytes:
        """Return what is in the file; nothing where there is none."""
        try:
            if self.path.stat().st_mode & 0o077:
                raise OwnKeyError(f"The payload key in {self.path} may be read by others; run `chmod 600 {self.path}`")
            label, _, text = self.path.read_text(encoding="ascii", errors="replace").strip().partition(" ")
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise OwnKeyError(f"The payload key in {self.path} cannot be read: {error.strerror}") from None
        try:
            return read_key(text if label == _LABEL else "")
        except BadKeyError:
            raise OwnKeyError(f"{self.path} holds no payload key; restore it from a backup") from None


def see_to_payload_key(config: Config) -> None:
    """See whether the key can be used, where a device seals with it.

    A database that is away tells nothing: then nothing is sealed or opened without the key, and none is made.

    Raises:
        LostKeyError: it cannot.

    """
    given = _ask_given(config.database.url) if config.primary else 0
    if not given:
        return
    try:
        PayloadKeyFile(config.data_path / FILE, is_needed=True).load()
    except OwnKeyError as error:
        devices = "1 device seals" if given == 1 else f"{given} devices seal"
        raise LostKeyError(
            f"{error}, and {devices} with it; restore the file from a backup, or, if it is lost for good, see"
            " `muster payload-key make` in docs/payload-encryption.md."
        ) from None


def make_lost_key(config: Config) -> Path:
    """Make another key where the file is gone, for a server that does not run; return the file.

    Raises:
        LostKeyError: there is a file, the server runs, or it cannot be written.

    """
    data, file = config.data_path, PayloadKeyFile(config.data_path / FILE)
    if os.path.lexists(file.path):
        raise LostKeyError(f"{file.path} is there; move it away first, if it is lost for good.")
    if is_locked(data / "instance.lock"):
        raise LostKeyError(f"A Muster server is using the data directory {data}; stop it first.")
    try:
        file.make()
        give_to_owner(data, file.path)
    except OwnKeyError as error:
        raise LostKeyError(f"{error}.") from None
    return file.path


def _ask_given(url: str) -> int:
    """Return how many devices have given a key; 0 where nobody can say."""
    try:
        with closing(open_database(url, read_only=True)) as database:
            database.connect()
            return count_given_keys(database) if database.table_exists(str(Row._meta.table_name)) else 0  # noqa: SLF001
    except Exception:  # noqa: BLE001 - each driver has errors of its own; who asks goes on without the answer
        return 0
