"""The section `[alarms]` of the server's configuration: rules, and the channels that carry the news."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from actors.alarms.rules import DEFAULT_RULES, Rule

ChannelName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
WAYS = ("webhook", "apprise", "device", "devices", "group", "topic")
"""Fields of a channel, of which it has exactly one: where it leads."""


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where news of alarms go: a webhook, the services of Apprise, or notifications to devices."""

    webhook: str = ""
    """URL that gets the news as JSON by POST."""
    headers: dict[str, str] = {}
    """Of the webhook, for example `Authorization`."""
    apprise: Annotated[tuple[Url, ...], msgspec.Meta(max_length=32)] = ()
    """URLs of Apprise: `mailto://...`, `slack://...`; needs the extra `alerts`."""
    device: str = ""
    devices: Annotated[tuple[str, ...], msgspec.Meta(max_length=1_000)] = ()
    group: str = ""
    topic: str = ""
    severities: tuple[Literal["info", "warning", "critical"], ...] = ()
    """Only alarms of these; empty: all."""
    cleared: bool = True
    """Whether it tells, too, that an alarm is over."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    """Seconds for one attempt of a webhook."""

    def __post_init__(self) -> None:
        """Refuse a channel that leads nowhere, or to several places."""
        given = [name for name in WAYS if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"a channel has exactly one of {', '.join(WAYS)}")
        if self.webhook:
            check_url(self.webhook)
        if self.headers and not self.webhook:
            raise ValueError("`headers` belong to a `webhook`, which is missing")
        for name, value in self.headers.items():
            if not (name + value).isprintable() or not (name + value).isascii() or ":" in name or not name:
                raise ValueError(f"`headers`: {name[:64]!r} is not a header of printable ASCII")

    @property
    def way(self) -> str:
        """Where it leads, as one of `WAYS`."""
        return next(name for name in WAYS if getattr(self, name))

    @property
    def target(self) -> dict[str, Any]:
        """Who gets the notifications, as the API of notifications spells it; empty for the other ways."""
        if self.way in ("webhook", "apprise"):
            return {}
        value = getattr(self, self.way)
        return {self.way: list(value) if self.way == "devices" else value}

    def __repr__(self) -> str:
        """Return the way alone: URLs of services hold passwords."""
        return f"Channel({self.way})"


def check_url(url: str) -> None:
    """Raise a ValueError for what no webhook can be; the URL is not shown, since it may hold a secret."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and " " not in url
        _ = parts.port
    except ValueError:
        good = False
    if not good or not url.isprintable():
        raise ValueError("`webhook` must begin with http:// or https:// and name a host")


class AlarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[alarms]`."""

    enabled: bool = True
    defaults: bool = True
    """Whether the rules that come with Muster are in force."""
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=500)] = ()
    channels: dict[ChannelName, Channel] = {}
    send: tuple[str, ...] | None = None
    """Channels of rules that name none; None: all of them."""

    def __post_init__(self) -> None:
        """Refuse two rules of a name, and channels that nobody has declared."""
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules have the same name ({', '.join(twice)})")
        for name in self.send or ():
            self._check_channel("send", name)
        for rule in self.rules:
            for name in rule.send or ():
                self._check_channel(f"rules: {rule.name}: send", name)

    def _check_channel(self, key: str, name: str) -> None:
        if name not in self.channels:
            raise ValueError(f"`{key}` names the channel {name!r}, which is not among `channels`")

    @property
    def default_rules(self) -> tuple[Rule, ...]:
        """Return the rules of Muster's own that are in force."""
        return DEFAULT_RULES if self.defaults else ()

    def channels_of(self, rule: Rule) -> list[str]:
        """Return the names of the channels that carry the news of a rule."""
        chosen = rule.send if rule.send is not None else self.send
        names = list(self.channels) if chosen is None else list(dict.fromkeys(chosen))
        fitting = (name for name in names if name in self.channels)
        return [name for name in fitting if rule.severity in (self.channels[name].severities or (rule.severity,))]
