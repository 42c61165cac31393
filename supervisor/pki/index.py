"""The index of an authority: every certificate that it has issued and every one that it has revoked.

A file to which lines of JSON are added, each on the disk before anybody is given what it tells of. Whoever changes it
holds the authority's lock; others may have added lines meanwhile, which are read then. A last line that a power cut has
cut short tells of nothing that anybody was given, and is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from supervisor.pki.errors import PkiError

Kind = Literal["server", "device"]


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A certificate that was issued; times in seconds since 1970 UTC."""

    serial: str
    """The certificate's own serial number, in lower-case hex."""
    kind: Kind
    name: str
    """The device's serial number, or the first name of a server."""
    not_before: int
    not_after: int
    names: tuple[str, ...] = ()
    """All names of a server."""
    revoked: int = 0
    """Since when; 0 for one that is not."""
    lifetime: int = 0
    """Seconds that it was asked for, which its renewal is given too."""


class Index:
    """The records in memory, and their file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, Record] = {}
        self._by_name: dict[str, dict[str, None]] = {}
        """Serial numbers of the certificates of each name: a fleet that enrols asks for every one."""
        self._offset = 0
        self._inode = 0

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def get(self, serial: str) -> Record | None:
        """Return one certificate by its serial number."""
        return self._records.get(serial)

    def of(self, name: str, kind: Kind | None = None) -> list[Record]:
        """Return the certificates of a name, oldest first."""
        known = [self._records[serial] for serial in self._by_name.get(name, ())]
        return [record for record in known if kind in (None, record.kind)]

    def refresh(self) -> None:
        """Read what was added since the last time.

        Raises:
            PkiError: the file cannot be read, or a line that is no last one makes no sense.

        """
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                # Restored from a backup, or the first time.
                if found.st_ino != self._inode or found.st_size < self._offset:
                    self._forget(found.st_ino)
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise PkiError("unreadable", f"{self._path} cannot be read: {error.strerror}.") from None
        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._take(line)
        self._offset += len(whole)

    def add(self, *records: Record) -> None:
        """Add records, or what has become of known ones; on the disk when this returns. After `refresh`, locked.

        Raises:
            OSError: the disk is full, or gone.

        """
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.truncate(self._offset)  # what a power cut has left of a line
            file.seek(self._offset)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            self._inode = os.fstat(file.fileno()).st_ino
        if not self._offset:
            _sync_directory(self._path.parent)
        self._offset += len(lines)
        for record in records:
            self._keep(record)

    def _take(self, line: bytes) -> None:
        try:
            record = msgspec.json.decode(line, type=Record)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PkiError(
                "unreadable", f"{self._path} is damaged ({error}); put back the copy of a backup, or mend the line."
            ) from None
        self._keep(record)

    def _keep(self, record: Record) -> None:
        self._records[record.serial] = record
        self._by_name.setdefault(record.name, {})[record.serial] = None

    def _forget(self, inode: int = 0) -> None:
        self._inode, self._offset, self._records, self._by_name = inode, 0, {}, {}


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
