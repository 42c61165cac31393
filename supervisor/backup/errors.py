"""Why a backup cannot be made, read or restored: one code for machines, one sentence for people."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final, Literal, get_args

Code = Literal[
    "not_a_backup",
    "newer",
    "wrong_key",
    "tampered",
    "truncated",
    "bad_key_file",
    "exists",
    "busy",
    "changed",
    "running",
    "not_empty",
    "other_database",
    "no_program",
    "database",
    "no_space",
    "disk",
]
CODES: Final[tuple[Code, ...]] = get_args(Code)


class BackupError(Exception):
    """The backup was not made, or nothing was restored; the message is one sentence."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


def refusal(error: OSError, place: Path) -> BackupError:
    """Return what an error of the disk means, at `place` unless it names another one."""
    code: Code = "no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "disk"
    return BackupError(code, f"{error.filename or place}: {error.strerror or error}")
