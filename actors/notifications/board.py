"""What others may know of the ledger; it outlives the ledger's incarnations."""

from __future__ import annotations

from collections import Counter

COUNTED = (
    "notifications",
    "deliveries",
    "sent",
    "accepted",
    "received",
    "displayed",
    "expired",
    "failed",
    "repeated_receipts",
    "unknown_receipts",
    "late_answers",
)
"""What is counted since the process started; refused requests are counted by their reason beside it."""


class LedgerBoard:
    """Counters, and what is on its way to a broker at this moment; any thread may read it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Requests that were refused, by reason."""
        self.warned: Counter[str] = Counter()
        """Payloads larger than what many devices of a kind can take, by kind."""
        self.under_way: frozenset[int] = frozenset()
        """Numbers of the deliveries on their way."""
