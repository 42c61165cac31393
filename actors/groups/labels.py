"""Labels: `key=value` notes that operators put on devices, and by which devices are found.

A snapshot holds them as text, one `key=value` a line, by key: whether a device has one is a search in a short text, and
nothing is decoded for the many devices that have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

MOST_LABELS: Final = 64
"""Labels of one device."""

# Neither key nor value has control characters: the text of a snapshot is lines.
Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")]
Value = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Changes = Annotated[dict[Key, Value | None], msgspec.Meta(max_length=MOST_LABELS)]
"""What a change of labels looks like: null takes one away, and what is not named stays."""


class TooManyLabelsError(ValueError):
    """A device would have more labels than it may."""


def encode_labels(labels: Mapping[str, str]) -> str:
    """Return labels as a snapshot holds them."""
    return "\n".join(f"{key}={labels[key]}" for key in sorted(labels))


def decode_labels(text: str) -> dict[str, str]:
    """Return the labels of a snapshot."""
    return dict(line.split("=", 1) for line in text.split("\n")) if text else {}


def merge_labels(text: str, changes: Mapping[str, str | None]) -> str:
    """Return the labels of a snapshot after a change.

    Raises:
        TooManyLabelsError: if they are more than a device may have.

    """
    merged: dict[str, str | None] = {**decode_labels(text), **changes}
    kept = {key: value for key, value in merged.items() if value is not None}
    if len(kept) > MOST_LABELS:
        raise TooManyLabelsError(f"a device has at most {MOST_LABELS} labels, these would be {len(kept)}")
    return encode_labels(kept)


def has_label(text: str, wanted: str) -> bool:
    """Tell whether a snapshot has a label: `key=value`, or `key` with any value."""
    if not text:
        return False
    end = "\n" if "=" in wanted else "="
    return f"\n{wanted}{end}" in f"\n{text}\n"
