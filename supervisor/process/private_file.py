"""Files for our eyes only, replaced at once: a reader sees the old content or the new, never a part, never 0644."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: bytes, *, durable: bool = False, owner: tuple[int, int] | None = None) -> None:
    """Replace a file, with mode 0600.

    Args:
        path: the file; its directory must exist.
        content: all of it.
        owner: user and group that it is given to before it has its name; only root may give to another one.
        durable: have it on the disk before returning, the new name included: a power cut leaves the old file or this.

    Raises:
        OSError: the disk is full, or gone.

    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
