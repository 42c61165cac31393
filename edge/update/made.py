"""The updater of this edge: what it is made of. An edge that no launcher has started has none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actors.timestamps import rfc3339
from actors.version import __version__
from edge.update.actor import Updater
from edge.update.course import Course
from edge.update.desk import Seams
from edge.update.hold import held
from edge.update.launch import Launcher
from edge.update.launcher import TRIAL
from edge.update.server import UpdateServer

if TYPE_CHECKING:
    from edge.parts import EdgeParts

QUIET_AFTER = 60.0
"""Seconds after a scan in which somebody is likely to scan again."""
LONGEST_SCANNING = 3_600.0
"""Seconds for which scanning puts an update off."""


def make_updater(parts: EdgeParts) -> Updater | None:
    """Return the updater; None where nobody could start another version, or where it is configured away.

    A version that is on trial has one in any case: else it could not confirm that it works.
    """
    launcher, trial = Launcher.find(os.environ), os.environ.get(TRIAL, "")
    if launcher is None or not (parts.settings.updates.enabled or trial):
        return None
    make = partial(Course, _seams(parts, launcher, trial))
    return Updater(make, runtime=parts.runtime, board=parts.boards.updates)


def _seams(parts: EdgeParts, launcher: Launcher, trial: str) -> Seams:
    clock = parts.runtime.clock
    return Seams(
        settings=parts.settings.updates,
        home=parts.settings.update_home,
        running=__version__,
        slot=launcher.slot_of(Path(sys.prefix)),
        trial=trial,
        launcher=launcher,
        server=UpdateServer(parts.bearings.server, parts.bearings.lost),
        board=parts.boards.updates,
        restart=parts.restart,
        busy=_busy(parts),
        stamp=lambda: rfc3339(int(clock.time() * 1e6)),
        now=clock.monotonic,
    )


def _busy(parts: EdgeParts) -> Callable[[], tuple[str, float]]:
    """Return what tells whether this device has something better to do, and for how many seconds that counts."""

    def busy() -> tuple[str, float]:
        if reason := held(parts.settings.update_home):
            return reason, parts.settings.updates.longest_hold
        board, now_us = parts.boards.scanners, parts.runtime.clock.time() * 1e6
        last_us = max((scanner.last_code_us for scanner in tuple(board.scanners.values())), default=0)
        if board.unsaved or 0 <= now_us - last_us < QUIET_AFTER * 1e6:
            return "somebody is scanning", LONGEST_SCANNING
        return "", 0.0

    return busy
