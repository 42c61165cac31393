"""`Root`: a tree from outside, for the main thread: start it, wait until it is up, learn of its end, stop it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, cast

import pykka
from pykka import ActorRef

from actors.runtime import Exit, ExitReason, Ready, Runtime
from supervisor.child import reap
from supervisor.errors import SupervisionError, SupervisorStoppingError
from supervisor.messages import Request, refuse_request
from supervisor.status import table_of

logger = logging.getLogger("supervisor")


class Root:
    """Launches the top supervisor and hears what its parent would hear.

    Args:
        runtime: a runtime that has been started.
        actor: the top supervisor, not yet started.
        on_exit: called once with its `Exit`, on whatever thread it ended; must not block.

    """

    def __init__(self, runtime: Runtime, actor: pykka.Actor, *, on_exit: Callable[[Exit], None] | None = None) -> None:
        self._runtime = runtime
        self._on_exit = on_exit
        self._moved = threading.Condition()
        self._ready = False
        self.exit: Exit | None = None
        """How the tree ended; None while it lives."""
        # All that the runtime asks of a monitor is `tell`.
        self.ref: ActorRef[Any] = runtime.launch(actor, monitor=cast("ActorRef[Any]", self), child_id="root")

    def tell(self, message: Any) -> None:
        """Take the runtime's news."""
        if isinstance(message, Exit):
            logger.log(
                logging.INFO if message.error is None else logging.ERROR,
                "the tree has ended: %s %s",
                message.reason.value,
                message.error or "",
            )
            for envelope in message.pending:
                if isinstance(envelope.message, Request):
                    refuse_request(envelope.message, SupervisorStoppingError("the tree has ended"))
            if self._on_exit is not None:
                self._on_exit(message)
        with self._moved:
            if isinstance(message, Ready):
                self._ready = True
            elif isinstance(message, Exit):
                self.exit = message
            self._moved.notify_all()

    @property
    def ready(self) -> bool:
        """Whether every child was up once and the tree has not ended since."""
        return self._ready and self.exit is None

    def wait_ready(self, timeout: float) -> ActorRef[Any]:
        """Wait until the whole tree is up.

        Raises:
            SupervisionError: if it ended instead; the cause is what it ended with.
            TimeoutError: if it is not up in time.

        """
        with self._moved:
            arrived = self._moved.wait_for(lambda: self._ready or self.exit is not None, timeout)
        if self.exit is not None:
            raise SupervisionError(f"the tree did not come up: {self.exit.error}") from self.exit.error
        if not arrived:
            raise TimeoutError(f"the tree is not up after {timeout} s")
        return self.ref

    def wait_exit(self, timeout: float | None = None) -> Exit | None:
        """Wait until the tree has ended; return how, or None if it has not in time."""
        with self._moved:
            self._moved.wait_for(lambda: self.exit is not None, timeout)
        return self.exit

    def stop(self, timeout: float) -> Exit:
        """Stop the tree, the last child first, each within its time.

        Args:
            timeout: seconds for all of it; then what is left is killed.

        """
        self._runtime.shutdown(self.ref)
        ended = self.wait_exit(timeout)
        if ended is None:
            logger.error("the tree did not stop within %.1f s and is killed", timeout)
            self._kill()
            ended = self.wait_exit(1.0)
        return ended or Exit("root", 0, ExitReason.LOST, None, "", [])

    def _kill(self) -> None:
        table = table_of(self.ref)
        self._runtime.kill(self.ref)
        reap(table)
