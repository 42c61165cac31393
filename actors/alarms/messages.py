"""What is asked of the alarms' actor, what it answers, and its one error."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors.alarms.rules import Rule, Severity

Event = Literal["raised", "cleared"]
Origin = Literal["default", "configuration", "api"]
Code = Literal["not_found", "conflict", "bad_field", "full"]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `alarm`."""

    id: int = 0
    key: str
    """`{rule}|{subject}`."""
    rule: str
    kind: str
    severity: Severity
    subject: str
    """`device:S`, `gateway:S`, `site:S`, `link:NAME`, `broker:NAME`, `queue:NAME`, `file:PATH`, `server`."""
    serial: str = ""
    site: str = ""
    summary: str
    value: float | None = None
    count: int = 0
    """Devices that it is about."""
    members: tuple[str, ...] = ()
    """Their serials, in order; the database's readers get the first of them."""
    raised_us: int
    updated_us: int
    cleared_us: int | None = None
    cleared_why: str = ""
    """`over`, `rule_changed`, `device_removed`."""
    acknowledged_us: int | None = None
    acknowledged_by: str = ""
    silenced_until_us: int | None = None
    silenced_by: str = ""
    told_us: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.cleared_us is None

    def is_quiet(self, now_us: int) -> bool:
        """Return whether nothing is to be said of it now: acknowledged, or silenced for a time."""
        return self.acknowledged_us is not None or (self.silenced_until_us or 0) > now_us

    def is_untold(self, now_us: int) -> bool:
        """Return whether it is to be told now: what was silenced is told once more when that has ended."""
        return not self.is_quiet(now_us) and (self.told_us is None or self.told_us < (self.silenced_until_us or 0))


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """News of an alarm for one channel."""

    id: int
    channel: str
    event: Event
    body: dict[str, Any]
    """The alarm as the API tells it, with `event` and `notice`, which is the same at each attempt."""
    attempts: int = 0


class Told(msgspec.Struct, frozen=True):
    """From the courier: what became of an attempt."""

    id: int
    error: str = ""
    """Empty when it has arrived."""
    is_final: bool = False
    """Whether it makes no sense to try again."""


class Look(msgspec.Struct, frozen=True):
    """To the actor itself: it is time to look."""

    actor: str
    """Tells an incarnation's own from those that a crashed one has left in the mailbox."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks for, and who it is."""

    by: str
    address: str


class Acknowledge(Order, frozen=True, kw_only=True):
    """Asks to say no more of an alarm; the answer is the `Alarm`."""

    id: int


class SilenceAlarm(Order, frozen=True, kw_only=True):
    """Asks to say nothing of an alarm for a time, also if it comes again meanwhile; the answer is the `Alarm`."""

    id: int
    until_us: int
    """In the past: it is silenced no more."""


class PutRule(Order, frozen=True, kw_only=True):
    """Asks to make a rule; the answer is a `KnownRule`."""

    rule: Rule


class ChangeRule(Order, frozen=True, kw_only=True):
    """Asks to change fields of a rule; the answer is a `KnownRule`."""

    name: str
    changes: dict[str, Any]


class DropRule(Order, frozen=True, kw_only=True):
    """Asks to delete a rule; one of Muster's own that was changed is again as it was."""

    name: str


class ListRules(msgspec.Struct, frozen=True):
    """Asks for all rules, by name; the answer is a list of `KnownRule`."""


class KnownRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and where it comes from."""

    rule: Rule
    origin: Origin
    changed_us: int = 0
    changed_by: str = ""


class AlarmError(Exception):
    """Why an order was not carried out."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
