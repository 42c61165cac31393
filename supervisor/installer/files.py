"""Steps that make directories, files and links."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from supervisor.installer.step import Did, Outcome, Record, Step
from supervisor.installer.target import InstallError, Target

_SHA, _KEEP = "sha256", "keep"
#: In place of a digest: we were interrupted while we wrote it; it was there before us.
_BEGUN, _FOREIGN = "", "foreign"


@dataclass(frozen=True)
class Directory(Step):
    """A directory of our own; its removal leaves it while something is in it."""

    kind: ClassVar[str] = "directory"
    path: str
    mode: int = 0o755
    group: str = ""

    def describe(self) -> str:
        """Return path and mode."""
        return f"directory {self.path} ({self.mode:04o})"

    def check(self, target: Target, before: Record | None) -> None:  # noqa: ARG002 - the seam's signature
        """Refuse what is no directory."""
        _refuse_other(target.path(self.path))

    def apply(self, target: Target, before: Record | None) -> Outcome:  # noqa: ARG002 - the seam's signature
        """Make it, or see to its mode."""
        path = target.path(self.path)
        did = Did.UNCHANGED if path.is_dir() and _mode(path) == self.mode else Did.MADE
        path.mkdir(exist_ok=True)
        path.chmod(self.mode)
        target.give(path, self.group)
        return Outcome(did, self.intend(target))

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Remove it if it is empty: what others have put there is theirs."""
        remove_empty(target.path(record["path"]))
        return ""


@dataclass(frozen=True)
class Data(Step):
    """A directory that a service fills: its contents stay unless they are purged."""

    kind: ClassVar[str] = "data"
    path: str
    mode: int = 0o750
    wipe: bool = False
    """Empty it now: an image for many machines carries nothing of the one that it was made on."""

    def describe(self) -> str:
        """Return path and mode."""
        return f"data directory {self.path} ({self.mode:04o})" + (", emptied" if self.wipe else "")

    def check(self, target: Target, before: Record | None) -> None:  # noqa: ARG002 - the seam's signature
        """Refuse what is no directory."""
        _refuse_other(target.path(self.path))

    def apply(self, target: Target, before: Record | None) -> Outcome:  # noqa: ARG002 - the seam's signature
        """Make it; its owner is the service manager's to set."""
        path = target.path(self.path)
        made = not path.is_dir()
        if made:
            path.mkdir()
            path.chmod(self.mode)
        elif self.wipe:
            made = empty(path)
        return Outcome(Did.MADE if made else Did.UNCHANGED, self.intend(target))

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:
        """Remove it when it is empty or to be purged."""
        path = target.path(record["path"])
        if purge and path.is_dir():
            shutil.rmtree(path)
        return "" if remove_empty(path) else f"{path} is kept: it holds data; `--purge` removes that, too"


