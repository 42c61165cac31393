"""What one look at everything has found: alarms to raise, to change and to clear, before any of it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.alarms.messages import Alarm
from actors.alarms.rules import Rule
from actors.alarms.sentences import shorten

LONGEST_SUBJECT = 160


class Draft:
    """Collects; later findings about a key take the place of earlier ones."""

    def __init__(self, open_alarms: Mapping[str, Alarm], now: float, now_us: int) -> None:
        self.now = now
        self.now_us = now_us
        self._open = open_alarms
        self.raised: dict[str, Alarm] = {}
        self.changed: dict[str, Alarm] = {}
        self.worsened: set[str] = set()
        """Keys of open alarms that are to be told once more."""

    def find(self, key: str) -> Alarm | None:
        """Return the open alarm of a key as it will be, None where there is none, or it is over."""
        alarm = self.changed.get(key) or self.raised.get(key) or self._open.get(key)
        return alarm if alarm is not None and alarm.is_open else None

    def raise_alarm(self, rule: Rule, subject: str, summary: str, **facts: Any) -> None:
        """Raise an alarm; of a key whose alarm is cleared in the same look it is raised at the next."""
        key = key_of(rule, subject)
        if key in self._open or key in self.raised:
            return
        self.raised[key] = Alarm(
            key=key,
            rule=rule.name,
            kind=rule.kind,
            severity=rule.severity,
            subject=subject,
            summary=shorten(summary),
            raised_us=self.now_us,
            updated_us=self.now_us,
            **facts,
        )

    def change(self, alarm: Alarm, **facts: Any) -> Alarm:
        """Change what an open alarm says, if it does; return it as it is now."""
        then = msgspec.structs.replace(alarm, **facts)
        if then == alarm:
            return alarm
        then = msgspec.structs.replace(then, updated_us=self.now_us, summary=shorten(then.summary))
        self.put(then)
        return then

    def worsen(self, alarm: Alarm) -> None:
        """Take back that an alarm was told and acknowledged: what it tells of is not what somebody knew of."""
        untold = {"told_us": None, "acknowledged_us": None, "acknowledged_by": ""}
        self.put(msgspec.structs.replace(alarm, updated_us=self.now_us, **untold))
        self.worsened.add(alarm.key)

    def clear(self, alarm: Alarm, why: str = "over") -> None:
        """End an alarm."""
        if alarm.is_open:
            self.put(msgspec.structs.replace(alarm, cleared_us=self.now_us, cleared_why=why, updated_us=self.now_us))

    def put(self, alarm: Alarm) -> None:
        """Take an alarm as it is now."""
        self.changed[alarm.key] = alarm


def key_of(rule: Rule, subject: str) -> str:
    """Return what tells an alarm from all others that are open."""
    return f"{rule.name}|{subject}"


def subject_of(kind: str, name: str) -> str:
    """Return the subject of an alarm, of a bounded length."""
    subject = f"{kind}:{name}"
    if len(subject) <= LONGEST_SUBJECT:
        return subject
    digest = hashlib.sha256(subject.encode()).hexdigest()[:16]
    return f"{subject[: LONGEST_SUBJECT - 17]}~{digest}"
