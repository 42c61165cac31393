"""The rules of alarms: one table of kinds, one shape of rule, and what is wrong with a rule in one sentence.

| kind | watches | `over` or `under` | lasts |
|---|---|---|---|
| `offline_for` | each device, grouped by gateway and site | | 300 s |
| `flapping` | each device | | 0 |
| `metric` | a number in each device's readings | needed | 0 |
| `anomaly` | what the analysis of each reading says | | 0 |
| `dead_letters` | messages refused within `window` | over 100 | 0 |
| `quarantine` | parked actors | over 0 | 0 |
| `database_lag` | seconds that the oldest write has waited | over 10 | 5 s |
| `broker_link` | each MQTT link: 1 while it does not hear | over 0 | 60 s |
| `broker_dropped` | messages that a broker dropped within `window` | over 0 | 0 |
| `queue_depth` | messages in each queue of the server | over 20,000 | 30 s |
| `certificate_expiry` | days until each certificate ends | under 30 | 0 |
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from actors.messages import DeviceSnapshot, Kind

AlarmKind = Literal[
    "offline_for",
    "flapping",
    "metric",
    "anomaly",
    "dead_letters",
    "quarantine",
    "database_lag",
    "broker_link",
    "broker_dropped",
    "queue_depth",
    "certificate_expiry",
]
Severity = Literal["info", "warning", "critical"]
Source = Literal["presence", "flapping", "reading", "gauge", "counter"]
"""Where what is judged comes from: presences, readings as they are stored, or figures of the server itself."""
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
MOST_RULES: Final = 500
"""Rules that may be made by HTTP."""

RuleName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400)]
Limit = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]


class KindFacts(NamedTuple):
    """What distinguishes a kind of rule."""

    source: Source
    fields: frozenset[str]
    """Fields of a rule that mean something here, besides those that every rule has."""
    lasts: float = 0.0
    """Seconds that it must last, where the rule does not say."""
    over: float | None = None
    under: float | None = None
    unit: str = ""


_OF_DEVICES: Final = frozenset({"site", "device_kind", "type", "group", "devices"})
_JUDGED: Final = _OF_DEVICES | {"clear_after"}
_GAUGE: Final = frozenset({"over", "hysteresis", "subject", "clear_after"})
KINDS: Final[Mapping[AlarmKind, KindFacts]] = {
    "offline_for": KindFacts("presence", _OF_DEVICES | {"min_group", "group_wait"}, lasts=300.0),
    "flapping": KindFacts("flapping", _JUDGED),
    "metric": KindFacts("reading", _JUDGED | {"metric", "over", "under", "hysteresis"}),
    "anomaly": KindFacts("reading", _JUDGED | {"metric"}),
    "dead_letters": KindFacts("counter", _GAUGE | {"window"}, over=100.0, unit="messages"),
    "quarantine": KindFacts("gauge", _GAUGE, over=0.0, unit="actors"),
    "database_lag": KindFacts("gauge", _GAUGE, lasts=5.0, over=10.0, unit="s"),
    "broker_link": KindFacts("gauge", _GAUGE, lasts=60.0, over=0.0),
    "broker_dropped": KindFacts("counter", _GAUGE | {"window"}, over=0.0, unit="messages"),
    "queue_depth": KindFacts("gauge", _GAUGE, lasts=30.0, over=20_000.0, unit="messages"),
    "certificate_expiry": KindFacts("gauge", _GAUGE - {"over"} | {"under"}, under=30.0, unit="days"),
}
_EVERYWHERE: Final = frozenset({"name", "kind", "severity", "enabled", "lasts", "send", "description"})


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What makes an alarm; which fields mean something depends on `kind`, the others are refused."""

    name: RuleName
    kind: AlarmKind
    description: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*\Z")] = ""
    severity: Severity = "warning"
    enabled: bool = True
    metric: Text = ""
    """Name of a number in the readings."""
    over: Limit | None = None
    under: Limit | None = None
    hysteresis: Annotated[float, msgspec.Meta(ge=0, le=1e15)] = 0.0
    """How far it must come back over or under the limit before the alarm is over."""
    lasts: Seconds | None = None
    """Seconds that it must last; None: as is usual for the kind."""
    clear_after: Seconds = 0.0
    """Seconds that it must be well again."""
    window: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 300.0
    """Seconds over which messages are counted."""
    site: Text | None = None
    device_kind: Kind | None = None
    type: Text | None = None
    group: Text | None = None
    devices: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1_000)] = ()
    """Serials; empty: every device that the other fields leave."""
    subject: Text | None = None
    """Only this link, queue, broker or file."""
    min_group: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 5
    """So many devices of one place that go dark together are one alarm, also where their gateway is there."""
    group_wait: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 10.0
    """Seconds to wait for the others of a place before an alarm is raised."""
    send: Annotated[tuple[Text, ...], msgspec.Meta(max_length=32)] | None = None
    """Names of channels; None: those of `alarms.send`."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense for the kind."""
        facts = KINDS[self.kind]
        allowed = facts.fields | _EVERYWHERE
        for name, default in _defaults().items():
            if name not in allowed and getattr(self, name) != default:
                raise ValueError(f"`{name}` means nothing to a rule of kind {self.kind}")
        if self.kind == "metric":
            if not self.metric:
                raise ValueError("`metric` is needed: the name of a number in the readings")
            if (self.over is None) == (self.under is None):
                raise ValueError("`over` or `under` is needed, and not both")

    @property
    def source(self) -> Source:
        """Where what it judges comes from."""
        return KINDS[self.kind].source

    @property
    def lasting(self) -> float:
        """Seconds that it must last."""
        return KINDS[self.kind].lasts if self.lasts is None else self.lasts

    @property
    def limit(self) -> tuple[float | None, float | None]:
        """What is bad: more than the first, less than the second."""
        facts = KINDS[self.kind]
        if self.over is None and self.under is None:
            return facts.over, facts.under
        return self.over, self.under

    def covers(self, device: DeviceSnapshot, is_in_group: bool) -> bool:
        """Tell whether the rule is about this device; `is_in_group` is asked for by who knows the groups."""
        return (
            (self.site is None or device.site == self.site)
            and (self.device_kind is None or device.kind == self.device_kind)
            and (self.type is None or device.type == self.type)
            and (not self.devices or device.serial in self.devices)
            and (self.group is None or is_in_group)
        )


