"""The launcher as the edge below it sees it: how we were started, and the three things that it may be asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge.update.launcher import FACTORY, LAUNCHER, SLOTS

TIMEOUT = 60.0
"""Seconds for a call: it waits for the disk alone."""


class LaunchError(Exception):
    """The launcher has refused, or cannot be run; the message is a part of a sentence."""


class Trial(msgspec.Struct, frozen=True):
    """A trial that goes on or has ended."""

    slot: str
    version: str
    nonce: str
    outcome: str = ""
    """`committed` or `rolled_back`; empty while it goes on."""
    reason: str = ""


class Standing(msgspec.Struct, frozen=True):
    """What the launcher knows."""

    current: str
    """The committed slot, or `factory`."""
    trial: Trial | None
    last: Trial | None


class Launcher:
    """Calls the launcher that has started us."""

    def __init__(self, command: list[str], home: Path, factory: str) -> None:
        self._command = command
        self.home = home
        """The directory of the slots."""
        self.factory = factory
        """The interpreter that no update touches, with pip."""

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Launcher | None:
        """Return the launcher that has started us; None if nobody has."""
        command = restart_command(environ)
        if command is None:
            return None
        # PYTHON -I LAUNCHER --home DIR --factory PYTHON run -- ...
        options: dict[str, str] = {}
        end = 3
        while end + 1 < len(command) and command[end].startswith("--"):
            options[command[end]] = command[end + 1]
            end += 2
        home = options.get("--home", "")
        return cls(command[:end], Path(home), options.get("--factory", "")) if home else None

    def python(self, slot: str) -> Path:
        """Return the interpreter of a slot."""
        return self.home / "slots" / slot / "bin" / "python"

    def slot_of(self, prefix: Path) -> str:
        """Return the slot that a virtual environment is; the factory's for any other."""
        for slot in SLOTS:
            if prefix.resolve() == (self.home / "slots" / slot).resolve():
                return slot
        return FACTORY

    def standing(self) -> Standing:
        """Return what is committed, what is on trial, and how the last trial ended.

        Raises:
            LaunchError: it cannot be asked.

        """
        try:
            return msgspec.json.decode(self._call("status"), type=Standing)
        except msgspec.DecodeError as error:
            raise LaunchError(f"the launcher's state cannot be read: {error}") from None

    def begin(self, slot: str, version: str, nonce: str, seconds: int) -> None:
        """Have the next start be a trial.

        Raises:
            LaunchError: it is refused.

        """
        self._call("begin", slot, version, nonce, str(seconds))

    def commit(self, nonce: str) -> None:
        """Keep what is on trial; harmless when repeated.

        Raises:
            LaunchError: it is refused.

        """
        self._call("commit", nonce)

    def give_up(self, nonce: str, reason: str) -> None:
        """End a trial badly, before its time; the next start goes back.

        Raises:
            LaunchError: it is refused.

        """
        self._call("give-up", nonce, reason)

    def _call(self, *arguments: str) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603 - as we were started ourselves
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LaunchError(f"the launcher cannot be run: {error}") from None
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
            raise LaunchError(said or f"the launcher ended with exit code {done.returncode}")
        return done.stdout


def restart_command(environ: Mapping[str, str]) -> list[str] | None:
    """Return what starts the edge anew through its launcher; None where there is none."""
    try:
        command: Any = json.loads(environ.get(LAUNCHER, ""))
    except ValueError:
        return None
    if not isinstance(command, list) or len(command) < 4 or not all(isinstance(word, str) for word in command):
        return None
    return command if os.access(command[0], os.X_OK) and Path(command[2]).is_file() else None
