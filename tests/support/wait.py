"""Waiting for a condition, with a deadline instead of a sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.01  # seconds


def eventually(predicate: Callable[[], T], timeout: float = 20.0, what: str = "the condition") -> T:
    """Return the first truthy value of `predicate`.

    `timeout` is in seconds; when it has passed, AssertionError names `what` and the last value seen.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s; last value {value!r}")
        pause.wait(_POLL)
    return value


def throughout(seconds: float, predicate: Callable[[], object], what: str = "the condition") -> None:
    """Assert that `predicate` holds for so many seconds, looking again and again."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        assert predicate(), f"{what}: ended {deadline - time.monotonic():.2f} s before its time"
        pause.wait(_POLL)
