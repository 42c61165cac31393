"""The life of an edge process: what is made, in which order, and how all of it ends."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from edge.home import Home
from edge.identity import identify
from edge.link import Goodbye
from edge.parts import EdgeParts
from edge.settings import EdgeSettings
from edge.tree import edge_tree
from edge.update.launch import restart_command
from supervisor import Supervisor
from supervisor.process.life import TreeProcess, live
from supervisor.process.logs import configure_logging
from supervisor.process.redaction import hide_secrets, secrets_in
from supervisor.process.rundir import runtime_directory
from supervisor.process.sdnotify import Notifier

logger = logging.getLogger(__name__)

RESTART = 75
"""Exit code (EX_TEMPFAIL) of an edge that was told to restart: it takes its own place, see `run_edge`."""


class EdgeProcess(TreeProcess):
    """One edge, from its parts to its end."""

    name = "the edge"

    def __init__(self, settings: EdgeSettings, home: Home, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._notifier = Notifier(environ, pid=os.getpid())
        identity = identify(home.identity, configured=settings.device_id)
        self.parts = EdgeParts(settings, home, self.runtime, identity=identity, rundir=runtime_directory(environ))
        self.parts.on_restart = lambda: self.end(RESTART)

    def start(self) -> None:
        """Start everything.

        Raises:
            SupervisionError: with the cause, if it does not come up.

        """
        logger.info("this device is %s (%s)", self.parts.device_id, self.parts.identity.source)
        super().start()
        self._notifier.ready()

    def stop(self) -> None:
        """Stop everything, the mirror of `start`; the goodbye comes first, since the rest may take its time."""
        if self._end.code == RESTART:
            # To systemd this is no end: TimeoutStopSec after a STOPPING=1 it kills whatever runs, what comes after us.
            self._notifier.alive()
        else:
            self._notifier.stopping()
        if self._root is not None and self._root.exit is None:
            self.parts.directory.tell("link", Goodbye())
        super().stop()

    def _make_tree(self) -> Supervisor:
        return edge_tree(self.parts, self._notifier)


def run_edge(settings: EdgeSettings, environ: Mapping[str, str]) -> int:
    """Run the edge until it is stopped; return the exit code. One that was told to restart runs anew in this process.

    Raises:
        EdgeRunsError: its data directory is in use, or cannot be used.
        OSError: the log file cannot be used.

    """
    with Home(settings.home) as home:
        configure_logging(settings.log, settings.log_file or None)
        hide_secrets(*secrets_in(settings))
        code = live(EdgeProcess(settings, home, environ))
    if code == RESTART:
        logger.info("the edge starts anew")
        _start_anew(environ)
    return code


def _start_anew(environ: Mapping[str, str]) -> NoReturn:
    """Take our own place: through the launcher, which decides what runs, or where there is none with the same command.

    New settings and new code, whether or not anybody would start us again.
    """
    command = restart_command(environ)
    if command is not None:
        try:
            os.execv(command[0], command)  # noqa: S606 - as we were started
        except OSError as error:
            logger.error("the launcher cannot be started: %s", error)  # noqa: TRY400 - the next line mends it
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command
