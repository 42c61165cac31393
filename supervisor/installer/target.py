"""Where is installed: this machine, or a directory that stands for the root of one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

Runner = Callable[[Sequence[str]], None]
"""Runs a command; raises `InstallError` when it fails."""
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class InstallError(Exception):
    """An installation cannot go on; the message is one sentence that says what to do."""


class Target:
    """The root that absolute paths are meant from.

    Args:
        root: A directory that becomes the root of a machine later; None is this machine.
        run: Runs commands, those that change the running system only on this machine.

    """

    def __init__(self, root: Path | None = None, *, run: Runner | None = None) -> None:
        self.root = (root or Path("/")).absolute()
        self.is_live = root is None
        """Whether this is the running machine: services are started, users are made."""
        self._run = run or run_command

    def path(self, absolute: str) -> Path:
        """Return where `absolute` lies.

        Raises:
            InstallError: a link in the directory leads out of it.

        """
        path = self.root / absolute.lstrip("/")
        if not self.is_live and not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise InstallError(f"{path} leads out of {self.root} by a link; install into a directory without such.")
        return path

    def run(self, command: Sequence[str]) -> None:
        """Run a command here and now.

        Raises:
            InstallError: with the command and the last line that it said.

        """
        self._run(command)

    def run_live(self, command: Sequence[str]) -> bool:
        """Run a command that changes the running system; return False, and do nothing, when this is a directory."""
        if self.is_live:
            self._run(command)
        return self.is_live

    def give(self, path: Path, group: str) -> None:
        """Give a file to root and a group, on this machine; in a directory nobody knows the group's number yet."""
        if not (self.is_live and group):
            return
        try:
            shutil.chown(path, "root", group)
        except (LookupError, OSError) as error:
            raise InstallError(f"{path} cannot be given to the group {group}: {error}.") from None

    def refuse_unprivileged(self) -> None:
        """Refuse to touch this machine as anybody but root.

        Raises:
            InstallError: with the ways that there are.

        """
        if self.is_live and os.geteuid() != 0:
            raise InstallError(
                "This needs root: run it with `sudo`, with `--dry-run` to see what it would do, or with `--root DIR` to"
                " install into a directory."
            )


def run_command(command: Sequence[str]) -> None:
    """Run a command with nothing on stdin and its output kept.

    Raises:
        InstallError: it is not there or has failed; with the last line that it said.

    """
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_PATH}"}
    try:
        done = subprocess.run(  # noqa: S603 - composed by ourselves, no shell
            list(command),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
        )
    except OSError as error:
        raise InstallError(f"`{command[0]}` cannot be run: {error.strerror}.") from None
    if done.returncode:
        said = done.stdout.strip().splitlines()
        reason = said[-1].rstrip(".") if said else "it said nothing"
        raise InstallError(f"`{' '.join(command)}` ended with exit code {done.returncode}: {reason}.")
