"""The keys of what the database holds sealed: a file of mode 0600, made at the first start, changed without downtime.

A line for each key: `muster-sealing-key ID HEX`. The first one seals; the others are read still. A new one is put on
top (`rotate`), the running server notices, seals every row anew and notes it in the database. A key stays in the file
as long as a row may need it: what the note names, and the one before that, since a server that shares the database may
not have noticed yet.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import pykka

from actors.registry import Execute
from actors.runtime import Runtime, ThreadedActor
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.models import Setting
from actors.storage.resealing import Place, is_done, reseal, sealed_with
from actors.storage.sealed import Keyring, SealedError, use_keyring
from supervisor.backup.ownership import give_to_owner
from supervisor.process.lock import FileLock, LockHeldError
from supervisor.process.private_file import write_private
from supervisor.server.instance import InstanceError

logger = logging.getLogger(__name__)

NAME: Final = "sealing.key"
VARIABLE: Final = "MUSTER_SEALING_KEY_FILE"
LOOK_EVERY: Final = 30.0
"""Seconds between two looks at the file."""
PAUSE: Final = 0.05
"""Seconds between two slices of rows."""
RETRY: Final = 5.0
LOCK_PATIENCE: Final = 5.0
"""Seconds to wait for another rotation."""
_LABEL: Final = "muster-sealing-key"


class SealingError(InstanceError):
    """The file with the keys cannot be used; the message is one sentence."""


class KeyFile:
    """The file; nothing of it is kept in memory but the keyring in use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, data_dir: Path, environ: Mapping[str, str]) -> KeyFile:
        """Return the file of a server: `MUSTER_SEALING_KEY_FILE`, else in the data directory."""
        given = environ.get(VARIABLE, "")
        return cls(Path(given).expanduser() if given else data_dir / NAME)

    def prepare(self, noted: str | None = None) -> None:
        """Make the file where nothing needs an older one, and use its keys.

        Args:
            noted: what `ask_noted` returns.

        Raises:
            SealingError: it cannot be read or written, is open to others, holds no keys, or not the one that the
                database needs.

        """
        if not self.path.exists():
            if noted:
                raise SealingError(f"The sealing key {self.path} is gone, and {self._needed(noted)}")
            self._write([secrets.token_bytes(32)])
        keys = self.load()
        if noted and noted not in keys:
            raise SealingError(f"The key {noted} is not in {self.path}, and {self._needed(noted)}")
        use_keyring(keys)

    def _needed(self, noted: str) -> str:
        return (
            f"values in the database are sealed with it ({noted}); restore the file from a backup, see docs/backup.md."
        )

    def load(self) -> Keyring:
        """Return the keys of the file.

        Raises:
            SealingError: as `prepare`.

        """
        keys = self._read()
        named = {_id_of(key): key for key in keys}
        return Keyring(named, _id_of(keys[0]), str(self.path))

    def rotate(self, noted: str | None) -> str:
        """Put a new key on top, and drop those that no row can need any more; return the new id.

        Args:
            noted: what `ask_noted` returns; without it every key stays.

        Raises:
            SealingError: as `prepare`, or another rotation is at it.

        """
        try:
            lock = self.path.with_name(f"{self.path.name}.lock")
            with FileLock(lock, patience=LOCK_PATIENCE):
                give_to_owner(self.path.parent, lock)
                old = self._read()
                ids = [_id_of(key) for key in old]
                # The one that is noted, and the one before it: see above.
                needed = old[: ids.index(noted) + 2] if noted in ids else old
                new = secrets.token_bytes(32)
                self._write([new, *needed])
                return _id_of(new)
        except LockHeldError as held:
            raise SealingError(f"Another rotation (pid {held.holder}) is changing {self.path}.") from None
        except OSError as error:
            raise SealingError(f"The sealing keys in {self.path} cannot be changed: {error.strerror}.") from None

    def changed_at(self) -> int:
        """Return when the file was written, nanoseconds since 1970; 0 when it is gone."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return 0

    def _read(self) -> list[bytes]:
        try:
            with self.path.open(encoding="ascii", errors="replace") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise SealingError(
                        f"The sealing keys in {self.path} may be read by others; run `chmod 600 {self.path}`, and"
                        " `muster sealing rotate`."
                    )
                lines = file.read().splitlines()
        except OSError as error:
            raise SealingError(f"The sealing keys in {self.path} cannot be read: {error.strerror}.") from None
        keys = [key for line in lines if line.strip() and (key := _parse(line))]
        if not keys or len(keys) != len([line for line in lines if line.strip()]):
            raise SealingError(f"The file {self.path} does not hold sealing keys; restore it from a backup.")
        return keys

    def _write(self, keys: list[bytes]) -> None:
        text = "".join(f"{_LABEL} {_id_of(key)} {key.hex()}\n" for key in keys)
        try:
            owner = self.path.stat() if self.path.exists() else None  # root's rotation leaves it to the server's user
            write_private(self.path, text.encode(), durable=True, owner=owner and (owner.st_uid, owner.st_gid))
        except OSError as error:
            raise SealingError(f"The sealing keys cannot be written to {self.path}: {error.strerror}.") from None


def ask_noted(url: str) -> str | None:
    """Return the id of the key with which every row of a database is sealed; None where it cannot be asked.

    Empty where none is noted: the database is new, or of a release that sealed nothing.
    """
    try:
        with closing(open_database(url, read_only=True)) as database:
            database.connect()
            return sealed_with(database) if database.table_exists(str(Setting._meta.table_name)) else ""  # noqa: SLF001
    except Exception:  # noqa: BLE001 - each driver has errors of its own; who asks goes on without the answer
        return None


class _Tick(msgspec.Struct, frozen=True):
    """To itself, from a timer."""


class SealerActor(ThreadedActor):
    """Sees to it that every row is sealed with the newest key."""

    def __init__(self, ask: Callable[[Any], Any], runtime: Runtime, keys: KeyFile) -> None:
        """Assign only.

        Args:
            ask: gets the writer's answer to a message.
            runtime: its timers are used.
            keys: the file.

        """
        super().__init__()
        self._ask, self._runtime, self._keys = ask, runtime, keys
        self._seen = 0
        """When the file was written that is in use."""
        self._place: Place | None = None
        """How far the rows are; None when there is nothing to do."""

    def on_start(self) -> None:
        """Look at once."""
        self.actor_ref.tell(_Tick())

    def on_receive(self, message: Any) -> None:
        """Look at the file, or seal a slice."""
        if not isinstance(message, _Tick):
            logger.warning("sealing: unexpected message %s dropped", type(message).__name__)
            return
        try:
            self._look()
            pause = self._seal() if self._place is not None else LOOK_EVERY
        except (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout):
            pause = RETRY
        except (SealingError, SealedError) as error:
            logger.error("sealing: %s", error)  # noqa: TRY400 - the sentence says it all
            self._place, pause = None, LOOK_EVERY
        self._runtime.timers.after(pause, self.actor_ref, _Tick())

    def _look(self) -> None:
        written = self._keys.changed_at()
        if written == self._seen or not written:
            return
        use_keyring(self._keys.load())
        if not self._ask(Execute(is_done)):
            self._place = Place()
        self._seen = written

    def _seal(self) -> float:
        place = self._place
        assert place is not None
        self._place = self._ask(Execute(lambda database: reseal(database, place)))
        if self._place is None:
            logger.info("every value is sealed with the newest key; %d were sealed anew", place.sealed)
            if place.lost:
                logger.error("%d sealed values were changed in the database: nobody can read them", place.lost)
            return LOOK_EVERY
        return PAUSE


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"muster sealing key\n" + key).hexdigest()[:8]


def _parse(line: str) -> bytes | None:
    """Return the key of a line, None for a line that is none."""
    label, _, rest = line.strip().partition(" ")
    key_id, _, text = rest.partition(" ")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if label == _LABEL and len(key) == 32 and key_id == _id_of(key) else None
