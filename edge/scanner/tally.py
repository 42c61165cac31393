"""What the decoder of a scanner left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Counts that only grow."""

    too_long: int = 0
    """Codes of more characters than a code may have."""
    lost: int = 0
    """Codes in which key events were missing."""
    unmapped: int = 0
    """Keys that mean nothing in the layout."""
