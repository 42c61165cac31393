"""The authority in this server: devices get certificates, the broker learns of revocations, nothing runs out."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import paho.mqtt.client as mqtt
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from prometheus_client.core import CounterMetricFamily, Metric

from actors.runtime import Runtime, ThreadedActor
from supervisor.pki import certificates
from supervisor.pki.authority import Authority
from supervisor.pki.certificates import is_due, names_of
from supervisor.pki.errors import PkiError
from supervisor.pki.names import own_name, own_names
from supervisor.pki.settings import HttpTls, Pki, read_passphrase
from supervisor.server.access.files import write_files
from supervisor.server.embedded import BrokerTls
from supervisor.server.mosquitto import DEVICES_CA, DEVICES_CRL
from supervisor.server.settings import WILDCARD, Broker, Config
from web.tls import TlsBoard

logger = logging.getLogger(__name__)

DIRECTORY = "pki"
"""Of the authority, in the data directory."""
TICK = 1.0
"""Seconds between two looks at files that `muster pki` may have changed."""
RENEW_EVERY = 3_600.0
"""Seconds between two looks at what may be due, or at addresses that a certificate does not have yet."""
LOOK_BACK = 600.0
"""Seconds before our start whose revocations are told to the broker once more: we may have been killed in between."""
ROUNDS = 5
"""Times that a client is disconnected, one in each look: the first times the broker may not have read the list yet."""
MOST_ENDED = 50
"""Clients that are disconnected in one look: of a whole fleet that is revoked nobody has to wait for the last."""
MOST_A_DAY = 20
"""Certificates that a device gets within a day: one that asks without end must not fill the disk."""
CONNECT_WITHIN = 5.0
EVENTS = ("issued", "refused", "revoked", "disconnected", "renewed", "failed")


class DevicePki:
    """What enrolment needs of the authority. Any thread may use it."""

    def __init__(self, authority: Authority, settings: Pki) -> None:
        self.authority, self.settings = authority, settings
        self.shared: Path | None = None
        """Where a broker that is not our child finds whom to trust; None where it is told by others."""
        self.trust = _trust(authority, settings)
        """What devices have to trust for broker and page, PEM."""
        self.counts: Counter[str] = Counter()
        """By event, see `EVENTS`."""

    @classmethod
    def open(cls, config: Config) -> DevicePki | None:
        """Return it as configured, None where devices get no certificates.

        Raises:
            PkiError: the authority cannot be used.

        """
        settings = config.pki
        if not settings.directory:
            return None
        passphrase = read_passphrase(Path(settings.passphrase_file)) if settings.passphrase_file else None
        directory = Path(settings.directory)
        pki = cls(Authority.open_or_create(directory, f"Muster of {own_name()}", passphrase=passphrase), settings)
        if config.broker_access.directory:
            pki.shared = Path(config.broker_access.directory)
        return pki

    def check(self, request: str, serial: str) -> None:
        """Raise PkiError for what is no request of this device, or one too many."""
        try:
            self._refuse_too_many(serial)
            self.authority.check_request(request.encode(), serial)
        except PkiError:
            self.counts["refused"] += 1
            raise

    def sign(self, request: str, serial: str) -> str:
        """Return a certificate for a device's key, PEM. Raises PkiError."""
        try:
            self._refuse_too_many(serial)
            issued = self.authority.sign_request(request.encode(), serial, days=self.settings.device_days)
        except PkiError as error:
            self.counts["refused" if error.code in ("bad_request", "too_many") else "failed"] += 1
            raise
        self.counts["issued"] += 1
        return issued.cert.decode()

    def _refuse_too_many(self, serial: str) -> None:
        since = (certificates.now() - dt.timedelta(days=1) - certificates.BACKDATED).timestamp()
        recent = [record for record in self.authority.find(serial, "device") if record.not_before > since]
        if len(recent) >= MOST_A_DAY:
            raise PkiError("too_many", f"{serial} was given {len(recent)} certificates within a day; it has to wait.")

    def revoke(self, serial: str) -> None:
        """End a device's certificates; a device that has none has nothing to lose. Raises PkiError."""
        if self.authority.find(serial, "device"):
            self.counts["revoked"] += len(self.authority.revoke(serial, "device"))


