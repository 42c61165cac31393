"""Rollouts as the HTTP face sees them, and the actor that carries them out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pykka import ActorDeadError

from actors.fleet import DeviceView
from actors.storage.queries import Page
from actors.storage.result import CommitResult
from actors.storage.updates import FindRollout, FindRolloutDevices, FindRollouts
from actors.targets import Target, UnknownTargetError, resolve
from actors.updates.actor import UpdatesActor
from actors.updates.book import ACTIONS, CALLS
from actors.updates.header import Header, event, shown
from actors.updates.keeper import Desk
from actors.updates.messages import (
    MOST_TARGETS,
    UPDATES,
    Code,
    Command,
    Forget,
    Order,
    Origin,
    PutWindows,
    Retry,
    RolloutError,
    Start,
    Windows,
)
from actors.updates.plan import Plan
from actors.updates.states import STATES
from actors.updates.windows import is_open
from supervisor.release.versions import compare
from supervisor.server.parts import Parts
from web.face import Item
from web.rollouts import RolloutsRefusedError

PATIENCE: Final = 30.0
"""Seconds that a request waits: others may be before it, and a whole fleet takes its time."""
GONE_AFTER: Final = 600.0
"""Seconds offline after which a device that runs a new version may be lost by it."""
FAMILY: Final = "pi"
"""Of the devices that run Muster's edge."""
_STATUS: Final[dict[Code, int]] = {
    "not_found": 404,
    "ended": 409,
    "in_rollout": 409,
    "revoked": 409,
    "nobody": 409,
    "too_many": 413,
    "configured": 409,
    "not_here": 409,
    "busy": 503,
}


def updates_actor(parts: Parts) -> UpdatesActor:
    """Return the actor that carries out rollouts."""

    def site_of(serial: str) -> str:
        record = parts.fleet.record(serial)
        return record.snapshot.site if record is not None else ""

    def takes_calls(serial: str) -> bool:
        view = parts.fleet.get(serial)
        return view is not None and view.presence == "online" and knows_update(view.snapshot.services)

    def is_gone(serial: str) -> bool:
        view = parts.fleet.get(serial)
        return view is not None and is_lost(view, parts.runtime.clock.time())

    def show(header: Header) -> None:
        parts.ring.publish("rollout", header.id, event(header))

    return UpdatesActor(
        Desk(
            runtime=parts.runtime,
            services=parts.services,
            board=parts.updates_board,
            releases=parts.releases,
            ask=parts.ask_registry,
            site_of=site_of,
            takes_calls=takes_calls,
            is_gone=is_gone,
            compare=compare,
            show=show,
        )
    )


def is_lost(view: DeviceView, now: float) -> bool:
    """Return whether a device has been seen, and is offline for a while; `now` in seconds since 1970."""
    is_away = view.presence == "offline" and view.last_seen_us > 0
    return is_away and now - view.since_us / 1_000_000 > GONE_AFTER


class _Announced(msgspec.Struct):
    """Of what an edge announces that it does."""

    update: str = "off"


def knows_update(services: bytes) -> bool:
    """Return whether a device that has announced these services (JSON) updates itself."""
    try:
        return msgspec.json.decode(services, type=_Announced).update != "off"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def tell_updates(parts: Parts, result: CommitResult) -> None:
    """Hand on of a commit what concerns rollouts: devices that were deleted."""
    if result.deleted:
        parts.services.tell(UPDATES, Forget(list(result.deleted)))


