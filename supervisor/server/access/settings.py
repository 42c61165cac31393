"""What is configured of the broker's users: `[broker_access]`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

Mechanism = Literal["auto", "dynsec", "files", "none"]
LONGEST_FILTER: Final = 512
GRACE = 86_400.0
"""Seconds, a day: who is switched off over night still gets the new password in time."""


_FILTER = re.compile(r"(?![$ ])(\+|[^+#/]*)(/(\+|[^+#/]*))*(/#)?|#")


def _is_filter(text: str) -> bool:
    """Return whether this may stand in a line of the ACL file: a topic filter that reaches no `$` topic."""
    is_plain = text.isprintable() and text == text.strip() and 0 < len(text) <= LONGEST_FILTER
    return is_plain and _FILTER.fullmatch(text) is not None


class ProgramUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A user for a program that is no device: Home Assistant, Node-RED, a display."""

    name: Annotated[str, msgspec.Meta(pattern=r"^~[A-Za-z0-9._-]{1,63}\Z")]
    """Begins with `~`, as no serial number does."""
    password: str = ""
    password_file: str = ""
    """File that holds it, in place of `password`."""
    read: tuple[str, ...] = ()
    """Topic filters, such as `homeassistant/#`."""
    write: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("read", "write"):
            for topic in getattr(self, field):
                if not _is_filter(topic):
                    raise ValueError(f"`{field}` has `{topic}`, which is no topic filter without `$` at its beginning")

    def __repr__(self) -> str:
        return f"ProgramUser({self.name!r})"


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether and how Muster gives each device a user of its own at the first broker."""

    mechanism: Mechanism = "auto"
    """`auto`: for the broker that `muster up` runs the plugin for dynamic security where it is found, else files; for
    any other broker none."""
    directory: str = ""
    """Where Mosquitto's `passwords` and `acl` lie, if this server may write them."""
    grace: Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)] = GRACE
    """Seconds for which the old password is good after a rotation, unless the order says otherwise."""

    users: tuple[ProgramUser, ...] = ()
    """Who else may use the broker, where Muster manages its users."""

    def __post_init__(self) -> None:
        names = [user.name for user in self.users]
        if len(names) != len(set(names)):
            raise ValueError("`users` has a name twice")
        if self.mechanism == "files" and not self.directory:
            raise ValueError("`directory` is missing: the mechanism `files` needs to know where Mosquitto's files lie")
