"""Rules of groups: which devices belong to a group by what is known of them. Pure, and quick over a whole fleet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from actors.groups.labels import MOST_LABELS, Key, Value, has_label
from actors.messages import DeviceSnapshot, Kind

Belongs = Callable[[DeviceSnapshot], bool]
"""Tells whether a device belongs to a group."""
Pattern = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""A text in which `*` stands for any characters and `?` for one; all others stand for themselves."""
ANY: Final = "*"
"""As the value of a label: whatever it is."""
_PATTERNS: Final = ("site", "type", "serial", "label")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A device belongs to the group if all that is given here is true of it."""

    site: Pattern = ""
    type: Pattern = ""
    kind: Kind | None = None
    serial: Pattern = ""
    label: Pattern = ""
    """The name that operators gave it, `label` of the device."""
    labels: Annotated[dict[Key, Value], msgspec.Meta(max_length=MOST_LABELS)] = {}
    """Its labels; `*` stands for any value."""

    def __post_init__(self) -> None:
        """Refuse a rule that restricts nothing: it would take in the whole fleet by a slip."""
        if not (self.kind or self.labels or any(getattr(self, name) for name in _PATTERNS)):
            raise ValueError(f"a rule must restrict something: {', '.join(_PATTERNS)}, kind or labels")

    def belongs(self) -> Belongs:
        """Return the rule as a function, made once for a walk over the fleet."""
        checks = list(self._checks())
        if len(checks) == 1:
            return checks[0]
        return lambda device: all(check(device) for check in checks)

    def _checks(self) -> Iterator[Belongs]:
        if self.kind is not None:
            yield lambda device: device.kind == self.kind
        for name in _PATTERNS:
            pattern = getattr(self, name)
            if pattern:
                yield _check(name, pattern)
        for key, value in self.labels.items():
            yield _label_check(key if value == ANY else f"{key}={value}")


def _check(name: str, pattern: str) -> Belongs:
    if not {"*", "?"} & set(pattern):
        return lambda device: getattr(device, name) == pattern
    matches = compile_pattern(pattern).match
    return lambda device: matches(getattr(device, name)) is not None


def _label_check(wanted: str) -> Belongs:
    return lambda device: has_label(device.labels, wanted)


@lru_cache(maxsize=1_024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression without any way to be slow: each `*` takes what it can."""
    parts = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    # Possessive up to the next fixed part: `(?>.*?part)` is never tried a second time, so that the work is linear.
    first, *others = parts
    if not others:
        return re.compile(rf"{first}\Z", re.DOTALL)
    *middle, last = others
    skips = "".join(f"(?>.*?{part})" for part in middle)
    return re.compile(rf"{first}{skips}.*{last}\Z", re.DOTALL)
