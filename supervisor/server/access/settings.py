"""What is configured of the broker's users: `[broker_access]`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Mechanism = Literal["auto", "dynsec", "files", "none"]
GRACE = 86_400.0
"""Seconds, a day: who is switched off over night still gets the new password in time."""


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether and how Muster gives each device a user of its own at the first broker."""

    mechanism: Mechanism = "auto"
    """`auto`: for the broker that `muster up` runs the plugin for dynamic security where it is found, else files; for
    any other broker none."""
    directory: str = ""
    """Where Mosquitto's `passwords` and `acl` lie, if this server may write them."""
    grace: Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)] = GRACE
    """Seconds for which the old password is good after a rotation, unless the order says otherwise."""

    def __post_init__(self) -> None:
        if self.mechanism == "files" and not self.directory:
            raise ValueError("`directory` is missing: the mechanism `files` needs to know where Mosquitto's files lie")
