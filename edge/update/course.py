"""`Course`: where an update stands and what comes next, one bounded step at a time. For one thread.

Whatever is to be done is on the disk before it is done; after a crash or a power cut the next run goes on there:

    downloading -> installing -> installed -> restarting -> [the new version: confirming] -> succeeded
                                                 +-> returned -> rolled_back, and this version is blocked
                                                        +-> unconfirmed -> installed
"""

from __future__ import annotations

import shutil

from edge.update.desk import Desk, Seams
from edge.update.file import Offer, Work
from edge.update.making import Making, space_needed
from edge.update.server import UnreachableError
from edge.update.trial import IDLE, Trials

FIRST_WITHIN = 60.0
"""Seconds after its start within which an edge asks for the first time."""
JITTER = 0.1


class Course:
    """See the module."""

    def __init__(self, seams: Seams) -> None:
        self._seams, self._board = seams, seams.board
        self._desk = Desk(seams)
        self._making = Making(seams, self._desk)
        self._trials = Trials(seams, self._desk)
        self._ask_at = seams.now() + min(FIRST_WITHIN, seams.settings.interval) * seams.rng()
        self._force = self._is_open = False

    def hurry(self, *, force: bool = False) -> None:
        """Ask at once; with `force` also for a version that has failed here."""
        self._ask_at = self._seams.now()
        self._force = self._force or force
        self._desk.hurry()

    def step(self) -> float:
        """Do what comes next, for half a minute at most; return the seconds until the next step.

        Raises:
            OSError: the disk does not keep what has to be kept; it was not done then.
            edge.update.launch.LaunchError: the launcher cannot be asked.

        """
        if not self._is_open:
            self._open()
        if self._desk.is_leaving:
            return IDLE
        self._desk.tell()
        try:
            return self._go_on()
        except UnreachableError as error:
            return self._desk.missed(error)
        finally:
            self._board.untold, self._board.blocked = self._desk.untold, self._desk.blocked

    def close(self) -> None:
        """End what is under way; the next run goes on with it."""
        self._making.close()

    def sever(self) -> None:
        """Break what hangs; called by another thread."""
        self._seams.server.sever()

    def _open(self) -> None:
        self._desk.open()
        self._is_open = True
        self._board.slot, self._board.is_trial = self._seams.slot, bool(self._seams.trial)
        work = self._desk.work
        state = "idle" if work is None else _SHOWN.get(work.phase, work.phase)
        self._board.show(state, work.offer.version if work is not None else "")

    def _go_on(self) -> float:
        work = self._desk.work
        if self._seams.trial:
            return self._trials.confirm(work)
        if work is None:
            return self._ask_if_due()
        match work.phase:
            case "downloading":
                return self._making.fetch(work)
            case "installing":
                return self._making.install(work)
            case "installed":
                return self._trials.begin(work)
            case "restarting":
                return self._trials.find_out(work)
            case "returned":
                return self._trials.go_back(work)
            case "unconfirmed":
                return self._trials.try_again(work)

    def _ask_if_due(self) -> float:
        seams, now = self._seams, self._seams.now()
        if now < self._ask_at:
            return min(IDLE, self._ask_at - now)
        answer = seams.server.check(seams.running)
        self._desk.reached()
        self._ask_at = now + seams.settings.interval * (1 + JITTER * (2 * seams.rng() - 1))
        self._board.checks += 1
        self._board.checked = seams.stamp()
        force, self._force = self._force, False
        if isinstance(answer, str):
            self._board.answer = answer or "nothing"
            return 0.0
        self._board.answer = f"version {answer.version}"
        self._take(answer, force=force or answer.force)
        return 0.0

    def _take(self, offer: Offer, *, force: bool) -> None:
        """Begin an update, unless something is against it that can be known already."""
        desk, work = self._desk, Work(offer=offer, phase="downloading")
        checking = desk.report(work, "checking")
        blocked = desk.blocked.get(offer.version)
        free, needed = shutil.disk_usage(self._seams.home).free, space_needed(offer)
        if offer.version == self._seams.running:
            desk.end(work, "refused", "older", "it is the version that runs", checking)
        elif blocked is not None and not force:
            desk.end(work, "refused", "blocked", f"it has failed here before: {blocked}", checking)
        elif free < needed:
            detail = f"it needs {needed // 2**20} MB and {free // 2**20} MB are free"
            desk.end(work, "refused", "no_space", detail, checking)
        else:
            desk.change(work, checking, desk.report(work, "downloading"))


_SHOWN = {"installed": "installing", "returned": "rolled_back", "unconfirmed": "rolled_back"}
"""Phase to the state that is shown at a start, where they differ."""
