"""Which devices have been silent for too long, and which alarm tells of each: pure, one book for each rule.

A device that is due is given to an alarm once and stays with it until it is back: to that of its place while a storm
goes on there, else to one of its own. A storm is a gateway that is away, or many devices of a place that fell silent
within a few minutes. So the alarm of a place does not fall apart into those of its devices, nor does one that has been
dead for weeks swallow the next.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from actors.alarms.places import Place
from actors.alarms.rules import Rule

STORM_WINDOW = 300.0
"""Seconds within which devices of a place fall silent together."""
ROUNDING = 0.001
"""Seconds by which a sum of times may differ from another."""


class Silence(NamedTuple):
    """A device that is offline."""

    since: float
    """Monotonic seconds; of a silence that is older than this process below its start."""
    place: Place


class AwayBook:
    """The silent devices that one rule is about."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._silent: dict[str, Silence] = {}
        self._due: list[tuple[float, str]] = []
        self._told: dict[str, str] = {}
        """Serial -> subject of the alarm that tells of it."""
        self._members: dict[str, set[str]] = defaultdict(set)
        self._places: dict[str, Place] = {}
        self._changed: set[str] = set()

    def __contains__(self, serial: str) -> bool:
        return serial in self._silent

    def serials(self) -> list[str]:
        """Return the devices that are silent, due or not."""
        return list(self._silent)

    def fell_silent(self, serial: str, silence: Silence) -> None:
        """Note that a device is offline."""
        if serial in self._silent:
            return
        self._silent[serial] = silence
        heapq.heappush(self._due, (silence.since + self.rule.lasting + self.rule.group_wait, serial))

    def came_back(self, serial: str) -> None:
        """Note that a device is not offline any more, or gone for good."""
        self._silent.pop(serial, None)
        subject = self._told.pop(serial, None)
        if subject is not None:
            self._members[subject].discard(serial)
            self._changed.add(subject)

    def keep(self, serial: str, subject: str, place: Place | None) -> None:
        """Give a device to an alarm that was open before this process began; `place` is that of the alarm."""
        self._give(serial, subject)
        self._changed.discard(subject)
        if place is not None:
            self._places.setdefault(subject, place)

    def level(self, now: float) -> None:
        """Let those that are overdue, and that no alarm tells of, count as fallen silent together.

        A rule that is new finds a fleet with its dead: of each place they are one alarm.
        """
        wait = self.rule.lasting + self.rule.group_wait
        for serial, silence in self._silent.items():
            if serial not in self._told and silence.since + wait < now:
                self._silent[serial] = silence._replace(since=now - wait)
                heapq.heappush(self._due, (now, serial))

    def judge(self, now: float, is_away: Callable[[str], bool], is_held: Callable[[str], bool]) -> None:
        """Give every device that is due to an alarm.

        Args:
            now: monotonic seconds.
            is_away: tells whether a gateway is offline.
            is_held: tells whether nothing is to be said of a device now, since it comes and goes.

        """
        due, held = self._take_due(now, is_held)
        if due:
            crowds = self._crowds({silence.place.subject for silence in due.values()})
            for serial, silence in due.items():
                self._give(serial, self._subject_of(serial, silence, crowds, is_away))
        for serial in held:
            heapq.heappush(self._due, (now + self.rule.group_wait, serial))

    def take_changed(self) -> dict[str, frozenset[str]]:
        """Return the alarms that have changed with the devices that they tell of: none when it is over."""
        changed, self._changed = self._changed, set()
        found = {subject: frozenset(self._members[subject]) for subject in changed}
        for subject, members in found.items():
            if not members:
                del self._members[subject]
        return found

    def change_again(self, subjects: Iterable[str]) -> None:
        """Let alarms count as changed: what was found of them could not be stored."""
        self._changed.update(subjects)

    def place_of(self, subject: str) -> Place | None:
        """Return the place that an alarm is about; None for one about a single device."""
        return self._places.get(subject)

    def silence_of(self, serial: str) -> Silence | None:
        """Return since when a device is silent."""
        return self._silent.get(serial)

    def _take_due(self, now: float, is_held: Callable[[str], bool]) -> tuple[dict[str, Silence], list[str]]:
        due: dict[str, Silence] = {}
        held: list[str] = []
        while self._due and self._due[0][0] <= now:
            at, serial = heapq.heappop(self._due)
            silence = self._silent.get(serial)
            if silence is None or serial in self._told or serial in due:
                continue
            if at < silence.since + self.rule.lasting + self.rule.group_wait - ROUNDING:
                continue  # of an earlier silence; this one has an entry of its own
            if is_held(serial):
                held.append(serial)
            else:
                due[serial] = silence
        return due, held

    def _crowds(self, subjects: set[str]) -> Mapping[str, list[float]]:
        """Return since when the devices of these places are silent that no alarm of their own tells of, sorted."""
        crowds: dict[str, list[float]] = {subject: [] for subject in subjects}
        for serial, silence in self._silent.items():
            subject = silence.place.subject
            if subject in crowds and self._told.get(serial, subject) == subject:
                crowds[subject].append(silence.since)
        for since in crowds.values():
            since.sort()
        return crowds

    def _subject_of(
        self, serial: str, silence: Silence, crowds: Mapping[str, list[float]], is_away: Callable[[str], bool]
    ) -> str:
        place = silence.place
        if serial in place.heads or any(map(is_away, place.heads)):
            return place.subject
        crowd = crowds[place.subject]
        first = bisect_left(crowd, silence.since - STORM_WINDOW)
        last = bisect_right(crowd, silence.since + STORM_WINDOW)
        return place.subject if last - first >= self.rule.min_group else f"device:{serial}"

    def _give(self, serial: str, subject: str) -> None:
        self._told[serial] = subject
        self._members[subject].add(serial)
        self._changed.add(subject)
        silence = self._silent.get(serial)
        if silence is not None and silence.place.subject == subject:
            self._places[subject] = silence.place
