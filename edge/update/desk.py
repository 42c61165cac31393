"""`Desk`: what is known of the update that is under way, and what the server is told of it. For one thread."""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from actors.runtime import compute_backoff
from edge.update.board import UpdateBoard
from edge.update.child import Child
from edge.update.file import Offer, Report, State, UpdateFile, Work
from edge.update.launch import Launcher
from edge.update.server import NoServerError, RefusedError, UnreachableError, UpdateServer
from edge.update.settings import UpdateSettings

logger = logging.getLogger(__name__)

DOWNLOADS = "download"
"""Directory of the one download that there is."""
AGAIN, AGAIN_CAP = 5.0, 600.0
"""Seconds between two attempts to reach the server, growing."""
SEARCHING = 1.0
"""The same while there is no server to be asked."""
TRIAL_CAP = 10.0
"""The same while a trial goes on, whose time is short."""
HELD_LOOK = 5.0
"""Seconds between two looks whether the device is still busy."""
PROGRESS_EVERY = 10.0
"""Seconds between two reports of progress; those are not kept."""


@dataclass(kw_only=True)
class Seams:
    """What an update is made with."""

    settings: UpdateSettings
    home: Path
    """The directory of updates."""
    running: str
    """The version that runs."""
    slot: str
    """What it runs from."""
    trial: str
    """The nonce of the trial that this run is; empty for none, and once it has been committed."""
    launcher: Launcher
    server: UpdateServer
    board: UpdateBoard
    restart: Callable[[], None]
    """Ends this process, so that it is started anew by the launcher."""
    busy: Callable[[], tuple[str, float]]
    """Returns why nothing may be installed or started now (empty: it may), and for how many seconds that counts."""
    stamp: Callable[[], str]
    """Returns the time, RFC 3339."""
    now: Callable[[], float] = time.monotonic
    rng: Callable[[], float] = random.random
    start_child: Callable[[list[str]], Child] = Child


