"""Carries out a plan, and takes back what was carried out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.installer.files import Data, Directory, File, Link, remove_empty
from supervisor.installer.manifest import Manifest
from supervisor.installer.python import Venv
from supervisor.installer.seed import Seed
from supervisor.installer.stale import Stale
from supervisor.installer.step import Did, Record, Step
from supervisor.installer.system import Command, Unit, User
from supervisor.installer.target import InstallError, Target

KINDS: Mapping[str, type[Step]] = {
    step.kind: step for step in (Directory, Data, File, Link, User, Venv, Seed, Stale, Command, Unit)
}
_PARENT = "parent"
"""Kind of the record of a directory that had to be made for something else to lie in it."""


@contextmanager
def _usual_umask() -> Iterator[None]:
    """Let others read what has no mode of its own: under root's strict umask the service could not start its Python."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@dataclass(frozen=True)
class Plan:
    """What an installation consists of."""

    steps: Sequence[Step]
    """In the order in which they are done; undone the other way round."""
    remembered: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the next run has to know; may hold secrets."""


class Installer:
    """One installation: its manifest, and whom it tells what it does.

    Args:
        target: where.
        manifest_path: absolute; its directory is made by the installation and goes with it.
        say: gets one line for each thing done.

    """

    def __init__(self, target: Target, manifest_path: str, say: Callable[[str], None]) -> None:
        self._target = target
        self._say = say
        self.manifest = Manifest(target.path(manifest_path))

    def describe(self, plan: Plan) -> None:
        """Say what `install` would do, and do nothing.

        Raises:
            InstallError: what is in the way.

        """
        self._check(plan)
        for step in plan.steps:
            self._say(step.describe())

    def install(self, plan: Plan) -> None:
        """Do every step that is not done yet, and remove what an earlier version made and this one does not.

        Raises:
            InstallError: a step failed; what was done before it stays, and `uninstall` takes it back.

        """
        self._target.refuse_unprivileged()
        self._check(plan)
        with _usual_umask():
            self._install(plan)

    def _install(self, plan: Plan) -> None:
        before = {(record["kind"], record["path"]): record for record in self.manifest.records}
        self._target.root.mkdir(parents=True, exist_ok=True)
        self._make_parents(self.manifest.path.parent)
        self.manifest.remembered = dict(plan.remembered)
        for step in plan.steps:
            self._do(step, before.get((step.kind, step.path)))
        wanted = {(step.kind, step.path) for step in plan.steps}
        for record in reversed(self.manifest.records):
            if record["kind"] != _PARENT and (record["kind"], record["path"]) not in wanted:
                self._undo(record, purge=False)

    def uninstall(self, *, purge: bool = False) -> None:
        """Undo everything that the manifest tells of, the last first.

        Args:
            purge: remove data and changed configuration, too.

        Raises:
            InstallError: nothing is installed, or something cannot be undone; what was undone is undone.

        """
        self._target.refuse_unprivileged()
        if not self.manifest.records:
            raise InstallError(f"Nothing is installed here: there is no manifest {self.manifest.path}.")
        records = list(reversed(self.manifest.records))
        # What runs is stopped first; directories go last, when the manifest in one of them is gone, too.
        records.sort(key=lambda record: record["kind"] != Unit.kind)
        directories = [record for record in records if record["kind"] in (_PARENT, Directory.kind)]
        for record in records:
            if record not in directories:
                self._undo(record, purge=purge)
        self.manifest.path.unlink()
        for record in directories:
            remove_empty(self._target.path(record["path"]))

    def _check(self, plan: Plan) -> None:
        for step in plan.steps:
            try:
                step.check(self._target, self.manifest.get(step.kind, step.path))
            except OSError as error:
                raise InstallError(f"{step.path} cannot be looked at: {error.strerror}; try as root.") from None

    def _do(self, step: Step, before: Record | None) -> None:
        if step.path.startswith("/"):
            self._make_parents(self._target.path(step.path).parent)
        if before is None:
            self.manifest.put(step.intend(self._target))
        try:
            outcome = step.apply(self._target, before)
        except OSError as error:
            raise InstallError(f"Failed at {step.describe()}: {error}.") from None
        self.manifest.put(outcome.record)
        if outcome.did is not Did.UNCHANGED:
            self._say(f"{outcome.did}: {step.describe()}")
        if outcome.remark:
            self._say(f"note: {outcome.remark}")

    def _undo(self, record: Record, *, purge: bool) -> None:
        left = KINDS[record["kind"]].undo(record, self._target, purge=purge)
        self.manifest.drop(record)
        self._say(f"note: {left}" if left else f"undone: {record['kind']} {record['path']}")

    def _make_parents(self, directory: Path) -> None:
        """Make the directories above a thing, and remember those that were missing."""
        missing = []
        while not directory.exists():
            missing.append(directory)
            directory = directory.parent
        for made in reversed(missing):
            made.mkdir(mode=0o755)
        for made in reversed(missing):
            self.manifest.put({"kind": _PARENT, "path": f"/{made.relative_to(self._target.root)}"})
