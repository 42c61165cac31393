"""The shape of Muster's configuration: one typed value, `Config`, whose every field refuses what makes no sense.

Nothing here reads a file or the environment: `supervisor.server.config` does. Secrets (passwords in URLs, the API
token, the enrolment key) never appear in a `repr`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec

from actors.alarms.settings import AlarmSettings
from actors.analysis import SoilSettings
from actors.followers.settings import AuditSettings, SinkSettings
from actors.groups.messages import Serials
from actors.home_assistant.settings import HomeAssistantSettings
from actors.hub.connection_string import parse_connection_string
from actors.messages import Kind
from actors.updates.settings import UpdateSettings
from supervisor.pki.settings import HttpTls, Pki
from supervisor.publisher.section import Publisher
from supervisor.release.keys import PublicKey
from supervisor.server.access.settings import AccessSettings
from web.proxies import Dialect

from .values import (
    BROKER_PORTS,
    HIDDEN,
    check_broker_url,
    check_database_url,
    check_host,
    check_network,
    check_timezone,
    redact_url,
    split_url,
)

DEFAULT_BROKER_URL = "mqtt://127.0.0.1:1883"
DEFAULT_PREFIXES = ("harit-samarth",)
#: Characters of the fleet's key at least: whoever may ask the server can try keys against its proofs at home.
SHORTEST_KEY = 16
#: Hosts that no other machine can reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARD = "0.0.0.0"  # noqa: S104 - never bound by this name

_NAME = r"^[A-Za-z0-9_-]{1,32}$"
_LEVEL = r"^[^/+#\x00]{1,64}$"
_PREFIX = r"^[^+#$\x00][^+#\x00]{0,127}$"
_SECRETS = ("api_token", "enrolment_key", "password", "service_connection_string")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Site = Annotated[str, msgspec.Meta(pattern=_LEVEL)]
Days = Annotated[float, msgspec.Meta(ge=0, le=36_500)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**40)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the configuration; unknown keys are refused and secrets are not shown."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self._shown())
        return f"{type(self).__name__}({shown})"

    def _shown(self) -> Iterator[tuple[str, str]]:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name in _SECRETS and value:
                yield name, HIDDEN
            else:
                yield name, redact_url(repr(value)) if isinstance(value, str) else repr(value)


class Tls(Section, frozen=True):
    """Files for a TLS connection to a broker; all in PEM."""

    ca: str = ""
    """Certificates to trust; empty means those of the system."""
    cert: str = ""
    """Our own certificate, where the broker asks for one."""
    key: str = ""
    """The private key of `cert`."""

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("`cert` and `key` belong together, one of them is missing")


class Broker(Section, frozen=True):
    """One MQTT broker that the server keeps its two links to."""

    name: Annotated[str, msgspec.Meta(pattern=_NAME)] = "local"
    """Names the links (`local.control`, `local.data`) in the tree and in metrics."""
    configured_url: str = msgspec.field(default="", name="url")
    """As given; empty when nobody gave one. Use `url`."""
    tls: Tls = Tls()
    client_id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """Replaces `muster-{instance}` in the client ids; only for brokers that prescribe one."""
    keepalive: Annotated[int, msgspec.Meta(ge=5, le=3_600)] = 30
    """Seconds, of the control link."""
    timeout: Seconds = 10.0
    """Seconds for a connection attempt."""

    def __post_init__(self) -> None:
        check_broker_url(self.url)

    @property
    def url(self) -> str:
        """Return the URL to connect to, `DEFAULT_BROKER_URL` when none was configured."""
        return self.configured_url or DEFAULT_BROKER_URL

    @property
    def given(self) -> bool:
        """Whether somebody configured this broker."""
        return bool(self.configured_url)

    @property
    def host(self) -> str:
        """Return the broker's host name or address."""
        return split_url(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Return the broker's port, by the scheme where the URL has none."""
        parts = split_url(self.url)
        return parts.port or BROKER_PORTS[parts.scheme]

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted: by the scheme of the URL alone."""
        return split_url(self.url).scheme == "mqtts"

    @property
    def username(self) -> str:
        """Return the user's name, or an empty string."""
        return unquote(split_url(self.url).username or "")

    @property
    def password(self) -> str:
        """Return the password, or an empty string."""
        return unquote(split_url(self.url).password or "")


class Http(Section, frozen=True):
    """Where the page and the API listen."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 5000
    """0 takes any free port."""
    proxies: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...] = ()
    """Addresses and networks of the reverse proxies in front, which are believed on who has called them."""
    forwarded: Dialect = "x-forwarded"
    """The headers in which they say it: `X-Forwarded-For`, `-Proto`, `-Host`, or `Forwarded` (RFC 7239)."""
    tls: HttpTls = HttpTls()

    def __post_init__(self) -> None:
        for network in self.proxies:
            check_network(network)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    @property
    def url(self) -> str:
        """Return the base URL as a browser on this machine would write it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        scheme = "https" if self.tls.cert else "http"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"


class Database(Section, frozen=True):
    """Where the registry keeps its records."""

    url: str = ""
    """`sqlite:///path`, `postgresql://...` or `mysql://...`; the loader fills in SQLite in the data directory."""

    def __post_init__(self) -> None:
        if self.url:
            check_database_url(self.url)


class OfflineAfterFor(Section, frozen=True):
    """Seconds of silence before offline, for some devices; the most particular one wins: device, type, site, kind."""

    kind: dict[Kind, Seconds] = {}
    type: dict[str, Seconds] = {}
    site: dict[str, Seconds] = {}
    device: dict[str, Seconds] = {}


class Publishing(Section, frozen=True):
    """Defaults for what the server publishes to devices where the request does not say."""

    qos: Literal[0, 1, 2] = 1
    retain: bool = False


class EmbeddedBroker(Section, frozen=True):
    """The broker that `muster up` runs where none is configured."""

    port: Port = 0
    """0 takes 1883 when it is free and any free port else."""
    implementation: Literal["auto", "mosquitto", "amqtt"] = "auto"
    """`auto` takes mosquitto where it is installed."""


class Retention(Section, frozen=True):
    """How many days what grows is kept; 0 for ever."""

    readings_days: Days = 0.0
    """Readings as they were sent, by the time of their receipt."""
    scans_days: Days = 0.0
    """Scans, by the time of their receipt."""
    hourly_days: Days = 0.0
    """Sums of each measure by the hour."""
    daily_days: Days = 0.0
    """Sums of each measure by the day."""
    notifications_days: Days = 90.0
    """Notifications and what became of them at each recipient, by the time of their sending."""
    commands_days: Days = 365.0
    """Commands that are over, by the time of their last change."""
    rollouts_days: Days = 365.0
    """Rollouts that are over, by the time of their last change."""
    events_days: Days = 365.0
    """The timelines of the devices and of the fleet."""
    audit_days: Days = 365.0
    """Who has changed what; refusals 30 days at most."""


class Enrolment(Section, frozen=True):
    """How devices come by credentials of their own, and what they are told of the broker."""

    broker_url: str = ""
    """Where devices find the broker, if not where the server finds it; may bear a user and a password for them.

    The host `0.0.0.0` stands for the one by which they have found this server.
    """
    username: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """The broker's user for devices; the server's own is never given away."""
    password: Annotated[str, msgspec.Meta(max_length=256)] = ""
    password_file: str = ""
    approve: Literal["again", "always"] = "again"
    """Who waits for an operator: devices that enrol again without proof, or all."""
    hosts: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=253)], ...] = ()
    """Further names and addresses under which devices reach this server: of a NAT, of a reverse proxy, in DNS."""

    def __post_init__(self) -> None:
        if self.broker_url:
            check_broker_url(self.broker_url)
        if (self.password or self.password_file) and not self.username:
            raise ValueError("`password` belongs to a `username`, which is missing")
        for host in self.hosts:
            check_host(host)


