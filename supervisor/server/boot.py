"""The boot story: what is made, in which order, and how all of it ends."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
import sys
from typing import Any

import msgspec
from pykka import ActorDeadError, ActorRef, Timeout

from actors.resolver import ResolverFront
from actors.version import __version__
from supervisor import ChildSpec, Root, SupervisionError, Supervisor, count_children, restart
from supervisor.demo import demo_process
from supervisor.pki.names import own_name
from supervisor.process.life import TreeProcess, live
from supervisor.process.logs import configure_logging
from supervisor.process.redaction import hide_secrets, secrets_in
from supervisor.process.rundir import RuntimeDirectory, ServerFiles, runtime_directory
from supervisor.process.sdnotify import Notifier
from supervisor.server.access.face import AccessFace
from supervisor.server.access.users import Users, keep_users
from supervisor.server.alarms import AlarmsFace
from supervisor.server.audit import AuditFace
from supervisor.server.child import ProcessActor
from supervisor.server.commands import CommandsFace
from supervisor.server.config import Config
from supervisor.server.embedded import BrokerProcess, BrokerTls, EmbeddedBroker
from supervisor.server.enrolment import EnrolmentFace
from supervisor.server.faces import (
    DeadLettersFace,
    FleetFace,
    PageKeysFace,
    TokensFace,
)
from supervisor.server.groups import GroupsFace
from supervisor.server.health import Health
from supervisor.server.history import HistoryFace
from supervisor.server.instance import Instance
from supervisor.server.metrics import make_metrics
from supervisor.server.mosquitto import BrokerUser
from supervisor.server.notifications import NotificationsFace
from supervisor.server.ota import OtaFace, ReleasesFace
from supervisor.server.parts import Parts
from supervisor.server.payload_key_file import see_to_payload_key
from supervisor.server.payload_keys import PayloadKeysFace
from supervisor.server.pki import DevicePki, PkiKeeper, secure, told_to_encrypt
from supervisor.server.presence import ServerPresence
from supervisor.server.scans import ScansFace
from supervisor.server.sealing import ask_noted
from supervisor.server.session_file import FILE, open_sessions
from supervisor.server.settings import Http
from supervisor.server.soil import FollowersFace, SoilFace
from supervisor.server.supervision import LinksFace, SupervisionFace
from supervisor.server.tree import presence_of, server_tree
from supervisor.server.twins import TwinsFace
from supervisor.server.updates import RolloutsFace
from supervisor.server.values import broker_url
from web.face import Face
from web.server import HttpActor, HttpSettings

logger = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.001
"""Seconds; at Python's default of 5 ms two busy threads make `/api/health` wait for 72 ms, at this for 36."""
FREE_PORTS = 20
"""Ports behind the default one that `muster up` tries when nobody has chosen one."""


