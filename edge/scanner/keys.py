"""Key codes of Linux, as far as a scanner types them (`linux/input-event-codes.h`), under their names in small letters.

The USB HID usage table gives a scanner the same keys whatever language is printed on them: `q` is the key that has a Q
on an American keyboard. What it stands for is the business of `edge.scanner.layouts`.
"""

from __future__ import annotations

EV_SYN = 0
EV_KEY = 1
SYN_DROPPED = 3
"""The kernel's buffer ran over: events are missing."""

UP, DOWN, REPEAT = 0, 1, 2
"""Values of a key event."""

KEYS: dict[str, int] = {
    name: code
    for first, names in (
        (
            1,
            "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab q w e r t y u i o p leftbrace rightbrace enter leftctrl",
        ),
        (30, "a s d f g h j k l semicolon apostrophe grave leftshift backslash z x c v b n m comma dot slash"),
        (54, "rightshift kpasterisk leftalt space capslock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 numlock scrolllock"),
        (71, "kp7 kp8 kp9 kpminus kp4 kp5 kp6 kpplus kp1 kp2 kp3 kp0 kpdot"),
        (86, "102nd f11 f12 ro"),
        (96, "kpenter rightctrl kpslash sysrq rightalt"),
        (117, "kpequal"),
        (121, "kpcomma"),
        (124, "yen leftmeta rightmeta"),
    )
    for code, name in enumerate(names.split(), first)
}

SHIFT = frozenset({KEYS["leftshift"], KEYS["rightshift"]})
CTRL = frozenset({KEYS["leftctrl"], KEYS["rightctrl"]})
ALT = KEYS["leftalt"]
ALTGR = KEYS["rightalt"]
CAPS_LOCK = KEYS["capslock"]
MODIFIERS = SHIFT | CTRL | {ALT, ALTGR}
SILENT = frozenset({KEYS["numlock"], KEYS["scrolllock"], KEYS["leftmeta"], KEYS["rightmeta"]})
"""Keys that some scanners press around a code and that mean nothing in it."""
END_KEYS = {"enter": frozenset({KEYS["enter"], KEYS["kpenter"]}), "tab": frozenset({KEYS["tab"]})}
KEYPAD_DIGITS = {KEYS[f"kp{digit}"]: digit for digit in "0123456789"}
"""With Num Lock, which is what a scanner assumes."""
KEYPAD = KEYPAD_DIGITS | {
    KEYS["kpdot"]: ".",
    KEYS["kpcomma"]: ",",
    KEYS["kpplus"]: "+",
    KEYS["kpminus"]: "-",
    KEYS["kpasterisk"]: "*",
    KEYS["kpslash"]: "/",
    KEYS["kpequal"]: "=",
}

DIGITS = frozenset(KEYS[digit] for digit in "0123456789")
LETTERS = frozenset(KEYS[letter] for letter in "qwertyuiopasdfghjklzxcvbnm")
