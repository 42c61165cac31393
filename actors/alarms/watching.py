"""Looks at everything that rules are about, and drafts what follows from it. Stores nothing, asks no actor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from actors.alarms.draft import Draft, key_of
from actors.alarms.judging import Condition, Meter, decide, is_bad, observe
from actors.alarms.messages import Alarm
from actors.alarms.rulebook import RuleBook
from actors.alarms.rules import AlarmKind, Rule
from actors.alarms.sentences import say_figure
from actors.alarms.settings import AlarmSettings
from actors.alarms.silences import Silences, name_of
from actors.alarms.tap import AlarmTap, Interest
from actors.fleet import DeviceView, Fleet
from actors.messages import DeviceSnapshot, StoreReading
from actors.presence import FLAP_WINDOW

TIDY_EVERY = 30
"""Looks between two searches for alarms of devices that are not there any more."""

InGroup = Callable[[str, DeviceSnapshot], bool]
"""Tells whether a device belongs to the group of this name."""
_MEASURES = msgspec.json.Decoder(dict[str, float])


class _Anomaly(msgspec.Struct):
    """What is used here of an `actors.analysis.results.Anomaly`."""

    measure: str = ""


_ANOMALIES = msgspec.json.Decoder(list[_Anomaly])


class Figure(NamedTuple):
    """A number that the server tells of itself."""

    kind: AlarmKind
    subject: str
    """As in `Alarm.subject`."""
    name: str
    """Of the link, queue, broker or file."""
    value: float


class Case(NamedTuple):
    """What one rule says of one subject."""

    rule: Rule
    subject: str
    summary: str
    """In words; until a number is judged, only the name of whose it is."""
    facts: Mapping[str, str] = {}
    """Further fields of its alarm."""

    @property
    def key(self) -> str:
        """What tells its alarm from others."""
        return key_of(self.rule, self.subject)


class Watch:
    """What is known of everything that the rules in force are about."""

    def __init__(self, fleet: Fleet, tap: AlarmTap, in_group: InGroup) -> None:
        self._fleet = fleet
        self._tap = tap
        self._in_group = in_group
        self._rules = RuleBook(AlarmSettings(defaults=False))
        self.silences = Silences(fleet, self._is_about, self._is_flapping)
        self._conditions: dict[str, Condition] = {}
        self._meters: dict[str, Meter] = {}
        self._flapping: set[str] = set()
        self._trusted_from = 0.0
        """Before it nobody can say that a device does not flap any more: the transitions of an earlier process are
        not known."""
        self._looks = 0

    # What is watched

    def begin(
        self, rules: RuleBook, draft: Draft, open_alarms: Iterable[Alarm], changed: tuple[Rule, ...] = ()
    ) -> None:
        """Go through the fleet once, at the start and when rules have `changed`; end what no rule is about.

        Args:
            rules: as they are now.
            draft: takes what follows.
            open_alarms: what is to go on.
            changed: rules as they were.

        """
        self._rules = rules
        for was in changed:
            for kept in (self._conditions, self._meters):
                for key in [key for key in kept if key.startswith(f"{was.name}|")]:
                    del kept[key]
        if not self._trusted_from:
            self._trusted_from = draft.now + FLAP_WINDOW
        readings = rules.active("reading")
        metrics = [rule.metric for rule in readings if rule.kind == "metric"]
        self._tap.interest = Interest(metrics, anomalies=any(rule.kind == "anomaly" for rule in readings))
        self.silences.begin(rules.active("presence"), draft)
        metrics_before = {was.name: was.metric for was in changed}
        for alarm in open_alarms:
            self._take_over(alarm, draft, metrics_before.get(alarm.rule))
        self.silences.level(draft.now)

    def _take_over(self, alarm: Alarm, draft: Draft, metric_before: str | None) -> None:
        """Go on with an alarm that is open, if its rule is still about it."""
        rule = self._rules.live(alarm.rule, alarm.kind)
        if rule is None or self._has_left(rule, alarm) or metric_before not in (None, rule.metric):
            draft.clear(alarm, "rule_changed")
            return
        alarm = draft.change(alarm, severity=rule.severity)
        if rule.source == "presence":
            self.silences.take_over(rule, alarm, draft)
        elif rule.source == "flapping":
            self._flapping.add(alarm.serial)

    # One look

    def look(self, draft: Draft, figures: Iterable[Figure], open_alarms: Mapping[str, Alarm]) -> None:
        """Look at all that has changed since the last look."""
        self._hear(draft)
        self._looks += 1
        if self._looks % TIDY_EVERY == 0:
            self._tidy(draft, open_alarms)
        self.silences.look(draft)
        self._look_at_flapping(draft)
        self._look_at_readings(draft)
        self._look_at_figures(draft, figures, open_alarms)
        self._look_again(draft, open_alarms)

    def _hear(self, draft: Draft) -> None:
        """Take who has changed; gateways are known before those behind them are looked at."""
        changed = self._tap.take_presence()
        views = [view for view in map(self._fleet.get, changed) if view is not None]
        self.silences.learn(view.snapshot for view in views)
        for view in views:
            serial = view.snapshot.serial
            if view.flapping:
                self._flapping.add(serial)
            if changed[serial] == "online":
                self.silences.came_back(serial)
            elif changed[serial] == "offline":
                self.silences.fell_silent(view.snapshot, draft)

    def _is_about(self, rule: Rule, device: DeviceSnapshot) -> bool:
        return rule.covers(device, rule.group is None or self._in_group(rule.group, device))

    def _has_left(self, rule: Rule, alarm: Alarm) -> bool:
        """Tell whether an alarm of a single device is about one that is none of the rule's any more."""
        view = self._fleet.get(alarm.serial) if alarm.subject.startswith("device:") else None
        return view is not None and not self._is_about(rule, view.snapshot)

    def _is_flapping(self, serial: str) -> bool:
        return serial in self._flapping and (view := self._fleet.get(serial)) is not None and view.flapping

    def _tidy(self, draft: Draft, open_alarms: Mapping[str, Alarm]) -> None:
        """End what is about devices that were deleted, or are none of the rule's any more."""
        self.silences.tidy()
        for alarm in open_alarms.values():
            rule = self._rules.live(alarm.rule, alarm.kind)
            if alarm.serial and not alarm.subject.startswith("gateway:") and alarm.serial not in self._fleet:
                draft.clear(alarm, "device_removed")
            elif rule is not None and self._has_left(rule, alarm):
                draft.clear(alarm, "rule_changed")
        for key in [key for key, condition in self._conditions.items() if not condition.bad]:
            if key not in open_alarms:
                del self._conditions[key]

    # Conditions

    def _look_at_flapping(self, draft: Draft) -> None:
        rules = self._rules.active("flapping")
        for serial in list(self._flapping):
            view = self._fleet.get(serial)
            flaps = view is not None and (view.flapping or draft.now < self._trusted_from)
            is_told = False
            for rule in rules:
                if view is None or not self._is_about(rule, view.snapshot):
                    continue
                summary = f"{name_of(self._fleet, serial)} comes and goes"
                case = Case(rule, f"device:{serial}", summary, _of_device(view))
                self._judge(draft, case, bad=flaps, value=None)
                is_told = is_told or draft.find(case.key) is not None
            if not flaps and not is_told:
                self._flapping.discard(serial)

    def _look_at_readings(self, draft: Draft) -> None:
        readings, rules = self._tap.take_readings(), self._rules.active("reading")
        for reading in readings:
            view = self._fleet.get(reading.serial)
            if view is None:
                continue
            for rule in rules:
                if self._is_about(rule, view.snapshot):
                    self._look_at_reading(draft, rule, reading, view)

    def _look_at_reading(self, draft: Draft, rule: Rule, reading: StoreReading, view: DeviceView) -> None:
        case = Case(rule, f"device:{reading.serial}", name_of(self._fleet, reading.serial), _of_device(view))
        if rule.kind == "anomaly":
            if reading.health_index is None:
                return
            found = _anomalies(reading, rule.metric)
            what = f" in {', '.join(found[:5])}" if any(found) else ""
            summary = f"{case.summary}: anomalous readings{what}"
            self._judge(draft, case._replace(summary=summary), bad=bool(found), value=None)
            return
        try:
            value = _MEASURES.decode(reading.measures).get(rule.metric)
        except msgspec.MsgspecError:
            value = None
        if value is not None:
            self._judge_value(draft, case, value)

    def _look_at_figures(self, draft: Draft, figures: Iterable[Figure], open_alarms: Mapping[str, Alarm]) -> None:
        rules = [*self._rules.active("gauge"), *self._rules.active("counter")]
        seen: set[str] = set()
        known = list(figures)
        for rule in rules:
            for figure in known:
                if figure.kind == rule.kind and rule.subject in (None, figure.name):
                    value = figure.value
                    key = key_of(rule, figure.subject)
                    seen.add(key)
                    if rule.source == "counter":
                        value = self._meters.setdefault(key, Meter(rule.window)).grow(value, draft.now)
                    self._judge_value(draft, Case(rule, figure.subject, figure.name), value)
        gone = {rule.name for rule in rules}
        for key, alarm in open_alarms.items():
            if alarm.rule in gone and key not in seen:
                draft.clear(alarm)  # the link, queue or file is not there any more

    def _look_again(self, draft: Draft, open_alarms: Mapping[str, Alarm]) -> None:
        """Clear what has been well for long enough, also where nothing new is heard of it."""
        for key, alarm in open_alarms.items():
            condition, rule = self._conditions.get(key), self._rules.live(alarm.rule, alarm.kind)
            if condition is not None and rule is not None and draft.find(key) is not None and not condition.bad:
                self._act(draft, Case(rule, alarm.subject, alarm.summary), condition)

    def _judge_value(self, draft: Draft, case: Case, value: float) -> None:
        rule = case.rule
        bad = is_bad(rule, value, is_open=draft.find(case.key) is not None)
        over, under = rule.limit
        summary = say_figure(rule, case.summary, value, over if over is not None else under) if bad else ""
        self._judge(draft, case._replace(summary=summary), bad=bad, value=value)

    def _judge(self, draft: Draft, case: Case, *, bad: bool, value: float | None) -> None:
        before = self._conditions.get(case.key)
        if not bad and before is None and draft.find(case.key) is None:
            return  # well, as ever: nothing is kept of it
        condition = observe(before, bad=bad, value=value, now=draft.now)
        self._conditions[case.key] = condition
        self._act(draft, case, condition)

    def _act(self, draft: Draft, case: Case, condition: Condition) -> None:
        alarm = draft.find(case.key)
        match decide(case.rule, condition, is_open=alarm is not None, now=draft.now):
            case "raise":
                draft.raise_alarm(case.rule, case.subject, case.summary, value=condition.value, **case.facts)
            case "clear":
                assert alarm is not None
                if case.key not in draft.raised:  # else at the next look: a short alarm is told, too
                    draft.clear(alarm)
            case None if alarm is None and not condition.bad:
                del self._conditions[case.key]


def _of_device(view: DeviceView) -> dict[str, str]:
    return {"serial": view.snapshot.serial, "site": view.snapshot.site}


def _anomalies(reading: StoreReading, metric: str) -> list[str]:
    """Return the measures that are anomalous in a reading, only `metric` where it is given."""
    if not reading.anomalies:
        return []
    try:
        found = [each.measure for each in _ANOMALIES.decode(reading.anomalies)]
    except msgspec.MsgspecError:
        found = [""]
    return [name for name in dict.fromkeys(found) if not metric or name == metric]