class Server(TreeProcess):
    """One server process, from its parts to its end."""

    name = "Muster"
    stop_within = 30.0

    def __init__(
        self, config: Config, instance: Instance, *, broker: BrokerProcess | None = None, demo: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        self._broker = broker
        self._demo = demo
        self._notifier = Notifier(os.environ, pid=os.getpid())
        self.parts = Parts(config, self.runtime, instance.id)
        self.parts.sealing.prepare(ask_noted(config.database.url))
        see_to_payload_key(config)
        hide_secrets(*secrets_in(config), self.parts.page_key, instance.id)
        self.health = Health(self.parts)
        self.presence = ServerPresence(instance.server_id, self.runtime.clock, self.parts.fleet, self.parts.pipeline)
        self._rundir = RuntimeDirectory(runtime_directory(os.environ))
        self._face = self._make_face()
        self.parts.access.restart_links = self._restart_links
        self.parts.fleet_keys.on_change = self.parts.access.on_retired = self._publish
        if broker is not None:
            self.parts.access.use_embedded(broker.reload, anonymous=broker.lets_anybody_in)
        self.url = ""

    def start(self) -> None:
        """Start everything; return when the whole tree is up, or when a signal has asked for the end.

        While the database is away the tree waits for it, with the page up and `/api/health` saying so.

        Raises:
            SupervisionError: with the cause, if it does not come up.

        """
        sys.setswitchinterval(SWITCH_INTERVAL)
        super().start()
        # What lives now lives long: keep the collector from walking through it again and again.
        gc.collect()
        gc.freeze()

    def _make_tree(self) -> Supervisor:
        before: tuple[ChildSpec, ...] = ()
        after: tuple[ChildSpec, ...] = ()
        if self._broker is not None:
            before = (ChildSpec("broker", lambda: EmbeddedBroker(_running(self._broker)), shutdown=10.0),)
            self.health.broker_durable = self._broker.durable
        if (pki := self.parts.pki) is not None:
            before += (ChildSpec("pki", lambda: self._keeper(pki), hang_after=60.0),)
        if self._demo:
            prefixes = self.config.prefixes
            demo = demo_process(self.config.brokers[0].url, f"--prefix={prefixes[0]}" if prefixes else "--stations=0")
            after = (ChildSpec("demo", lambda: ProcessActor(demo), shutdown=8.0),)
        return server_tree(self.parts, self.presence, self._http, before=before, after=after)

    def _keeper(self, pki: DevicePki) -> PkiKeeper:
        """Return who sees to certificates; our own one is his business where the authority's directory holds it."""
        own = self.config.http.tls.cert == str(pki.authority.server_file(own_name()))
        return PkiKeeper(
            pki,
            server=own_name() if own else "",
            broker=self.config.brokers[0],
            reload=self._broker.reload if self._broker is not None else None,
            runtime=self.runtime,
        )

    def _wait_ready(self, root: Root) -> None:
        self.health.root = root
        while not self._end.wait(0.0):
            with contextlib.suppress(TimeoutError):
                root.wait_ready(0.2)
                return
            self._show_life(root)

    def wait(self) -> int:
        """Block until a signal or the tree ends the server; return the exit code.

        The service manager, where there is one, sees signs of life until then.
        """
        interval = self._notifier.watchdog / 3 or None
        while not self._end.wait(interval):
            if self._root is not None:
                self._show_life(self._root)
        self._notifier.stopping()
        return self._end.code

    def _show_life(self, root: Root) -> None:
        """Tell the service manager that we live, if the top of the tree answers: a silent one gets us restarted."""
        if not self._notifier.watchdog:
            return
        with contextlib.suppress(Timeout, ActorDeadError, SupervisionError):
            count_children(root.ref)
            self._notifier.alive()

    def stop(self) -> None:
        """Stop everything, the mirror of `start`."""
        super().stop()
        self._rundir.withdraw()

    def _http(self) -> HttpActor:
        http = self.config.http
        updates = self.config.updates
        settings = HttpSettings(
            host=http.host,
            port=http.port,
            streams=self.config.limits.streams,
            downloads=updates.downloads,
            download_rate=updates.download_rate,
            proxies=http.proxies,
            forwarded=http.forwarded,
            cert=http.tls.cert,
            key=http.tls.key,
            tls_board=self.parts.tls_board,
        )
        return HttpActor(self._face, settings, self._bound)

    def _bound(self, _host: str, port: int) -> None:
        """Learn where the page is, and tell the other programs of this user."""
        self.config = self.config.with_http(msgspec.structs.replace(self.config.http, port=port))
        self.parts.http_port = port
        self.url = self.config.http.url
        self.presence.url = self.url
        self._publish()
        # Not only when the tree is up: while it waits for the database, the page is there and says so.
        self._notifier.ready()
        self._notifier.status(f"Listening on {self.url}")

    def _restart_links(self) -> None:
        """Have every link connect anew, as its user is now; called on the access actor's thread."""
        for name in self.parts.link_names():
            restart(self._root_ref(), f"server/links/{name}")

    def _publish(self) -> None:
        """Leave what the other programs of this user have to know."""
        files = ServerFiles(
            url=self.url,
            token=self.parts.admin_token,
            enrolment_key=self.parts.fleet_keys.now,
            broker_url=_broker_for_devices(self.config, self.parts),
            pid=os.getpid(),
            ca_file=self.config.http.tls.ca,
        )
        hide_secrets(files.token, files.enrolment_key)
        self._rundir.withdraw()
        self._rundir.publish(files)

    def _make_face(self) -> Face:
        """Return what every incarnation of the HTTP actor serves: sessions outlive it."""
        parts = self.parts
        return Face(
            fleet=FleetFace(parts),
            history=HistoryFace(parts),
            links=LinksFace(parts),
            supervision=SupervisionFace(self._root_ref, parts.crashes),
            resolver=ResolverFront(
                roll=parts.roll,
                presence=lambda device: presence_of(parts, device.serial),
                actor=lambda: parts.services.get("resolver"),
            ),
            soil_health=SoilFace(parts),
            scans=ScansFace(parts),
            enrolments=EnrolmentFace(parts),
            alarms=AlarmsFace(parts),
            commands=CommandsFace(parts),
            notifications=NotificationsFace(parts),
            groups=GroupsFace(parts),
            twins=TwinsFace(parts),
            releases=ReleasesFace(parts),
            ota=OtaFace(parts),
            rollouts=RolloutsFace(parts),
            followers=FollowersFace(parts),
            dead_letters=DeadLettersFace(parts),
            tokens=TokensFace(parts),
            page_keys=PageKeysFace(parts),
            ring=parts.ring,
            health=self.health,
            metrics=make_metrics(parts, self.health),
            clock=parts.runtime.clock,
            version=__version__,
            http=parts.http_board,
            sessions=open_sessions(self.config.data_path / FILE, parts.runtime.clock),
            audit=AuditFace(parts),
            access=AccessFace(parts),
            payload_keys=PayloadKeysFace(parts),
        )

    def _root_ref(self) -> ActorRef[Any]:
        if self._root is None:
            raise ActorDeadError("the tree is not up yet")
        return self._root.ref


def run_server(config: Config) -> int:
    """Run the server with the brokers that are configured; return the exit code."""
    configure_logging(config.log)
    with Instance(config.data_path) as instance:
        # What nobody watches ends in a journal, and the key in it would open the page to whoever reads that.
        return _run(Server(config, instance), with_key=sys.stdout.isatty())


def run_up(config: Config, *, demo: bool, lan: bool, tls: bool = False) -> int:
    """Run everything on this machine; return the exit code.

    A broker of its own runs unless one is configured; with `lan` it listens on every address and wants credentials,
    with `tls` it and the page encrypt, by an authority of our own.
    Where nobody chose a port for the page, the next free one is taken.
    """
    configure_logging(config.log)
    # The lock comes first: a second process on this directory must not touch the first one's broker.
    with Instance(config.data_path) as instance:
        config = config.with_http(_free_http(config.http))
        config, files = secure(config) if tls else (config, None)
        if config.broker_given:
            return _run(Server(config, instance, demo=demo))
        broker, config = _start_broker(config, lan=lan, tls=files)
        try:
            return _run(Server(config, instance, broker=broker, demo=demo))
        finally:
            broker.stop()


def _start_broker(config: Config, *, lan: bool, tls: BrokerTls | None) -> tuple[BrokerProcess, Config]:
    """Start the embedded broker before anything else; return it and the configuration that names it."""
    chosen, directory, access = config.embedded_broker, config.data_path / "broker", config.broker_access
    is_managed = lan or access.mechanism != "none"
    users = keep_users(directory, config.prefixes, access.users) if is_managed else None
    if users is not None and not lan:
        users = users._replace(devices=None)
    broker = BrokerProcess(
        directory,
        port=chosen.port,
        implementation=chosen.implementation,
        users=users,
        lan=lan,
        tls=tls,
        mechanism=access.mechanism,
    )
    broker.start()
    if not broker.durable:
        logger.warning("The broker in use (amqtt, not mosquitto) keeps nothing over its restart.")
    config = _with_users(config, broker, users if lan else None)
    if tls is not None:
        config = told_to_encrypt(config, broker.tls_port, broker.certificate_port)
    return broker, config.with_broker_url(broker.url)


def _with_users(config: Config, broker: BrokerProcess, shared: Users | None) -> Config:
    """Return the configuration that says how this broker is told of its users, and which one devices may share."""
    access = msgspec.structs.replace(
        config.broker_access, mechanism=broker.mechanism, directory=str(config.data_path / "broker")
    )
    config = msgspec.structs.replace(config, broker_access=access)
    if shared is None or shared.devices is None:
        return config
    enrolment = msgspec.structs.replace(
        config.enrolment, username=shared.devices.name, password=shared.devices.password
    )
    return msgspec.structs.replace(config, enrolment=enrolment)


def _broker_for_devices(config: Config, parts: Parts) -> str:
    """Return what programs on this machine connect to: with the user that devices share, never the server's."""
    first, devices = config.brokers[0], config.enrolment
    shared = BrokerUser(devices.username, devices.password)
    if parts.access.users is not None:
        shared = parts.access.users.now.devices or BrokerUser("", "")
    elif not devices.username:
        return first.url
    return broker_url(first.host, first.port, tls=first.uses_tls, username=shared.name, password=shared.password)


def _run(server: Server, *, with_key: bool = True) -> int:
    def tell_where() -> None:
        if server.health.ready:
            sys.stdout.write(f"Muster: {server.url}/{f'login?key={server.parts.page_key}' if with_key else ''}\n")
            sys.stdout.flush()

    return live(server, on_up=tell_where)


def _running(broker: BrokerProcess | None) -> BrokerProcess:
    assert broker is not None
    return broker


def _free_http(http: Http) -> Http:
    """Return the default port, or the next free one behind it; a port that somebody chose is taken as it is."""
    if (http.host, http.port) != (Http().host, Http().port):
        return http
    for port in range(http.port, http.port + FREE_PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((http.host, port))
            except OSError:
                continue
            return msgspec.structs.replace(http, port=port)
    return http
