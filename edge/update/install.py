"""Checks a downloaded release and installs it into a free slot, in a process of its own that ends with it.

    python -m edge.update.install RELEASE --slot DIR --keys DIR --running VERSION [--factory PYTHON] [--allow-older]
                                  [--sha256 HEX] [--with-stdin]

Says what it does as lines of JSON on stdout, `{"state": "verifying", "progress": 0.5}`, and at the end either
`{"version": ...}` with exit code 0 or `{"code": ..., "reason": ...}` with 1. What runs is not touched: a slot is
emptied, filled and tried out; only the launcher ever starts it. The memory that signatures cost goes with the process.
Two of them never work at a time, and with `--with-stdin` it ends as soon as its stdin does, with all it has started.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.update.slot import SCRATCH, empty
from supervisor.process.lock import FileLock, LockHeldError
from supervisor.release.archive import Release
from supervisor.release.errors import BadReleaseError, KeyFileError
from supervisor.release.keys import load_trusted
from supervisor.release.manifest import ReleaseFile
from supervisor.release.platform import own_platform
from supervisor.release.wheels import lock_file

UNPACKED_FACTOR = 2
"""Bytes of disk for a byte of what wheels unpack to: itself, and what it compiles to."""
SPACE_SPARE = 50 * 2**20
STEP_TIMEOUT = 900
"""Seconds for each of the programs that are run."""
NICENESS = 10
DAMAGED = "damaged"
"""The code of a file that is not the one that the server has: it was damaged on its way, or on our disk."""
LOCK_PATIENCE = 30.0
"""Seconds for a predecessor, whose edge was killed, to notice that it is to end."""
_OUTPUT = 600
"""Characters of a failed program's output that are told."""
_SMOKE = (
    "import edge.boot, edge.tree, edge.update.install; "
    "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey; "
    "from actors.version import __version__; print(__version__)"
)
"""It starts, and it could be updated again."""
_LEFT_OUT = ("evdev",)
"""Modules that a release may have been built without; a device that has them does not give them up."""

Say = Callable[[dict[str, Any]], None]


class InstallFailedError(Exception):
    """A good release could not be installed; the message says why."""


def install(
    path: Path,
    slot: Path,
    *,
    keys: Sequence[Path],
    running: str,
    factory: str = "",
    allow_older: bool = False,
    say: Say,
) -> str:
    """Fill a slot from a release and return the version that is in it.

    Args:
        path: the release.
        slot: the slot's directory, whose content is thrown away.
        keys: files or directories with the keys of those who may release.
        running: the version that runs now.
        factory: an interpreter with pip; empty takes this one.
        allow_older: whether it may go back.
        say: is told each state and its progress.

    Raises:
        BadReleaseError: it must not be installed here.
        InstallFailedError: pip, the disk or the new version itself said no.
        KeyFileError: a key cannot be read.
        OSError: the disk.

    """
    with Release(path) as release:
        manifest, mine = release.manifest, own_platform()
        release.verify(
            load_trusted(keys),
            running=running,
            allow_older=allow_older,
            platform=mine,
            python=platform.python_version(),
            progress=_meter(say, "verifying", manifest.size),
        )
        files = manifest.files_for(mine)
        say({"state": "installing", "progress": 0.0})
        empty(slot)
        check_space(slot.parent, sum(file.size for file in files) + UNPACKED_FACTOR * release.unpacked(files))
        try:
            _fill(slot, release, files, factory or sys.executable, _meter(say, "installing", manifest.size, most=0.3))
            say({"state": "installing", "progress": 0.9})
            _try_out(slot / "bin/python", manifest.version)
        except BaseException:
            with contextlib.suppress(OSError):  # half a version is of no use, and what runs needs the room
                empty(slot)
            raise
    os.sync()  # a trial is begun only of what is on the disk
    return manifest.version


def _fill(
    slot: Path, release: Release, files: Sequence[ReleaseFile], pip: str, progress: Callable[[int], None]
) -> None:
    _run([_base(), "-I", "-m", "venv", "--without-pip", str(slot)])
    with tempfile.TemporaryDirectory(dir=slot.parent, prefix=SCRATCH) as place:
        release.extract(Path(place), files, progress)
        lock = Path(place) / "lock.txt"
        lock.write_text(lock_file(files), encoding="utf-8")
        _pip(pip, slot, place, lock)


