"""What is checked of a wheel before pip opens it: signed or not, it must not write elsewhere, nor fill a disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import IO, Final, cast

from supervisor.release.errors import BadReleaseError
from supervisor.release.manifest import ReleaseFile

MOST_ENTRIES: Final = 20_000
LARGEST_UNPACKED: Final = 1024 * 2**20
"""Bytes."""
MOST_RATIO: Final = 200
"""Bytes unpacked for one that is packed; code has 3 to 10, text of one kind may have 50."""


def check_wheel(name: str, content: IO[bytes] | io.RawIOBase) -> int:
    """Return the bytes that a wheel unpacks to, as it says.

    Args:
        name: its file name, for the message.
        content: can be read and sought in.

    Raises:
        BadReleaseError: `bad_name` for a path that leaves the wheel's directory, `bomb`, `tampered` for no zip file.

    """
    try:
        packed = content.seek(0, io.SEEK_END)
        with zipfile.ZipFile(cast("IO[bytes]", content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadReleaseError("tampered", f"{name} is no wheel: {error}") from None
    for entry in entries:
        inner = PurePosixPath(entry.filename)
        if inner.is_absolute() or ".." in inner.parts or "\\" in entry.filename or "\0" in entry.orig_filename:
            raise BadReleaseError("bad_name", f"{name} has a file {entry.filename[:100]!r}")
        if (entry.external_attr >> 28) not in (0, 0o4, 0o10):
            raise BadReleaseError("bad_name", f"{entry.filename[:100]!r} in {name} is no plain file")
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or unpacked > LARGEST_UNPACKED or unpacked > MOST_RATIO * packed:
        raise BadReleaseError("bomb", f"{name} would become {len(entries)} files of {unpacked} bytes")
    return unpacked


def lock_file(files: Iterable[ReleaseFile]) -> str:
    """Return the text of a requirements file that pins each wheel by its hash, for `pip install --require-hashes`.

    Raises:
        BadReleaseError: `bad_name` for a file whose name is none of a wheel.

    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    lines = []
    for file in files:
        try:
            name, version, _, _ = parse_wheel_filename(file.wheel)
        except InvalidWheelFilename as error:
            raise BadReleaseError("bad_name", f"{error}") from None
        lines.append(f"{name}=={version} --hash=sha256:{file.sha256}\n")
    return "".join(lines)
