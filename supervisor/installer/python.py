"""The step that makes a virtual environment and installs Muster into it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from supervisor.installer.files import remove_empty, replace_link
from supervisor.installer.step import Did, Outcome, Record, Step
from supervisor.installer.target import InstallError, Target

DISTRIBUTION = "muster-fleet"
_BUILDS = "builds"
_FINGERPRINT = "fingerprint"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Of a distribution, at the beginning of a requirement (PEP 508); extras stand behind it, before the version."""
_PRIVATE = ("/home", "/root", "/run/user")
"""Where a service may not look: `ProtectHome=yes` in its unit, and the modes of those directories."""


@dataclass(frozen=True)
class Source:
    """Where pip takes Muster and what it needs from."""

    requirement: str
    """`muster-fleet==1.0`, a wheel or a directory with the sources."""
    extras: tuple[str, ...]
    wheel_dir: str = ""
    """A directory of wheels, from which alone everything is taken; empty: pip's index."""
    constraints: str = ""
    """File with the versions to take; empty: what setup.py allows."""

    @classmethod
    def choose(cls, given: str, wheel_dir: str, extras: Sequence[str], *, home: Path, version: str) -> Source:
        """Return what was asked for, else what is running now.

        Args:
            given: a wheel, a directory or a requirement; empty where nobody chose one.
            wheel_dir: as the attribute.
            extras: of Muster's distribution.
            home: where Muster is imported from now; a checkout is installed from itself.
            version: what runs now, taken from the index where there is no checkout.

        """
        checkout = (home / "setup.py").is_file()
        if given:
            is_path = Path(given).exists() or given.startswith(("/", "./", "../")) or given.endswith(".whl")
            requirement = str(Path(given).absolute()) if is_path else given
        elif wheel_dir:
            requirement = DISTRIBUTION
        else:
            requirement = str(home) if checkout else f"{DISTRIBUTION}=={version}"
        pinned = home / "constraints.txt"
        held = str(pinned) if checkout and pinned.is_file() and not wheel_dir else ""
        wheels = str(Path(wheel_dir).absolute()) if wheel_dir else ""
        return cls(requirement, tuple(extras), wheels, held)

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of `pip install`."""
        found = ["--no-index", "--find-links", self.wheel_dir] if self.wheel_dir else []
        held = ["--constraint", self.constraints] if self.constraints else []
        extras = f"[{','.join(self.extras)}]"
        if self._local:
            return [*found, *held, f"{self.requirement}{extras}"]
        name = _NAME.match(self.requirement)
        end = name.end() if name else len(self.requirement)
        return [*found, *held, f"{self.requirement[:end]}{extras}{self.requirement[end:]}"]

    def check(self) -> None:
        """Refuse files and directories that are not there.

        Raises:
            InstallError: naming the one that is missing.

        """
        for named in (self.wheel_dir, self.constraints, self._local):
            if named and not Path(named).exists():
                raise InstallError(f"{named}, from where Muster is to be installed, does not exist.")

    @property
    def fingerprint(self) -> str:
        """Return what tells one state of the source from another; empty when that cannot be told."""
        if self._local and Path(self._local).is_dir():
            return ""
        files = [Path(self._local)] if self._local else []
        files += sorted(Path(self.wheel_dir).glob("*.whl")) if self.wheel_dir else []
        told = [*self.arguments, sys.version]
        for file in files:
            status = file.stat()
            told.append(f"{file} {status.st_size} {status.st_mtime_ns}")
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    @property
    def _local(self) -> str:
        return self.requirement if self.requirement.startswith("/") else ""


@dataclass(frozen=True)
class Venv(Step):
    """A virtual environment under `path`: a link to the newest of the builds beside it, turned when that is complete.

    A build that fails changes nothing, and whatever runs from the last one goes on.
    """

    kind: ClassVar[str] = "venv"
    path: str
    source: Source
    commands: tuple[tuple[str, str], ...]
    """Commands in its `bin`, each with the module that it runs: scripts that work wherever the environment is moved."""

    def describe(self) -> str:
        """Return path and source."""
        return f"virtual environment {self.path} with {self.source.arguments[-1]}"

    def check(self, target: Target, before: Record | None) -> None:
        """Refuse a path that is taken and a source that is not there."""
        path = target.path(self.path)
        if before is None and os.path.lexists(path):
            raise InstallError(f"{path} exists and is not of Muster's making; move it elsewhere and try again.")
        self.source.check()
        if target.is_live and is_private(find_interpreter()):
            raise InstallError(
                f"The service could not run {find_interpreter()}, which lies in somebody's home: run this command with"
                " the system's Python (`apt install python3-venv`, then `/usr/bin/python3 -m venv`), and try again."
            )

    def apply(self, target: Target, before: Record | None) -> Outcome:
        """Build it, unless the same was built before."""
        link = target.path(self.path)
        fingerprint = self.source.fingerprint
        record = {**self.intend(target), _FINGERPRINT: fingerprint}
        if fingerprint and before and before.get(_FINGERPRINT) == fingerprint and (link / "bin/python").exists():
            return Outcome(Did.UNCHANGED, record)
        builds = link.parent / _BUILDS
        builds.mkdir(exist_ok=True)
        last = link.resolve().name if link.is_symlink() else ""
        build = builds / _next(last)
        self._build(build, target)
        replace_link(link, f"{_BUILDS}/{build.name}")
        for other in builds.iterdir():
            # What runs now runs from the last one, until it is started anew.
            if other.name not in (build.name, last):
                shutil.rmtree(other)
        return Outcome(Did.MADE, record)

    def _build(self, build: Path, target: Target) -> None:
        if build.exists():  # of a run that was broken off
            shutil.rmtree(build)
        target.run([find_interpreter(), "-m", "venv", str(build)])
        python = build / "bin/python"
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
        target.run([*pip, *self.source.arguments])
        for name, module in self.commands:
            script = build / "bin" / name
            script.write_text(
                "#!/bin/sh\n"
                "# Finds Python beside itself, so that the environment works wherever it lies.\n"
                f'exec "$(dirname -- "$(readlink -f -- "$0")")/python" -P -m {module} "$@"\n'
            )
            script.chmod(0o755)

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Remove the link and all builds."""
        link = target.path(record["path"])
        link.unlink(missing_ok=True)
        shutil.rmtree(link.parent / _BUILDS, ignore_errors=True)
        remove_empty(link.parent / _BUILDS)
        return ""


def find_interpreter() -> str:
    """Return the Python below ours: `sys.executable` may be of the very environment that is to be replaced."""
    return str(Path(sys.executable).resolve())


def is_private(path: str) -> bool:
    """Return whether a service cannot reach this path."""
    return any(Path(path).is_relative_to(place) for place in _PRIVATE)


def _next(last: str) -> str:
    return str(int(last) + 1) if last.isdecimal() else "1"