class Tick(NamedTuple):
    """To itself: look."""

    of: str
    """Which incarnation has set it: that of a predecessor is not continued."""


class PkiKeeper(ThreadedActor):
    """Renews the server's own certificate in time, and tells the broker of every change of its files."""

    def __init__(
        self, pki: DevicePki, *, server: str, broker: Broker, reload: Callable[[], None] | None, runtime: Runtime
    ) -> None:
        """Assign.

        Args:
            pki: the authority.
            server: the name under which the server's own certificate was issued; empty where others see to that.
            broker: how the server connects to it.
            reload: has the broker read its files anew; None for one that is not ours.
            runtime: clock and timers.

        """
        super().__init__()
        self._pki, self._server, self._broker = pki, server, broker
        self._reload, self._runtime = reload, runtime
        self._shared = pki.shared if reload is None else None
        self._known: tuple[object, ...] = ()
        self._renew_at = float("-inf")
        self._seen: set[str] | None = None
        """Certificates whose revocation was noted; None before the first look."""
        self._to_end: Counter[str] = Counter()
        """Rounds that are left, by client id."""
        self._trouble = ""

    def on_start(self) -> None:
        """Begin at once."""
        self.actor_ref.tell(Tick(self.actor_urn))

    def on_receive(self, message: Any) -> None:
        """Look, and set the time of the next look."""
        if not isinstance(message, Tick) or message.of != self.actor_urn:
            return
        try:
            self._look()
            self._trouble = ""
        except (PkiError, OSError) as error:
            self._pki.counts["failed"] += 1
            if str(error) != self._trouble:
                logger.error("certificates: %s", error)  # noqa: TRY400 - the sentence is the whole story
            self._trouble = str(error)
        self._runtime.timers.after(TICK, self.actor_ref, Tick(self.actor_urn))

    def _look(self) -> None:
        now = self._runtime.clock.monotonic()
        if now >= self._renew_at:
            self._renew_at = now + RENEW_EVERY
            self._renew()
        stamps = tuple(_stamp(path) for path in self._files())
        if stamps != self._known:
            if self._shared is not None:
                share(self._pki.authority, self._shared)
            if self._reload is not None:
                self._reload()
            self._note_revoked()
            self._known = stamps  # last: what has failed is done again
        self._end_connections()

    def _files(self) -> list[Path]:
        authority = self._pki.authority
        own = [authority.server_file(self._server)] if self._server else []
        return [*own, authority.crl_file, authority.ca_file]

    def _renew(self) -> None:
        self._pki.authority.revocations()
        if self._server and is_stale(self._pki.authority, self._server):
            self._pki.authority.issue_server(own_names(self._server))
            self._pki.counts["renewed"] += 1
            logger.info("the certificate of this server is renewed")

    def _note_revoked(self) -> None:
        """Remember who has to be disconnected: a list of revocations keeps new connections out, and ends no old one."""
        revoked = {
            record.serial: record
            for record in self._pki.authority.records()
            if record.kind == "device" and record.revoked
        }
        if self._seen is None:
            # By the clock only here: it may be set back while we run.
            long_ago = self._runtime.clock.time() - LOOK_BACK
            self._seen = {serial for serial, record in revoked.items() if record.revoked < long_ago}
        for serial in revoked.keys() - self._seen:
            self._to_end[revoked[serial].name] = ROUNDS
        self._seen = set(revoked)

    def _end_connections(self) -> None:
        for client_id in list(self._to_end)[:MOST_ENDED]:
            if not end_connection(self._broker, client_id):
                return  # the broker is away; it is tried again in the next look
            self._pki.counts["disconnected"] += 1
            left = self._to_end.pop(client_id) - 1
            if left:
                self._to_end[client_id] = left  # behind the others


