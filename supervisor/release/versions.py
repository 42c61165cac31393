"""The order of versions, as PEP 440 defines it."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version


def compare(one: str, other: str) -> int:
    """Return -1, 0 or 1; a version that is none is older than every one.

    Local versions count (`1.0+site1` is newer than `1.0`), the spelling does not (`1.0` is `1.0.0`).
    """
    mine, theirs = _parse(one), _parse(other)
    return (mine > theirs) - (mine < theirs)


def is_version(text: str) -> bool:
    """Return whether a text is a version."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def accepts(specifiers: str, python: str) -> bool:
    """Return whether a Python's version, `3.11.2`, meets specifiers like `>=3.11`; False for malformed ones."""
    try:
        return SpecifierSet(specifiers).contains(python, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _parse(text: str) -> Version:
    return Version(text) if is_version(text) else Version("0.dev0")
