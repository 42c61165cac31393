"""The alarms' desk: what is open, on disk first, then in memory, then told.

Whatever cannot be stored is found again at the next look. Only the news do not wait for a database that is away: a new
alarm is told at once then, and stored when the database is back.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import pykka

from actors.alarms.draft import Draft
from actors.alarms.messages import (
    Acknowledge,
    Alarm,
    AlarmError,
    ChangeRule,
    DropRule,
    Event,
    KnownRule,
    Order,
    PutRule,
    SilenceAlarm,
    Told,
)
from actors.alarms.post import LOST_AFTER_US, Direct, Post
from actors.alarms.rulebook import RuleBook
from actors.alarms.rules import Rule
from actors.alarms.sentences import describe
from actors.alarms.settings import AlarmSettings
from actors.alarms.tap import AlarmTap
from actors.alarms.watching import Figure, InGroup, Watch
from actors.fleet import Fleet
from actors.registry import Execute
from actors.runtime import Clock
from actors.storage import alarms as storage
from actors.storage.alarms import Record
from actors.storage.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

UNAVAILABLE = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout)


class Bundle(NamedTuple):
    """What one transaction stores."""

    new: Mapping[str, Alarm] = {}
    """By key."""
    changed: Mapping[str, Alarm] = {}
    moved: frozenset[str] = frozenset()
    """Keys of those that tell of other devices than before."""
    direct: Sequence[Direct] = ()
    """What was told of new ones while the database was away."""
    records: Sequence[Record] = ()


class Written(NamedTuple):
    """What a transaction has stored."""

    alarms: list[Alarm]
    adopted: list[tuple[Direct, int]]
    """What was told without the database, with its id in it."""


class AlarmDesk:
    """Keeps the alarms. One thread alone calls it.

    Args:
        settings: `[alarms]`.
        fleet: the roll call.
        tap: what is heard of the server.
        clock: tells the time.
        ask: gets the writer's answer to a message.
        figures: returns what the server tells of itself.
        in_group: tells whether a device belongs to a group.
        post: takes the news.
        on_change: called with what an alarm is now, after each commit that has changed it.

    """

    def __init__(
        self,
        *,
        settings: AlarmSettings,
        fleet: Fleet,
        tap: AlarmTap,
        clock: Clock,
        ask: Callable[[Any], Any],
        figures: Callable[[], Iterable[Figure]],
        in_group: InGroup,
        post: Post,
        on_change: Callable[[dict[str, Any]], None],
    ) -> None:
        self._settings = settings
        self._tap = tap
        self._clock = clock
        self._ask = ask
        self._figures = figures
        self._post = post
        self._on_change = on_change
        self._rules = RuleBook(settings)
        self._watch = Watch(fleet, tap, in_group)
        self._open: dict[str, Alarm] = {}
        """By key; one that is not stored yet has the id 0."""

    # What the actor asks for

    def load(self) -> None:
        """Go on where the last process, or incarnation, has come to. Raises one of `UNAVAILABLE`."""
        made, found = self._run(lambda database: (storage.load_rules(database), storage.load_open(database)))
        for name, known in made:
            if isinstance(known, str):
                logger.warning("the alarm rule %s cannot be read and is not in force: %s", name, known)
        self._rules = RuleBook(self._settings, (known for _, known in made if isinstance(known, KnownRule)))
        for sentence in self._rules.complaints():
            logger.warning("the alarm rule %s", sentence)
        self._open = {alarm.key: alarm for alarm in found}
        self._begin()
        self._count()
        self._post.load(self._run)

    def look(self) -> None:
        """Look at everything once; store and tell what has changed."""
        draft = self._draft()
        self._watch.look(draft, self._figures(), self._open)
        self._commit(draft)
        self._post.work(self._run, self._now_us())

    def told(self, told: Told) -> None:
        """Take note of what became of news."""
        self._post.told(told, self._now_us())
        self._post.work(self._run, self._now_us())

    def acknowledge(self, order: Acknowledge) -> Alarm:
        """Say no more of an alarm. Raises `AlarmError`."""
        alarm = self._find_open(order.id)
        if alarm.acknowledged_us is not None:
            return alarm
        now_us = self._now_us()
        then = msgspec.structs.replace(alarm, acknowledged_us=now_us, acknowledged_by=order.by, updated_us=now_us)
        return self._carry_out(then, order, "acknowledged")

    def silence(self, order: SilenceAlarm) -> Alarm:
        """Say nothing of an alarm for a time. Raises `AlarmError`."""
        alarm = self._find_open(order.id)
        now_us = self._now_us()
        until_us = order.until_us if order.until_us > now_us else None
        by = order.by if until_us is not None else ""
        then = msgspec.structs.replace(alarm, silenced_until_us=until_us, silenced_by=by, updated_us=now_us)
        return self._carry_out(then, order, "silenced" if until_us is not None else "silence_ended")

    def rules(self) -> list[KnownRule]:
        """Return all rules by name."""
        return self._rules.all()

    def put_rule(self, order: PutRule) -> KnownRule:
        """Make a rule. Raises `AlarmError`."""
        return self._keep_rule(self._rules.check_new(order, self._now_us()), order, "rule_made")

    def change_rule(self, order: ChangeRule) -> KnownRule:
        """Change a rule. Raises `AlarmError`."""
        return self._keep_rule(self._rules.check_change(order, self._now_us()), order, "rule_changed")

    def drop_rule(self, order: DropRule) -> None:
        """Delete a rule, or what was changed of one of Muster's own. Raises `AlarmError`."""
        was = self._rules.check_drop(order.name)
        record, now_us = _record_of(order, "rule_deleted", rule=order.name), self._now_us()

        def work(database: Any) -> None:
            storage.drop_rule(database, order.name)
            storage.put_records(database, [record], now_us)

        self._run(work)
        self._tap.counts["rule_deleted"] += 1
        self._rules.drop(order.name)
        self._begin(was)

    # Rules

    def _keep_rule(self, known: KnownRule, order: Order, action: str) -> KnownRule:
        record, now_us = _record_of(order, action, rule=known.rule.name), self._now_us()
        was = self._rules.get(known.rule.name)

        def work(database: Any) -> None:
            storage.put_rule(database, known)
            storage.put_records(database, [record], now_us)

        self._run(work)
        self._tap.counts[action] += 1
        self._rules.put(known)
        self._begin(*([was.rule] if was is not None else []))
        return known

    def _begin(self, *changed: Rule) -> None:
        """Watch by the rules as they are now; those that have `changed` as they were."""
        draft = self._draft()
        self._watch.begin(self._rules, draft, list(self._open.values()), changed)
        self._commit(draft)

    # Storing and telling

    def _commit(self, draft: Draft) -> None:
        """Store what was found; with it what could not be stored before, and what has been silenced until now."""
        new = {key: alarm for key, alarm in self._open.items() if not alarm.id} | draft.raised
        changed = {key: alarm for key, alarm in self._open.items() if alarm.id and alarm.is_untold(draft.now_us)}
        changed |= draft.changed
        if not new and not changed:
            return
        moved = {key for key, alarm in changed.items() if key in new or alarm.members != self._open[key].members}
        bundle = Bundle(new, changed, frozenset(moved | new.keys()), self._post.direct_of(new), _records_of(draft))
        try:
            written = self._run(partial(self._write, bundle=bundle, now_us=draft.now_us))
        except UNAVAILABLE as error:
            self._go_on_without(draft, error)
            return
        for alarm in draft.raised.values():
            logger.warning("alarm raised: %s", alarm.summary)
        self._tap.counts["raised"] += len(draft.raised)
        self._tap.counts["worsened"] += len(draft.worsened)
        self._tap.counts["cleared"] += sum(not alarm.is_open for alarm in draft.changed.values())
        self._apply(written)

    def _go_on_without(self, draft: Draft, error: Exception) -> None:
        """Tell new alarms although the database is away; everything else is found again."""
        subjects: dict[str, set[str]] = {}
        for alarm in (*draft.raised.values(), *draft.changed.values()):
            subjects.setdefault(alarm.rule, set()).add(alarm.subject)
        self._watch.silences.not_stored(subjects)
        for key, alarm in draft.raised.items():
            logger.warning("alarm raised, and not stored yet (%s): %s", error, alarm.summary)
            self._tap.counts["raised"] += 1
            told = msgspec.structs.replace(alarm, told_us=draft.now_us)
            self._open[key] = told
            body = describe(told, draft.now_us)
            self._post.tell_at_once(key, self._channels_of(alarm), "raised", body)
            self._on_change(body)
        self._count()

    def _write(self, database: Any, bundle: Bundle, now_us: int) -> Written:
        """Store alarms with the news of them; runs in the writer, in one transaction."""
        stored = {key: storage.put_new(database, alarm) for key, alarm in bundle.new.items()}
        adopted = [(direct, _adopt(database, direct, stored[direct.key], now_us)) for direct in bundle.direct]
        for key, alarm in bundle.changed.items():
            stored[key] = alarm if alarm.id else msgspec.structs.replace(alarm, id=stored[key].id)
        for key, alarm in stored.items():
            event = self._event_of(alarm, now_us)
            if event == "raised":
                stored[key] = msgspec.structs.replace(alarm, told_us=now_us)
            storage.update_alarm(database, stored[key])
            if key in bundle.moved:
                storage.keep_devices(database, alarm, now_us)
            if event is not None:
                body = describe(stored[key], now_us)
                for channel in self._channels(database, alarm, event):
                    storage.insert_notice(database, channel, event, body, now_us, due_us=now_us)
        storage.put_records(database, bundle.records, now_us)
        return Written(list(stored.values()), adopted)

    def _apply(self, written: Written) -> None:
        """Take over what is stored, show it, and send the news."""
        now_us = self._now_us()
        for alarm in written.alarms:
            if alarm.is_open:
                self._open[alarm.key] = alarm
            else:
                self._open.pop(alarm.key, None)
            self._on_change(describe(alarm, now_us))
        self._count()
        self._post.adopted(written.adopted)
        self._post.hurry()
        self._post.work(self._run, now_us)

    def _event_of(self, alarm: Alarm, now_us: int) -> Event | None:
        """Return what is to be told of an alarm that is written now."""
        if alarm.is_open:
            return "raised" if alarm.is_untold(now_us) else None
        is_silenced = (alarm.silenced_until_us or 0) > now_us
        return "cleared" if alarm.told_us is not None and not is_silenced else None

    def _channels(self, database: Any, alarm: Alarm, event: Event) -> list[str]:
        """Return who is to be told: that it is over, those who were told of it, whatever has become of the rule."""
        if event == "raised":
            return self._channels_of(alarm)
        channels = self._settings.channels
        told = storage.channels_told(database, alarm.id)
        return [name for name in told if name in channels and channels[name].cleared]

    def _channels_of(self, alarm: Alarm) -> list[str]:
        known = self._rules.get(alarm.rule)
        return self._settings.channels_of(known.rule) if known is not None else []

    # Orders

    def _find_open(self, alarm_id: int) -> Alarm:
        for alarm in self._open.values():
            if alarm.id == alarm_id:
                return alarm
        if self._run(lambda database: storage.find_alarm(database, alarm_id)) is None:
            raise AlarmError("not_found", "there is no alarm of this id", id=alarm_id)
        raise AlarmError("conflict", f"the alarm {alarm_id} is over already", id=alarm_id)

    def _carry_out(self, alarm: Alarm, order: Order, action: str) -> Alarm:
        record = _record_of(order, action, alarm.serial, alarm=alarm.id, rule=alarm.rule)
        bundle = Bundle(changed={alarm.key: alarm}, records=[record])
        written = self._run(partial(self._write, bundle=bundle, now_us=self._now_us()))
        self._tap.counts[action] += 1
        self._apply(written)
        return written.alarms[0]

    # Small things

    def _draft(self) -> Draft:
        return Draft(self._open, self._clock.monotonic(), self._now_us())

    def _count(self) -> None:
        self._tap.open.clear()
        self._tap.open.update(alarm.severity for alarm in self._open.values())
        self._tap.open_at = Counter(alarm.site for alarm in self._open.values() if alarm.serial or alarm.site)

    def _run(self, work: Callable[[Any], T]) -> T:
        answer: T = self._ask(Execute(work))
        return answer

    def _now_us(self) -> int:
        return int(self._clock.time() * 1_000_000)


