"""What the tests of child processes share."""

from __future__ import annotations

import psutil


def alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie, which an idle init leaves for a while, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