class Hub(Section, frozen=True):
    """The Azure IoT Hub in which enrolled devices get an identity."""

    service_connection_string: Annotated[str, msgspec.Meta(max_length=1_024)] = ""
    """Of a policy with the right `registry write`; empty: no hub."""
    service_connection_string_file: str = ""

    def __post_init__(self) -> None:
        if self.service_connection_string:
            known = parse_connection_string(self.service_connection_string)
            if not known.policy or known.device_id:
                raise ValueError("`service_connection_string` is none of a service: it needs SharedAccessKeyName")


class Mdns(Section, frozen=True):
    """How the server makes itself known in the local network."""

    announce: bool = True
    """As `_muster._tcp`; only while the page listens beyond this machine."""
    interfaces: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...] = ()
    """Names of network interfaces; empty means all."""


class SiteRoster(Section, frozen=True):
    """Who is expected at a site."""

    serials: Serials


class Limits(Section, frozen=True):
    """Bounds on what is kept in memory or taken from outside."""

    unresolved_bytes: Count = 128 * 2**20
    """Payload of deliveries not yet committed, per data link; above it the link stops reading."""
    payload_bytes: Count = 256 * 2**10
    """Largest MQTT payload that is decoded; a larger one is a dead letter."""
    streams: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    """Open pages with live updates."""
    dead_letters_per_device: Count = 200
    """Dead letters kept for one sender in an hour; what is refused beyond is counted."""


