"""Who is meant: whatever takes one device takes several, a group, or all of them.

A target is spelled the same everywhere, as one of `{"device": S}`, `{"devices": [S, ...]}`, `{"group": NAME}` and
`{"all": true}`, and becomes serials at the moment it is used: a group is who belongs to it then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from actors.fleet import Fleet

FIELDS: Final = ("device", "devices", "group", "all")
"""The fields of a target, of which a body has exactly one."""


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One device, some devices, a group, or everybody; a `ValueError` for none or more than one of them."""

    device: str = ""
    devices: tuple[str, ...] = ()
    group: str = ""
    all: bool = False

    def __post_init__(self) -> None:
        """Refuse what names nobody, and what names them twice."""
        given = [name for name in FIELDS if getattr(self, name)]
        if len(given) != 1:
            named = f"not {' and '.join(given)}" if given else "and it must not be empty"
            raise ValueError(f"give exactly one of {', '.join(FIELDS)}, {named}")

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Target:
        """Return the target that is spelled in a body, whose other fields are not looked at.

        Raises:
            ValueError: for a body without a target, with more than one, or with one of a wrong type.

        """
        return msgspec.convert({name: body[name] for name in FIELDS if name in body}, cls)

    def __str__(self) -> str:
        """Return it in words, for logs and records."""
        if self.all:
            return "all devices"
        if self.group:
            return f"group {self.group}"
        return self.device or f"{len(self.devices)} devices"


class Groups(Protocol):
    """What there is to know of groups here; see `actors.groups.book.GroupBook`."""

    def members(self, name: str) -> Iterable[str]:
        """Return the serials of the devices in a group; `LookupError` for an unknown group."""
        ...


class UnknownTargetError(LookupError):
    """There is no device, or no group, of this name; or nobody is in the group, for which `sentence` says so."""

    def __init__(self, what: Literal["device", "group"], name: str, sentence: str = "") -> None:
        self.sentence = sentence or f"there is no {what} {name}"
        super().__init__(self.sentence)
        self.what = what
        self.name = name

    def __str__(self) -> str:
        """Return the sentence, which `LookupError` may show quoted."""
        return self.sentence


def resolve(target: Target, fleet: Fleet, groups: Groups) -> list[str]:
    """Return the serials that are meant, each once; in the order given, those of a group and of all sorted.

    Raises:
        UnknownTargetError: a `LookupError` with the name of the device or group that there is not, or in which there is
            nobody: what reaches nobody is no success.

    """
    if target.all:
        everybody = fleet.serials()
        if not everybody:
            raise UnknownTargetError("device", "", "there are no devices yet")
        return everybody
    if target.group:
        members = sorted(serial for serial in groups.members(target.group) if serial in fleet)
        if not members:
            raise UnknownTargetError("group", target.group, f"{target} has no devices")
        return members
    serials = list(dict.fromkeys(target.devices or (target.device,)))
    for serial in serials:
        if serial not in fleet:
            raise UnknownTargetError("device", serial)
    return serials
