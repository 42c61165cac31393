"""What a test needs of the machine: without it the test is skipped with the reason, under CI it fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

_POSTGRES_HOMES = Path("/usr/lib/postgresql")


def find_program(*names: str) -> str | None:
    """Path of the first of `names` that is installed, in PATH or where Debian hides it."""
    homes = sorted(_POSTGRES_HOMES.glob("*/bin"), key=lambda home: float(home.parent.name), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *map(str, homes)])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def need(*names: str) -> str:
    """Path of the first of `names` that is installed; else the test ends as `unavailable`."""
    return find_program(*names) or unavailable(f"needs {' or '.join(names)}, which is not installed")


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where CI promises that everything is there (`CI=true`)."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but this test {reason}", pytrace=False)
    pytest.skip(reason)
