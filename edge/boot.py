"""The life of an edge process: what is made, in which order, and how all of it ends."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType

from actors.runtime import Exit, Runtime
from edge.home import Home
from edge.identity import identify
from edge.link import Goodbye
from edge.parts import EdgeParts
from edge.settings import EdgeSettings
from edge.tree import edge_tree
from supervisor import Root, SupervisionError
from supervisor.process.end import ProcessEnd
from supervisor.process.logs import configure_logging
from supervisor.process.rundir import runtime_directory
from supervisor.process.sdnotify import Notifier

logger = logging.getLogger(__name__)

START_WITHIN = 30.0
STOP_WITHIN = 20.0
EXHAUSTED = 70
"""Exit code (EX_SOFTWARE) when too many threads hang, or the tree gave up: systemd starts the process anew."""
RESTART = 75
"""Exit code (EX_TEMPFAIL) of an edge that was told to restart: it takes its own place, see `run_edge`."""


class EdgeProcess:
    """One process, from its parts to its end."""

    def __init__(self, settings: EdgeSettings, home: Home, environ: Mapping[str, str]) -> None:
        self._end = ProcessEnd()
        self._notifier = Notifier(environ, pid=os.getpid())
        self.runtime = Runtime.system()
        self.runtime.watchdog.on_exhausted = _give_up_process
        identity = identify(home.identity, configured=settings.device_id)
        self.parts = EdgeParts(settings, home, self.runtime, identity=identity, rundir=runtime_directory(environ))
        self.parts.on_restart = lambda: self.end(RESTART)
        self._root: Root | None = None

    def start(self) -> None:
        """Start everything.

        Raises:
            SupervisionError: with the cause, if it does not come up.

        """
        logger.info("this device is %s (%s)", self.parts.device_id, self.parts.identity.source)
        self.runtime.start()
        self._root = Root(self.runtime, edge_tree(self.parts, self._notifier), on_exit=self._tree_ended)
        try:
            self._root.wait_ready(START_WITHIN)
        except TimeoutError as error:
            raise SupervisionError(str(error)) from error
        self._notifier.ready()

    def wait(self) -> int:
        """Block until a signal or the tree ends the process; return the exit code."""
        self._end.wait()
        return self._end.code

    def end(self, code: int = 0) -> None:
        """Let `wait` return; a signal handler may call it."""
        self._end.ask(code)

    def stop(self) -> None:
        """Stop everything, the mirror of `start`; the goodbye comes first, since the rest may take its time."""
        self._notifier.stopping()
        if self._root is not None and self._root.exit is None:
            self.parts.directory.tell("link", Goodbye())
            self._root.stop(STOP_WITHIN)
        self.runtime.stop()

    def _tree_ended(self, ended: Exit) -> None:
        if ended.error is not None:
            self.end(EXHAUSTED)


def run_edge(settings: EdgeSettings, environ: Mapping[str, str]) -> int:
    """Run the edge until it is stopped; return the exit code. One that was told to restart runs anew in this process.

    Raises:
        EdgeRunsError: its data directory is in use, or cannot be used.
        OSError: the log file cannot be used.

    """
    with Home(settings.home) as home:
        configure_logging(settings.log, settings.log_file or None)
        code = _run(EdgeProcess(settings, home, environ))
    if code == RESTART:
        logger.info("the edge starts anew")
        # The same command with new settings and new code, whether or not anybody would start us again.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command
    return code


def _run(process: EdgeProcess) -> int:
    def end(_number: int, _frame: FrameType | None) -> None:
        process.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        process.start()
        return process.wait()
    except SupervisionError as error:
        logger.error("the edge did not start: %s", error.__cause__ or error)  # noqa: TRY400 - the cause says it all
        return 1
    finally:
        process.stop()


def _give_up_process() -> None:
    """End the process at once: its threads hang, so nothing orderly is left to do. The outbox has what was scanned."""
    logger.critical("too many threads hang; the process ends and has to be started anew")
    os._exit(EXHAUSTED)
