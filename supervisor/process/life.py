"""The life of a process that holds one tree of actors: it starts, runs until it is ended, and stops."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import FrameType
from typing import ClassVar

from actors.runtime import Exit, Runtime
from supervisor import Root, SupervisionError, Supervisor
from supervisor.process.end import ProcessEnd

logger = logging.getLogger(__name__)

START_WITHIN = 30.0
"""Seconds for the whole tree to come up."""
EXHAUSTED = 70
"""Exit code (EX_SOFTWARE) when too many threads hang, or the tree gave up: systemd starts the process anew."""


class TreeProcess(ABC):
    """One process, from its parts to its end; `live` leads it through."""

    name: ClassVar[str]
    """What the log calls it, as the subject of a sentence."""
    stop_within: ClassVar[float] = 20.0
    """Seconds for the whole tree to stop."""

    def __init__(self) -> None:
        self._end = ProcessEnd()
        self._root: Root | None = None
        self.runtime = Runtime.system()
        self.runtime.watchdog.on_exhausted = give_up_process

    def start(self) -> None:
        """Start everything; return when the whole tree is up.

        Raises:
            SupervisionError: with the cause, if it does not come up.

        """
        self.runtime.start()
        self._root = Root(self.runtime, self._make_tree(), on_exit=self._tree_ended)
        self._wait_ready(self._root)

    def wait(self) -> int:
        """Block until a signal or the tree ends the process; return the exit code."""
        self._end.wait()
        return self._end.code

    def end(self, code: int = 0) -> None:
        """Let `wait` return; a signal handler may call it."""
        self._end.ask(code)

    def stop(self) -> None:
        """Stop everything, the mirror of `start`."""
        if self._root is not None and self._root.exit is None:
            self._root.stop(self.stop_within)
        self.runtime.stop()

    @abstractmethod
    def _make_tree(self) -> Supervisor:
        """Return the tree, not yet started."""

    def _wait_ready(self, root: Root) -> None:
        try:
            root.wait_ready(START_WITHIN)
        except TimeoutError as error:
            raise SupervisionError(str(error)) from error

    def _tree_ended(self, ended: Exit) -> None:
        """End the process when the tree gave up; after an orderly stop there is nothing to do."""
        if ended.error is not None:
            self.end(EXHAUSTED)


def live(process: TreeProcess, *, on_up: Callable[[], None] = lambda: None) -> int:
    """Lead a process through its life; return its exit code.

    SIGINT and SIGTERM end it, SIGUSR1 writes the stacks of all threads to stderr.

    Args:
        process: what to start, wait for and stop.
        on_up: called once it has started.

    """

    def end(_number: int, _frame: FrameType | None) -> None:
        process.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        process.start()
        on_up()
        return process.wait()
    except SupervisionError as error:
        logger.error("%s did not start: %s", process.name, _root_cause(error))  # noqa: TRY400 - the cause says it all
        return 1
    finally:
        process.stop()


def give_up_process() -> None:
    """End the process at once: its threads hang, so nothing orderly is left to do. What must be kept is on the disk."""
    logger.critical("too many threads hang; the process ends and has to be started anew")
    os._exit(EXHAUSTED)


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
