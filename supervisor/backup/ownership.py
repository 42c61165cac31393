"""Backups are made by root where only root can read everything; what is made in the data directory is not root's."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def give_to_owner(data_dir: Path, *paths: Path) -> None:
    """As root, give files and directories, with all in them, to the user whose data directory it is."""
    if os.geteuid() != 0:
        return
    owner = data_dir.stat()
    for path in paths:
        for each in (path, *(path.rglob("*") if path.is_dir() else ())):
            os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


def give_to(path: Path, user: str, group: str) -> None:
    """As root, give a file to a user and a group, as far as this machine knows them."""
    if os.geteuid() != 0:
        return
    for name in ({"user": user}, {"group": group}):
        with suppress(LookupError, ValueError):
            shutil.chown(path, **name)