@dataclass(frozen=True)
class File(Step):
    """A file with this content; replaced at once, never seen half written."""

    kind: ClassVar[str] = "file"
    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    group: str = ""
    keep: bool = False
    """Configuration: what somebody has changed in it is not lost."""

    def describe(self) -> str:
        """Return path, mode and group; never the content, which may be secret."""
        return f"file {self.path} ({self.mode:04o}{f' root:{self.group}' if self.group else ''})"

    def check(self, target: Target, before: Record | None) -> None:
        """Refuse to replace what is not ours."""
        path = target.path(self.path)
        found = _digest(path)
        if found and before is None and not self.keep and found != self._wanted:
            raise InstallError(f"{path} exists and is not of Muster's making; move it elsewhere and try again.")

    def intend(self, target: Target) -> Record:
        """Return a record that takes what lies there now for somebody's, else what will for a beginning of ours."""
        found = target.path(self.path).exists()
        return self._record(_FOREIGN if found else _BEGUN)

    def apply(self, target: Target, before: Record | None) -> Outcome:
        """Write it, or find it written, or leave it to whoever has changed it."""
        path = target.path(self.path)
        found = _digest(path)
        if found == self._wanted:
            unchanged = _mode(path) == self.mode
            path.chmod(self.mode)
            target.give(path, self.group)
            return Outcome(Did.UNCHANGED if unchanged else Did.MADE, self._record(found))
        if self.is_changed(target, before):
            beside = path.with_name(f"{path.name}.new")
            self._write(beside, target)
            remark = f"{path} was changed by hand and is kept; what would stand there is {beside}"
            return Outcome(Did.KEPT, before or self._record(_FOREIGN), remark)
        self._write(path, target)
        return Outcome(Did.MADE, self._record(self._wanted))

    def is_changed(self, target: Target, before: Record | None) -> bool:
        """Return whether this is configuration that somebody has changed, and that therefore stays as it is."""
        found = _digest(target.path(self.path))
        ours = before is not None and before[_SHA] in (_BEGUN, found)
        return self.keep and bool(found) and found != self._wanted and not ours

    @property
    def _wanted(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def _record(self, digest: str) -> Record:
        return {"kind": self.kind, "path": self.path, _SHA: digest, _KEEP: "yes" if self.keep else ""}

    def _write(self, path: Path, target: Target) -> None:
        temporary = path.with_name(f".{path.name}.muster")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.content)
            file.flush()
            os.fsync(file.fileno())
        target.give(temporary, self.group)
        temporary.chmod(self.mode)
        temporary.replace(path)

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:
        """Remove it, unless it is configuration that somebody has changed."""
        path = target.path(record["path"])
        changed = record[_SHA] not in (_BEGUN, _digest(path))
        path.with_name(f"{path.name}.new").unlink(missing_ok=True)
        if record[_KEEP] and changed and path.exists() and not purge:
            return f"{path} is kept: it was changed by hand; `--purge` removes it, too"
        path.unlink(missing_ok=True)
        return ""


@dataclass(frozen=True)
class Link(Step):
    """A symbolic link; relative, so that it leads to the same place wherever the root is."""

    kind: ClassVar[str] = "link"
    path: str
    to: str
    """Absolute, from the same root."""

    def describe(self) -> str:
        """Return from where to where."""
        return f"link {self.path} -> {self.to}"

    def check(self, target: Target, before: Record | None) -> None:
        """Refuse to replace what is not ours."""
        path = target.path(self.path)
        if before is None and os.path.lexists(path) and not self._is_made(path):
            raise InstallError(f"{path} exists and is not of Muster's making; move it elsewhere and try again.")

    def intend(self, target: Target) -> Record:
        """Return the record, which is final."""
        return {**super().intend(target), "to": self._relative}

    def apply(self, target: Target, before: Record | None) -> Outcome:  # noqa: ARG002 - the seam's signature
        """Make it, or turn it."""
        path = target.path(self.path)
        if self._is_made(path):
            return Outcome(Did.UNCHANGED, self.intend(target))
        replace_link(path, self._relative)
        return Outcome(Did.MADE, self.intend(target))

    def _is_made(self, path: Path) -> bool:
        return _leads(path) == self._relative

    @property
    def _relative(self) -> str:
        return os.path.relpath(self.to, Path(self.path).parent)

    @staticmethod
    def undo(record: Record, target: Target, *, purge: bool) -> str:  # noqa: ARG004 - the seam's signature
        """Remove it while it leads where we made it lead."""
        path = target.path(record["path"])
        if _leads(path) == record["to"]:
            path.unlink()
        return ""


def replace_link(path: Path, to: str) -> None:
    """Make or turn a link at once: there is no moment without it."""
    temporary = path.with_name(f".{path.name}.muster")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(to)
    temporary.replace(path)


def remove_empty(path: Path) -> bool:
    """Remove a directory if it is empty; return whether it is gone."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def empty(path: Path) -> bool:
    """Remove everything in a directory; return whether there was anything."""
    found = list(path.iterdir())
    for entry in found:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return bool(found)


def _leads(path: Path) -> str:
    """Return what a link says, empty where there is none."""
    return str(path.readlink()) if path.is_symlink() else ""


def _refuse_other(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InstallError(f"{path} is in the way, it is no directory; move it elsewhere.")


def _digest(path: Path) -> str:
    """Return the digest of a file, empty where there is none."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise InstallError(f"{path} is in the way, it is no file; move it elsewhere.")
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