def is_stale(authority: Authority, name: str) -> bool:
    """Tell whether the certificate of this machine is missing, due or revoked, or lacks one of its addresses."""
    try:
        certificate = x509.load_pem_x509_certificate(authority.server_file(name).read_bytes())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one mends it
        return True
    revoked = any(record.revoked for record in authority.find(f"{certificate.serial_number:x}"))
    return revoked or is_due(certificate) or not set(own_names(name)) <= set(names_of(certificate))


def share(authority: Authority, directory: Path) -> None:
    """Have a broker that is not our child know whom to trust, and who is revoked. Raises OSError and PkiError."""
    for name, content in ((DEVICES_CA, authority.certificate), (DEVICES_CRL, authority.revocations())):
        path = directory / name
        if not path.exists() or path.read_bytes() != content:
            write_files(directory, {name: content.decode()})


def secure(config: Config) -> tuple[Config, BrokerTls]:
    """Make authority and certificate for everything that this machine serves, where they are missing or due.

    Raises:
        PkiError: they cannot be made.

    """
    directory = config.pki.directory or str(config.data_path / DIRECTORY)
    settings = msgspec.structs.replace(config.pki, directory=directory)
    config = msgspec.structs.replace(config, pki=settings)
    pki = DevicePki.open(config)
    assert pki is not None, "a directory was just set"
    authority, name = pki.authority, own_name()
    authority.revocations()
    if is_stale(authority, name):
        authority.issue_server(own_names(name))
    own = authority.server_file(name)
    if not config.http.tls.cert:
        tls = HttpTls(cert=str(own), ca=str(authority.ca_file))
        config = config.with_http(msgspec.structs.replace(config.http, tls=tls))
    return config, BrokerTls(cert=own, ca=authority.ca_file, crl=authority.crl_file)


def told_to_encrypt(config: Config, port: int, certificate_port: int) -> Config:
    """Return a copy that tells devices to use these ports of this machine, with a password or a certificate."""
    password = msgspec.structs.replace(config.enrolment, broker_url=f"mqtts://{WILDCARD}:{port}")
    named = msgspec.structs.replace(config.pki, broker_url=f"mqtts://{WILDCARD}:{certificate_port}")
    return msgspec.structs.replace(config, enrolment=password, pki=named)


def end_connection(broker: Broker, client_id: str) -> bool:
    """Disconnect a client by taking its id over, and with it what was queued for it; False when that fails."""
    answered = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
    client.on_connect = lambda *_: answered.set()
    client.connect_timeout = CONNECT_WITHIN
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    if broker.uses_tls:
        client.tls_set(broker.tls.ca or None, broker.tls.cert or None, broker.tls.key or None)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    try:
        client.connect(broker.host, broker.port, clean_start=True, properties=properties)
        client.loop_start()
        ended = answered.wait(CONNECT_WITHIN)
        client.disconnect()
        client.loop_stop()
    except (OSError, ValueError) as error:
        logger.warning("%s could not be disconnected: %s", client_id, error)
        return False
    return ended


def pki_metrics(pki: DevicePki | None, board: TlsBoard) -> Iterator[Metric]:
    """Yield what became of certificates and handshakes."""
    events = CounterMetricFamily("muster_certificates", "What was done with certificates.", labels=["event"])
    for event in EVENTS if pki is not None else ():
        events.add_metric([event], pki.counts[event] if pki is not None else 0)
    yield events
    yield CounterMetricFamily("muster_https_handshakes_failed", "TLS handshakes that failed.", value=board.failed)
    yield CounterMetricFamily("muster_https_reloads", "Certificates taken without a restart.", value=board.reloads)


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _trust(authority: Authority, settings: Pki) -> str:
    if not settings.ca:
        return authority.certificate.decode()
    path = Path(settings.ca)
    try:
        pem = path.read_bytes()
        x509.load_pem_x509_certificates(pem)
        return pem.decode()
    except OSError as error:
        raise PkiError("unreadable", f"{path} (`pki.ca`) cannot be read: {error.strerror}.") from None
    except ValueError:
        raise PkiError("unreadable", f"{path} (`pki.ca`) holds no certificate in PEM.") from None