class Config(Section, frozen=True):
    """Everything that can be configured; immutable, complete, checked."""

    brokers: tuple[Broker, ...] = (Broker(),)
    http: Http = Http()
    database: Database = Database()
    data_dir: str = ""
    """Absolute path; the loader fills in the default of the user."""
    offline_after: Seconds | None = None
    """Seconds of silence for every device, instead of the defaults of their kinds."""
    offline_after_for: OfflineAfterFor = OfflineAfterFor()
    sites: Literal["all"] | tuple[Site, ...] = "all"
    """The sites that this server looks after."""
    primary: bool = True
    """Exactly one server of an installation owns `devices/#` and `server/*`."""
    shared_topics: bool = True
    """Whether devices without credentials may speak on the topics that all of them share."""
    configured_prefixes: tuple[Annotated[str, msgspec.Meta(pattern=_PREFIX)], ...] | None = msgspec.field(
        default=None, name="prefixes"
    )
    """As given; None when nobody gave any. Use `prefixes`."""
    timezone: str = "UTC"
    """IANA name of the zone in which timestamps without one are read."""
    api_token: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """An admin token given from outside."""
    enrolment_key: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """The fleet's key, which devices exchange for credentials of their own."""
    enrolment_key_file: str = ""
    log: Literal["text", "json"] = "text"
    publishing: Publishing = Publishing()
    soil: SoilSettings = SoilSettings()
    alarms: AlarmSettings = AlarmSettings()
    audit: AuditSettings = AuditSettings()
    sinks: SinkSettings = {}
    retention: Retention = Retention()
    publisher: Publisher = Publisher()
    """Not of the server: what `muster sensor-publisher` goes by."""
    edge: dict[str, Any] = {}
    """Not of the server: what `muster-edge` goes by, and checks."""
    embedded_broker: EmbeddedBroker = EmbeddedBroker()
    enrolment: Enrolment = Enrolment()
    broker_access: AccessSettings = AccessSettings()
    pki: Pki = Pki()
    hub: Hub = Hub()
    mdns: Mdns = Mdns()
    roster: dict[Site, SiteRoster] = {}
    """Who is expected, by site."""
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    limits: Limits = Limits()
    updates: UpdateSettings = UpdateSettings()

    def __post_init__(self) -> None:
        if not self.brokers:
            raise ValueError("`brokers` is empty, at least one is needed")
        names = [broker.name for broker in self.brokers]
        if len(set(names)) < len(names):
            raise ValueError(f"two brokers have the same name ({', '.join(sorted(names))})")
        if self.home_assistant.broker not in ("", *names):
            raise ValueError(f"`home_assistant.broker` names {self.home_assistant.broker!r}, which is no broker")
        if 0 < len(self.enrolment_key) < SHORTEST_KEY:
            raise ValueError(f"`enrolment_key` is too short to be a secret, {SHORTEST_KEY} characters are needed")
        check_timezone(self.timezone)
        for line in self.updates.keys:
            try:
                PublicKey.read(line)
            except ValueError as error:
                raise ValueError(f"`updates.keys`: {line[:64]!r} is no release key: {error}") from None

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Return the first levels of the topics on which sensors publish; only the primary server has a default."""
        if self.configured_prefixes is not None:
            return self.configured_prefixes
        return DEFAULT_PREFIXES if self.primary else ()

    @property
    def data_path(self) -> Path:
        """Return the data directory."""
        return Path(self.data_dir)

    @property
    def broker_given(self) -> bool:
        """Whether somebody configured a broker; if not, `muster up` runs its own."""
        return any(broker.given for broker in self.brokers)

    def with_broker_url(self, url: str) -> Config:
        """Return a copy whose first broker is at `url`."""
        first = msgspec.structs.replace(self.brokers[0], configured_url=url)
        return msgspec.structs.replace(self, brokers=(first, *self.brokers[1:]))

    def with_http(self, http: Http) -> Config:
        """Return a copy that listens elsewhere."""
        return msgspec.structs.replace(self, http=http)
