"""The step that makes what a service begins with: from then on it is the service's own data."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from supervisor.installer.step import Did, Outcome, Record, Step
from supervisor.installer.target import Target

_SHA = "sha256"


@dataclass(frozen=True)
class Seed(Step):
    """A directory, 0700, in the data of a service: made whole where it is missing, and never touched again."""

    kind: ClassVar[str] = "seed"
    path: str
    files: Mapping[str, bytes] = field(repr=False)
    """Content by name; 0600."""
    user: str
    """Whose it is. In an image for other machines the service manager gives it to him with all of his data."""

    def describe(self) -> str:
        """Return path, names and owner; never the contents, which may be secret."""
        return f"data {self.path} of {self.user} with {', '.join(self.files)}"

    def intend(self, target: Target) -> Record:
        """Return the record, by which what nobody has used is known at the removal; what is there is not ours."""
        return self._record("" if target.path(self.path).is_dir() else _digest(self.files))

    def _record(self, digest: str) -> Record:
        return {"kind": self.kind, "path": self.path, _SHA: digest}

    def apply(self, target: Target, before: Record | None) -> Outcome:
        """Make it, or leave it as it is."""
        path = target.path(self.path)
        if path.is_dir():
            return Outcome(Did.UNCHANGED, before or self.intend(target))
        beside = path.with_name(f".{path.name}.muster")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        for name, content in self.files.items():
            _write(beside / name, content)
        if target.is_live:
            for each in (*beside.iterdir(), beside):
                shutil.chown(each, self.user, self.user)
        beside.rename(path)
        return Outcome(Did.MADE, self._record(_digest(self.files)))

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Remove it while it is as we have made it; with anything else in it, it goes with the data around it."""
        path = target.path(record["path"])
        found = {each.name: each.read_bytes() if each.is_file() else b"" for each in _entries(path)}
        if found and record.get(_SHA) == _digest(found):
            shutil.rmtree(path)
        return ""


def _entries(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(files[name]).digest())
    return whole.hexdigest()
