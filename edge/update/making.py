"""`Making`: from an offer to a slot that is ready to be tried. For one thread; every step of it is bounded."""

from __future__ import annotations

import errno
import logging
import secrets

from edge.update.child import Child, Ended
from edge.update.desk import HELD_LOOK, Desk, Seams
from edge.update.download import Download
from edge.update.file import Offer, State, Work
from edge.update.server import GoneError, UnreachableError
from edge.update.slot import empty

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at the child."""
SPACE_FACTOR, SPACE_SPARE = 3, 50 * 2**20
"""Of the disk, for a release of some size: itself, and a slot with it."""
MOST_TRIES = 3
"""Of an installation that is cut off, and of a download that comes damaged."""
LONGEST_INSTALL = 3_600.0
ADOPTING = 900
"""Seconds; of no account, for it is committed at once."""


class Making:
    """Downloads, and has a child check and install."""

    def __init__(self, seams: Seams, desk: Desk) -> None:
        self._seams, self._desk = seams, desk
        self._download: Download | None = None
        self._child: Child | None = None
        self._child_since = 0.0

    def fetch(self, work: Work) -> float:
        """Download some more; return the seconds until the next step.

        Raises:
            UnreachableError: not now.
            OSError: the disk, for another reason than that it is full.

        """
        try:
            if self._download is None:
                self._download = Download(
                    self._seams.server, work.offer, self._desk.download_path(work.offer), self._seams.settings.rate
                )
                self._download.begin()
            is_complete = self._download.is_complete
            delay = self._download.step()
        except UnreachableError:
            self.close()
            raise
        except GoneError as error:
            self.close()
            self._desk.end(work, "failed", "gone", str(error))
            return 0.0
        except OSError as error:
            self.close()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._desk.end(work, "refused", "no_space", "the disk became full while it was downloaded")
            return 0.0
        if is_complete:
            self.close()
            self._desk.change(work, phase="installing", tries=0)
            return 0.0
        self._desk.reached()
        self._desk.tell_progress("downloading", self._download.progress)
        return delay

    def install(self, work: Work) -> float:
        """Start the child, or look at it; return the seconds until the next step.

        Raises:
            OSError: it cannot be started, or what it has told cannot be kept.
            edge.update.launch.LaunchError: nobody knows which slot is free.

        """
        if self._child is None:
            return self._start(work)
        states, ended = self._child.poll()
        for line in states:
            state: State = "verifying" if line["state"] == "verifying" else "installing"
            if self._seams.board.status.state != state:
                self._desk.note(self._desk.report(work, state))
            self._desk.tell_progress(state, line.get("progress"))
        if ended is not None:
            self._child = None
            self._judge(work, ended)
            return 0.0
        if self._seams.now() - self._child_since > LONGEST_INSTALL:
            self.close()
            self._desk.end(work, "failed", "install", f"it took longer than {LONGEST_INSTALL:.0f} s")
        return LOOK

    def close(self) -> None:
        """End what is under way, to be gone on with later; harmless when repeated."""
        if self._child is not None:
            self._child.close()
            self._child = None
        if self._download is not None:
            self._download.close()
            self._download = None

    def _start(self, work: Work) -> float:
        if self._desk.is_postponed(work):
            return HELD_LOOK
        if work.tries >= MOST_TRIES:
            empty(self._seams.launcher.home / "slots" / self._free_slot())
            self._desk.end(work, "failed", "install", f"its installation was cut off {work.tries} times")
            return 0.0
        seams, slot = self._seams, self._free_slot()
        work = self._desk.change(work, tries=work.tries + 1, slot=slot)
        arguments = [str(self._desk.download_path(work.offer)), "--slot", str(seams.launcher.home / "slots" / slot)]
        arguments += ["--keys", seams.settings.keys, "--running", seams.running, "--sha256", work.offer.sha256]
        arguments += ["--factory", seams.launcher.factory, "--with-stdin"]
        self._child_since = seams.now()
        self._child = seams.start_child([*arguments, *(["--allow-older"] if work.offer.force else [])])
        return LOOK

    def _free_slot(self) -> str:
        """Return the slot that is neither committed nor what we run from; where both are taken, ours is committed."""
        seams = self._seams
        current = seams.launcher.standing().current
        for slot in ("b", "a"):
            if slot not in (current, seams.slot):
                return slot
        # The committed slot is damaged, and the launcher has fallen back to us: we are what works here.
        nonce = secrets.token_hex(8)
        seams.launcher.begin(seams.slot, seams.running, nonce, ADOPTING)
        seams.launcher.commit(nonce)
        return current

    def _judge(self, work: Work, ended: Ended) -> None:
        offer, desk = work.offer, self._desk
        if ended.version == offer.version:
            desk.change(work, phase="installed", tries=0)
            desk.remove_download(work)
        elif ended.version:
            desk.end(work, "refused", "tampered", f"it is {ended.version}, not {offer.version} as the server has said")
        elif ended.code == "damaged" and work.downloads < MOST_TRIES:
            logger.warning("update %s has come damaged; it is downloaded again", offer.version)
            desk.remove_download(work)
            again = desk.report(work, "downloading", reason="damaged")
            desk.change(work, again, phase="downloading", downloads=work.downloads + 1, tries=0)
        elif not ended.code:
            logger.warning("the installation of %s was cut off: %s", offer.version, ended.reason)
        elif ended.code == "failed":
            desk.end(work, "failed", "install", ended.reason)
        else:
            desk.end(work, "refused", "tampered" if ended.code == "damaged" else ended.code, ended.reason)


def space_needed(offer: Offer) -> int:
    """Return the bytes of disk that an update takes while it is made."""
    return SPACE_FACTOR * offer.size + SPACE_SPARE
