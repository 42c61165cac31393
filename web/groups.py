"""Groups, labels and rosters as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from actors.fleet import DeviceView
    from web.face import Item
    from web.fleet import Filter


class GroupsRefusedError(Exception):
    """What was asked of a group or a roster was refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 400, 404 or 409.
            code: one word for programs: `not_found`, `unknown_device`, `exists`, `full`, `configured`, `none_present`.
            message: one sentence for people.
            details: what it is about: `name`, `serial` or `site`.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Groups(Protocol):
    """Who belongs together, who is expected where, who has the least to do.

    A group has `name`, `description`, `rule` (a dictionary, None without one), `members` (serials by hand, sorted),
    `declared` (False for one that only devices' own `group` names), `updated_us` (0 for such a one) and `changed_by`.
    Every method may raise `GroupsRefusedError`.
    """

    def items(self, after: str, limit: int, serial: str | None) -> tuple[list[Item], str | None]:
        """Return up to `limit` groups whose name follows `after`, by name; with `serial` only those of that device."""
        ...

    def get(self, name: str) -> Item:
        """Return a group with `devices` and `present`, how many there are now."""
        ...

    def create(self, group: Item, by: str, address: str) -> Item:
        """Declare a group: `name`, `description`, `rule`, `members`."""
        ...

    def change(self, name: str, changes: Item, by: str, address: str) -> Item:
        """Change a group: any of `description`, `rule`, `members`, `add`, `remove`."""
        ...

    def delete(self, name: str, by: str, address: str) -> None:
        """Forget a group; its devices stay."""
        ...

    def page(self, name: str, after: str, limit: int) -> tuple[list[DeviceView], str | None]:
        """Return up to `limit` devices of a group with a serial above `after`, by serial, and the next cursor."""
        ...

    def pick(self, where: Filter) -> Item:
        """Return the least loaded of the devices that are present: `device` (a `DeviceView`), `commands` and `load`."""
        ...

    def rosters(self) -> list[Item]:
        """Return per site `site`, `source` (`configuration` or `api`), `declared` and `counts` by state."""
        ...

    def roster(self, site: str) -> Item:
        """Return `site`, `source`, `declared` (how many), and lists of entries by state.

        An entry has `serial`, and of a device that is known `presence`, `since_us`, `last_seen_us`, `label` and `site`,
        which are None otherwise.
        """
        ...

    def put_roster(self, site: str, serials: tuple[str, ...], by: str, address: str) -> Item:
        """Note who is expected at a site and return its roster; no serials leave none."""
        ...

    def delete_roster(self, site: str, by: str, address: str) -> None:
        """Forget who is expected at a site."""
        ...
