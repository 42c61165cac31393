"""Takes note of what was done, refused and failed, without waiting, and without letting a flood fill the table."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from actors.messages import StoreAudit
from actors.runtime import Clock

SAME_FOR: Final = 60.0
"""Seconds for which the same refusal is only counted."""
MOST_KEYS: Final = 4_096
"""Refusals that are remembered for that."""
MOST_REFUSALS: Final = 100
"""Refusals and failures written in `WINDOW`: so many of those with a token of ours, and so many of strangers, who can
be many and must not crowd out the others."""
WINDOW: Final = 10.0
"""Seconds."""
LONGEST: Final = 255
"""Characters of a text."""
EVENTS: Final = ("done", "refused", "failed", "repeated", "left_out")
"""What is counted: rows by outcome, refusals and failures like one of the last minute, and those beyond
`MOST_REFUSALS`."""
Key = tuple[str, ...]

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Recorder:
    """Makes rows of the audit log; thread-safe."""

    def __init__(self, tell: Callable[[StoreAudit], object], clock: Clock) -> None:
        """Hand rows to `tell`, which must not wait."""
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: OrderedDict[Key, list[float]] = OrderedDict()
        """Until when each refusal is only counted, and how often it was."""
        self._windows: dict[bool, tuple[float, int]] = {}
        """When the window began and what was written in it, of strangers (True) and of the others."""
        self.counts: Counter[str] = Counter()

    def record(
        self, *, who: str, address: str, action: str, subject: str, status: int, details: Mapping[str, Any]
    ) -> None:
        """Note one deed; `status` is that of the HTTP answer: from 400 a refusal, from 500 a failure."""
        repeated = 0
        outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
        with self._lock:
            if outcome != "done":
                # What failed may have been done all the same, so that each is told by what it was about.
                about = subject if outcome == "failed" else ""
                news = self._is_news((who, address, action, str(status), about), is_stranger=not who)
                if news is None:
                    return
                repeated = news
            self.counts[outcome] += 1
        row = StoreAudit(
            ts_us=int(self._clock.time() * 1_000_000),
            who=_clean(who),
            address=_clean(address, 64),
            action=_clean(action, 128),
            subject=_clean(subject),
            outcome=outcome,
            status=status,
            repeated=repeated,
            details=_encode(details).decode(),
        )
        self._tell(row)

    def _is_news(self, key: Key, *, is_stranger: bool) -> int | None:
        """Return how often this was not written since it last was; None where it is not written now."""
        now = self._clock.monotonic()
        until, count = self._recent.pop(key, (0.0, 0.0))
        if now < until:
            self._recent[key] = [until, count + 1]
            self.counts["repeated"] += 1
            return None
        started, written = self._windows.get(is_stranger, (now, 0))
        if now - started >= WINDOW:
            started, written = now, 0
        if written >= MOST_REFUSALS:
            self.counts["left_out"] += 1
            return None
        self._windows[is_stranger] = (started, written + 1)
        self._recent[key] = [now + SAME_FOR, 0]
        while len(self._recent) > MOST_KEYS:
            self._recent.popitem(last=False)
        return int(count)


def _clean(text: str, longest: int = LONGEST) -> str:
    """Return text that every database takes."""
    return text[:longest].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
