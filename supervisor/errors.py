"""What can go wrong with a supervisor, as exceptions.

SupervisionError
 ├─ InvalidSpecError            a child spec or a setting that makes no sense
 ├─ ChildNotFoundError          no child of that id
 ├─ AlreadyStartedError         the id is taken by a child that runs
 ├─ AlreadyPresentError         the id is taken by a child that does not run
 ├─ ChildRunningError           only a stopped child can be restarted or deleted
 ├─ ChildRestartingError        the child is on its way up
 ├─ MaxChildrenError            a dynamic supervisor is full
 ├─ SupervisorStoppingError     too late for requests
 ├─ ChildStartError             a child could not be started
 ├─ StartTimeoutError           a child did not come up in time
 └─ RestartIntensityExceeded    children died too often; ends the supervisor
"""

from __future__ import annotations

from typing import Any


class SupervisionError(Exception):
    """The base of everything that this package raises."""


class InvalidSpecError(SupervisionError, ValueError):
    """A child spec or a setting of a supervisor makes no sense."""


class ChildNotFoundError(SupervisionError, LookupError):
    """The supervisor has no child of that id."""


class AlreadyStartedError(SupervisionError):
    """A child of that id runs already; `ref` is its ref."""

    def __init__(self, message: str, ref: Any = None) -> None:
        super().__init__(message)
        self.ref = ref


class AlreadyPresentError(SupervisionError):
    """A child of that id is known and does not run; restart or delete it."""


class ChildRunningError(SupervisionError):
    """The child runs; only a stopped one can be restarted or deleted."""


class ChildRestartingError(SupervisionError):
    """The child is on its way up already."""


class MaxChildrenError(SupervisionError):
    """The dynamic supervisor has as many children as it may have."""


class SupervisorStoppingError(SupervisionError):
    """The supervisor is on its way down and takes no more requests."""


class ChildStartError(SupervisionError):
    """A child could not be started: its constructor or its `on_start` raised, which is the cause."""


class StartTimeoutError(SupervisionError):
    """A child was killed because it was not ready within its `start_timeout`."""


class RestartIntensityExceeded(SupervisionError):  # noqa: N818 - the name of the event in OTP's manuals
    """Children died more often than the intensity allows; the supervisor ends, so that its parent can act."""
