"""What the twins are asked and told, and what they refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from actors.twins.documents import Document

Code = Literal["not_found", "conflict", "bad_field", "too_large"]


class TwinError(Exception):
    """What was asked of a twin is refused; the message is one sentence."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """One twin as it is stored; a device without one has the defaults."""

    serial: str
    desired: Document = {}
    desired_version: int = 0
    desired_us: int = 0
    changed_by: str = ""
    reported: Document = {}
    reported_version: int = 0
    reported_us: int = 0
    to_clear: bool = False


class Change(msgspec.Struct, frozen=True):
    """An operator changes what is desired. The answer is `Changed`.

    Raises `TwinError` in the asker: `not_found`, `conflict`, `bad_field`, `too_large`.
    """

    serial: str
    patch: Document
    """A merge patch (RFC 7396)."""
    version: int | None
    """The version that the operator has seen: with another one it is a conflict. None for any."""
    by: str
    address: str


class ChangeMany(msgspec.Struct, frozen=True):
    """The same patch for several devices, each by itself. The answer is a list of `Changed` and `TwinError`."""

    serials: Sequence[str]
    patch: Document
    by: str
    address: str


class Changed(msgspec.Struct, frozen=True):
    """A twin after a change."""

    twin: Twin
    is_new: bool
    """False where all of the patch was desired already: then nothing has changed."""


class LinkUp(msgspec.Struct, frozen=True):
    """A control link is connected: to a broker that may have forgotten what it retained."""

    link: str


class TwinsStored(msgspec.Struct, frozen=True):
    """From the registry after a commit."""

    reported: Sequence[str]
    """Serials of devices whose report was stored."""
    deleted: Sequence[str]
    """Serials of devices that were deleted."""
