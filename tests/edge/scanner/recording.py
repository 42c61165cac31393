"""Recordings of scanners, and a typist who works like one.

The files `streams/*.evemu` have the format of evemu-record: `E: seconds type code value`, type and code in hexadecimal.
They were written by hand from the HID usage tables (page 7) and the keyboards that they name; lines `# expects:` tell
the codes in them.
"""

from __future__ import annotations

import struct
from pathlib import Path

from edge.scanner import keys
from edge.scanner.layouts import SPACING

STREAMS = Path(__file__).parent / "streams"
EV_KEY, EV_SYN, EV_MSC = 1, 0, 4
INPUT_EVENT = struct.Struct("@llHHi")


class Recording:
    """One file."""

    def __init__(self, name):
        self.events = []
        """(type, code, value, seconds)"""
        self.expects = []
        for line in (STREAMS / f"{name}.evemu").read_text().splitlines():
            if line.startswith("# expects: "):
                code = line.removeprefix("# expects: ")
                self.expects.append(code.replace("\\x1d", "\x1d").replace("\\\\", "\\"))
            elif line.startswith("E: "):
                at, kind, code, value = line.split("#")[0].split()[1:]
                self.events.append((int(kind, 16), int(code, 16), int(value), float(at)))


def packed(events):
    """The events as the kernel writes them."""
    whole = [(*divmod(round(at * 1_000_000), 1_000_000), kind, code, value) for kind, code, value, at in events]
    return b"".join(INPUT_EVENT.pack(*event) for event in whole)


class Typist:
    """Types text on a layout as a scanner does."""

    def __init__(self, layout, *, end="enter", start=100.0, step=0.001):
        self.layout, self.end, self.at, self.step = layout, end, start, step
        self._places = {}
        for code, levels in layout.keys.items():
            for level, character in enumerate(levels):
                self._places.setdefault(character, (code, level))
        self._dead = {SPACING[character]: character for character in SPACING if character in self._places}

    @property
    def characters(self):
        """What it can type; what is only on a dead key is typed before a space."""
        return sorted({character for character in self._places if character not in SPACING} - {""} | {*self._dead})

    def type(self, text):
        """The events of a text and the end key."""
        events = []
        plain = "".join(self._dead[one] + " " if one not in self._places and one in self._dead else one for one in text)
        for character in plain:
            code, level = (keys.KEYS["f8"], 0) if character == "\x1d" else self._places[character]
            modifiers = [name for bit, name in ((1, "leftshift"), (2, "rightalt")) if level & bit]
            events += self.tap(code, *modifiers)
        return events + (self.tap(keys.KEYS[self.end]) if self.end else [])

    def tap(self, code, *modifiers):
        """One key with modifiers held, each event with its SYN_REPORT."""
        held = [keys.KEYS[name] for name in modifiers]
        strokes = [(key, 1) for key in held] + [(code, 1), (code, 0)] + [(key, 0) for key in reversed(held)]
        events = []
        for key, value in strokes:
            self.at += self.step
            events += [(EV_KEY, key, value, self.at), (EV_SYN, 0, 0, self.at)]
        return events
