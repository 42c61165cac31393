"""A future that refuses to block the thread that would have to answer it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from pykka import ThreadingFuture

if TYPE_CHECKING:
    from actors.runtime.mailbox import Mailbox

T = TypeVar("T")


class WouldBlockError(RuntimeError):
    """A pooled actor asked for an answer that is not there yet; waiting would stop every actor of its dispatcher."""


class _Running(threading.local):
    """What the current thread is running for a dispatcher."""

    mailbox: Mailbox | None = None


running = _Running()


class GuardedFuture(ThreadingFuture[T]):
    """pykka's future, except that a dispatcher thread cannot wait for it."""

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the value as pykka does.

        Raises:
            WouldBlockError: on a dispatcher thread, if the value is not there yet; names the actor.

        """
        if running.mailbox is not None and self._result is None and self._get_hook is None:
            raise WouldBlockError(f"{running.mailbox.actor} must not block; let the answer come as a message")
        return super().get(timeout=timeout)
