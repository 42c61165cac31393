"""What an edge is told, as one typed value; `edge.config` reads it. Every key has a default, so nothing is enough."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from actors.link.options import BrokerOptions, parse_broker_url
from actors.topics import SERIAL
from edge.home import DIRECTORY
from edge.inbox.settings import (
    LONGEST_OWN,
    MOST_HANDLERS,
    CommandSettings,
    HandlerSettings,
    InboxSettings,
    ProgramName,
    ProgramSettings,
    name_handlers,
)
from edge.scanner.settings import ScannerSettings
from edge.update.settings import UpdateSettings

MOST_SENSORS = 32
"""Stations of one edge: each has a thread."""
_SECRETS = ("enrolment_key", "api_token", "hub_connection_string", "url")
_URL = r"^(https?://[^/?#\s]+(/[^?#\s]*)?)?$"
_CANDIDATE = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?|[A-Za-z0-9.:_-]{1,253}|[0-9A-Fa-f.:]+/[0-9]{1,3}")

Seconds = Annotated[float, msgspec.Meta(ge=0.5, le=3_600)]
Secret = Annotated[str, msgspec.Meta(max_length=4_096)]


class EdgeConfigError(Exception):
    """The configuration cannot be used; the message is one sentence with source, key and reason."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration; unknown keys are refused and secrets are not shown."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in _SECRETS and getattr(self, name) else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class BrokerSettings(Section, frozen=True):
    """The broker, where it is not the one that the server names."""

    url: str = ""
    """`mqtt://user:password@host:1883` or `mqtts://...`; empty takes what the enrolment has brought."""
    ca_file: str = ""
    """PEM with the authorities to trust, of this broker and of one that the enrolment names; empty: the system's."""
    cert_file: str = ""
    key_file: str = ""
    client_id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """Empty takes the device id."""
    keepalive: Annotated[int, msgspec.Meta(ge=5, le=3_600)] = 20
    """Seconds."""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("`cert_file` and `key_file` belong together, one of them is missing")
        if self.url:
            parse_broker_url(self.url)

    def complete(self, options: BrokerOptions) -> BrokerOptions:
        """Return options with the files and the keepalive that are configured."""
        options = replace(options, keepalive=self.keepalive)
        if not options.tls:
            return options
        if self.cert_file:
            options = replace(options, cert_file=self.cert_file, key_file=self.key_file)
        return replace(options, ca_file=self.ca_file) if self.ca_file else options


class FindSettings(Section, frozen=True):
    """Which ways of finding a server that nobody has named are taken."""

    mdns: bool = True
    """Ask the network for `_muster._tcp`."""
    scan: bool = True
    """Try port 5000 on the hosts of our own subnets."""


class PayloadSettings(Section, frozen=True):
    """Whether what passes the broker is for the server alone."""

    encrypt: bool = False
    """Seal what this device says, and believe only what the server has sealed."""


class SensorSettings(Section, frozen=True):
    """One soil station that hangs on this device."""

    id: str = ""
    """Its serial number; empty takes the device id and `-soil`."""
    driver: str = "simulator"
    """`simulator`, `replay`, or the name of an entry point of the group `muster.drivers`."""
    interval: Annotated[float, msgspec.Meta(ge=0.01, le=86_400)] = 60.0
    """Seconds between two readings."""
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[^+#$\x00][^+#\x00]{0,127}$")] = "harit-samarth"
    file: str = ""
    speed: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    loop: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        _check_serial("id", self.id)


class EdgeSettings(Section, frozen=True):
    """Everything an edge needs; immutable, complete, checked."""

    device_id: str = ""
    """Empty takes what the board says of itself, see `edge.identity`."""
    device_type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "raspberry_pi"
    heartbeat: Seconds = 30.0
    """Seconds between two heartbeats; each comes up to a tenth earlier."""
    server_url: Annotated[str, msgspec.Meta(pattern=_URL)] = ""
    """Base URL of the server; empty looks for one."""
    ca_file: str = ""
    """PEM with the authorities to trust for `https://`; empty: the system's."""
    candidates: tuple[str, ...] = ()
    """Where a server may be: URLs, names, subnets (`10.20.0.0/24`)."""
    find: FindSettings = FindSettings()
    enrolment_key: Secret = ""
    """The fleet's key."""
    enrolment_key_file: str = ""
    """File with that key."""
    api_token: Secret = ""
    """A token for the server's API; empty takes the one of the enrolment."""
    broker: BrokerSettings = BrokerSettings()
    payloads: PayloadSettings = PayloadSettings()
    hub_connection_string: Secret = ""
    """Of an IoT hub's device; empty takes the one of the enrolment, if it brought one."""
    hub_ca_file: str = ""
    """PEM with the authorities to trust for the hub; empty: the system's."""
    scanner: ScannerSettings = ScannerSettings()
    sensors: Annotated[tuple[SensorSettings, ...], msgspec.Meta(max_length=MOST_SENSORS)] = ()
    handlers: Annotated[tuple[HandlerSettings, ...], msgspec.Meta(max_length=MOST_HANDLERS)] = ()
    """Who is given notifications; nobody by default."""
    inbox: InboxSettings = InboxSettings()
    commands: CommandSettings = CommandSettings()
    programs: Annotated[dict[ProgramName, ProgramSettings], msgspec.Meta(max_length=64)] = {}
    """What the command `run` may start, by name; nothing by default."""
    updates: UpdateSettings = UpdateSettings()
    log: Literal["text", "json"] = "text"
    log_file: str = ""
    """Replaced daily and kept for 7 days; empty logs to stderr."""
    data_dir: str = ""
    """Empty takes `/var/lib/muster` for root, else the user's own."""

    def __post_init__(self) -> None:
        _check_serial("device_id", self.device_id)
        name_handlers(self.handlers)
        for key, url in (("server_url", self.server_url), *(("candidates", one) for one in self.candidates)):
            if "@" in url.partition("://")[2].partition("/")[0]:
                # Not shown: what stands before the @ is a password more often than not.
                raise ValueError(f"`{key}` has an `@`; a server's URL has no user name and password, leave them out")
        for candidate in self.candidates:
            if not _CANDIDATE.fullmatch(candidate):
                raise ValueError(f"`candidates` has `{candidate[:80]}`, which is no URL, name or subnet")

    @property
    def client_id(self) -> str:
        """The client id that was configured for MQTT; empty takes the device id."""
        return self.broker.client_id

    @property
    def longest_program(self) -> float:
        """Seconds that the longest of all programs may take which a command starts."""
        return max((LONGEST_OWN, *(program.timeout for program in self.programs.values())))

    @property
    def home(self) -> Path:
        """The directory of the edge."""
        return Path(self.data_dir) / DIRECTORY

    @property
    def update_home(self) -> Path:
        """The directory of updates."""
        return Path(self.data_dir) / "update"

    def broker_options(self) -> BrokerOptions | None:
        """Return how to connect to the broker that was configured, None when none was."""
        if not self.broker.url:
            return None
        options = parse_broker_url(self.broker.url)
        return replace(options, ca_file=options.ca_file or self.ca_file) if options.tls else options


def _check_serial(key: str, value: str) -> None:
    if value and (not SERIAL.fullmatch(value) or not value.strip(".")):
        raise ValueError(f"`{key}` `{value[:80]}` is not a serial number ({SERIAL.pattern}, and not only dots)")
