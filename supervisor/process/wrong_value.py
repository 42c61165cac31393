"""What msgspec says of a value that a configuration has wrong, in the words of who wrote the file."""

from __future__ import annotations

import re

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


def split(error: str) -> tuple[str, str]:
    """Return the reason and the key, such as `http.port`, of a message like `... - at `$.http.port``."""
    reason, _, path = error.partition(" - at `")
    return reason, path.rstrip("`").removeprefix("$").removeprefix(".")


def unknown_name(reason: str) -> str:
    """Return the name that is not known in its section; empty for any other reason."""
    unknown = _UNKNOWN.fullmatch(reason)
    return unknown[1] if unknown else ""


def sentence(error: str) -> str:
    """Return `key http.port: reason`; only the reason where no key is at fault."""
    reason, key = split(error)
    unknown = unknown_name(reason)
    if unknown:
        return f"key {join(key, unknown)}: is not known"
    reason = reason[:1].lower() + reason[1:]
    return f"key {key}: {reason}" if key else reason


def join(key: str, name: str) -> str:
    """Return the key of a name in a section."""
    return f"{key}.{name}" if key else name
