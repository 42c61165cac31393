"""What a step of an installation is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar, NamedTuple

from supervisor.installer.target import Target

Record = dict[str, str]
"""What the manifest keeps of a step: `kind`, `path` (or the name of what was made), and what its undoing needs."""


class Did(StrEnum):
    """What a step found to do."""

    MADE = "made"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """Somebody has changed it since: it was left as it is."""
    LATER = "later"
    """It can only be done on the running machine, which this is not."""


class Outcome(NamedTuple):
    """What a step did."""

    did: Did
    record: Record
    """Replaces the record of the intention."""
    remark: str = ""
    """A sentence for whoever installs; empty where the outcome says it all."""


class Step(ABC):
    """One thing that is there after an installation and gone after its removal; a value, equal if all fields are."""

    kind: ClassVar[str]
    path: str
    """The absolute path, or the name, that tells it from others of its kind."""

    @abstractmethod
    def describe(self) -> str:
        """Return what it does, in a few words."""

    def check(self, target: Target, before: Record | None) -> None:  # noqa: B027 - most steps refuse nothing
        """Refuse what cannot be done, before anything is.

        Args:
            target: where.
            before: the record of an earlier installation, None if this is the first.

        Raises:
            InstallError: one sentence that says what is in the way.

        """

    def intend(self, target: Target) -> Record:  # noqa: ARG002 - for those who look first
        """Return the record that is kept before anything is done: undoing it must be harmless at any moment."""
        return {"kind": self.kind, "path": self.path}

    @abstractmethod
    def apply(self, target: Target, before: Record | None) -> Outcome:
        """Do it, or find it done; arguments and errors as for `check`."""

    @staticmethod
    @abstractmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:
        """Undo what the record tells of; harmless when repeated.

        Args:
            record: what `intend` or `apply` returned.
            target: where.
            purge: remove what somebody has changed or filled since, too.

        Returns:
            Empty, or a sentence that says what was left and why.

        """
