"""The silent devices: which alarm tells of each of them, by every rule that is about silence. Stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from actors.alarms.away import STORM_WINDOW, AwayBook, Silence
from actors.alarms.draft import Draft, key_of
from actors.alarms.messages import Alarm
from actors.alarms.places import Place, Places
from actors.alarms.rules import Rule
from actors.alarms.sentences import say_away
from actors.fleet import Fleet
from actors.messages import DeviceSnapshot

IsAbout = Callable[[Rule, DeviceSnapshot], bool]
"""Tells whether a rule is about a device."""


class Silences:
    """Keeps a book for each rule.

    Args:
        fleet: the roll call.
        is_about: tells whether a rule is about a device.
        is_held: tells whether nothing is to be said of a device now, since it comes and goes.

    """

    def __init__(self, fleet: Fleet, is_about: IsAbout, is_held: Callable[[str], bool]) -> None:
        self._fleet = fleet
        self._is_about = is_about
        self._is_held = is_held
        self._places = Places()
        self._books: dict[str, AwayBook] = {}

    # Who is silent

    def begin(self, rules: Iterable[Rule], draft: Draft) -> None:
        """Go through the fleet once."""
        self._places.learn_all(record.snapshot for record in self._fleet)
        self._books = {rule.name: AwayBook(rule) for rule in rules}
        for record in self._fleet:
            if record.snapshot.presence == "offline":
                self.fell_silent(record.snapshot, draft)

    def take_over(self, rule: Rule, alarm: Alarm, draft: Draft) -> None:
        """Go on with an alarm that is open: it keeps those of whom it told and who are silent still."""
        book = self._books[rule.name]
        is_own = alarm.subject.startswith("device:")
        members = [serial for serial in ((alarm.serial,) if is_own else alarm.members) if serial in book]
        place = None if is_own else self._place_of(alarm)
        for serial in members:
            book.keep(serial, alarm.subject, place)
        if not members:
            draft.clear(alarm)
        elif not is_own and len(members) < alarm.count:
            book.change_again([alarm.subject])

    def level(self, now: float) -> None:
        """Let those that are overdue count as fallen silent together, see `AwayBook.level`."""
        for book in self._books.values():
            book.level(now)

    def learn(self, devices: Iterable[DeviceSnapshot]) -> None:
        """Take note of gateways, before those behind them are looked at."""
        self._places.learn_all(devices)

    def came_back(self, serial: str) -> None:
        """Note that a device is not silent any more."""
        for book in self._books.values():
            book.came_back(serial)

    def fell_silent(self, device: DeviceSnapshot, draft: Draft) -> None:
        """Note that a device is silent."""
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

    def tidy(self) -> None:
        """Forget who was deleted, or is none of the rule's devices any more."""
        for book in self._books.values():
            for serial in book.serials():
                view = self._fleet.get(serial)
                if view is None or not self._is_about(book.rule, view.snapshot):
                    book.came_back(serial)
                if view is None:
                    self._places.forget(serial)

    def not_stored(self, subjects: Mapping[str, Collection[str]]) -> None:
        """Take back what was drafted: rule -> subjects that the next look has to draft again."""
        for name, changed in subjects.items():
            if name in self._books:
                self._books[name].change_again(changed)

    # Which alarm tells of whom

    def look(self, draft: Draft) -> None:
        """Give those that are due to an alarm, and draft what has changed."""
        for book in self._books.values():
            book.judge(draft.now, self._is_away, self._is_held)
            for subject, members in book.take_changed().items():
                self._draft(draft, book, subject, members)

    def _draft(self, draft: Draft, book: AwayBook, subject: str, members: frozenset[str]) -> None:
        alarm = draft.find(key_of(book.rule, subject))
        if not members:
            if alarm is not None:
                draft.clear(alarm)
            return
        is_own = subject.startswith("device:")
        place = None if is_own else book.place_of(subject)
        summary = say_away(place, members, self._name_of)
        facts: dict[str, Any] = {"count": len(members), "members": tuple(sorted(members))}
        if alarm is not None:
            then = draft.change(alarm, summary=summary, **facts)
            if place is not None and _is_worse(draft, book, alarm, place, members):
                draft.worsen(then)
            return
        (first, *_) = sorted(members)
        view = self._fleet.get(first)
        site = place.site if place is not None else view.snapshot.site if view is not None else ""
        serial = first if is_own else (subject.partition(":")[2] if subject.startswith("gateway:") else "")
        draft.raise_alarm(book.rule, subject, summary, serial=serial, site=site, **facts)

    def _place_of(self, alarm: Alarm) -> Place:
        """Return the place of an alarm that an earlier process raised; its devices may have moved since."""
        heads = (alarm.serial,) if alarm.serial else self._places.gateways_of(alarm.site)
        return Place(alarm.subject, alarm.site, heads)

    def _is_away(self, serial: str) -> bool:
        record = self._fleet.record(serial)
        return record is not None and record.snapshot.presence == "offline"

    def _name_of(self, serial: str) -> str:
        return name_of(self._fleet, serial)


def name_of(fleet: Fleet, serial: str) -> str:
    """Return what people call a device."""
    view = fleet.get(serial)
    label = view.snapshot.label if view is not None else ""
    return f"{label} ({serial})" if label and label != serial else serial


def _is_worse(draft: Draft, book: AwayBook, alarm: Alarm, place: Place, members: frozenset[str]) -> bool:
    """Tell whether another storm has come over a place whose alarm is open still, long after somebody knew of it."""
    known_us = max(alarm.told_us or 0, alarm.acknowledged_us or 0)
    if not known_us:
        return False  # it is to be told anyway
    over_at = draft.now - (draft.now_us - known_us) / 1e6 + STORM_WINDOW
    later = {serial for serial in members if (silence := book.silence_of(serial)) and silence.since > over_at}
    return len(later) >= book.rule.min_group or not later.isdisjoint(place.heads)
