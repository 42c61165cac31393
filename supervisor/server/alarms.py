"""The alarms in this server: what they are told of it, their actors, and how the HTTP face sees them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from pykka import ActorDeadError, ActorRef, Timeout

from actors.alarms.actor import AlarmsActor
from actors.alarms.courier import CourierActor
from actors.alarms.desk import AlarmDesk
from actors.alarms.draft import subject_of
from actors.alarms.messages import (
    Acknowledge,
    Alarm,
    AlarmError,
    ChangeRule,
    Code,
    DropRule,
    KnownRule,
    ListRules,
    Order,
    PutRule,
    SilenceAlarm,
)
from actors.alarms.post import Post
from actors.alarms.rules import Rule
from actors.alarms.sentences import describe
from actors.alarms.settings import Channel
from actors.alarms.watching import Figure
from actors.messages import DeviceSnapshot
from actors.notifications import Letter, Message, NotificationError
from actors.storage.alarms import MOST_NAMES, FindAlarm, FindAlarms
from actors.storage.errors import StoreUnavailable
from actors.storage.queries import Page
from actors.storage.result import CommitResult
from actors.targets import Target
from supervisor import ChildSpec, TreeView
from supervisor.server.certificate_files import certificate_files, ends_of
from supervisor.server.notifications import notifier
from supervisor.server.parts import Parts
from web.alarms import AlarmRefusedError, State
from web.face import Item

logger = logging.getLogger(__name__)

ALARMS: Final = "alarms"
PATIENCE: Final = 15.0
"""Seconds that a request waits for its order; a look may be before it."""
LOOK_AT_FILES_EVERY: Final = 600.0
"""Seconds between two looks at the certificates."""
_STATUS: Final[dict[Code, int]] = {"not_found": 404, "conflict": 409, "full": 409, "bad_field": 400}


def alarms_actor(parts: Parts, root: ActorRef[Any]) -> AlarmsActor:
    """Return the actor that raises and clears alarms."""
    desk = AlarmDesk(
        settings=parts.config.alarms,
        fleet=parts.fleet,
        tap=parts.alarm_tap,
        clock=parts.runtime.clock,
        ask=parts.ask_registry,
        figures=Figures(parts, root),
        in_group=lambda name, device: _in_group(parts, name, device),
        post=Post(
            lambda notice: parts.services.tell(_courier(notice.channel), notice),
            parts.alarm_tap.counts,
            parts.config.alarms.channels,
        ),
        on_change=lambda body: _show(parts, body),
    )
    return AlarmsActor(desk, parts.runtime)


def couriers(parts: Parts) -> list[ChildSpec]:
    """Return the actors that carry the news, one for each channel: none waits for another."""

    def courier(name: str, channel: Channel) -> ChildSpec:
        start = partial(CourierActor, channel, DeviceNotifier(parts), parts.services)
        return ChildSpec(_courier(name), start, shutdown=2.0, hang_after=300.0)

    return [courier(name, channel) for name, channel in parts.config.alarms.channels.items()]


def _courier(channel: str) -> str:
    return f"courier.{channel}"


def tell_alarms(parts: Parts, result: CommitResult) -> None:
    """Let the alarms have a look at what was stored; runs in the writer."""
    parts.alarm_tap.put(result.new)


def _in_group(parts: Parts, name: str, device: DeviceSnapshot) -> bool:
    return parts.groups.belongs(name)(device)


def _show(parts: Parts, body: dict[str, Any]) -> None:
    parts.ring.publish("alarm", str(body["id"]), body, body["device"] or "")


class DeviceNotifier:
    """Sends the news of alarms as notifications."""

    def __init__(self, parts: Parts) -> None:
        self._notifier = notifier(parts)

    def notify(
        self, target: Mapping[str, Any], *, title: str, body: str, data: Mapping[str, Any], priority: str, key: str
    ) -> None:
        """Give a notification to the ledger; returns when it is on disk."""
        fields = {"title": title, "body": body, "data": dict(data), "priority": priority}
        message = msgspec.convert(fields, Message)
        topic = str(target.get("topic", ""))
        letter = Letter(message, None if topic else Target.of(target), topic)
        try:
            self._notifier.send(letter, by="muster alarms", key=key)
        except NotificationError as error:
            if error.code in ("unknown_device", "unknown_group"):
                raise LookupError(str(error)) from error
            raise ValueError(str(error)) from error
        except (ActorDeadError, Timeout, StoreUnavailable) as error:
            raise TimeoutError(str(error) or type(error).__name__) from error


class Figures:
    """What the server tells of itself, each time it is called."""

    def __init__(self, parts: Parts, root: ActorRef[Any]) -> None:
        self._parts = parts
        self._root = root
        self._ends: dict[str, float] = {}
        """When each certificate ends, seconds since 1970 UTC."""
        self._looked_at = -LOOK_AT_FILES_EVERY

    def __call__(self) -> Iterator[Figure]:
        """Yield every figure as it is now."""
        parts = self._parts
        now = parts.runtime.clock.monotonic()
        database = parts.registry_board.status
        refused = parts.registry_board.counters.dead_letters + parts.desk.by_reason["quota"]
        yield Figure("dead_letters", "server", "server", refused)
        yield Figure("quarantine", "server", "server", TreeView(self._root).totals()["quarantined"])
        away_s = 0.0 if database.ok else parts.runtime.clock.time() - database.since
        yield Figure("database_lag", "server", "database", max(database.oldest_age_s(now), away_s))
        yield _queue("registry", database.pending)
        yield _queue("dispatcher", parts.runtime.dispatcher.backlog())
        for name, board in parts.link_boards.items():
            yield Figure("broker_link", f"link:{name}", name, 0.0 if board.status.connected else 1.0)
            broker, _, family = name.rpartition(".")
            if family == "control":
                yield Figure("broker_dropped", f"broker:{broker}", broker, board.status.dropped_by_broker)
        yield from self._certificates(now)

    def _certificates(self, now: float) -> Iterator[Figure]:
        if now - self._looked_at >= LOOK_AT_FILES_EVERY:
            self._looked_at = now
            self._ends = dict(ends_of(certificate_files(self._parts.config)))
        for name, ends in self._ends.items():
            days = (ends - self._parts.runtime.clock.time()) / 86_400
            yield Figure("certificate_expiry", subject_of("file", name), name, days)


def _queue(name: str, depth: float) -> Figure:
    return Figure("queue_depth", f"queue:{name}", name, depth)


class AlarmsFace:
    """The alarms and their rules, for operators."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def items(
        self,
        *,
        limit: int,
        cursor: str,
        state: State | None,
        rule: str | None,
        severity: str | None,
        serial: str | None,
        site: str | None,
    ) -> tuple[list[Item], str | None]:
        """Return alarms, newest first."""
        query = FindAlarms(
            state=state, rule=rule, severity=severity, serial=serial, site=site, limit=limit, after=cursor or None
        )
        page: Page = self._parts.readers.ask(query)
        return [self._item(Alarm(**row)) for row in page.items], page.cursor

    def find(self, alarm_id: int) -> Item | None:
        """Return one alarm with its news."""
        row: Item | None = self._parts.readers.ask(FindAlarm(alarm_id))
        if row is None:
            return None
        notices = row.pop("notices")
        return self._item(Alarm(**row)) | {"notices": notices}

    def acknowledge(self, alarm_id: int, by: str, address: str) -> Item:
        """Say no more of an alarm."""
        return self._item(self._ask(Acknowledge(id=alarm_id, by=by, address=address)))

    def silence(self, alarm_id: int, until_us: int, by: str, address: str) -> Item:
        """Say nothing of an alarm for a time."""
        return self._item(self._ask(SilenceAlarm(id=alarm_id, until_us=until_us, by=by, address=address)))

    def rules(self) -> list[Item]:
        """Return all rules by name."""
        return [_rule_item(known) for known in self._ask(ListRules())]

    def make_rule(self, rule: Rule, by: str, address: str) -> Item:
        """Make a rule."""
        return _rule_item(self._ask(PutRule(rule=rule, by=by, address=address)))

    def change_rule(self, name: str, changes: Item, by: str, address: str) -> Item:
        """Change a rule."""
        return _rule_item(self._ask(ChangeRule(name=name, changes=changes, by=by, address=address)))

    def drop_rule(self, name: str, by: str, address: str) -> None:
        """Delete a rule."""
        self._ask(DropRule(name=name, by=by, address=address))

    def _item(self, alarm: Alarm) -> Item:
        now_us = int(self._parts.runtime.clock.time() * 1_000_000)
        return describe(alarm, now_us) | {"members": list(alarm.members[:MOST_NAMES])}

    def _ask(self, message: Order | ListRules) -> Any:
        return ask_alarms(lambda: self._parts.services.get(ALARMS), message)


def ask_alarms(find: Callable[[], ActorRef[Any] | None], message: Order | ListRules) -> Any:
    """Return the actor's answer; its refusals are told as the API tells them."""
    ref = find()
    if ref is None:
        raise ActorDeadError("the alarms' actor is restarting")
    try:
        return ref.ask(message, block=True, timeout=PATIENCE)
    except AlarmError as error:
        raise AlarmRefusedError(_STATUS[error.code], error.code, error.message, error.details) from error


def _rule_item(known: KnownRule) -> Item:
    """Return a rule with what is usual for its kind filled in."""
    rule = known.rule
    over, under = rule.limit
    usual: Item = {"lasts": rule.lasting, "over": over, "under": under}
    changed: Item = {"origin": known.origin, "changed_us": known.changed_us, "changed_by": known.changed_by}
    return msgspec.structs.asdict(rule) | usual | changed
