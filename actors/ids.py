"""Ids that sort in the order in which they were made."""

from __future__ import annotations

import secrets

from actors.runtime import Clock

TIME_DIGITS = 14
"""Hexadecimal digits of microseconds since 1970: they last until the year 4253."""
RANDOM_BYTES = 9


class IdMaker:
    """Makes ids of 32 hexadecimal digits: the time and chance, so that those of two processes differ too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = 0

    def make(self) -> str:
        """Return an id above all that this maker has made before."""
        self._last_us = max(int(self._clock.time() * 1_000_000), self._last_us + 1)
        return f"{self._last_us:0{TIME_DIGITS}x}{secrets.token_hex(RANDOM_BYTES)}"
