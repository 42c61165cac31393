"""Steps that concern the running system: users, commands, services. In a directory they leave what the system needs."""

from __future__ import annotations

import grp
import pwd
from dataclasses import dataclass
from typing import ClassVar

from supervisor.installer.step import Did, Outcome, Record, Step
from supervisor.installer.target import InstallError, Target

_NO_SHELL = "/usr/sbin/nologin"


@dataclass(frozen=True)
class User(Step):
    """A system user with a group of its own, without a shell and without a password.

    A `File` under /usr/lib/sysusers.d (see `sysusers`) makes the same one when an image boots for the first time.
    """

    kind: ClassVar[str] = "user"
    path: str
    """The user's name."""
    home: str
    groups: tuple[str, ...] = ()
    """Groups that it is in, beside its own."""

    def describe(self) -> str:
        """Return name and groups."""
        others = f" in {', '.join(self.groups)}" if self.groups else ""
        return f"system user {self.path}{others}"

    def intend(self, target: Target) -> Record:
        """Return a record that tells whether the user is ours to remove."""
        foreign = target.is_live and _exists(self.path) and not self._is_of_our_making()
        return {**super().intend(target), "home": self.home, "ours": "" if foreign else "yes"}

    def _is_of_our_making(self) -> bool:
        """Tell our own user of an earlier installation, whose manifest is gone, from somebody's of the same name."""
        found = pwd.getpwnam(self.path)
        return (found.pw_dir, found.pw_shell) == (self.home, _NO_SHELL)

    def apply(self, target: Target, before: Record | None) -> Outcome:
        """Add the user and see to its groups."""
        record = {**self.intend(target), "ours": before["ours"] if before else self.intend(target)["ours"]}
        if not target.is_live:
            return Outcome(Did.LATER, record)
        if _exists(self.path) and all(self.path in grp.getgrnam(group).gr_mem for group in self._present):
            return Outcome(Did.UNCHANGED, record)
        if not _exists(self.path):
            place = ["--no-create-home", "--home-dir", self.home, "--shell", _NO_SHELL]
            target.run(["useradd", "--system", "--user-group", *place, self.path])
        if self._present:
            target.run(["usermod", "--append", "--groups", ",".join(self._present), self.path])
        return Outcome(Did.MADE, record)

    def sysusers(self) -> bytes:
        """Return the same user for sysusers.d(5)."""
        lines = [f'u {self.path} - "Muster" {self.home} {_NO_SHELL}']
        return "\n".join([*lines, *(f"m {self.path} {group}" for group in self.groups), ""]).encode()

    @property
    def _present(self) -> list[str]:
        known = {group.gr_name for group in grp.getgrall()}
        return [group for group in self.groups if group in known]

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Remove the user if we made it and it owns no data any more."""
        if not (target.is_live and record["ours"] and _exists(record["path"])):
            return ""
        if target.path(record["home"]).exists():
            return f"the user {record['path']} is kept: {record['home']} belongs to it"
        target.run(["userdel", record["path"]])
        return ""


@dataclass(frozen=True)
class Command(Step):
    """A command of the running system: given when the steps before it are done, or when those after it are undone."""

    kind: ClassVar[str] = "command"
    path: str
    """What it is for: tells it from others."""
    command: tuple[str, ...] = ()
    """Given at each installation."""
    undo_command: tuple[str, ...] = ()
    """Given at the removal."""

    def describe(self) -> str:
        """Return the commands."""
        now = f"run `{' '.join(self.command)}`" if self.command else ""
        then = f"at the removal `{' '.join(self.undo_command)}`" if self.undo_command else ""
        return ", ".join(filter(None, (now, then)))

    def intend(self, target: Target) -> Record:
        """Return the record, which is final."""
        return {**super().intend(target), "undo": "\0".join(self.undo_command)}

    def apply(self, target: Target, before: Record | None) -> Outcome:  # noqa: ARG002 - the seam's signature
        """Run it; in a directory there is nothing that runs."""
        if not self.command:
            return Outcome(Did.UNCHANGED, self.intend(target))
        ran = target.run_live(self.command)
        return Outcome(Did.MADE if ran else Did.LATER, self.intend(target))

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Run what undoes it; a failure is told and holds nothing up: what it speaks to may be gone by now."""
        if not record["undo"]:
            return ""
        try:
            target.run_live(record["undo"].split("\0"))
        except InstallError as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class Unit(Step):
    """A service of systemd that is started, or started anew; its file and its link are steps of their own, before."""

    kind: ClassVar[str] = "unit"
    path: str
    """The unit's name."""
    start: bool = True
    """Start it now; False leaves it to the next boot."""

    def describe(self) -> str:
        """Return what happens to it."""
        return f"{'start' if self.start else 'stop'} {self.path}"

    def apply(self, target: Target, before: Record | None) -> Outcome:  # noqa: ARG002 - the seam's signature
        """Have systemd read its file and start it."""
        target.run_live(["systemctl", "daemon-reload"])
        ran = target.run_live(["systemctl", "restart" if self.start else "stop", self.path])
        return Outcome(Did.MADE if ran else Did.LATER, self.intend(target))

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Stop it; one that cannot be stopped is told."""
        try:
            target.run_live(["systemctl", "stop", record["path"]])
        except InstallError as error:
            return str(error)
        return ""


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
