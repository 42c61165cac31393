"""Keyboard layouts as data: what each key means alone, with Shift, with AltGr, and with both.

A scanner plays the keyboard of one country, chosen by a bar code in its manual; the layout here has to be the same one.
Each level is four rows in the order of `_PLACES`; a blank is a key without a meaning. A combining character (U+0300 and
following) is a dead key: it changes the character after it, and stands alone before a space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.scanner.keys import KEYS

_PLACES: tuple[tuple[str, ...], ...] = (
    ("grave", *"1234567890", "minus", "equal"),
    (*"qwertyuiop", "leftbrace", "rightbrace", "backslash"),
    (*"asdfghjkl", "semicolon", "apostrophe"),
    ("102nd", *"zxcvbnm", "comma", "dot", "slash"),
)

SPACING = {"\u0300": "`", "\u0301": "\u00b4", "\u0302": "^", "\u0303": "~", "\u0308": "¨"}
"""The combining character of a dead key to what it types before a space."""

Levels = tuple[str, ...]
"""The characters of one key: alone, with Shift, AltGr, Shift and AltGr; empty where it has none."""
Rows = tuple[str, ...]

_ROWS: dict[str, tuple[Rows, ...]] = {
    "us": (
        ("`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "\\zxcvbnm,./"),
        ("~!@#$%^&*()_+", "QWERTYUIOP{}|", 'ASDFGHJKL:"', "|ZXCVBNM<>?"),
    ),
    "uk": (
        ("`1234567890-=", "qwertyuiop[]#", "asdfghjkl;'", "\\zxcvbnm,./"),
        ('¬!"£$%^&*()_+', "QWERTYUIOP{}~", "ASDFGHJKL:@", "|ZXCVBNM<>?"),
        ("¦   €        ", "  é   úíó    ", "á          ", "           "),
        ("             ", "  É   ÚÍÓ    ", "Á          ", "           "),
    ),
    "de": (
        ("\u03021234567890ß\u0301", "qwertzuiopü+#", "asdfghjklöä", "<yxcvbnm,.-"),
        ('°!"§$%&/()=?\u0300', "QWERTZUIOPÜ*'", "ASDFGHJKLÖÄ", ">YXCVBNM;:_"),
        ("  ²³   {[]}\\ ", "@ €        ~ ", "           ", "|      µ   "),
    ),
    "fr": (
        ("²&é\"'(-è_çà)=", "azertyuiop\u0302$*", "qsdfghjklmù", "<wxcvbn,;:!"),
        (" 1234567890°+", "AZERTYUIOP\u0308£µ", "QSDFGHJKLM%", ">WXCVBN?./§"),
        ("  \u0303#{[|\u0300\\^@]}", "  €        ¤ ", "           ", "           "),
    ),
    "it": (
        ("\\1234567890'ì", "qwertyuiopè+ù", "asdfghjklòà", "<zxcvbnm,.-"),
        ('|!"£$%&/()=?^', "QWERTYUIOPé*§", "ASDFGHJKLç°", ">ZXCVBNM;:_"),
        ("     €       ", "  €       [] ", "         @#", "           "),
        ("             ", "          {} ", "           ", "           "),
    ),
}
_GS = ("ctrl+rightbrace", "f8")
"""How scanners type a group separator: as Ctrl and `]` (its control character in ASCII), or as F8."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the keys mean."""

    keys: Mapping[int, Levels]
    """Key code to its characters."""
    gs: frozenset[tuple[bool, int]]
    """(with Ctrl, key code) of the keys that mean the group separator."""


def check_chord(chord: str) -> tuple[bool, int]:
    """Return (with Ctrl, key code) of `f8` or `ctrl+rightbrace`.

    Raises:
        ValueError: there is no such key.

    """
    name = chord.removeprefix("ctrl+")
    if name not in KEYS:
        raise ValueError(f"`gs` names `{chord[:40]}`, which is no key; write `f8` or `ctrl+rightbrace`")
    return name != chord, KEYS[name]


def _spread(levels: tuple[Rows, ...]) -> dict[int, Levels]:
    """Return the characters of each key from rows."""
    keys: dict[int, Levels] = {KEYS["space"]: (" ", " ")}
    for number, row in enumerate(_PLACES):
        for place, name in enumerate(row):
            keys[KEYS[name]] = tuple(rows[number][place].strip() for rows in levels)
    return keys


LAYOUTS = frozenset(_ROWS)


def make_layout(
    base: str, *, keys: Mapping[str, tuple[str, ...]] | None = None, gs: tuple[str, ...] | None = None
) -> Layout:
    """Return one of our layouts, or one that differs from it.

    Args:
        base: name of ours.
        keys: name of a key to the characters of its levels.
        gs: chords of the group separator; None leaves those of the base.

    """
    changed = {KEYS[name]: levels for name, levels in (keys or {}).items()}
    return Layout(
        _spread(_ROWS[base]) | changed, frozenset(check_chord(chord) for chord in (_GS if gs is None else gs))
    )
