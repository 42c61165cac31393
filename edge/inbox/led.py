"""The LED of the board: it blinks so that somebody before a shelf of devices finds the one that is meant."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

NAMES = ("ACT", "led0", "PWR", "led1")
"""As Raspberry Pi OS calls them, the one that is best seen first."""
BLINKING = "timer"
_CHOSEN = re.compile(r"\[([^\]]+)\]")


class Led:
    """The first LED that there is and that we may change; blinking, and as it was before."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._triggers = [root / "sys/class/leds" / name / "trigger" for name in NAMES]
        self._before: tuple[Path, str] | None = None

    def blink(self) -> str:
        """Let it blink; return its name, empty where there is none that we may change."""
        for trigger in self._triggers:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                chosen = _CHOSEN.search(trigger.read_text(encoding="ascii"))
                trigger.write_text(BLINKING, encoding="ascii")
                if self._before is None and chosen is not None and chosen[1] != BLINKING:
                    self._before = trigger, chosen[1]
                return trigger.parent.name
        return ""

    def restore(self) -> None:
        """Let it be as it was."""
        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(OSError):
                before[0].write_text(before[1], encoding="ascii")
