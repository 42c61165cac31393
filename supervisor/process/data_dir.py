"""Where a process of Muster keeps what has to survive it, unless it is told another place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def default_data_dir(environ: Mapping[str, str], *, root: bool | None = None) -> Path:
    """Return `/var/lib/muster` for root, else the user's own directory by the XDG rules."""
    if os.geteuid() == 0 if root is None else root:
        return Path("/var/lib/muster")
    base = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path in this variable is to be ignored.
    home = Path(base) if base.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local/share"
    return home / "muster"