class Desk:
    """What is told is a queue in a file: in order, and again until the server has it."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._file = UpdateFile(seams.home / "updater.json")
        self._tell_at = self._progress_at = 0.0
        self._failures = 0
        """Of attempts to reach the server, one after the other."""
        self._busy_since: float | None = None
        self.is_leaving = False
        """Whether this process is about to be started anew."""

    @property
    def work(self) -> Work | None:
        """The update that is under way."""
        return self._file.memory.work

    @property
    def blocked(self) -> dict[str, str]:
        """Versions that have failed here, and why."""
        return dict(self._file.memory.blocked)

    @property
    def untold(self) -> int:
        """How many states the server has not got yet."""
        return len(self._file.memory.reports)

    def open(self) -> None:
        """Read what an earlier run has kept; what was downloaded for nothing that is known goes.

        Raises:
            OSError: the directory cannot be made.

        """
        self._seams.home.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._file.open()
        if self.work is None:
            shutil.rmtree(self._seams.home / DOWNLOADS, ignore_errors=True)

    # What is kept

    def report(self, work: Work, state: State, *, reason: str = "", detail: str = "", nonce: str = "") -> Report:
        """Show a state, and return what tells it."""
        offer = work.offer
        self._seams.board.show(state, offer.version, reason, detail)
        return Report(
            state=state, version=offer.version, nonce=nonce, reason=reason, detail=detail[:500], rollout=offer.rollout
        )

    def note(self, *reports: Report) -> None:
        """Keep what the server is to be told.

        Raises:
            OSError: the disk does not keep it. So do all that change something here.

        """
        self._file.change(*reports)

    def change(self, work: Work, *reports: Report, **changes: object) -> Work:
        """Keep how far the update has come, and what the server is to be told of it."""
        changed = msgspec.structs.replace(work, **changes)
        self._file.change(*reports, work=changed)
        return changed

    def end(self, work: Work, state: State, reason: str = "", detail: str = "", *before: Report) -> None:
        """End an update, whichever way."""
        if state != "succeeded":
            logger.warning("update %s: %s (%s): %s", work.offer.version, state, reason, detail)
        self.remove_download(work)  # first: the disk may be full
        self._file.change(*before, self.report(work, state, reason=reason, detail=detail), work=None)

    def block(self, work: Work, reason: str, *reports: Report) -> None:
        """End an update whose version is not to be tried again unless somebody says so."""
        self._file.change(*reports, work=None, blocked={**self.blocked, work.offer.version: reason})
        self._seams.board.show("rolled_back", work.offer.version, reason)

    def unblock(self, version: str) -> None:
        """Forget that a version has failed here."""
        self._file.change(blocked={name: why for name, why in self.blocked.items() if name != version})

    def download_path(self, offer: Offer) -> Path:
        """Return where a release comes to lie."""
        return self._seams.home / DOWNLOADS / f"{offer.sha256}.part"

    def remove_download(self, work: Work) -> None:
        """Remove a release, or what there is of it."""
        self.download_path(work.offer).unlink(missing_ok=True)

    # What is told

    def tell(self) -> None:
        """Tell the server what it has not got yet, if it can be reached."""
        try:
            while (queue := self._file.memory.reports) and self._seams.now() >= self._tell_at:
                self._tell_one(queue[0])
                self._file.told()
        except UnreachableError as error:
            self.missed(error)

    def tell_progress(self, state: State, progress: float | None) -> None:
        """Show how far a state has come, and tell it now and then."""
        seams, now = self._seams, self._seams.now()
        seams.board.status = msgspec.structs.replace(seams.board.status, state=state, progress=progress)
        work = self.work
        if work is None or progress is None or self.untold or now < max(self._progress_at, self._tell_at):
            return
        self._progress_at = now + PROGRESS_EVERY
        told = Report(state=state, version=work.offer.version, progress=progress, rollout=work.offer.rollout)
        try:
            self._tell_one(told)
        except UnreachableError as error:
            self.missed(error)

    def check_told(self) -> None:
        """Make sure that the server has everything that came before.

        Raises:
            UnreachableError: it has not.

        """
        if self.untold:
            raise UnreachableError(self._seams.board.error or "the server has not got what came before")

    def reached(self) -> None:
        """Note that the server has answered."""
        self._failures, self._tell_at, self._seams.board.error = 0, 0.0, ""

    def missed(self, error: UnreachableError) -> float:
        """Note that it has not; return the seconds until it is tried again."""
        board = self._seams.board
        board.error = str(error)[:300]
        if isinstance(error, NoServerError):
            delay = SEARCHING
        else:
            cap = TRIAL_CAP if self._seams.trial else AGAIN_CAP
            delay = max(error.retry_after, compute_backoff(self._failures, base=AGAIN, cap=cap, floor=1.0))
            self._failures += 1
            board.counters["unreachable"] += 1
        self._tell_at = self._seams.now() + delay
        return delay

    def hurry(self) -> None:
        """Try to reach the server at once."""
        self._tell_at, self._failures = 0.0, 0

    def _tell_one(self, report: Report) -> None:
        try:
            self._seams.server.report(report)
        except RefusedError as error:
            self._seams.board.counters["refused_reports"] += 1
            logger.warning("the server does not take the state %s of %s: %s", report.state, report.version, error)
        self.reached()

    # When, and whether

    def is_postponed(self, work: Work) -> bool:
        """Return whether the device is busy with something else, and have it told; for a bounded time."""
        reason, most = self._seams.busy()
        now = self._seams.now()
        if not reason:
            self._busy_since = None
            return False
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since >= most:
            logger.warning("update %s is put off no longer, though %s", work.offer.version, reason)
            return False
        if self._seams.board.status.state != "postponed":
            self.note(self.report(work, "postponed", reason="busy", detail=reason))
        return True

    def leave(self, why: str) -> None:
        """Have this process started anew by the launcher, which decides what runs."""
        logger.info("the edge starts anew: %s", why)
        self.is_leaving = True
        self._seams.restart()
