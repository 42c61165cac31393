"""What a scanned code is, as far as its text tells: the kind of its number, and whether its check digits hold.

Sources: GS1 General Specifications, release 24 (check digits: 7.9; element strings and predefined lengths: 7.8;
dates: 7.12) and ISO/IEC 15424 for the three characters that many scanners can put in front of a code. A number is
judged by its length alone, since scanners seldom say what they read; a wrong check digit is told, never corrected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

GS = "\x1d"
"""Group separator: how a scanner sends the FNC1 that ends an element of variable length."""


class Barcode(NamedTuple):
    """What `identify` found."""

    symbology: str
    """`EAN-13`, `EAN-8`, `UPC-A`, `GTIN-14`, `SSCC`, `GS1`, what an AIM identifier names, or empty: cannot be told."""
    valid: bool | None
    """Whether all check digits (and dates of `GS1`) hold; None where there are none to check."""


UNKNOWN = Barcode("", None)

_NUMBERS = {8: "EAN-8", 12: "UPC-A", 13: "EAN-13", 14: "GTIN-14", 18: "SSCC"}
"""Digits in a number to its kind."""
_AIM_GS1 = frozenset({"]C1", "]e0", "]e1", "]e2", "]d2", "]Q3", "]J1"})
"""AIM identifiers of symbols whose content is GS1 element strings."""
_AIM_NUMBERS = frozenset({"]E0", "]E4", "]I1"})
"""AIM identifiers of symbols whose content is one number with a check digit."""
_AIM_NAMES = {
    "A": "Code 39",
    "C": "Code 128",
    "F": "Codabar",
    "G": "Code 93",
    "I": "Interleaved 2 of 5",
    "L": "PDF417",
    "Q": "QR Code",
    "d": "Data Matrix",
    "z": "Aztec Code",
}
"""The letter of an AIM identifier to the symbology, for those whose content is free text."""

_FIXED = {"00": 18, "01": 14, "02": 14, "03": 14, "04": 16, "20": 2, "41": 13} | dict.fromkeys(
    ("11", "12", "13", "14", "15", "16", "17", "18", "19", "31", "32", "33", "34", "35", "36"), 6
)
"""The first two digits of an application identifier to the digits of its value, which no separator ends."""
_AI_DIGITS = dict.fromkeys(("23", "24", "25", "40", "41", "42", "71"), 3) | dict.fromkeys(
    ("31", "32", "33", "34", "35", "36", "39", "43", "70", "72", "80", "81", "82"), 4
)
"""The first two digits of an application identifier to its length, where that is not 2."""
_AI_SHORT = frozenset({"10", "21", "22", "30", "37", *(str(number) for number in range(90, 100))})
"""Application identifiers of two digits with a value of variable length."""
_CHECKED = frozenset({"00", "01", "02", "03", "402", *(str(number) for number in range(410, 418))})
"""Application identifiers whose value ends in a check digit."""
_DATES = frozenset({"11", "12", "13", "15", "16", "17"})
_LONGEST_VALUE = 90
"""Characters that the value of any application identifier may have at most."""
_SHORTEST_BARE = 16
"""Characters from which a code without AIM identifier and separators may be element strings: `01` and a GTIN."""


class _MalformedError(ValueError):
    """The text is no sequence of element strings."""


def identify(code: str) -> Barcode:
    """Return what a code is; never raises, whatever the text."""
    aim, content = (code[:3], code[3:]) if _is_aim(code) else ("", code)
    if aim in _AIM_GS1:
        return _gs1(content) or Barcode("GS1", valid=False)
    if aim and aim not in _AIM_NUMBERS:
        return Barcode(_AIM_NAMES.get(aim[1], ""), None)
    if _is_digits(content) and len(content) in _NUMBERS:
        return Barcode(_NUMBERS[len(content)], check_digit_holds(content))
    if GS in content:
        return _gs1(content) or UNKNOWN
    return _bare_gs1(content) or UNKNOWN


def check_digit_holds(number: str) -> bool:
    """Return whether the last of these ASCII digits is the GS1 check digit of those before it (modulo 10, 3-1-3-1)."""
    total = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(reversed(number)))
    return total % 10 == 0


def _is_aim(code: str) -> bool:
    """Return whether a code begins with an AIM identifier: `]`, a letter, a modifier."""
    return len(code) > 3 and code[0] == "]" and code[:3].isascii() and code[1].isalpha() and code[2].isalnum()


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _gs1(content: str) -> Barcode | None:
    """Judge element strings; None if the text is none."""
    try:
        elements = list(_elements(content))
    except _MalformedError:
        return None
    return Barcode("GS1", all(_holds(identifier, value) for identifier, value in elements)) if elements else None


def _bare_gs1(content: str) -> Barcode | None:
    """Judge a code that only looks like element strings: believed if it begins with a trade item or a unit that holds.

    Other texts may begin with `01` too, so that a wrong check digit speaks against it being GS1 at all.
    """
    if len(content) < _SHORTEST_BARE or not content.startswith(("00", "01", "02")):
        return None
    first = content[2 : 2 + _FIXED[content[:2]]]
    if not _is_digits(first) or not check_digit_holds(first):
        return None
    return _gs1(content)


def _elements(content: str) -> Iterator[tuple[str, str]]:
    """Yield application identifier and value.

    Raises:
        _MalformedError: the text breaks the rules of GS1.

    """
    rest = content.removeprefix(GS)  # FNC1 in the first place, which some scanners send as a separator
    while rest:
        prefix = rest[:2]
        if prefix not in _FIXED and prefix not in _AI_DIGITS and prefix not in _AI_SHORT:
            raise _MalformedError
        identifier = rest[: _AI_DIGITS.get(prefix, 2)]
        size = _FIXED.get(prefix)
        value, rest = _split(rest[len(identifier) :], size)
        if not _is_digits(identifier) or (size is not None and not (len(value) == size and _is_digits(value))):
            raise _MalformedError
        if not 0 < len(value) <= _LONGEST_VALUE or not value.isascii() or not value.isprintable():
            raise _MalformedError
        yield identifier, value


def _split(text: str, size: int | None) -> tuple[str, str]:
    """Return the value at the start of a text and what follows it; without a size a separator or the end ends it."""
    if size is None:
        value, _, rest = text.partition(GS)
        return value, rest
    return text[:size], text[size:].removeprefix(GS)  # a separator behind a fixed value is allowed and means nothing


def _holds(identifier: str, value: str) -> bool:
    if identifier in _CHECKED:
        return _is_digits(value) and check_digit_holds(value)
    if identifier in _DATES:
        return 1 <= int(value[2:4]) <= 12 and int(value[4:6]) <= 31  # day 00: the month as a whole
    return True