def _try_out(python: Path, version: str) -> None:
    """Import what is installed, and with it what only some releases have and this one must not lose."""
    kept = "".join(f"import {name}; " for name in _LEFT_OUT if importlib.util.find_spec(name) is not None)
    found = _run([str(python), "-P", "-c", kept + _SMOKE]).strip()
    if found != version:
        raise InstallFailedError(f"what was installed says that it is {found[:100]!r}, not {version}")


def check_space(directory: Path, size: int) -> None:
    """Refuse what would fill the disk.

    Raises:
        BadReleaseError: `no_space`, with what there is and what is needed.

    """
    needed, free = size + SPACE_SPARE, shutil.disk_usage(directory).free
    if free < needed:
        raise BadReleaseError("no_space", f"it needs {needed // 2**20} MB and {free // 2**20} MB are free")


def _pip(python: str, slot: Path, wheels: str, lock: Path) -> None:
    """Install exactly the locked wheels; nothing is resolved, and no index is asked."""
    options = ["--disable-pip-version-check", "--no-input", "--quiet", "--python", str(slot / "bin/python")]
    source = ["--no-index", "--find-links", wheels, "--only-binary", ":all:"]
    exactly = ["--no-deps", "--require-hashes", "--no-cache-dir", "--requirement", str(lock)]
    _run([python, "-I", "-m", "pip", *options, "install", *source, *exactly])


def _base() -> str:
    """Return the interpreter below ours: a slot must not depend on another slot."""
    return str(Path(getattr(sys, "_base_executable", sys.executable) or sys.executable).resolve())


def _run(command: Sequence[str]) -> str:
    # What the owner of this machine has configured for pip, another target say, is not for us.
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    environment["PIP_CONFIG_FILE"] = os.devnull
    try:
        done = subprocess.run(  # noqa: S603 - our own programs
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=STEP_TIMEOUT,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise InstallFailedError(f"{' '.join(command[1:4])} took longer than {STEP_TIMEOUT} s") from None
    if done.returncode:
        told = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        if "No space left on device" in told:
            raise BadReleaseError("no_space", "the disk became full")
        # First the line that says what it was: a report is cut at its end.
        told = f"{told.splitlines()[-1]} ({' '.join(command[1:4])}: {' '.join(told.split())[-_OUTPUT:]})"
        raise InstallFailedError(told)
    return done.stdout


def _meter(say: Say, state: str, total: int, most: float = 1.0) -> Callable[[int], None]:
    """Return what tells the progress of a state, a hundred times at most."""
    done = told = 0

    def count(size: int) -> None:
        nonlocal done, told
        done += size
        if done * 100 // max(1, total) > told:
            told = done * 100 // max(1, total)
            say({"state": state, "progress": round(most * done / max(1, total), 3)})

    return count


def main(arguments: Sequence[str]) -> int:
    """Install a release; return 0, or 1 with the reason on stdout."""
    parser = argparse.ArgumentParser(prog="edge.update.install")
    parser.add_argument("release", type=Path)
    parser.add_argument("--slot", type=Path, required=True)
    parser.add_argument("--keys", type=Path, action="append", required=True)
    parser.add_argument("--running", required=True)
    parser.add_argument("--factory", default="")
    parser.add_argument("--allow-older", action="store_true")
    parser.add_argument("--sha256", default="", help="of the whole file, as the server has it")
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin does")
    options = parser.parse_args(arguments)
    os.nice(NICENESS)
    if options.with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        options.slot.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(options.slot.parent / ".install.lock", patience=LOCK_PATIENCE):
            return _install(options)
    except (LockHeldError, OSError) as error:
        _print({"code": "failed", "reason": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it is, the server is to be told
        _print({"code": "failed", "reason": f"{type(error).__name__}: {error}"})
    return 1


def _install(options: argparse.Namespace) -> int:
    try:
        if options.sha256 and _digest(options.release) != options.sha256:
            _print({"code": DAMAGED, "reason": "its hash is not the one that the server has told"})
            return 1
        version = install(
            options.release,
            options.slot,
            keys=options.keys,
            running=options.running,
            factory=options.factory,
            allow_older=options.allow_older,
            say=_print,
        )
    except BadReleaseError as error:
        _print({"code": error.code, "reason": str(error)})
    except (InstallFailedError, KeyFileError, OSError) as error:
        _print({"code": "failed", "reason": str(error)})
    else:
        _print({"version": version})
        return 0
    return 1


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _end_with_stdin() -> None:
    """End this process and its group, which is its own, when whoever has started it has ended."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
