"""What is asked of the groups' actor, and its one error."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from actors.groups.rules import Rule
from actors.topics import SERIAL

MOST_GROUPS: Final = 1_000
"""Groups that may be declared."""
MOST_SERIALS: Final = 10_000
"""Serials that one group names, or one roster."""

_NAME: Final = r"(?!\.{1,2}\Z|\s)[^\x00-\x1f\x7f/]{1,64}(?<!\s)"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=rf"^{_NAME}\Z")]
"""Of a group. It stands in paths: no slash, and neither `.` nor `..`; no blank at its ends, which nobody would see."""
OwnGroup = Annotated[str, msgspec.Meta(max_length=64, pattern=rf"^(?:{_NAME})?\Z")]
"""The group that a device names itself, empty for none."""
Description = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Serial = Annotated[str, msgspec.Meta(pattern=rf"^{SERIAL.pattern}\Z")]
Serials = Annotated[tuple[Serial, ...], msgspec.Meta(max_length=MOST_SERIALS)]
Code = Literal["not_found", "exists", "unknown_device", "full", "configured"]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group that somebody has declared."""

    name: str
    description: str = ""
    rule: Rule | None = None
    """Who belongs to it by what is known of them; None: nobody."""
    members: frozenset[str] = frozenset()
    """Serials that belong to it by hand."""
    updated_us: int = 0
    changed_by: str = ""


class Origin(msgspec.Struct, frozen=True):
    """Who asks for a change."""

    by: str
    address: str


class CreateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to declare a group; the answer is the `Group`."""

    name: str
    description: str = ""
    rule: Rule | None = None
    members: tuple[str, ...] = ()
    origin: Origin


class ChangeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to change a group, what is absent stays; the answer is the `Group`."""

    name: str
    description: str | msgspec.UnsetType = msgspec.UNSET
    rule: Rule | msgspec.UnsetType | None = msgspec.UNSET
    members: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """All that belong to it by hand from now on."""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    origin: Origin


class DeleteGroup(msgspec.Struct, frozen=True):
    """Asks to forget a group; the answer is None. Its devices stay."""

    name: str
    origin: Origin


class PutRoster(msgspec.Struct, frozen=True):
    """Asks to note which serials are expected at a site, instead of those noted so far; the answer is None."""

    site: str
    serials: tuple[str, ...]
    origin: Origin


class DeleteRoster(msgspec.Struct, frozen=True):
    """Asks to forget a site's roster; the answer is None."""

    site: str
    origin: Origin


class Forget(msgspec.Struct, frozen=True):
    """Tells that a device was deleted: it is in no group by hand any more."""

    serial: str


class GroupError(Exception):
    """Why something cannot be done with a group or a roster."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