class RolloutsFace:
    """Who gets which release, and how far it is: reads come from the database, changes go to the actor."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._board = parts.updates_board

    def start(
        self, target: Target, *, release: str, share: float, plan: Plan, windows: Windows, by: str, address: str
    ) -> Item:
        """Begin a rollout."""
        order = Start(
            release=release,
            serials=self._resolve(target),
            target=str(target) if share >= 1 else f"{share:.4g} of {target}",
            share=share,
            plan=plan,
            windows=windows,
            origin=Origin(by, address),
        )
        return shown(self._ask(order))

    def items(self, *, status: str | None, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return rollouts, newest first."""
        page: Page = self._parts.readers.ask(FindRollouts(status=status, limit=limit, after=cursor or None))
        return [shown(Header(**row)) for row in page.items], page.cursor

    def get(self, rollout_id: str) -> Item:
        """Return one rollout."""
        header: Header | None = self._parts.readers.ask(FindRollout(rollout_id))
        if header is None:
            raise RolloutsRefusedError(404, "not_found", "there is no rollout of this id", {"id": rollout_id})
        return shown(header)

    def devices(self, rollout_id: str, *, state: str | None, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return the devices of a rollout by serial."""
        self.get(rollout_id)
        query = FindRolloutDevices(rollout_id=rollout_id, state=state, limit=limit, after=cursor or None)
        page: Page = self._parts.readers.ask(query)
        return [_device(row) for row in page.items], page.cursor

    def command(self, rollout_id: str, order: Order, by: str, address: str) -> Item:
        """Pause, resume or cancel a rollout."""
        return shown(self._ask(Command(rollout_id, order, Origin(by, address))))

    def retry(self, rollout_id: str, serials: tuple[str, ...] | None, by: str, address: str) -> Item:
        """Offer it anew to devices on which it has not succeeded."""
        return shown(self._ask(Retry(rollout_id, serials, Origin(by, address))))

    def windows(self) -> list[Item]:
        """Return the maintenance windows by site."""
        board = self._board
        return [self._windows_of(site) for site in sorted(board.configured_windows.keys() | board.stored_windows)]

    def put_windows(self, site: str, windows: Windows, by: str, address: str) -> Item:
        """Set the maintenance windows of a site."""
        self._ask(PutWindows(site, windows, Origin(by, address)))
        return self._windows_of(site)

    def _windows_of(self, site: str) -> Item:
        windows = self._board.windows_of(site)
        api = "api" if windows else None
        return {
            "site": site,
            "source": "configuration" if site in self._board.configured_windows else api,
            "open": is_open(windows, self._parts.runtime.clock.time()),
            "windows": msgspec.to_builtins(windows),
        }

    def _resolve(self, target: Target) -> tuple[str, ...]:
        """Return who is meant; of a group and of all those that run an edge, named ones have to."""
        try:
            serials = resolve(target, self._parts.fleet, self._parts.groups)
        except UnknownTargetError as error:
            raise self._refused("not_found", str(error), {error.what: error.name}) from error
        edges = [serial for serial in serials if self._is_edge(serial)]
        if len(edges) < len(serials) and not (target.all or target.group):
            other = next(serial for serial in serials if serial not in set(edges))
            raise self._refused("nobody", f"{other} does not run Muster's edge", {"device": other})
        if not edges:
            raise self._refused("nobody", f"no device of {target} runs Muster's edge")
        if len(edges) > MOST_TARGETS:
            raise self._refused("too_many", f"{target} has {len(edges)} devices, at most {MOST_TARGETS} go at once")
        return tuple(edges)

    def _is_edge(self, serial: str) -> bool:
        record = self._parts.fleet.record(serial)
        return record is not None and record.snapshot.family == FAMILY

    def _refused(self, code: Code, message: str, details: dict[str, Any] | None = None) -> RolloutsRefusedError:
        """Return a refusal, which is counted."""
        self._board.actions["refused"] += 1
        return RolloutsRefusedError(_STATUS[code], code, message, details)

    def _ask(self, message: Any) -> Any:
        if not self._parts.config.primary:
            raise self._refused("not_here", "rollouts are carried out by the primary server")
        ref = self._parts.services.get(UPDATES)
        if ref is None:
            raise ActorDeadError("the rollouts' actor is restarting")
        try:
            return ref.ask(message, block=True, timeout=PATIENCE)
        except RolloutError as error:
            raise RolloutsRefusedError(_STATUS[error.code], error.code, error.message, error.details) from error


def _device(row: Item) -> Item:
    told = {name: row[name] for name in ("state", "since_us", "attempts", "reason", "progress")}
    return {"device": row["serial"], "wave": row["wave"] + 1} | told


def rollout_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield what there is to count of rollouts."""
    board = parts.updates_board
    yield GaugeMetricFamily("muster_rollouts", "Rollouts that are not over.", value=board.rollouts)
    devices = GaugeMetricFamily("muster_rollout_devices", "Devices of these rollouts, by state.", labels=["state"])
    for state in STATES:
        devices.add_metric([state], board.devices.get(state, 0))
    actions = CounterMetricFamily("muster_rollout_actions", "What became of rollouts.", labels=["action"])
    for action in ACTIONS:
        actions.add_metric([action], board.actions[action])
    calls = CounterMetricFamily("muster_rollout_calls", "Devices that were to ask at once.", labels=["outcome"])
    for outcome in CALLS:
        calls.add_metric([outcome], board.calls[outcome])
    offers = CounterMetricFamily("muster_rollout_offers", "Answers to devices that ask.", labels=["answer"])
    for answer, count in list(board.offers.items()):
        offers.add_metric([answer], count)
    reports = CounterMetricFamily("muster_rollout_reports", "Reports of devices, by state.", labels=["state"])
    for told, count in list(board.reports.items()):
        reports.add_metric([told], count)
    yield from (devices, actions, calls, offers, reports)
