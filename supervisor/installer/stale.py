"""The step that removes what was brought since the last installation, and would run in place of this one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import ClassVar

from supervisor.installer.step import Did, Outcome, Record, Step
from supervisor.installer.target import Target

_OF = "of"


@dataclass(frozen=True)
class Stale(Step):
    """Files in a directory of a service that are removed whenever something else is installed than before."""

    kind: ClassVar[str] = "stale"
    path: str
    """The directory, which the service makes itself."""
    names: tuple[str, ...]
    """What is removed in it; at the removal of the installation all of it is."""
    of: str
    """Tells one installation from another; empty is always another."""

    def describe(self) -> str:
        """Return what is removed, and where."""
        return f"remove {', '.join(self.names)} in {self.path}, where they are of an earlier version"

    def intend(self, target: Target) -> Record:
        """Return the record, which is final."""
        return {**super().intend(target), _OF: self.of}

    def apply(self, target: Target, before: Record | None) -> Outcome:
        """Remove them, unless the same was installed before."""
        found = [target.path(f"{self.path}/{name}") for name in self.names]
        found = [path for path in found if path.is_symlink() or path.exists()]
        if not found or (self.of and before is not None and before.get(_OF) == self.of):
            return Outcome(Did.UNCHANGED, self.intend(target))
        for path in found:
            path.unlink()
        return Outcome(Did.MADE, self.intend(target))

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Remove the directory: what was downloaded and installed there can be had again."""
        shutil.rmtree(target.path(record["path"]), ignore_errors=True)
        return ""
