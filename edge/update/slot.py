"""A slot as a directory on the disk, for the child that fills it and for the edge that cleans up after it."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

SCRATCH = ".wheels-"
"""How the names of those directories beside the slots begin that are of no use once nothing is being installed."""


def empty(slot: Path) -> None:
    """Remove what is in a slot, and what an installation has left beside it that was cut off.

    The slot goes at once: whenever the launcher looks, there is all of what was in it, or nothing.

    Raises:
        OSError: the disk.

    """
    if slot.exists():
        slot.rename(slot.with_name(f"{SCRATCH}{secrets.token_hex(4)}"))
    for place in slot.parent.glob(f"{SCRATCH}*"):
        shutil.rmtree(place)
