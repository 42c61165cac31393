"""Looks at everything that rules are about, and drafts what follows from it. Stores nothing, asks no actor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from actors.alarms.away import AwayBook, Silence
from actors.alarms.draft import Draft, key_of
from actors.alarms.judging import Condition, Meter, decide, is_bad, observe
from actors.alarms.messages import Alarm
from actors.alarms.places import Places
from actors.alarms.rulebook import RuleBook
from actors.alarms.rules import AlarmKind, Rule
from actors.alarms.sentences import list_members, say_away, say_figure
from actors.alarms.settings import AlarmSettings
from actors.alarms.tap import AlarmTap, Interest
from actors.fleet import DeviceView, Fleet
from actors.messages import DeviceSnapshot, StoreReading
from actors.presence import FLAP_WINDOW
from actors.storage.alarms import MOST_NAMES

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
        self._places = Places()
        self._rules = RuleBook(AlarmSettings(defaults=False))
        self._books: dict[str, AwayBook] = {}
        self._conditions: dict[str, Condition] = {}
        self._meters: dict[str, Meter] = {}
        self._flapping: set[str] = set()
        self._trusted_from = 0.0
        """Before it nobody can say that a device does not flap any more: the transitions of an earlier process are
        not known."""
        self._looks = 0

    # What is watched

    def begin(self, rules: RuleBook, draft: Draft, open_alarms: Iterable[Alarm], changed: str = "") -> None:
        """Go through the fleet once, at the start and when the rule `changed` has; end what no rule is about."""
        self._rules = rules
        for kept in (self._conditions, self._meters):
            for key in [key for key in kept if key.startswith(f"{changed}|")]:
                del kept[key]
        if not self._trusted_from:
            self._trusted_from = draft.now + FLAP_WINDOW
        readings = rules.active("reading")
        metrics = [rule.metric for rule in readings if rule.kind == "metric"]
        self._tap.interest = Interest(metrics, anomalies=any(rule.kind == "anomaly" for rule in readings))
        self._places.learn_all(record.snapshot for record in self._fleet)
        self._books = {rule.name: AwayBook(rule) for rule in rules.active("presence")}
        for record in self._fleet:
            if record.snapshot.presence == "offline":
                self._fell_silent(record.snapshot, draft)
        for alarm in open_alarms:
            self._take_over(alarm, draft)
        for book in self._books.values():
            book.level(draft.now)

    def _take_over(self, alarm: Alarm, draft: Draft) -> None:
        """Go on with an alarm that is open, if its rule is still about it."""
        rule = self._rules.live(alarm.rule, alarm.kind)
        is_own = alarm.subject.startswith("device:") and alarm.serial in self._fleet
        if rule is None or (is_own and not self._covers(rule, alarm.serial)):
            draft.clear(alarm, "rule_changed")
        elif rule.source == "presence":
            self._take_over_away(self._books[rule.name], alarm, draft)
        elif rule.source == "flapping":
            self._flapping.add(alarm.serial)

    def _take_over_away(self, book: AwayBook, alarm: Alarm, draft: Draft) -> None:
        """Give an alarm the silent devices that it told of: those of its place that were silent when it last said."""
        kind, _, name = alarm.subject.partition(":")
        if kind == "device":
            members = [name] if name in book else []
        else:
            told_at = draft.now - (draft.now_us - alarm.updated_us) / 1e6
            members = [
                serial
                for serial in book.serials()
                if (silence := book.silence_of(serial)) is not None
                and silence.place.subject == alarm.subject
                and silence.since <= told_at
                and draft.find(key_of(book.rule, f"device:{serial}")) is None
            ]
        for serial in members:
            book.keep(serial, alarm.subject)
        if not members:
            draft.clear(alarm)

    # One look

    def look(self, draft: Draft, figures: Iterable[Figure], open_alarms: Mapping[str, Alarm]) -> None:
        """Look at all that has changed since the last look."""
        self._hear(draft)
        self._looks += 1
        if self._looks % TIDY_EVERY == 0:
            self._tidy(draft, open_alarms)
        self._look_at_silences(draft)
        self._look_at_flapping(draft)
        self._look_at_readings(draft)
        self._look_at_figures(draft, figures, open_alarms)
        self._look_again(draft, open_alarms)

    def _hear(self, draft: Draft) -> None:
        """Take who has changed; gateways are known before those behind them are looked at."""
        changed = self._tap.take_presence()
        views = [view for view in map(self._fleet.get, changed) if view is not None]
        self._places.learn_all(view.snapshot for view in views)
        for view in views:
            serial = view.snapshot.serial
            if view.flapping:
                self._flapping.add(serial)
            if changed[serial] == "online":
                for book in self._books.values():
                    book.came_back(serial)
            elif changed[serial] == "offline":
                self._fell_silent(view.snapshot, draft)

    def not_stored(self, subjects: Mapping[str, set[str]]) -> None:
        """Take back what was drafted of silences: rule -> subjects that the next look has to draft again."""
        for name, changed in subjects.items():
            if name in self._books:
                self._books[name].change_again(changed)

    def _covers(self, rule: Rule, serial: str) -> bool:
        view = self._fleet.get(serial)
        return view is not None and self._is_about(rule, view.snapshot)

    def _is_about(self, rule: Rule, device: DeviceSnapshot) -> bool:
        return rule.covers(device, rule.group is None or self._in_group(rule.group, device))

    # Silence

    def _fell_silent(self, device: DeviceSnapshot, draft: Draft) -> None:
        record = self._fleet.record(device.serial)
        if record is None or not record.heard_us:
            return  # declared, and never heard of: the roster tells of those
        silence: Silence | None = None
        for book in self._books.values():
            if device.serial not in book and self._is_about(book.rule, device):
                if silence is None:
                    since = draft.now - max(0.0, (draft.now_us - device.since_us) / 1e6)
                    silence = Silence(since, self._places.of(device, self._fleet.__contains__))
                book.fell_silent(device.serial, silence)

    def _look_at_silences(self, draft: Draft) -> None:
        for book in self._books.values():
            book.judge(draft.now, self._is_away, self._is_flapping)
            for subject, members in book.take_changed().items():
                self._draft_silence(draft, book, subject, members)

    def _draft_silence(self, draft: Draft, book: AwayBook, subject: str, members: frozenset[str]) -> None:
        alarm = draft.find(key_of(book.rule, subject))
        if not members:
            if alarm is not None:
                draft.clear(alarm)
            return
        is_own = subject.startswith("device:")
        place = None if is_own else book.place_of(subject)
        if place is None and not is_own:
            return  # taken over, and nobody of it has fallen silent in this process: it is told when the last is back
        facts = {"count": len(members), "members": list_members(members, MOST_NAMES)}
        summary = say_away(place, members, self._name_of)
        if alarm is not None:
            draft.change(alarm, summary=summary, **facts)
            return
        (first, *_) = sorted(members)
        view = self._fleet.get(first)
        site = place.site if place is not None else view.snapshot.site if view is not None else ""
        serial = first if is_own else (subject.partition(":")[2] if subject.startswith("gateway:") else "")
        draft.raise_alarm(book.rule, subject, summary, serial=serial, site=site, **facts)

    def _is_away(self, serial: str) -> bool:
        record = self._fleet.record(serial)
        return record is not None and record.snapshot.presence == "offline"

    def _is_flapping(self, serial: str) -> bool:
        return serial in self._flapping and (view := self._fleet.get(serial)) is not None and view.flapping

    def _name_of(self, serial: str) -> str:
        view = self._fleet.get(serial)
        label = view.snapshot.label if view is not None else ""
        return f"{label} ({serial})" if label and label != serial else serial

    def _tidy(self, draft: Draft, open_alarms: Mapping[str, Alarm]) -> None:
        """End what is about devices that were deleted."""
        for book in self._books.values():
            for serial in book.serials():
                if serial not in self._fleet:
                    book.came_back(serial)
                    self._places.forget(serial)
        for alarm in open_alarms.values():
            if alarm.serial and not alarm.subject.startswith("gateway:") and alarm.serial not in self._fleet:
                draft.clear(alarm, "device_removed")
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
                summary = f"{self._name_of(serial)} comes and goes"
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
        case = Case(rule, f"device:{reading.serial}", self._name_of(reading.serial), _of_device(view))
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
    return [name for name in found if not metric or name == metric]
