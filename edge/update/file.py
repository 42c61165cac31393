"""What the updater must know after a power cut: one small file, replaced at once and durably.

A later release may add fields; an older one passes over them, and goes on with what it knows. A file that cannot be
read is set aside: the launcher's state alone decides what runs.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from supervisor.process.private_file import write_private

logger = logging.getLogger(__name__)

MOST_REPORTS = 50
"""States that wait for the server; beyond, the oldest goes."""
MOST_BLOCKED = 50
LARGEST_RELEASE = 600 * 2**20
"""Bytes; `supervisor.release` says what a release may have, a little less."""

Phase = Literal["downloading", "installing", "installed", "restarting", "returned", "unconfirmed"]
"""What comes next: the rest of the download; the child that installs; the trial; its outcome, which the launcher knows;
telling the server that it went back; trying it again, since nobody could be reached."""
State = Literal[
    "checking",
    "downloading",
    "verifying",
    "installing",
    "restarting",
    "confirming",
    "postponed",
    "succeeded",
    "failed",
    "refused",
    "rolled_back",
]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server has for us."""

    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9][A-Za-z0-9.!+_-]{0,63}\Z")]
    release: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    """Its id at the server."""
    size: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_RELEASE)]
    """Bytes."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of the whole file."""
    rollout: Annotated[str, msgspec.Meta(max_length=128)] = ""
    force: bool = False
    """Also in place of a newer version, or of this one after it has failed here."""
    deadline: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    """Seconds that the new version has to confirm; 0 takes the usual ones."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """An update that is under way."""

    offer: Offer
    phase: Phase
    slot: str = ""
    """Where it is installed."""
    nonce: str = ""
    """Of its trial."""
    tries: int = 0
    """How often this phase was begun."""
    trials: int = 0
    downloads: int = 1
    reason: str = ""
    """Why it went back."""


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of `POST /api/ota/update_status`."""

    state: State
    version: str
    nonce: str = ""
    reason: str = ""
    detail: str = ""
    progress: float | None = None
    rollout: str = ""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is kept."""

    format: Literal[1] = 1
    work: Work | None = None
    reports: tuple[Report, ...] = ()
    """States that the server has not got yet, the oldest first."""
    blocked: dict[str, str] = {}
    """Versions that have failed here, and why."""


class UpdateFile:
    """The file; for one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.memory = Memory()

    def open(self) -> None:
        """Read what an earlier run has kept."""
        try:
            self.memory = msgspec.json.decode(self._path.read_bytes(), type=Memory)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as error:  # those of msgspec are among them
            logger.warning("What is known of updates in %s cannot be used (%s); set aside.", self._path, error)
            self._set_aside()

    def change(
        self, *reports: Report, work: Work | Literal["same"] | None = "same", blocked: dict[str, str] | None = None
    ) -> None:
        """Keep all of it, on the disk, or nothing.

        Args:
            reports: what the server is to be told, behind what it has not got yet.
            work: what is under way from now on.
            blocked: versions that are not to be tried again.

        Raises:
            OSError: the disk is full, or gone; what was, is still.

        """
        now = self.memory
        queue = (*now.reports, *reports)
        if len(queue) > MOST_REPORTS:
            logger.warning("%d states of updates were never told: the server could not be reached", len(queue))
        kept = dict(list((now.blocked if blocked is None else blocked).items())[-MOST_BLOCKED:])
        self._write(
            Memory(work=now.work if work == "same" else work, reports=queue[-MOST_REPORTS:], blocked=kept),
        )

    def told(self) -> None:
        """Forget the oldest report: the server has it. On a disk that is full it is told again after a restart."""
        memory = msgspec.structs.replace(self.memory, reports=self.memory.reports[1:])
        try:
            self._write(memory)
        except OSError as error:
            logger.warning("That the server was told of an update cannot be kept: %s.", error.strerror)
            self.memory = memory

    def _write(self, memory: Memory) -> None:
        if memory != self.memory:
            write_private(self._path, msgspec.json.encode(memory), durable=True)
            self.memory = memory

    def _set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_name(f"{self._path.name}.bad"))
        except OSError as error:
            logger.warning("%s cannot be renamed: %s.", self._path, error.strerror)
