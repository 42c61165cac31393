"""The life of a publisher process: what is made, in which order, and how all of it ends."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from types import FrameType
from typing import cast

import pykka

from actors.drivers import DriverError
from actors.outbox import GetStats, OutboxStats, OutboxUnavailableError
from actors.runtime import Exit, Runtime
from supervisor import Root, SupervisionError
from supervisor.process.end import ProcessEnd
from supervisor.process.logs import configure_logging
from supervisor.publisher.home import Home
from supervisor.publisher.settings import Settings
from supervisor.publisher.tree import Parts, check_driver, publisher_tree
from supervisor.server.config import ConfigError

logger = logging.getLogger(__name__)

START_WITHIN = 30.0
STOP_WITHIN = 20.0
ONCE_WITHIN = 30.0
"""Seconds that `--once` waits for the server to confirm."""
LOOK_EVERY = 0.1
EXHAUSTED = 70
"""Exit code (EX_SOFTWARE) when too many threads hang, or the tree gave up: systemd starts the process anew."""


class PublisherProcess:
    """One process, from its parts to its end."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self._settings = settings
        self._end = ProcessEnd()
        self.runtime = Runtime.system()
        self.runtime.watchdog.on_exhausted = _give_up_process
        self.parts = Parts(settings, home, self.runtime)
        self._root: Root | None = None

    def start(self) -> None:
        """Start everything.

        Raises:
            SupervisionError: with the cause, if it does not come up.

        """
        self.runtime.start()
        self._root = Root(self.runtime, publisher_tree(self.parts), on_exit=self._tree_ended)
        try:
            self._root.wait_ready(START_WITHIN)
        except TimeoutError as error:
            raise SupervisionError(str(error)) from error
        names = list(self.parts.stations)
        what = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        logger.info("%s: every %g s, mode %s", what, self._settings.publisher.interval, self._settings.publisher.mode)

    def wait(self) -> int:
        """Block until a signal, the tree, or the last delivery ends the process; return the exit code."""
        since = self.runtime.clock.monotonic()
        while not self._end.wait(LOOK_EVERY):
            left = self._left()
            late = self._settings.once and self.runtime.clock.monotonic() - since > ONCE_WITHIN
            if left == 0:
                return 0
            if left is not None and late:
                logger.error("%d readings are not delivered; they are kept for the next start", left)
                return 1
        return self._end.code

    def end(self, code: int = 0) -> None:
        """Let `wait` return; a signal handler may call it."""
        self._end.ask(code)

    def stop(self) -> None:
        """Stop everything, the mirror of `start`."""
        if self._root is not None and self._root.exit is None:
            self._root.stop(STOP_WITHIN)
        self.runtime.stop()

    def _left(self) -> int | None:
        """Return how many readings are not delivered once no further one will come; None while some will."""
        boards = self.parts.stations.values()
        if not all(board.finished for board in boards):
            return None
        unsaved = sum(len(board.unsaved) for board in boards)
        outbox = self.parts.directory.get("outbox")
        if outbox is None:
            return None
        try:
            stats = cast("OutboxStats", outbox.ask(GetStats(), timeout=5.0))
        except (pykka.ActorDeadError, pykka.Timeout, OutboxUnavailableError):
            return None
        return unsaved + stats.items

    def _tree_ended(self, ended: Exit) -> None:
        if ended.error is not None:
            self.end(EXHAUSTED)


def run_publisher(settings: Settings) -> int:
    """Run the publisher until it is stopped; return the exit code.

    Raises:
        PublisherRunsError: its data directory is in use, or cannot be used.
        ConfigError: its driver cannot be used, or there is no way to send anything.

    """
    configure_logging(settings.log)
    if settings.publisher.mode == "mqtt" and settings.places.broker() is None:
        raise ConfigError("mode mqtt: no broker is known; name one with --broker or MUSTER_BROKER_URL.")
    with Home(settings.home / settings.publisher.id) as home:
        try:
            process = PublisherProcess(settings, home)
            check_driver(process.parts)
        except DriverError as error:
            raise ConfigError(str(error)) from None
        return _run(process)


def _run(process: PublisherProcess) -> int:
    def end(_number: int, _frame: FrameType | None) -> None:
        process.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        process.start()
        return process.wait()
    except SupervisionError as error:
        logger.error("the publisher did not start: %s", error.__cause__ or error)  # noqa: TRY400 - the cause says it all
        return 1
    finally:
        process.stop()


def _give_up_process() -> None:
    """End the process at once: its threads hang, so nothing orderly is left to do. The outbox has what was read."""
    logger.critical("too many threads hang; the process ends and has to be started anew")
    os._exit(EXHAUSTED)
