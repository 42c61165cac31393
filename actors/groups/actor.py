"""`GroupsActor`: the one who changes groups and rosters, each change in the database before anybody sees it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
from peewee import Database
from pykka import ActorDeadError, Timeout

from actors.fleet import Fleet
from actors.groups import steps
from actors.groups.book import GroupBook
from actors.groups.messages import (
    ChangeGroup,
    CreateGroup,
    DeleteGroup,
    DeleteRoster,
    Forget,
    Group,
    GroupError,
    Origin,
    PutRoster,
)
from actors.registry import Execute
from actors.runtime import Runtime, ThreadedActor, ToSelf
from actors.storage import groups as storage
from actors.storage.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

AGAIN_AFTER: Final = 1.0
"""Seconds until the database is asked again when it was away."""
ACTIONS: Final = ("created", "changed", "deleted", "roster_put", "roster_deleted", "refused")
"""What is counted."""
_AWAY: Final = (ActorDeadError, Timeout, StoreUnavailable)


class Load(ToSelf, msgspec.Struct, frozen=True):
    """To itself: read everything from the database."""


class Refresh(ToSelf, msgspec.Struct, frozen=True):
    """To itself, from a timer: read everything again, another server may have changed it."""


class GroupsActor(ThreadedActor):
    """Answers `CreateGroup`, `ChangeGroup`, `DeleteGroup`, `PutRoster` and `DeleteRoster`, takes `Forget`.

    It is ready once it has read the database. Raises in the asker `GroupError`, and what `ask` raises while the
    database is away.

    Args:
        ask: gets the writer's answer to a message.
        runtime: its clock and timers are used.
        book: is kept up to date.
        fleet: knows which serials there are.
        counts: of what was done and refused, see `ACTIONS`; outlives this incarnation.
        on_change: called with the name of a group or the site of a roster after a change that operators see.
        refresh_every: seconds after which the database is read again; 0 where no other server writes to it.

    """

    defer_ready = True

    def __init__(
        self,
        *,
        ask: Callable[[Any], Any],
        runtime: Runtime,
        book: GroupBook,
        fleet: Fleet,
        counts: Counter[str],
        on_change: Callable[[str], None],
        refresh_every: float = 0.0,
    ) -> None:
        super().__init__()
        self._ask = ask
        self._runtime = runtime
        self._book = book
        self._fleet = fleet
        self._counts = counts
        self._on_change = on_change
        self._refresh_every = refresh_every
        self._is_loaded = False
        self._is_away = False

    def on_start(self) -> None:
        """Begin by reading the database."""
        self.actor_ref.tell(Load())
        self._come_back()

    def on_receive(self, message: Any) -> Any:
        """Carry out one request."""
        match message:
            case Load():
                self._load()
            case Refresh():
                self._read_again()
                self._come_back()
            case Forget():
                self._forget(message.serial)
            case CreateGroup() | ChangeGroup() | DeleteGroup() | PutRoster() | DeleteRoster():
                return self._carry_out(message)
            case _:
                logger.warning("groups: unexpected message %s dropped", type(message).__name__)
        return None

    def _carry_out(self, order: CreateGroup | ChangeGroup | DeleteGroup | PutRoster | DeleteRoster) -> Any:
        if not self._is_loaded:
            raise StoreUnavailable("the groups are not loaded yet, the database is away")
        try:
            return _STEPS[type(order)](self, order)
        except GroupError:
            self._counts["refused"] += 1
            raise
        except _AWAY:
            self._read_again()  # nobody knows whether it was written
            raise

    # What the database holds

    def _load(self) -> None:
        """Read groups and rosters; until they have been read once, come back for ever."""
        try:
            groups = self._write(storage.load_groups)
            rosters = self._write(storage.load_rosters)
        except _AWAY as error:
            if not self._is_away:
                self._is_away = True
                logger.warning("the groups cannot be loaded now, and are asked for again every second: %s", error)
            self.actor_inbox.wait(AGAIN_AFTER)
            self.actor_ref.tell(Load())
            return
        self._is_loaded, self._is_away = True, False
        self._book.groups = MappingProxyType(groups)
        self._book.stored_rosters = MappingProxyType(rosters)
        self.ready()

    def _read_again(self) -> None:
        if not self._is_away:  # else it asks every second anyway
            self.actor_ref.tell(Load())

    def _come_back(self) -> None:
        if self._refresh_every:
            self._runtime.timers.after(self._refresh_every, self.actor_ref, Refresh())

    def _forget(self, serial: str) -> None:
        """Drop a deleted device from the groups that name it; the writer has deleted its rows with the device's."""
        groups = {
            name: msgspec.structs.replace(group, members=group.members - {serial}) if serial in group.members else group
            for name, group in self._book.groups.items()
        }
        self._book.groups = MappingProxyType(groups)

    # What operators ask for

    def _create(self, order: CreateGroup) -> Group:
        self._check_known(order.members)
        group = self._write(lambda database: steps.create(database, order, self._now_us()))
        return self._keep(group, "created", order.origin)

    def _change(self, order: ChangeGroup) -> Group:
        self._check_known(() if order.members is msgspec.UNSET else order.members)
        self._check_known(order.add)
        group = self._write(lambda database: steps.change(database, order, self._now_us()))
        return self._keep(group, "changed", order.origin)

    def _keep(self, group: Group, action: str, origin: Origin) -> Group:
        """Let everybody see a group."""
        if self._book.groups.get(group.name) != group:
            self._book.groups = MappingProxyType({**self._book.groups, group.name: group})
            self._done(action, group.name, origin)
        return group

    def _delete(self, order: DeleteGroup) -> None:
        self._write(lambda database: steps.delete(database, order, self._now_us()))
        left = {name: group for name, group in self._book.groups.items() if name != order.name}
        self._book.groups = MappingProxyType(left)
        self._done("deleted", order.name, order.origin)

    def _write_roster(self, order: PutRoster | DeleteRoster) -> None:
        site = order.site
        if site in self._book.configured_rosters:
            raise GroupError("configured", f"the roster of {site} is in the configuration, change it there", site=site)
        serials = self._write(lambda database: steps.write_roster(database, order, self._now_us()))
        rosters = {key: value for key, value in self._book.stored_rosters.items() if key != site}
        if serials:
            rosters[site] = serials
        self._book.stored_rosters = MappingProxyType(rosters)
        self._done("roster_put" if isinstance(order, PutRoster) else "roster_deleted", site, order.origin)

    # What they share

    def _check_known(self, serials: Iterable[str]) -> None:
        for serial in serials:
            if serial not in self._fleet:
                raise GroupError("unknown_device", f"there is no device {serial}", serial=serial)

    def _done(self, action: str, name: str, origin: Origin) -> None:
        self._counts[action] += 1
        logger.info("%s %s by %s at %s", name, action, origin.by, origin.address)
        self._on_change(name)

    def _write(self, work: Callable[[Database], T]) -> T:
        answer: T = self._ask(Execute(work))
        return answer

    def _now_us(self) -> int:
        return int(self._runtime.clock.time() * 1_000_000)


_STEPS: Final[dict[type, Callable[[GroupsActor, Any], Any]]] = {
    CreateGroup: GroupsActor._create,  # noqa: SLF001 - a table of this class's own methods
    ChangeGroup: GroupsActor._change,  # noqa: SLF001
    DeleteGroup: GroupsActor._delete,  # noqa: SLF001
    PutRoster: GroupsActor._write_roster,  # noqa: SLF001
    DeleteRoster: GroupsActor._write_roster,  # noqa: SLF001
}
