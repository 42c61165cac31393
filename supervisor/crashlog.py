"""Crash reports: the first few of each kind in full, the rest as a number.

A storm of ten thousand crashes costs more in tracebacks than in restarts, and nobody reads the second one.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

from actors.runtime import Exit
from supervisor.child import LastError

logger = logging.getLogger("supervisor")

IN_FULL = 5
"""Reports with a traceback per fault and window."""
WINDOW = 60.0
"""Seconds after which a fault is reported in full again."""
TEXT = 4_000
"""Characters kept of a traceback: the end, where the fault is."""
KINDS = 500
"""Faults remembered at the same time."""


@dataclass(frozen=True, slots=True)
class Crash:
    """An end that nobody wanted."""

    path: str
    """Of the child: `server/links/local.control`."""
    role: str
    """The path; for one of many alike that of its supervisor and `/*`."""
    error: LastError


def describe_exit(message: Exit, when: float, cause: BaseException | None = None) -> LastError:
    """Return what is worth keeping of a child's end; no frame and no local variable is."""
    error = cause or message.error
    name = "" if error is None else type(error).__qualname__
    text = "" if error is None else _writable(str(error)[:TEXT])
    trace = _writable(message.traceback[-TEXT:])
    return LastError(message.reason.value, name, text, trace, when, _innermost(message.traceback))


def _writable(text: str) -> str:
    """Return a text that has a UTF-8: one that names a file may have halves of characters, which no JSON takes."""
    return text.encode(errors="backslashreplace").decode()


def _innermost(text: str) -> str:
    """Return `file:line` of the last frame of a formatted traceback."""
    start = text.rfind('\n  File "')
    if start < 0:
        return ""
    parts = text[start + 1 :].split("\n", 1)[0].strip().split(", ")
    if len(parts) < 2:
        return ""
    return parts[0].removeprefix('File "').rstrip('"') + ":" + parts[1].removeprefix("line ")


def format_failure(error: BaseException) -> str:
    """Return the traceback of an exception that a start function raised."""
    return "".join(traceback.format_exception(error, limit=-20))


@dataclass(slots=True)
class _Heap:
    """What was said of one fault in this window."""

    since: float
    told: int = 0
    untold: int = 0


class CrashLog:
    """Reports crashes, rate-limited per fault."""

    def __init__(self) -> None:
        self._heaps: dict[tuple[str, str], _Heap] = {}

    def report(self, path: str, error: LastError, outcome: str, now: float) -> None:
        """Log that the child at `path` died of `error`, and what is done about it."""
        heap = self._heap(error, now)
        if heap.told >= IN_FULL:
            heap.untold += 1
            return
        heap.told += 1
        last = "; more like it are counted" if heap.told == IN_FULL else ""
        if error.reason == "normal":  # it has ended by itself, which is no fault
            logger.info("%s has ended by itself: %s%s", path, outcome, last)
            return
        text = f"\n{error.traceback}" if error.traceback else ""
        logger.error("%s %s (%s %s): %s%s%s", path, error.reason, error.type, error.message, outcome, last, text)

    def _heap(self, error: LastError, now: float) -> _Heap:
        key = (error.type or error.reason, error.where)
        heap = self._heaps.get(key)
        if heap is None or now - heap.since > WINDOW:
            if heap is not None and heap.untold:
                logger.error("%s at %s: %d more in the last minute", error.type, error.where, heap.untold)
            self._heaps.pop(key, None)
            while len(self._heaps) >= KINDS:
                self._heaps.pop(next(iter(self._heaps)))
            heap = self._heaps[key] = _Heap(now)
        return heap
