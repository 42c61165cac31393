"""What an authority refuses."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "no_authority",
    "exists",
    "unreadable",
    "open_to_others",
    "sealed",
    "expired",
    "bad_name",
    "bad_request",
    "unknown",
    "too_many",
    "busy",
    "unwritable",
]


class PkiError(Exception):
    """The authority cannot do it; the message is one sentence that says how to mend it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
