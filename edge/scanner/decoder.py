"""From key events to codes. Pure: it sees codes, values and times of keys, and knows neither devices nor clocks.

A code ends with an end key, or with a pause. What would make a wrong code out of a right one makes none at all: a code
that is too long, or in which the kernel lost events, is left out as a whole and counted.
"""

from __future__ import annotations

import unicodedata

from edge.scanner import keys
from edge.scanner.layouts import SPACING, Layout
from edge.scanner.tally import Tally
from edge.scans import CONTROLS, LONGEST_CODE

_ENDS = {"\r": "enter", "\n": "enter", "\t": "tab"}
"""Control characters to the end key that they are, typed as Ctrl+M, Ctrl+J, Ctrl+I or with Alt and the keypad."""
_LONGEST_ALT = 6
"""Digits that Alt and the keypad may type for one character: `00` and U+FFFF in decimal."""


class Decoder:
    """Follows the keys of one scanner.

    Args:
        layout: what the keys mean.
        end_keys: which of `enter` and `tab` end a code.
        pause: seconds between two keys that end a code, 0 for none.
        tally: where is counted what was left out.

    """

    def __init__(self, layout: Layout, *, end_keys: tuple[str, ...], pause: float, tally: Tally) -> None:
        self._layout = layout
        self._ends = frozenset[int]().union(*(keys.END_KEYS[name] for name in end_keys))
        self._end_names = frozenset(end_keys)
        self._pause = pause
        self._tally = tally
        self._text: list[str] = []
        self._damaged = False
        """The code that is being read has lost events or is too long; nothing of it is taken."""
        self._held: set[int] = set()
        self._caps = False
        self._dead = ""
        self._alt_digits = ""
        self._last_at: float | None = None

    @property
    def pending(self) -> bool:
        """Whether a code has begun that a pause may end."""
        return bool(self._text or self._dead or self._damaged)

    def feed(self, kind: int, code: int, value: int, at: float) -> list[str]:
        """Take one event of the kernel; return the codes that it completes, mostly none.

        Args:
            kind: `EV_KEY`, `EV_SYN` or anything else.
            code: of the key.
            value: `UP`, `DOWN` or `REPEAT`.
            at: when, seconds on any clock that only moves forward.

        """
        if kind == keys.EV_SYN and code == keys.SYN_DROPPED:
            self._lose()
        if kind != keys.EV_KEY:
            return []
        done = self._end() if self._paused(at) else []
        self._last_at = at
        if value == keys.DOWN:
            return done + self._press(code)
        return done + (self._release(code) if value == keys.UP else [])

    def flush(self) -> list[str]:
        """End the code that is being read: the pause is over. Return it, if there is one."""
        return self._end()

    def discard(self) -> None:
        """Forget the code that is being read: its rest will never come."""
        if self.pending:
            self._lose()
            self._end()

    def _paused(self, at: float) -> bool:
        return self._pause > 0 and self._last_at is not None and at - self._last_at >= self._pause

    def _lose(self) -> None:
        """Take nothing of the code that is being read: part of it is missing, perhaps all that has come so far.

        Which keys are down is not known either.
        """
        self._tally.lost += not self._damaged
        self._damaged = True
        self._held.clear()
        self._alt_digits = ""

    # Keys

    def _press(self, code: int) -> list[str]:
        if code in keys.MODIFIERS:
            self._held.add(code)
            return []
        if code == keys.CAPS_LOCK:
            self._caps = not self._caps
            return []
        if code in keys.SILENT:
            return []
        ctrl = bool(self._held & keys.CTRL)
        if (ctrl, code) in self._layout.gs:
            return self._type("\x1d")
        if code in self._ends:
            return self._end()
        if keys.ALT in self._held and code in keys.KEYPAD_DIGITS:
            self._alt_digits = (self._alt_digits + keys.KEYPAD_DIGITS[code])[-_LONGEST_ALT:]
            return []
        return self._type(self._control(code) if ctrl else self._character(code))

    def _release(self, code: int) -> list[str]:
        self._held.discard(code)
        if code != keys.ALT or not self._alt_digits:
            return []
        digits, self._alt_digits = self._alt_digits, ""
        return self._type(_by_number(digits))

    def _character(self, code: int) -> str:
        """Return what a key types with the modifiers that are held; empty for nothing."""
        if code in keys.KEYPAD:
            return keys.KEYPAD[code]
        if code in keys.END_KEYS["tab"]:
            return "\t"
        levels = self._layout.keys.get(code, ())
        shifted = bool(self._held & keys.SHIFT)
        if self._caps and len(levels) > 1 and levels[0].upper() == levels[1] != levels[0]:
            shifted = not shifted
        level = shifted + 2 * (keys.ALTGR in self._held)
        return levels[level] if level < len(levels) else ""

    def _control(self, code: int) -> str:
        """Return the control character of Ctrl and a key (ASCII: the lower five bits of `@` to `_`)."""
        character = self._character(code).upper()
        return chr(ord(character) & 0x1F) if len(character) == 1 and "@" <= character <= "_" else ""

    # Characters

    def _type(self, character: str) -> list[str]:
        """Append a character, or end the code if it says so."""
        if _ENDS.get(character) in self._end_names:
            return self._end()
        if character in SPACING:
            self._resolve("")
            self._dead = character
        elif character and (character in CONTROLS or character.isprintable()):
            self._resolve(character)
        else:
            self._tally.unmapped += 1
        return []

    def _resolve(self, character: str) -> None:
        """Append a character as the dead key before it wants, or that key alone before nothing or a space."""
        dead, self._dead = self._dead, ""
        if not dead:
            self._append(character)
            return
        composed = unicodedata.normalize("NFC", character + dead) if character.isalpha() else ""
        if len(composed) == 1:
            self._append(composed)
        else:
            self._append(SPACING[dead])
            self._append("" if character == " " else character)

    def _append(self, character: str) -> None:
        if not character or self._damaged:
            return
        if len(self._text) >= LONGEST_CODE:
            self._tally.too_long += 1
            self._damaged = True
            return
        self._text.append(character)

    def _end(self) -> list[str]:
        if self._dead:
            self._resolve("")
        text, damaged = "".join(self._text), self._damaged
        self._text.clear()
        self._damaged = False
        return [text] if text and not damaged else []


def _by_number(digits: str) -> str:
    """Return what Alt and these digits of the keypad type on Windows, whose way scanners imitate; empty for nothing.

    A leading zero means code page 1252, none means 437; above 255 it is Unicode. Below 128 all are ASCII.
    """
    number = int(digits)
    if number < 128 or number > 255:
        return chr(number) if number <= 0xFFFF and not 0xD800 <= number < 0xE000 else ""
    return bytes([number]).decode("cp1252" if digits.startswith("0") else "cp437", errors="ignore")
