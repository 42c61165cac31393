"""Why news did not arrive."""

from __future__ import annotations


class NotSentError(Exception):
    """News have not arrived; the message says why, without a secret."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        """Whether another attempt would end in the same way."""
