"""A backup as a file: a tar archive, gzipped, in a sealed stream; written once, read from the beginning to the end."""

from __future__ import annotations

import grp
import gzip
import hashlib
import io
import os
import pwd
import tarfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NamedTuple, Self, TypeVar, cast

import msgspec

from .contents import ABOUT, FORMAT, MANIFEST, About, Manifest, Member, is_safe
from .errors import BackupError
from .stream import SealedReader, SealedWriter, Secret

T = TypeVar("T")

COMPRESSION: Final = 3
"""Of gzip: a third of the time of 6, a tenth more bytes."""
_BLOCK: Final = 1 << 20
_LARGEST_TEXT: Final = 256 << 20
"""Bytes of the manifest at most: some hundred for each file."""


class Entry(NamedTuple):
    """A file in a backup, before it is unpacked."""

    name: str
    mode: int
    user: str
    group: str
    """Names, as on the machine where the backup was made."""


class FileChangedError(Exception):
    """A file became shorter while it was read."""


class ArchiveWriter:
    """Adds files; `finish` makes it whole. A context manager: what ends by an error writes nothing more."""

    def __init__(self, file: IO[bytes], secret: Secret) -> None:
        self._sealed = SealedWriter(file, secret)
        self._gzip = gzip.GzipFile(fileobj=cast("Any", self._sealed), mode="wb", compresslevel=COMPRESSION, mtime=0)
        self._tar = tarfile.open(fileobj=self._gzip, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - for long
        self._members: list[Member] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._sealed.abandon()
        self._tar.close()
        self._gzip.close()

    def add_about(self, about: About) -> None:
        """Add what stands first."""
        self._add_text(ABOUT, msgspec.json.encode(about))

    def add(self, name: str, path: Path) -> None:
        """Add a file as it is now; what is appended to it meanwhile stays out.

        Raises:
            FileChangedError: it became shorter.
            OSError: it is gone.

        """
        with path.open("rb") as source:
            status = os.fstat(source.fileno())
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = status.st_size, status.st_mode & 0o777, int(status.st_mtime)
            info.uname, info.gname = _name_of(pwd.getpwuid, status.st_uid), _name_of(grp.getgrgid, status.st_gid)
            hashed = _Hashing(source, info.size)
            self._tar.addfile(info, cast("Any", hashed))
        self._members.append(Member(name, info.size, hashed.hexdigest))

    def finish(self, *, rows: dict[str, int] | None, left_out: tuple[str, ...]) -> Manifest:
        """Add the manifest and end the stream."""
        manifest = Manifest(tuple(self._members), rows, left_out)
        self._add_text(MANIFEST, msgspec.json.encode(manifest))
        self._tar.close()
        self._gzip.close()
        self._sealed.finish()
        return manifest

    def _add_text(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
        self._tar.addfile(info, io.BytesIO(content))


class _Hashing:
    """What tarfile reads from: notes the hash, and refuses to come to an early end."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        if len(data) < min(size, self._left):
            raise FileChangedError
        self._left -= len(data)
        self._hash.update(data)
        return data

    @property
    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class ArchiveReader:
    """Reads a backup through; use it as a context manager.

    Raises:
        BackupError: from every method, when the file is not what was written.

    """

    def __init__(self, path: Path, secret: Secret) -> None:
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise BackupError("disk", f"{path} cannot be read: {error.strerror}") from None
        try:
            self._sealed = SealedReader(self._file, secret)
            self._gzip = gzip.GzipFile(fileobj=cast("Any", self._sealed), mode="rb")
            self._tar = _guarded(lambda: tarfile.open(fileobj=self._gzip, mode="r|"))  # noqa: SIM115 - for long
            self.about = self._read_about()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def read_all(self, open_member: Callable[[Entry], IO[bytes] | None]) -> Manifest:
        """Read to the end and check everything.

        Args:
            open_member: gets each file, returns where it is written to, None for nowhere.

        Returns:
            The manifest, which every file was compared with.

        """
        found: list[Member] = []
        manifest = None
        while (info := _guarded(self._tar.next)) is not None:
            self._refuse_strange(info, after_end=manifest is not None)
            if info.name == MANIFEST:
                manifest = _decode(self._content(info), Manifest)
            else:
                found.append(self._copy(info, open_member(Entry(info.name, info.mode, info.uname, info.gname))))
        if manifest is None or tuple(found) != manifest.files:
            raise BackupError("tampered", "the files in the backup are not those that its manifest names")
        # What follows the archive is padding; the stream's own end has to be there, too.
        if _guarded(self._gzip.read).strip(b"\0") or self._sealed.read():
            raise BackupError("tampered", "something follows the end of the archive")
        return manifest

    def _refuse_strange(self, info: tarfile.TarInfo, *, after_end: bool) -> None:
        if not info.isreg() or not is_safe(info.name) or after_end:
            raise BackupError("tampered", f"the backup holds {info.name!r}, which does not belong into one")

    def _copy(self, info: tarfile.TarInfo, target: IO[bytes] | None) -> Member:
        digest = hashlib.sha256()
        source = self._tar.extractfile(info)
        assert source is not None
        try:
            while block := _guarded(lambda: source.read(_BLOCK)):
                digest.update(block)
                if target is not None:
                    target.write(block)
        finally:
            if target is not None:
                target.close()
        return Member(info.name, info.size, digest.hexdigest())

    def _read_about(self) -> About:
        info = _guarded(self._tar.next)
        if info is None or info.name != ABOUT:
            raise BackupError("not_a_backup", "the file does not begin as a backup of Muster does")
        about = _decode(self._content(info), About)
        if about.format != FORMAT:
            raise BackupError("newer", f"the backup was made by Muster {about.version}, which is newer than this one")
        return about

    def _content(self, info: tarfile.TarInfo) -> bytes:
        if info.size > _LARGEST_TEXT:
            raise BackupError("tampered", f"{info.name} is larger than any backup of Muster makes it")
        source = self._tar.extractfile(info)
        assert source is not None
        return _guarded(source.read)


def _name_of(look_up: Callable[[int], Sequence[Any]], number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:  # a number without a name, as in containers
        return ""


def _decode(raw: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.MsgspecError as error:
        raise BackupError("not_a_backup", f"what the backup says of itself cannot be read: {error}") from None


def _guarded(work: Callable[[], T]) -> T:
    """Translate what gzip and tar say of content that is none of theirs, though it is authentic."""
    try:
        return work()
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise BackupError("not_a_backup", f"the content of the file is no archive: {error}") from None
