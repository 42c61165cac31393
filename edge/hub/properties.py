"""Properties of a twin as documents: what a hub stores of one, what differs, what a patch makes of it. Pure functions.

A patch is JSON Merge Patch (RFC 7396): `null` deletes a key.
"""

from __future__ import annotations

import math
import re
from typing import Any

DEEPEST = 10
"""Levels of objects that a hub stores."""
LONGEST_TEXT = 4096
"""Bytes of UTF-8."""
LARGEST_NUMBER = 4_503_599_627_370_496
"""Integers beyond are refused by a hub."""

_FORBIDDEN = re.compile(r"[.$ \x00-\x1f\x7f-\x9f]")
"""Characters that no key may have."""


def storable(value: Any, depth: int = 1) -> Any:
    """Return a value as a hub can store it: keys made valid, texts cut, what it cannot hold replaced by None."""
    match value:
        case dict():
            if depth > DEEPEST:
                return None
            return {_FORBIDDEN.sub("_", str(key)): storable(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [storable(item, depth + 1) for item in value] if depth <= DEEPEST else None
        case str():
            return value.encode("utf-8", "replace")[:LONGEST_TEXT].decode("utf-8", "ignore")
        case bool() | None:
            return value
        case int():
            return value if abs(value) <= LARGEST_NUMBER else str(value)
        case float():
            return value if math.isfinite(value) else None
        case _:
            return str(value)[:LONGEST_TEXT]


def difference(known: dict[str, Any], wanted: dict[str, Any], *, full: bool = False) -> dict[str, Any]:
    """Return the patch that makes `known` say what `wanted` says.

    Keys of `known` that `wanted` does not name stay at the top level, where others may have written them; below it they
    go. With `full` everything that is wanted is in the patch.
    """
    return _difference(known, wanted, full=full, prune=False)


def _difference(known: dict[str, Any], wanted: dict[str, Any], *, full: bool, prune: bool) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for key, value in wanted.items():
        before = known.get(key)
        if isinstance(value, dict):
            within = _difference(before if isinstance(before, dict) else {}, value, full=full, prune=True)
            if within or not (before is None or isinstance(before, dict)):
                patch[key] = within
        elif before != value or (full and value is not None):
            patch[key] = value
    if prune:
        patch |= {key: None for key in known if key not in wanted}
    return patch


def merge(known: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return `known` as a patch changes it."""
    merged = dict(known)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def without_system(document: dict[str, Any]) -> dict[str, Any]:
    """Return a section of a twin without `$version` and `$metadata`."""
    return {key: value for key, value in document.items() if not key.startswith("$")}
