"""The lock by which a busy device puts updates off: a file, so that a script can make it, and the edge need not run."""

from __future__ import annotations

import os
from pathlib import Path

LONGEST_REASON = 200


def hold_file(home: Path) -> Path:
    """Return the file; `home` is the directory of updates. While it is there, nothing is installed or started."""
    return home / "hold"


def hold(home: Path, reason: str) -> None:
    """Put updates off.

    Raises:
        OSError: the file cannot be written.

    """
    home.mkdir(parents=True, exist_ok=True, mode=0o750)
    hold_file(home).write_text(f"{reason}\n", encoding="utf-8")


def release(home: Path) -> bool:
    """Let updates go on; return whether they were held.

    Raises:
        OSError: the file cannot be removed.

    """
    try:
        hold_file(home).unlink()
    except FileNotFoundError:
        return False
    return True


def held(home: Path) -> str:
    """Return why updates are held back; empty when they are not."""
    try:
        # Whoever may write there must have neither us wait for a pipe, nor root show what a link leads to.
        descriptor = os.open(hold_file(home), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(4 * LONGEST_REASON).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError:
        return "held"
    return "".join(c for c in text if c.isprintable())[:LONGEST_REASON] or "held"