@cache
def _defaults() -> Mapping[str, Any]:
    """Return the fields that a rule may leave out, with what they are then."""
    fields = msgspec.structs.fields(Rule)
    return {field.name: field.default for field in fields if not field.required}


def change_rule(rule: Rule, changes: Mapping[str, Any]) -> Rule:
    """Return a rule with other values; null takes a field back to its default.

    Raises:
        msgspec.ValidationError: naming the field.

    """
    body: dict[str, Any] = msgspec.to_builtins(rule)
    for name, value in changes.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value
    return msgspec.convert(body, Rule)


DEFAULT_RULES: Final = (
    Rule(name="offline", kind="offline_for", description="A device has been silent for five minutes."),
    Rule(name="flapping", kind="flapping", severity="info", description="A device comes and goes."),
    Rule(name="dead-letters", kind="dead_letters", description="Many messages could not be processed."),
    Rule(name="quarantine", kind="quarantine", description="An actor crashed again and again and was parked."),
    Rule(name="database-lag", kind="database_lag", severity="critical", description="The database does not keep up."),
    Rule(name="broker-link", kind="broker_link", severity="critical", description="A link to a broker is down."),
    Rule(name="broker-dropped", kind="broker_dropped", description="The broker drops messages."),
    Rule(name="queue-depth", kind="queue_depth", description="A queue of the server grows."),
    Rule(name="certificates", kind="certificate_expiry", description="A certificate ends within thirty days."),
)
"""In force unless `alarms.defaults` is false; a rule of the same name takes the place of one."""
