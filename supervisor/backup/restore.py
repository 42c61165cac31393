"""Restores a backup: all of it is unpacked and checked before anything is replaced, and what was there is set aside.

While files and database are being replaced, the file `restoring` lies in the data directory, and no server starts on
it: a restore that was killed is repeated, and has lost nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from actors.version import __version__
from supervisor.process.lock import FileLock, LockHeldError
from supervisor.process.private_file import write_private
from supervisor.server.instance import RESTORING

from .archive import ArchiveReader, Entry
from .contents import BEFORE, CONFIGURATION, DATA, DUMP, About, Manifest, is_staying
from .databases import DatabaseCopier, known_migrations
from .errors import BackupError, refusal
from .ownership import give_to, give_to_owner
from .sqlite import SqliteCopier
from .stream import Secret


class Target(NamedTuple):
    """What a backup is restored to."""

    data_dir: Path
    copier: DatabaseCopier


class Restored(NamedTuple):
    """What was done."""

    about: About
    manifest: Manifest
    aside: tuple[str, ...]
    """Where the old files and tables are."""


def restore_backup(path: Path, target: Target, secret: Secret, *, force: bool = False) -> Restored:
    """Put database and data directory back as they were.

    Args:
        path: the backup.
        target: where to.
        secret: what it was sealed with.
        force: set aside what is there already, instead of refusing.

    Raises:
        BackupError: nothing was changed.

    """
    stamp = _stamp()
    try:
        target.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _held(target.data_dir), _staging(target.data_dir, stamp) as staging:
            _refuse_full(target, force=force)
            about, manifest = _unpack(path, secret, staging, target)
            target.copier.check(staging / DUMP, manifest.rows)
            give_to_owner(target.data_dir, staging)
            aside = _replace(staging, target, stamp)
    except OSError as error:
        raise refusal(error, target.data_dir) from None
    return Restored(about, manifest, aside)


def restore_configuration(path: Path, secret: Secret, *, root: Path = Path("/"), force: bool = False) -> list[Path]:
    """Put the files of the configuration back to where they were; return those that were written.

    Args:
        path: the backup.
        secret: what it was sealed with.
        root: a directory that stands for the root.
        force: set aside a file that differs, instead of refusing.

    Raises:
        BackupError: nothing was changed.

    """
    wanted: dict[Path, Path] = {}
    prefix = f"{CONFIGURATION}/"

    def open_member(entry: Entry) -> IO[bytes] | None:
        if not entry.name.startswith(prefix):
            return None
        place = root / entry.name.removeprefix(prefix)
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        wanted[place] = place.with_name(f".{place.name}.restored")
        file = _create(wanted[place], entry.mode)
        give_to(wanted[place], entry.user, entry.group)
        return file

    try:
        with ArchiveReader(path, secret) as archive:
            archive.read_all(open_member)
        different = [place for place, new in wanted.items() if not _is_same(place, new)]
        there = [place for place in different if place.exists()]
        if there and not force:
            raise BackupError("not_empty", f"{there[0]} is there and differs; --force sets it aside")
        stamp = _stamp()
        for place in there:
            place.rename(place.with_name(f"{place.name}.{BEFORE}{stamp}"))
        for place in different:
            wanted[place].rename(place)
    except OSError as error:
        raise refusal(error, root) from None
    else:
        return different
    finally:
        for new in wanted.values():
            with suppress(OSError):
                new.unlink(missing_ok=True)


def _unpack(path: Path, secret: Secret, staging: Path, target: Target) -> tuple[About, Manifest]:
    """Write database and data directory below `staging`, every file compared with the manifest."""

    def open_member(entry: Entry) -> IO[bytes] | None:
        if entry.name != DUMP and not entry.name.startswith(f"{DATA}/"):
            return None
        place = staging / entry.name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _create(place, entry.mode)

    with ArchiveReader(path, secret) as archive:
        _refuse_other(archive.about, target)
        manifest = archive.read_all(open_member)
        if not (staging / DUMP).exists():
            raise BackupError("tampered", "the backup holds no database")
        (staging / DATA).mkdir(mode=0o700, exist_ok=True)
        return archive.about, manifest


def _refuse_other(about: About, target: Target) -> None:
    if about.database != target.copier.kind:
        raise BackupError(
            "other_database",
            f"the backup is of a {about.database} database, and the configuration names a {target.copier.kind} one:"
            " set MUSTER_DATABASE_URL, or restore the configuration first (--configuration)",
        )
    unknown = set(about.migrations) - known_migrations()
    if unknown:
        raise BackupError(
            "newer",
            f"the backup was made by Muster {about.version}, whose tables {__version__} does not know"
            f" ({min(unknown)}): install that version first",
        )


def _refuse_full(target: Target, *, force: bool) -> None:
    target.copier.refuse_busy()
    if force:
        return
    there = [entry.name for entry in os.scandir(target.data_dir) if not is_staying(entry.name)]
    if there:
        raise BackupError(
            "not_empty", f"{target.data_dir} is not empty ({min(there)}); --force sets aside what is in it"
        )
    if not target.copier.is_empty():
        raise BackupError("not_empty", "the database is not empty; --force sets aside what is in it")


def _replace(staging: Path, target: Target, stamp: str) -> tuple[str, ...]:
    """Change everything; what fails is undone."""
    data_dir = target.data_dir
    aside = data_dir / f"{BEFORE}{stamp}"
    write_private(data_dir / RESTORING, f"{stamp}\n".encode(), durable=True)
    done: list[tuple[Path, Path]] = []
    skipped = target.copier.files() if isinstance(target.copier, SqliteCopier) else frozenset[Path]()
    try:
        old = [Path(entry.path) for entry in os.scandir(data_dir) if not is_staying(entry.name)]
        old = [path for path in old if path not in skipped]
        if old:
            aside.mkdir(mode=0o700)
            give_to_owner(data_dir, aside)
        moves = [(path, aside / path.name) for path in old]
        moves += [(path, data_dir / path.name) for path in (staging / DATA).iterdir()]
        for source, place in moves:
            source.rename(place)
            done.append((source, place))
        tables = target.copier.replace(staging / DUMP, stamp)
    except BaseException:
        for source, place in reversed(done):
            place.rename(source)
        with suppress(OSError):
            aside.rmdir()
        (data_dir / RESTORING).unlink()
        raise
    os.sync()
    (data_dir / RESTORING).unlink()
    return tuple(filter(None, (str(aside) if old else "", tables)))


@contextmanager
def _held(data_dir: Path) -> Iterator[None]:
    """Keep servers off the data directory."""
    try:
        with FileLock(data_dir / "instance.lock"):
            give_to_owner(data_dir, data_dir / "instance.lock")
            yield
    except LockHeldError as held:
        raise BackupError(
            "running", f"a server (pid {held.holder}) is using the data directory {data_dir}; stop it first"
        ) from None


@contextmanager
def _staging(data_dir: Path, stamp: str) -> Iterator[Path]:
    """Give a private directory on the disk of the data directory."""
    for old in data_dir.glob(".restore-*"):
        shutil.rmtree(old, ignore_errors=True)  # of one that was killed
    staging = data_dir / f".restore-{stamp}"
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def _create(path: Path, mode: int) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, mode & 0o755)
    return os.fdopen(descriptor, "wb")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except FileNotFoundError:
        return False
