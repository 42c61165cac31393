"""Refuses to start when one of Muster's packages would come from somewhere else.

`supervisor` and `web` are also names on PyPI, and any folder of such a name in the working directory can shadow ours.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("actors", "supervisor", "web", "edge")
HOME = Path(__file__).resolve().parents[1]


class InstallationError(Exception):
    """The installation is mixed with something else; the message is one sentence."""


def locate(package: str) -> Path | None:
    """Return the folder that `import package` would use, or None if there is none."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent


def check_installation(find: Callable[[str], Path | None] = locate, home: Path = HOME) -> None:
    """Return quietly if all four packages stand next to each other.

    Raises:
        InstallationError: naming the package that does not, and what to do.

    """
    for package in PACKAGES:
        found = find(package)
        if found is None:
            raise InstallationError(
                f"Muster's package `{package}` is missing from {home}; install muster-fleet again in a virtual"
                " environment of its own."
            )
        if found != home / package:
            raise InstallationError(
                f"Muster's package `{package}` is shadowed by {found}; install muster-fleet in a virtual environment"
                " of its own and start it from another directory."
            )
