"""What is in a backup, as it says itself; and which files of a data directory belong in one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from .stream import MAGIC

ABOUT: Final = "about.json"
MANIFEST: Final = "manifest.json"
DATA: Final = "data"
CONFIGURATION: Final = "configuration"
DUMP: Final = "database/dump"

FORMAT: Final = 1
#: In the data directory, but not the server's: the edge and the publishers have outboxes of their own, which must not
#: be sent twice.
OTHERS: Final = frozenset({"edge", "update", "publisher"})
#: Of this machine and this moment, worthless elsewhere or later.
_PASSING: Final = frozenset({"instance.lock", "backup.lock", "restoring", "last-backup.json"})
_PASSING_SUFFIXES: Final = (".new", ".part", ".lock", ".sock", ".log")
STAGING: Final = ".backup"
BEFORE: Final = "before-"
SQLITE_MAGIC: Final = b"SQLite format 3\0"
SQLITE_COMPANIONS: Final = ("-wal", "-shm")


class About(msgspec.Struct, frozen=True):
    """Stands first: enough to refuse a backup before all of it is read."""

    format: int
    version: str
    """Of Muster."""
    created: str
    server: str
    """The public name of the server."""
    database: str
    """`sqlite`, `postgresql` or `mysql`."""
    migrations: tuple[str, ...]
    """Those that the database has had."""
    data_dir: str


class Member(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Stands last: every file with its hash."""

    files: tuple[Member, ...]
    rows: dict[str, int] | None = None
    """Rows by table, where the database can count them in the dump's own snapshot."""
    left_out: tuple[str, ...] = ()
    """Files that could not be read, and links."""


def is_staying(name: str) -> bool:
    """Return whether an entry of the data directory stays where it is when a backup is restored into it."""
    return name in OTHERS or name in _PASSING or name.startswith((STAGING, BEFORE, ".restore-")) or f".{BEFORE}" in name


def find_files(data_dir: Path, *, without: frozenset[Path]) -> tuple[list[Path], list[str]]:
    """Return the files of the server in a data directory, and what is there and cannot be taken along.

    Args:
        data_dir: the directory.
        without: files that are no part of it: the database, which is dumped.

    """
    files: list[Path] = []
    left_out: list[str] = []
    for path in _walk(data_dir, top=True):
        if path in without or path.name.endswith(_PASSING_SUFFIXES) or f".{BEFORE}" in path.name:
            continue
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            if not os.access(path, os.R_OK):
                left_out.append(f"{path}: cannot be read")
            elif _begins_with(path, MAGIC):
                left_out.append(f"{path}: a backup")
            else:
                files.append(path)
        elif stat.S_ISLNK(mode):
            left_out.append(f"{path}: a link")
    databases = {path for path in files if is_sqlite(path)}
    companions = {path.with_name(path.name + suffix) for path in databases for suffix in SQLITE_COMPANIONS}
    return [path for path in files if path not in companions], left_out


def is_sqlite(path: Path) -> bool:
    """Return whether a file is a database of SQLite, which cannot be copied like others."""
    return _begins_with(path, SQLITE_MAGIC)


def is_safe(name: str) -> bool:
    """Return whether the name of a member leads to a place below where it is unpacked."""
    path = PurePosixPath(name)
    return name == str(path) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def _walk(directory: Path, *, top: bool = False) -> Iterator[Path]:
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if top and is_staying(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)
