"""Everything the server's actors share: made once, outliving every actor, passed to the tree."""

from __future__ import annotations

import logging
import os
import secrets
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from pykka import ActorDeadError

from actors.alarms.tap import AlarmTap
from actors.analysis import SoilAnalyser, load_analysers
from actors.analysts import Analysts
from actors.audit.recorder import Recorder
from actors.commands.book import CommandBoard
from actors.dead_letters import DeadLetterDesk
from actors.device import World
from actors.effects import Aftermath, Committed
from actors.enrolment.actor import EnrolmentBoard
from actors.events import EventRing
from actors.fleet import DeviceView, Fleet
from actors.followers.plan import Followers
from actors.groups.book import GroupBook
from actors.groups.pick import Picker
from actors.home_assistant.tap import HomeTap
from actors.link.intake import Route
from actors.link.options import BrokerOptions
from actors.link.status import LinkBoard
from actors.live import LiveFeed
from actors.messages import DeviceSnapshot, StoreEvent
from actors.notifications.board import LedgerBoard
from actors.payload_keys.book import PayloadKeys
from actors.pipeline import PipelineState
from actors.presence import OfflineAfter
from actors.presence_history import ASLEEP
from actors.reader import Readers
from actors.registry import Execute, RegistryBoard
from actors.rollups import RollupBoard, Wake
from actors.runtime import Directory, Runtime
from actors.sight import BrokerSight, Sight
from actors.statistics import PipelineStatistics
from actors.storage.following import newest_reading_id
from actors.storage.queries import FindToken
from actors.storage.rollups import ROLLUP
from actors.storage.tokens import TokenBook
from actors.subscriber import Intake
from actors.topics import BOUND_CONTROL, BOUND_DATA, SHARED_CONTROL, sensor_data, site_control, site_data
from actors.twins.actor import NAME as TWINS
from actors.twins.actor import TwinBoard
from actors.twins.messages import LinkUp
from actors.updates.book import UpdatesBoard
from actors.writes import Outgoing
from supervisor.server.access.fleet_key import FILE as KEY_FILE
from supervisor.server.access.fleet_key import FleetKeys
from supervisor.server.access.front import Access
from supervisor.server.crash_file import crash_book
from supervisor.server.instance import public_name
from supervisor.server.mosquitto import BrokerUser
from supervisor.server.ota import OtaBoard, Updates
from supervisor.server.pki import DevicePki
from supervisor.server.releases import ReleaseStore
from supervisor.server.sealing import KeyFile
from supervisor.server.settings import Broker, Config
from supervisor.server.uploads import Uploads
from supervisor.server.watcher import LetterBox
from web.board import HttpBoard
from web.render import device_json, rfc3339
from web.tls import TlsBoard

logger = logging.getLogger(__name__)

ROOT = "server"
"""The id of the top supervisor, with which the paths of the tree begin."""
READERS = ("reader.0", "reader.1")
PATIENCE = 5.0
"""Seconds to wait for the writer."""


