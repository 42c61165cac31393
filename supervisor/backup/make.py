"""Makes a backup of a server, which may run meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from actors.version import __version__
from supervisor.process.lock import FileLock, LockHeldError
from supervisor.process.private_file import write_private
from supervisor.server.instance import public_name
from supervisor.server.sealing import KeyFile, SealingError

from .archive import ArchiveReader, ArchiveWriter, FileChangedError
from .configuration import configuration_files
from .contents import CONFIGURATION, DATA, DUMP, FORMAT, STAGING, About, Manifest, find_files, is_sqlite
from .databases import DatabaseCopier
from .errors import BackupError, refusal
from .ownership import give_to_owner
from .sqlite import SqliteCopier, copy_sqlite
from .stream import Secret

LAST: Final = "last-backup.json"
"""In the data directory: when the last backup was made, for `muster doctor`."""
_ATTEMPTS: Final = 5
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
"""What file systems without hard links say, such as those of most USB sticks."""


class LastBackup(msgspec.Struct, frozen=True):
    """What is remembered of the last backup."""

    at: float
    """Seconds since 1970."""
    file: str


class Source(NamedTuple):
    """What is backed up."""

    data_dir: Path
    copier: DatabaseCopier
    configuration: tuple[Path, ...] = ()
    sealing: KeyFile | None = None
    """Its keys, wherever they lie; None where nothing is sealed."""
    noted: str | None = None
    """Id of the sealing key that the database needs, as far as it tells."""


class Made(NamedTuple):
    """What a backup holds."""

    about: About
    manifest: Manifest
    size: int
    """Bytes of the file."""


def make_backup(source: Source, target: Path, secret: Secret) -> Made:
    """Write a backup to a new file, read it again and compare; the file gets its name after that.

    Raises:
        BackupError: nothing was left behind.

    """
    if target.exists():
        raise BackupError("exists", f"{target} exists; a backup is never overwritten")
    if not source.data_dir.is_dir():
        raise BackupError("disk", f"there is no data directory {source.data_dir}")
    part = target.with_name(f"{target.name}.part")
    try:
        with _staging(source.data_dir) as staging:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    _write(source, part, secret, staging)
                    break
                except FileChangedError:
                    if attempt == _ATTEMPTS:
                        raise BackupError("changed", "files were changed each time while they were read") from None
        verified = verify_backup(part, secret)
        _name(part, target)
        try:
            _sync(target.parent)
            _remember(source.data_dir, target)
        except OSError:
            target.unlink()
            raise
    except OSError as error:
        raise refusal(error, target) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return verified


def verify_backup(path: Path, secret: Secret) -> Made:
    """Read a backup to its end, and compare every file with the manifest.

    Raises:
        BackupError: with what is wrong.

    """
    with ArchiveReader(path, secret) as archive:
        manifest = archive.read_all(lambda _entry: None)
        return Made(archive.about, manifest, path.stat().st_size)


def last_backup(data_dir: Path) -> LastBackup | None:
    """Return what is remembered of the last backup, None for none."""
    try:
        return msgspec.json.decode((data_dir / LAST).read_bytes(), type=LastBackup)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(source: Source, part: Path, secret: Secret, staging: Path) -> None:
    """Write all of it: first the files, then the database, so that no follower's place is ahead of the rows."""
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with ArchiveWriter(file, secret) as archive:
            archive.add_about(_about(source))
            keys = _SealingKeys(source)
            left_out = [*_add_data(archive, source, staging), *_add_configuration(archive, source), *keys.missing()]
            dump = staging / "dump"
            rows = source.copier.dump(dump)
            keys.refuse_change()
            archive.add(DUMP, dump)
            archive.finish(rows=rows, left_out=tuple(left_out))
        file.flush()
        os.fsync(file.fileno())
        # What is verified is to be what the disk holds, not what memory remembers of it.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _name(part: Path, target: Path) -> None:
    """Give the file its name; unlike a rename a link overwrites nothing."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise BackupError("exists", f"{target} exists; a backup is never overwritten") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise BackupError("exists", f"{target} exists; a backup is never overwritten") from None
        part.rename(target)


def _about(source: Source) -> About:
    try:
        instance = public_name((source.data_dir / "instance").read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        instance = ""
    return About(
        format=FORMAT,
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        server=instance,
        database=source.copier.kind,
        migrations=source.copier.migrations(),
        data_dir=str(source.data_dir),
    )


def _add_data(archive: ArchiveWriter, source: Source, staging: Path) -> list[str]:
    """Add the files of the data directory; return what was left out.

    Raises:
        FileChangedError: a file came or went meanwhile, as when the audit trail begins a new one: it may be in the
            backup twice, or not at all.

    """
    without = source.copier.files() if isinstance(source.copier, SqliteCopier) else frozenset[Path]()
    files, left_out = find_files(source.data_dir, without=without)
    for path in files:
        name = f"{DATA}/{path.relative_to(source.data_dir)}"
        copy = staging / "copy"
        try:
            if is_sqlite(path):
                copy_sqlite(path, copy)
                archive.add(name, copy)
            else:
                archive.add(name, path)
        except FileNotFoundError:
            raise FileChangedError from None
    if find_files(source.data_dir, without=without)[0] != files:
        raise FileChangedError
    return left_out


def _add_configuration(archive: ArchiveWriter, source: Source) -> list[str]:
    places = source.configuration
    if source.sealing is not None and not source.sealing.path.is_relative_to(source.data_dir):
        places = (*places, source.sealing.path)
    files, left_out = configuration_files(places)
    for path in files:
        archive.add(f"{CONFIGURATION}{path.absolute()}", path)
    return left_out


class _SealingKeys:
    """Sees to it that the backup has the keys of what is sealed in its database, or says that it has not."""

    def __init__(self, source: Source) -> None:
        self._file, self._noted = source.sealing, source.noted
        self._written = self._file.changed_at() if self._file is not None else 0

    def missing(self) -> list[str]:
        """Return what is left out."""
        if self._file is None or not self._noted:
            return []
        try:
            if self._noted in self._file.load():
                return []
        except SealingError:
            pass  # gone, damaged, or another user's: not in the backup, or of no use
        return [f"{self._file.path}: the key {self._noted}, without which nobody can read the sealed values"]

    def refuse_change(self) -> None:
        """Begin anew if a rotation came between: the dump may hold values of a key that the backup has not.

        Raises:
            FileChangedError: it did.

        """
        if self._file is not None and self._file.changed_at() != self._written:
            raise FileChangedError


@contextmanager
def _staging(data_dir: Path) -> Iterator[Path]:
    """Give a private directory for copies; one backup at a time."""
    try:
        with FileLock(data_dir / "backup.lock"):
            give_to_owner(data_dir, data_dir / "backup.lock")
            staging = data_dir / STAGING
            shutil.rmtree(staging, ignore_errors=True)  # of one that was killed
            staging.mkdir(mode=0o700)
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except LockHeldError as held:
        raise BackupError("busy", f"another backup (pid {held.holder}) is being made") from None


def _remember(data_dir: Path, target: Path) -> None:
    last = LastBackup(datetime.now(UTC).timestamp(), str(target.absolute()))
    write_private(data_dir / LAST, msgspec.json.encode(last))
    give_to_owner(data_dir, data_dir / LAST)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
