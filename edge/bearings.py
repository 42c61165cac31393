"""Bearings: where broker and server are, and what opens them. Read on any thread, changed by the locator.

What an enrolment gave is kept in a file of mode 0600, replaced at once and durably, so that after a power cut the
device speaks to its broker again without asking anybody. Every value is immutable and swapped whole.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import threading
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec

from actors.link.options import BrokerOptions, BrokerURLError
from actors.uplink.poster import ServerAddress
from edge.home import Places
from edge.settings import EdgeSettings
from supervisor.process.private_file import write_private
from supervisor.process.redaction import hide_secrets, secrets_in

logger = logging.getLogger(__name__)

State = Literal["searching", "enrolling", "waiting_for_approval", "refused", "found"]

CLAIM_SIZE = 16
"""Random bytes of a claim."""
_CLAIM = re.compile(r"[0-9a-f]{32,64}")
_HUB_PREFIX = "hostname="


class MqttAccess(msgspec.Struct, frozen=True):
    """How to connect to the broker."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    username: str = ""
    password: str = ""
    tls: bool = False

    def __repr__(self) -> str:
        return f"MqttAccess(host={self.host!r}, port={self.port}, username={self.username!r}, tls={self.tls})"

    def options(self, ca_file: str) -> BrokerOptions:
        """Return the same for a link; `ca_file` holds the authorities to trust, if not those of the system.

        Raises:
            BrokerURLError: the values do not fit together.

        """
        return BrokerOptions(
            name="server",
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            tls=self.tls,
            ca_file=ca_file if self.tls else "",
        )


class Credentials(msgspec.Struct, frozen=True):
    """What an enrolment gave this device."""

    device_id: str
    server_id: str
    """Of the server that gave them: a server with this id and a valid proof is ours, wherever it is."""
    connection_string: str
    """Of the broker, or of an IoT hub (`HostName=...`)."""
    mqtt: MqttAccess
    token: str
    """Of the HTTP API; speaks for this device alone."""
    server_url: str
    """Where the server was last found."""
    enrolled_at: float
    """Seconds since 1970 UTC by this device's clock."""
    certified: bool = False
    """Whether the broker knows us by our certificate; one of the release before does not ask."""

    def __repr__(self) -> str:
        return (
            f"Credentials(device_id={self.device_id!r}, server_id={self.server_id!r}, server_url={self.server_url!r})"
        )


class _Now(msgspec.Struct, frozen=True):
    """All that can change, swapped whole."""

    credentials: Credentials | None
    server_url: str = ""
    state: State = "searching"
    detail: str = "The search for the server has not begun."


