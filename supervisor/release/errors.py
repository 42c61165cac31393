"""Why a release is refused: one code for machines and counters, one sentence for people."""

from __future__ import annotations

from typing import Final, Literal, get_args

Code = Literal[
    "not_a_release",
    "too_large",
    "bad_name",
    "bomb",
    "truncated",
    "unsigned",
    "wrong_key",
    "tampered",
    "wrong_platform",
    "older",
    "too_old_to_replace",
    "no_space",
]
CODES: Final[tuple[Code, ...]] = get_args(Code)


class BadReleaseError(Exception):
    """A release must not be used; the message is one sentence."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


class KeyFileError(Exception):
    """A file with keys cannot be used; the message is one sentence that names it."""
