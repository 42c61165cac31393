"""Installing without a network: a wheel of this checkout, and the test's own packages lent to what is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PARTS = ("actors", "supervisor", "web", "edge", "setup.py", "pyproject.toml", "README.md", "LICENSE")

#: pip takes Muster's own wheel and asks for nothing else.
ALONE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def build_wheel(directory: Path) -> Path:
    """Build Muster's wheel in `directory`, from a copy: a build leaves things behind."""
    copy = directory / "checkout"
    copy.mkdir()
    for part in _PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, copy)
    wheels = directory / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--wheel-dir", wheels, copy]
    done = subprocess.run(command, env={**os.environ, **ALONE}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = wheels.glob("*.whl")
    return wheel


def lend_packages(venv: Path) -> None:
    """Let an installed environment find what Muster depends on among the test's own packages, behind its own."""
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")


def run(*command, **options) -> subprocess.CompletedProcess:
    """Run something installed, from a directory where no package of ours lies about."""
    return subprocess.run(
        [str(part) for part in command], cwd="/", capture_output=True, text=True, timeout=100, check=False, **options
    )


def everything_below(root: Path) -> set[str]:
    """Every path below a directory, as one would write it if that were the root; environments are not looked into."""
    found = set()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "builds"]
        found |= {f"/{(Path(folder) / name).relative_to(root)}" for name in [*folders, *files]}
    return found