class Bearings:
    """What the links of this device ask before each connection."""

    def __init__(self, home: Places, settings: EdgeSettings, device_id: str, *, read_only: bool = False) -> None:
        """Load what an earlier run has kept; what cannot be used is set aside, and the device enrols anew.

        Args:
            home: says which file keeps the enrolment.
            settings: what is configured, which wins over what was learned.
            device_id: ours; the enrolment of another device (a copied card) is not used.
            read_only: whether what cannot be used stays where it is: commands do not decide that it is of no use.

        """
        self._is_read_only = read_only
        self._file, self._certificate, self._ca = home.enrolment, home.certificate, home.ca
        self._claim_file = self._file.with_name(f"{self._file.stem}-claim")
        self._settings = settings
        self._device_id = device_id
        self._is_kept = True
        self._change = threading.Lock()
        self._now = _Now(self._load())

    def __repr__(self) -> str:
        return f"Bearings(state={self.state!r}, server_url={self.server_url!r}, credentials={self.credentials!r})"

    @property
    def credentials(self) -> Credentials | None:
        """What the enrolment gave; None before the first one."""
        return self._now.credentials

    @property
    def server_url(self) -> str:
        """The server's base URL once it has been verified in this run and in this network; else empty."""
        return self._now.server_url

    @property
    def state(self) -> State:
        """How far the search has come."""
        return self._now.state

    @property
    def detail(self) -> str:
        """The same in a sentence, for people."""
        return self._now.detail

    @property
    def is_broker_configured(self) -> bool:
        """Whether the broker is the one that the owner has named."""
        return bool(self._settings.broker.url)

    def broker(self) -> BrokerOptions | None:
        """Return the broker: as configured, else as the enrolment says; None while nobody knows."""
        configured, given = self._settings.broker, self._settings.broker_options()
        if given is not None:
            return configured.complete(given)
        credentials = self._now.credentials
        if credentials is None:
            return None
        try:
            options = credentials.mqtt.options(self.ca_file)
            if credentials.certified and options.tls:
                options = replace(options, cert_file=str(self._certificate), key_file=str(self._certificate))
            return configured.complete(options)
        except BrokerURLError as error:
            logger.warning("The broker of the enrolment cannot be used: %s.", error)
            return None

    def server(self) -> ServerAddress | None:
        """Return the verified server and what opens it; None while it is unknown or nothing opens it."""
        now = self._now
        enrolled = now.credentials if now.state == "found" else None
        token = self._settings.api_token or (enrolled.token if enrolled is not None else "")
        if not now.server_url or not token:
            return None
        return ServerAddress(now.server_url, token, self.ca_file)

    @property
    def ca_file(self) -> str:
        """What to trust: what the owner has named, else what the server has when we enrolled; else empty."""
        if self._settings.ca_file:
            return self._settings.ca_file
        return str(self._ca) if self._ca.exists() else ""

    def hub(self) -> str:
        """Return the connection string of the IoT hub: as configured, else as the enrolment gave it; else empty."""
        credentials = self._now.credentials
        given = credentials.connection_string if credentials is not None else ""
        return self._settings.hub_connection_string or (given if given.lower().startswith(_HUB_PREFIX) else "")

    # For the locator

    def show(self, state: State, detail: str) -> None:
        """Say how far the search has come."""
        if (state, detail) != (self._now.state, self._now.detail):
            logger.info("server: %s", detail)
        self._swap(state=state, detail=detail)

    def verified(self, url: str) -> None:
        """Use this server from now on."""
        self._swap(server_url=url)

    def lost(self) -> None:
        """Send no token anywhere until a server has been verified again; the uplink may say so too."""
        self._swap(server_url="")

    def adopt(self, credentials: Credentials) -> None:
        """Use these credentials from now on, and keep them; a disk that refuses them is asked again by `keep`."""
        if credentials == self._now.credentials:
            return
        hide_secrets(*secrets_in(credentials))
        self._is_kept = False
        self._swap(credentials=credentials)
        self.keep()

    def certified(self, mqtt: MqttAccess) -> None:
        """Connect to the broker with our certificate from now on; called by whoever has fetched it."""
        with self._change:
            known = self._now.credentials
            if known is None:
                return
            changed = msgspec.structs.replace(known, mqtt=mqtt, certified=True)
            if changed == known:
                return
            self._is_kept = False
            self._now = msgspec.structs.replace(self._now, credentials=changed)
        self.keep()

    def claim(self) -> str:
        """Return the secret that says at the server that it is us again, who ask for what we have asked for before.

        It is kept until credentials are: an answer that was lost can be asked for anew, and an approval that comes
        after a restart is for us.
        """
        with contextlib.suppress(OSError, UnicodeDecodeError):
            kept = self._claim_file.read_text(encoding="utf-8").strip()
            if _CLAIM.fullmatch(kept):
                return kept
        claim = secrets.token_hex(CLAIM_SIZE)
        try:
            write_private(self._claim_file, claim.encode(), durable=True)
        except OSError as error:
            logger.warning("%s cannot be written: %s.", self._claim_file, error.strerror)
        return claim

    def keep(self) -> None:
        """Write what is not on the disk yet; harmless when all is."""
        credentials = self._now.credentials
        if self._is_kept or credentials is None:
            return
        try:
            write_private(self._file, msgspec.json.encode(credentials), durable=True)
        except OSError as error:
            logger.error("The enrolment cannot be kept in %s: %s; tried again soon.", self._file, error.strerror)  # noqa: TRY400 - the reason is the whole story
            return
        self._is_kept = True
        with contextlib.suppress(OSError):
            self._claim_file.unlink(missing_ok=True)

    def _swap(self, **changes: Any) -> None:
        with self._change:
            self._now = msgspec.structs.replace(self._now, **changes)

    def _load(self) -> Credentials | None:
        try:
            credentials = msgspec.json.decode(self._file.read_bytes(), type=Credentials)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._set_aside(f"cannot be read: {error}")
            return None
        if credentials.device_id != self._device_id:
            self._set_aside(f"is that of {credentials.device_id}, not of this device")
            return None
        hide_secrets(*secrets_in(credentials))
        return credentials

    def _set_aside(self, reason: str) -> None:
        if self._is_read_only:
            return
        aside = self._file.with_name(f"{self._file.name}.aside")
        logger.warning("The enrolment in %s %s; set aside, this device enrols anew.", self._file, reason)
        try:
            self._file.replace(aside)
        except OSError as error:
            logger.warning("%s cannot be renamed: %s.", self._file, error.strerror)
