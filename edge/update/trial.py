"""`Trials`: from a slot that is ready to a version that stays, or to the one before it. For one thread.

A version that went back has failed if the one before it could reach the server within the time of a trial: then the new
one could have, too. If it could not either, nothing is proved, and the version is tried again once the server is back.
"""

from __future__ import annotations

import logging
import secrets
import signal

from edge.update.desk import HELD_LOOK, Desk, Seams
from edge.update.file import Offer, Work
from edge.update.launch import LaunchError
from edge.update.server import RefusedError, UnreachableError

logger = logging.getLogger(__name__)

IDLE = 5.0
"""Seconds between two steps when there is nothing to do."""
USUAL_TRIAL, LONGEST_TRIAL = 900, 86_400
"""Seconds that a new version has to confirm: where the server names none, and at most."""
MOST_TRIALS = 3
"""Of one version, while nobody could be reached, or while the launcher keeps nothing of them."""
PENDING_TRIAL = 600.0
"""Seconds until a trial that the launcher could not begin is begun again."""
_WHY = {
    "starts": "it was started twice and ended before it could confirm",
    "deadline": "it did not reach the server in its time",
    "missing": "its Python was not there",
    "not_executable": "its Python could not be executed",
    "refused": "the server did not want it here",
    "damaged": "it could not be started any more",
}


class Trials:
    """Begins trials, confirms the one that this run is, and finds out how the last one ended."""

    def __init__(self, seams: Seams, desk: Desk) -> None:
        self._seams, self._desk = seams, desk
        self._back_since = self._pending_since = seams.now()

    def begin(self, work: Work) -> float:
        """Have the launcher try the slot; return the seconds until the next step.

        Raises:
            OSError: what must be known afterwards cannot be kept; nothing was begun.

        """
        if self._desk.is_postponed(work):
            return HELD_LOOK
        nonce, telling = secrets.token_hex(16), self._desk.report(work, "restarting")
        work = self._desk.change(work, telling, phase="restarting", nonce=nonce, trials=work.trials + 1)
        self._desk.tell()
        try:
            self._seams.launcher.begin(work.slot, work.offer.version, nonce, _seconds(work.offer))
        except LaunchError as error:
            self._desk.end(work, "failed", "launcher", str(error))
            return 0.0
        self._desk.leave(f"version {work.offer.version} is tried out")
        return IDLE

    def confirm(self, work: Work | None) -> float:
        """Ask whether we, the new version, are to stay: only the server's word ends the trial well.

        Raises:
            UnreachableError: not now. The alarm of the launcher ends us if that goes on.
            LaunchError: the word cannot be kept.

        """
        seams, desk = self._seams, self._desk
        if work is None or work.nonce != seams.trial:  # what was known is lost; the trial goes on all the same
            offer = Offer(version=seams.running, release="unknown", size=1, sha256="0" * 64)
            work = Work(offer=offer, phase="restarting", nonce=seams.trial)
        desk.check_told()
        try:
            is_to_stay = seams.server.report(desk.report(work, "confirming", nonce=work.nonce))
        except RefusedError as error:
            raise UnreachableError(str(error)) from None
        desk.reached()
        if not is_to_stay:
            seams.launcher.give_up(work.nonce, "refused")
            desk.leave("the server does not want this version here")
            return IDLE
        seams.launcher.commit(work.nonce)
        signal.alarm(0)  # the launcher's: it ends this process at the deadline, committed or not
        seams.trial, seams.board.is_trial = "", False
        logger.info("version %s stays", seams.running)
        self._succeed(work)
        return 0.0

    def find_out(self, work: Work) -> float:
        """Learn what became of a trial that is not this run; return the seconds until the next step.

        Raises:
            LaunchError: the launcher cannot be asked.

        """
        standing = self._seams.launcher.standing()
        last, trial = standing.last, standing.trial
        if last is not None and last.nonce == work.nonce:
            if last.outcome == "committed" and work.offer.version == self._seams.running:
                self._succeed(work)
                return 0.0
            reason = last.reason if last.outcome == "rolled_back" else "damaged"
            logger.warning("version %s did not stay: %s", work.offer.version, reason)
            self._back_since = self._seams.now()
            self._desk.change(work, phase="returned", reason=reason)
        elif trial is None or trial.nonce != work.nonce:
            if work.trials >= MOST_TRIALS:
                self._desk.end(work, "failed", "launcher", f"the launcher knew nothing of {work.trials} trials of it")
            else:
                self._desk.change(work, phase="installed", nonce="")  # it was never begun
        # Else the launcher could not count its start, on a full disk say, and has started us instead.
        elif self._seams.now() - self._pending_since < PENDING_TRIAL:
            return IDLE
        else:
            self._desk.leave("a trial that could not begin is begun again")
        return 0.0

    def go_back(self, work: Work) -> float:
        """Tell that we are back; return the seconds until the next step.

        Raises:
            UnreachableError: not now.

        """
        detail = _WHY.get(work.reason, "")
        report = self._desk.report(work, "rolled_back", reason=work.reason, detail=detail)
        try:
            self._desk.check_told()
            self._seams.server.report(report)
        except RefusedError as error:
            logger.warning("the server does not take that %s was rolled back: %s", work.offer.version, error)
        except UnreachableError:
            if self._seams.now() - self._back_since >= _seconds(work.offer):
                logger.warning("whether %s has failed is not known: we reach nobody either", work.offer.version)
                self._desk.change(work, phase="unconfirmed")
            raise
        self._desk.reached()
        self._desk.block(work, work.reason)
        return 0.0

    def try_again(self, work: Work) -> float:
        """Try a version again that has reached the server no more than the one before it, once that is back.

        Raises:
            UnreachableError: it is not.

        """
        desk = self._desk
        answer = self._seams.server.check(self._seams.running)
        desk.reached()
        detail = "the server could not be reached, by the version before it neither"
        if work.trials >= MOST_TRIALS:
            desk.block(work, work.reason, desk.report(work, "rolled_back", reason=work.reason, detail=detail))
        elif isinstance(answer, Offer) and answer.version == work.offer.version:
            again = desk.report(work, "postponed", reason="unconfirmed", detail=detail)
            desk.change(work, again, phase="installed", nonce="")
        else:
            desk.end(work, "rolled_back", "unconfirmed", detail)
        return 0.0

    def _succeed(self, work: Work) -> None:
        self._desk.unblock(work.offer.version)
        self._desk.end(work, "succeeded")


def _seconds(offer: Offer) -> int:
    """Return the seconds that a trial has."""
    return min(LONGEST_TRIAL, max(1, int(offer.deadline or USUAL_TRIAL)))
