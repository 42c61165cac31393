"""Installing as a list of steps: each is a value that says what it does, does it, and knows how to undo it.

The standard library only. A program that installs itself composes a plan out of `Directory`, `File`, `Link`, `Data`,
`Seed`, `User`, `Venv`, `Stale`, `Command` and `Unit`, and hands it to an `Installer`, which keeps a manifest of what it
made.
"""

from __future__ import annotations

from supervisor.installer.files import Data, Directory, File, Link
from supervisor.installer.installer import Installer, Plan
from supervisor.installer.manifest import Manifest
from supervisor.installer.python import Source, Venv
from supervisor.installer.seed import Seed
from supervisor.installer.service import Service, tmpfiles
from supervisor.installer.stale import Stale
from supervisor.installer.step import Outcome, Record, Step
from supervisor.installer.system import Command, Unit, User
from supervisor.installer.target import InstallError, Target

__all__ = [
    "Command",
    "Data",
    "Directory",
    "File",
    "InstallError",
    "Installer",
    "Link",
    "Manifest",
    "Outcome",
    "Plan",
    "Record",
    "Seed",
    "Service",
    "Source",
    "Stale",
    "Step",
    "Target",
    "Unit",
    "User",
    "Venv",
    "tmpfiles",
]