class Parts:
    """Made in the order in which each needs the ones before."""

    start_noted = False
    """Whether the database knows that this process came."""

    def __init__(self, config: Config, runtime: Runtime, instance_id: str) -> None:
        self.config = config
        self.runtime = runtime
        self.instance_id = instance_id
        """Secret; `server_id` is for the world."""
        self.server_id = public_name(instance_id)
        self.sealing = KeyFile.of(config.data_path, os.environ)
        """The keys of what the database holds sealed."""
        self.services = Directory()
        self.crashes = crash_book(ROOT, self.services)
        self.devices = Directory()
        self.ring = EventRing()
        now = runtime.clock.monotonic()
        self.sights = {broker.name: BrokerSight(broker.name, now) for broker in config.brokers}
        self.fleet = Fleet(runtime.clock, self.sights, offline_policy(config))
        self.outgoing = Outgoing(self.services)
        self.desk = DeadLetterDesk(
            runtime.clock, self.outgoing, self.services, quota=config.limits.dead_letters_per_device
        )
        self.registry_board = RegistryBoard()
        self.letters = LetterBox()
        self.link_boards = {link: LinkBoard.of(link) for link in self.link_names()}
        live = LiveFeed(self.fleet, self.show, self.ring.skip)
        self.outgoing.on_round_end = live.flush
        self.on_presence = live.on_presence
        """Called with serial and presence of each device that has changed, on the dispatcher: they only `tell`."""
        self.analysts = Analysts(load_analysers(SoilAnalyser(config.soil)))
        self.statistics = PipelineStatistics()
        self.pipeline = PipelineState(config.prefixes, self.statistics, runtime.clock)
        self.world = World(runtime, self.fleet, self.outgoing, self.services, live, self.analysts)
        self.aftermath = Aftermath(
            runtime,
            self.fleet,
            self.services,
            self.ring,
            self.analysts,
            self.statistics,
            default_link=f"{config.brokers[0].name}.control",
            qos=config.publishing.qos,
            retain=config.publishing.retain,
        )
        self.intake = Intake(
            devices=self.devices,
            services=self.services,
            desk=self.desk,
            sights={sight.name: sight for sight in self._each_sight()},
            zone=ZoneInfo(config.timezone),
            largest_payload=config.limits.payload_bytes,
            shared_topics=config.shared_topics,
        )
        self.readers = Readers(self.services, READERS)
        self.rollup_board = RollupBoard()
        self.rollup_key = ROLLUP if self.serves_all else f"{ROLLUP}.{instance_id}"
        self.followers = Followers(
            config.audit,
            config.sinks,
            data_dir=config.data_path,
            ask=self.readers.ask,
            runtime=runtime,
            services=self.services,
            is_ours=lambda row: row.serial in self.fleet,
            find_end=lambda: int(self.ask_registry(Execute(newest_reading_id))),
        )
        self.aftermath.on_committed = self._wake_followers
        self.desk.on_unkept = lambda letter: self.services.tell("effects", Committed([], [], [letter]))
        self.tokens = TokenBook(lambda digest: self.readers.ask(FindToken(digest)), runtime.clock.monotonic)
        self.page_key = secrets.token_urlsafe(24)
        self.admin_token = config.api_token or secrets.token_urlsafe(32)
        self.fleet_keys = FleetKeys(config.data_path / KEY_FILE, config.enrolment_key)
        self.access = Access(self, lambda: link_options(config.brokers[0], self.access))
        self.enrolment_board = EnrolmentBoard()
        self._make_reach(config)
        self.http_board = HttpBoard()
        self.recorder = Recorder(lambda row: self.services.tell("notary", row), runtime.clock)
        self.tls_board = TlsBoard()
        self.pki = DevicePki.open(config)
        self.http_port = 0
        """Where the page listens; 0 until it does."""
        for sight in self._each_sight():
            sight.on_change = self._sight_changed
        runtime.timers.on_late = self._overslept

    def _make_reach(self, config: Config) -> None:
        """Make what is shared by those who reach the fleet: notifications, commands, twins, alarms, groups, bridges."""
        self.alarm_tap = AlarmTap()
        if config.alarms.enabled:
            self.on_presence.append(self.alarm_tap.changed)
        self.home_tap = HomeTap.listening(self.on_presence, enabled=config.home_assistant.enabled)
        self.home_tap.is_private = self.aftermath.is_private = self.payload_keys.is_private
        self.twin_board = TwinBoard()
        self.ledger_board = LedgerBoard()
        self.groups = GroupBook(self.fleet, {site: roster.serials for site, roster in config.roster.items()})
        self.group_counts: Counter[str] = Counter()
        """What was done with groups and rosters since the process started, see `actors.groups.actor.ACTIONS`."""
        self.command_board = CommandBoard()
        self.picker = Picker(self.fleet, self.command_board.in_flight)
        updates = Updates(self.services)
        self.releases = ReleaseStore(
            config.updates,
            config.data_path,
            server=self.server_id,
            ask=self.ask_registry,
            clock=self.runtime.clock,
            in_use=updates.in_use,
            on_gone=updates.gone,
        )
        self.uploads = Uploads(self.releases)
        self.ota_board = OtaBoard()
        self.updates_board = UpdatesBoard(config.updates.windows_by_site())

    @property
    def payload_keys(self) -> PayloadKeys:
        """Which devices speak sealed."""
        return self.intake.keys

    @property
    def serves_all(self) -> bool:
        """Whether no other server shares our database: then row ids are ours alone."""
        return self.config.primary and self.config.sites == "all"

    def ask_registry(self, message: Any, timeout: float = PATIENCE) -> Any:
        """Return the writer's answer.

        Raises:
            ActorDeadError: it is restarting.
            pykka.Timeout: it did not answer in time.
            StoreUnavailable: the database is away.

        """
        registry = self.services.get("registry")
        if registry is None:
            raise ActorDeadError("the registry is restarting")
        return registry.ask(message, block=True, timeout=timeout)

    def _wake_followers(self) -> None:
        self.followers.wake()
        self.services.tell("rollups", Wake())

    def link_names(self) -> list[str]:
        """Return the names of all links, brokers in order of configuration."""
        return [f"{broker.name}.{kind}" for broker in self.config.brokers for kind in ("control", "data")]

    def data_links(self) -> list[str]:
        """Return the names of the data links."""
        return [f"{broker.name}.data" for broker in self.config.brokers]

    def control_routes(self) -> tuple[Route, ...]:
        """Return what control links subscribe."""
        pi = (SHARED_CONTROL + BOUND_CONTROL) if self.config.primary else ()
        return self._routes(pi, site_control(self._sites()))

    def data_routes(self) -> tuple[Route, ...]:
        """Return what data links subscribe."""
        pi = BOUND_DATA if self.config.primary else ()
        return self._routes(pi, site_data(self._sites()), sensor_data(self.config.prefixes))

    def _routes(self, pi: tuple[str, ...], site: tuple[str, ...], sensor: tuple[str, ...] = ()) -> tuple[Route, ...]:
        routes = (Route(pi, "subscriber.pi"), Route(site, "subscriber.site"), Route(sensor, "subscriber.sensor"))
        return tuple(route for route in routes if route.filters)

    def _sites(self) -> list[str] | None:
        return None if self.config.sites == "all" else list(self.config.sites)

    def _each_sight(self) -> list[Sight]:
        return [sight for pair in self.sights.values() for sight in (pair.control, pair.data)]

    def is_ours(self, device: DeviceSnapshot) -> bool:
        """Return whether this server looks after a device: several may share a database, each with its sites."""
        if self.serves_all:
            return True
        if device.family == "sensor" and device.site in self.config.prefixes:
            return True
        if not device.site:
            return self.config.primary
        return self.config.sites == "all" or device.site in self.config.sites

    def roll(self) -> list[DeviceSnapshot]:
        """Return every device with the time it was last heard, for the resolver."""
        return [msgspec.structs.replace(record.snapshot, last_seen_us=record.heard_us) for record in self.fleet]

    # Live events

    def show(self, view: DeviceView, facts: bool) -> None:
        """Put a device's change on the ring: all of it, or only its presence."""
        if facts:
            self.ring.publish("device", view.snapshot.serial, device_json(view))
            return
        body = {
            "serial": view.snapshot.serial,
            "presence": view.presence,
            "reason": view.reason,
            "since": rfc3339(view.since_us),
            "last_seen": rfc3339(view.last_seen_us),
            "flapping": view.flapping,
        }
        self.ring.publish("presence", view.snapshot.serial, body)

    def _sight_changed(self, sight: Sight) -> None:
        """Note one event for the whole fleet, however many devices it hides."""
        self.ring.publish("sight", sight.name, {"link": sight.name, "sees": not sight.blind})
        if not sight.blind and sight.name.endswith(".control"):
            self.services.tell(TWINS, LinkUp(sight.name))
            self.access.compare()
        kind = "blind" if sight.blind else "sight"
        self._note(kind, {"link": sight.name})

    def _overslept(self, seconds: float) -> None:
        """Count the time in which this process was stopped as blindness: silence in it proves nothing."""
        logger.warning("this process was stopped for %.1f s; no device is judged by that time", seconds)
        now = self.runtime.clock.monotonic()
        for sight in self._each_sight():
            sight.slept(now)
        since_us = int((self.runtime.clock.time() - seconds) * 1_000_000)
        self._note(ASLEEP, {"since": rfc3339(since_us)})

    def _note(self, kind: str, data: Mapping[str, str | None]) -> None:
        """Keep an event of the fleet, and that it is ours: several servers may share a database."""
        body = msgspec.json.encode({**data, "server": self.server_id}).decode()
        now_us = int(self.runtime.clock.time() * 1_000_000)
        self.services.tell("notary", StoreEvent(kind, "", now_us, body))


def offline_policy(config: Config) -> OfflineAfter:
    """Return the policy of `offline_after` that the configuration asks for."""
    special = config.offline_after_for
    return OfflineAfter(
        everywhere=config.offline_after,
        devices=dict(special.device),
        kinds={str(kind): seconds for kind, seconds in special.kind.items()},
        types=dict(special.type),
        sites=dict(special.site),
    )


def link_options(broker: Broker, access: Access) -> BrokerOptions:
    """Return how a link connects to a configured broker; by now its user may be another one than is configured."""
    user = access.credentials(broker.name) or BrokerUser(broker.username, broker.password)
    return BrokerOptions(
        name=broker.name,
        host=broker.host,
        port=broker.port,
        username=user.name,
        password=user.password,
        tls=broker.uses_tls,
        ca_file=broker.tls.ca,
        cert_file=broker.tls.cert,
        key_file=broker.tls.key,
        keepalive=broker.keepalive,
    )


def filters_file(config: Config, broker: Broker) -> Path:
    """Return where a data link remembers the filters of its session."""
    return config.data_path / "links" / f"{broker.name}.json"