def _record_of(order: Order, action: str, serial: str = "", **more: Any) -> Record:
    return Record(serial, {"action": action, "by": order.by, "from": order.address, **more})


def _adopt(database: Any, direct: Direct, alarm: Alarm, now_us: int) -> int:
    """Store what was told while the database was away, and return its id; what has not arrived is due again."""
    told = direct.told
    due_us = None if direct.is_done else now_us + (LOST_AFTER_US if told is None else 0)
    attempts, error = (1, told.error) if told is not None else (0, "")
    body = describe(alarm, now_us)
    return storage.insert_notice(
        database, direct.channel, "raised", body, now_us, due_us=due_us, attempts=attempts, error=error
    )


def _records_of(draft: Draft) -> list[Record]:
    records = [_record_of_alarm(alarm, "raised") for alarm in draft.raised.values()]
    records += [_record_of_alarm(draft.changed[key], "worsened") for key in sorted(draft.worsened)]
    return records + [_record_of_alarm(alarm, "cleared") for alarm in draft.changed.values() if not alarm.is_open]


def _record_of_alarm(alarm: Alarm, action: str) -> Record:
    data = {"action": action, "rule": alarm.rule, "severity": alarm.severity, "subject": alarm.subject}
    why = {"why": alarm.cleared_why} if alarm.cleared_why else {}
    return Record(alarm.serial, data | {"summary": alarm.summary} | why)
