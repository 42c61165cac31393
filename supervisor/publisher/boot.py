"""The life of a publisher process: what is made, in which order, and how all of it ends."""

from __future__ import annotations

import logging
from typing import cast

import pykka

from actors.drivers import DriverError
from actors.outbox import GetStats, OutboxStats, OutboxUnavailableError
from supervisor import Supervisor
from supervisor.process.life import TreeProcess, live
from supervisor.process.logs import configure_logging
from supervisor.process.redaction import hide_secrets, secrets_in
from supervisor.publisher.home import Home
from supervisor.publisher.settings import Settings
from supervisor.publisher.tree import Parts, check_driver, publisher_tree
from supervisor.server.config import ConfigError

logger = logging.getLogger(__name__)

ONCE_WITHIN = 30.0
"""Seconds that `--once` waits for the server to confirm."""
LOOK_EVERY = 0.1


class PublisherProcess(TreeProcess):
    """One publisher, from its parts to its end."""

    name = "the publisher"

    def __init__(self, settings: Settings, home: Home) -> None:
        super().__init__()
        self._settings = settings
        self.parts = Parts(settings, home, self.runtime)

    def start(self) -> None:
        """Start everything.

        Raises:
            SupervisionError: with the cause, if it does not come up.

        """
        super().start()
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

    def _make_tree(self) -> Supervisor:
        return publisher_tree(self.parts)

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


def run_publisher(settings: Settings) -> int:
    """Run the publisher until it is stopped; return the exit code.

    Raises:
        PublisherRunsError: its data directory is in use, or cannot be used.
        ConfigError: its driver cannot be used, or there is no way to send anything.

    """
    configure_logging(settings.log)
    hide_secrets(*secrets_in(settings))
    if settings.publisher.mode == "mqtt" and settings.places.broker() is None:
        raise ConfigError("mode mqtt: no broker is known; name one with --broker or MUSTER_BROKER_URL.")
    with Home(settings.home / settings.publisher.id) as home:
        try:
            process = PublisherProcess(settings, home)
            check_driver(process.parts)
        except DriverError as error:
            raise ConfigError(str(error)) from None
        return live(process)
