"""The server's tree, one literal: started from top to bottom, stopped from bottom to top."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from pykka import Actor, ActorDeadError

from actors.announcer import AnnouncerActor, own_addresses
from actors.device_messages import Told
from actors.effects import Committed, EffectsActor
from actors.historian import Historian
from actors.link.control import ControlLink
from actors.link.data import DataLink
from actors.messages import Deliveries
from actors.notary import Notary
from actors.payloads import answer_refused
from actors.pipeline import PipelineActor
from actors.presence import DerivedPresence
from actors.reader import ReaderActor
from actors.registry import RegistryActor
from actors.resolver import LocalSteps, ResolverActor
from actors.rollups import RollupActor
from actors.runtime import Undelivered
from actors.sensor_subscriber import SensorSubscriber
from actors.storage.result import CommitResult
from actors.storage.retention import RetentionRules
from actors.subscriber import Ingest, PiSubscriber, SiteSubscriber
from actors.updates.messages import UPDATES
from actors.version import __version__
from actors.writes import Batcher
from supervisor import BackoffPolicy, ChildSpec, DeadMail, Intensity, Supervisor
from supervisor.server.alarms import alarms_actor, couriers, tell_alarms
from supervisor.server.commands import commander, watch_presence
from supervisor.server.crash_file import crash_recorder
from supervisor.server.devices import DeviceSupervisor
from supervisor.server.enrolment import enrolment_actor
from supervisor.server.groups import groups_actor
from supervisor.server.home_assistant import home_assistant, tell_home_assistant, watched_topics
from supervisor.server.loader import loader
from supervisor.server.notifications import ledger
from supervisor.server.ota import releases_actor
from supervisor.server.parts import READERS, ROOT, Parts, filters_file, link_options
from supervisor.server.presence import ServerPresence
from supervisor.server.sealing import SealerActor
from supervisor.server.settings import Broker
from supervisor.server.twins import tell_twins, twin_actor
from supervisor.server.updates import tell_updates, updates_actor
from supervisor.server.watcher import Watcher

logger = logging.getLogger(__name__)

GIVE_UP = Intensity(restarts=20, within=60.0)
"""Restarts of the server's own actors after which the process starts anew."""
ROLLUP_EVERY = 60.0
"""Seconds between two runs of the roll-ups: until then a page adds up what is not in them yet."""
QUICK = BackoffPolicy(base=0.05, cap=5.0)

Start = Callable[[], Actor]


def server_tree(
    parts: Parts, presence: ServerPresence, http: Start, *, before: tuple[ChildSpec, ...], after: tuple[ChildSpec, ...]
) -> Supervisor:
    """Return the tree, not yet started.

    Args:
        parts: what the actors share.
        presence: what the control links say of the server.
        http: builds the HTTP face.
        before: what must run first (the embedded broker).
        after: what runs last (the demo).

    """
    url = parts.config.database.url
    tree = Supervisor(
        runtime=parts.runtime,
        name=ROOT,
        intensity=GIVE_UP,
        backoff=QUICK,
        directory=parts.services,
        on_dead_letter=lambda mail: bury(parts, mail),
        on_crash=parts.crashes.put,
        children=(
            crash_recorder(parts.config.data_path, parts.crashes, parts.runtime),
            *before,
            ChildSpec("registry", lambda: registry(parts, url), shutdown=15.0, hang_after=60.0),
            ChildSpec("batcher", lambda: Batcher(parts.outgoing, parts.runtime.timers)),
            ChildSpec("notary", lambda: Notary(parts.outgoing)),
            ChildSpec("readers", lambda: group(parts, *(reader(name, url) for name in READERS))),
            ChildSpec("historian", lambda: Historian(parts.readers, parts.services), hang_after=30.0),
            ChildSpec("effects", lambda: EffectsActor(parts.aftermath)),
            ChildSpec("http", http, shutdown=10.0),
            ChildSpec("watcher", lambda: watcher(parts, tree)),
            ChildSpec("sealer", lambda: SealerActor(parts.ask_registry, parts.runtime, parts.sealing), hang_after=60.0),
            ChildSpec("loader", lambda: loader(parts), hang_after=60.0),
            ChildSpec("groups", lambda: groups_actor(parts), hang_after=60.0),
            ChildSpec("releases", lambda: releases_actor(parts), hang_after=60.0),
            ChildSpec("devices", lambda: device_supervisor(parts), hang_after=60.0),
            *rollouts(parts),
            ChildSpec("rollups", lambda: rollups(parts), hang_after=60.0),
            ChildSpec("twins", lambda: twin_actor(parts), hang_after=60.0),
            ChildSpec("followers", lambda: group(parts, *followers(parts))),
            ChildSpec("commander", lambda: commander(parts), hang_after=60.0),
            ChildSpec("ledger", lambda: ledger(parts), hang_after=60.0),
            ChildSpec("subscribers", lambda: group(parts, *subscribers(parts))),
            ChildSpec("links", lambda: group(parts, *links(parts, presence))),
            ChildSpec("pipeline", lambda: pipeline(parts)),
            ChildSpec("home_assistant", lambda: home_assistant(parts), hang_after=60.0),
            *parts.access.children(),
            ChildSpec("enrolment", lambda: enrolment_actor(parts), hang_after=60.0),
            ChildSpec("couriers", lambda: group(parts, *couriers(parts))),
            ChildSpec("alarms", lambda: alarms_actor(parts, tree.actor_ref), shutdown=8.0, hang_after=60.0),
            *announcers(parts),
            ChildSpec("resolver", lambda: resolver(parts), shutdown=1.0, hang_after=20.0),
            *after,
        ),
    )
    parts.services.fallback = lambda name, message: to_supervisor(parts, tree, name, message)
    watch_presence(parts)
    parts.devices.fallback = lambda serial, message: parts.services.tell("devices", Undelivered(serial, message))
    return tree


def rollouts(parts: Parts) -> tuple[ChildSpec, ...]:
    """Return who carries out rollouts: the server that the edges belong to, nobody else."""
    return (ChildSpec(UPDATES, lambda: updates_actor(parts), hang_after=60.0),) if parts.config.primary else ()


def group(parts: Parts, *children: ChildSpec) -> Supervisor:
    """Return a supervisor of services that find each other by name."""
    return Supervisor(
        runtime=parts.runtime,
        children=children,
        intensity=GIVE_UP,
        backoff=QUICK,
        directory=parts.services,
        on_dead_letter=lambda mail: bury(parts, mail),
    )


def registry(parts: Parts, url: str) -> RegistryActor:
    """Return the writer."""
    return RegistryActor(
        url,
        parts.services,
        parts.runtime,
        board=parts.registry_board,
        links=parts.data_links(),
        rules=retention_rules(parts),
        followed=[child.board.cursor for child in parts.followers.children],
        held=(parts.command_board.held,),
        on_committed=(
            parts.letters.put,
            lambda result: tell_effects(parts, result),
            partial(forget_tokens, parts),
            partial(tell_twins, parts),
            partial(tell_alarms, parts),
            partial(tell_home_assistant, parts),
            partial(tell_updates, parts),
        ),
    )


def forget_tokens(parts: Parts, result: CommitResult) -> None:
    """Let no token of a deleted device be believed any longer."""
    if result.deleted:
        parts.tokens.forget()
        parts.access.forget(result.deleted)
        parts.payload_keys.drop(result.deleted)


def rollups(parts: Parts) -> RollupActor:
    """Return the actor that keeps the sums by hour and day."""
    return RollupActor(
        parts.readers,
        parts.services,
        parts.runtime,
        is_ours=lambda serial: serial in parts.fleet,
        key=parts.rollup_key,
        every=ROLLUP_EVERY,
        board=parts.rollup_board,
    )


def followers(parts: Parts) -> list[ChildSpec]:
    """Return the audit trail and the sinks; they start behind the fleet, which tells whose readings are ours."""
    return [ChildSpec(child.name, child.start, shutdown=10.0, hang_after=300.0) for child in parts.followers.children]


def tell_effects(parts: Parts, result: CommitResult) -> None:
    """Hand on what a commit has stored, known and refused; in one message, whatever the size of the batch."""
    parts_of = (result.new, result.known, result.dead, result.scans, result.known_scans, result.twin_reports)
    if any(parts_of):
        committed = Committed(*parts_of)
        parts.services.tell("effects", committed)


def retention_rules(parts: Parts) -> RetentionRules:
    """Return how long what grows is kept; nothing goes before the roll-ups have seen it."""
    kept = parts.config.retention
    return RetentionRules(
        readings_days=kept.readings_days,
        scans_days=kept.scans_days,
        hourly_days=kept.hourly_days,
        daily_days=kept.daily_days,
        notifications_days=kept.notifications_days,
        commands_days=kept.commands_days,
        rollouts_days=kept.rollouts_days,
        events_days=kept.events_days,
        audit_days=kept.audit_days,
        followers=(parts.rollup_key,),
    )


def pipeline(parts: Parts) -> PipelineActor:
    """Return the actor that says how the sensor pipeline is."""
    return PipelineActor(
        parts.runtime,
        parts.services,
        parts.pipeline,
        links=[f"{broker.name}.control" for broker in parts.config.brokers],
        is_database_ok=lambda: parts.registry_board.status.ok,
    )


def reader(name: str, url: str) -> ChildSpec:
    """Return one reader."""
    return ChildSpec(name, lambda: ReaderActor(url), hang_after=10.0)


def watcher(parts: Parts, tree: Supervisor) -> Watcher:
    """Return the actor that tells the live page of links, tree and dead letters."""
    return Watcher(
        runtime=parts.runtime,
        root=tree.actor_ref,
        links=parts.link_boards,
        desk=parts.desk,
        letters=parts.letters,
        ring=parts.ring,
    )


def device_supervisor(parts: Parts) -> DeviceSupervisor:
    """Return the supervisor of all devices."""
    return DeviceSupervisor(
        world=parts.world, desk=parts.desk, devices=parts.devices, on_dead_letter=lambda mail: bury(parts, mail)
    )


def subscribers(parts: Parts) -> list[ChildSpec]:
    """Return a subscriber for each family of topics."""
    links = parts.data_links()
    sensors = partial(SensorSubscriber, analysts=parts.analysts, statistics=parts.statistics)
    families = (
        ("subscriber.pi", PiSubscriber),
        ("subscriber.site", SiteSubscriber),
        ("subscriber.sensor", sensors),
    )
    return [
        ChildSpec(name, lambda make=make, name=name: make(name, parts.intake, data_links=links))
        for name, make in families
    ]


def links(parts: Parts, presence: ServerPresence) -> list[ChildSpec]:
    """Return the pair of links of each broker."""
    return [
        spec
        for broker in parts.config.brokers
        for spec in (
            ChildSpec(f"{broker.name}.control", lambda b=broker: control_link(parts, b, presence), hang_after=30.0),
            ChildSpec(f"{broker.name}.data", lambda b=broker: data_link(parts, b), hang_after=30.0),
        )
    ]


def control_link(parts: Parts, broker: Broker, presence: ServerPresence) -> ControlLink:
    """Return the link of presence and publishing."""
    speaks = parts.config.primary
    return ControlLink(
        will=presence.will if speaks else lambda: None,
        greet=presence.greet if speaks else lambda _first: [],
        farewell=presence.farewell if speaks else list,
        watched=watched_topics(parts, broker.name),
        figures=True,
        name=f"{broker.name}.control",
        client_id=f"{broker.client_id or f'muster-{parts.instance_id}'}-control",
        options=link_options(broker, parts.access),
        routes=parts.control_routes(),
        directory=parts.services,
        clock=parts.runtime.clock,
        sight=parts.sights[broker.name].control,
        board=parts.link_boards[f"{broker.name}.control"],
        seal=parts.payload_keys.seal,
    )


def data_link(parts: Parts, broker: Broker) -> DataLink:
    """Return the link of data."""
    return DataLink(
        filters_file=filters_file(parts.config, broker),
        limit_bytes=parts.config.limits.unresolved_bytes,
        name=f"{broker.name}.data",
        client_id=f"{broker.client_id or f'muster-{parts.instance_id}'}-data",
        options=link_options(broker, parts.access),
        routes=parts.data_routes(),
        directory=parts.services,
        clock=parts.runtime.clock,
        sight=parts.sights[broker.name].data,
        board=parts.link_boards[f"{broker.name}.data"],
    )


def announcers(parts: Parts) -> tuple[ChildSpec, ...]:
    """Return who tells the local network of this server; nobody while the page is for this machine only."""
    http, mdns = parts.config.http, parts.config.mdns
    if not mdns.announce or http.is_loopback:
        return ()
    return (ChildSpec("announcer", lambda: announcer(parts), shutdown=8.0, hang_after=60.0),)


def announcer(parts: Parts) -> AnnouncerActor:
    """Return the actor that tells the local network of this server."""
    http, mdns = parts.config.http, parts.config.mdns
    return AnnouncerActor(
        server_id=parts.server_id,
        version=__version__,
        port=lambda: parts.http_port,
        addresses=lambda: own_addresses(http.host, mdns.interfaces),
        tls=bool(http.tls.cert),
        runtime=parts.runtime,
    )


def resolver(parts: Parts) -> ResolverActor:
    """Return the actor that looks for devices that are not online."""
    return ResolverActor(
        roll=parts.roll,
        presence=lambda device: presence_of(parts, device.serial),
        steps=LocalSteps(),
        clock=parts.runtime.clock,
    )


def presence_of(parts: Parts, serial: str) -> DerivedPresence:
    """Return the presence of a device as it may be shown now."""
    view = parts.fleet.get(serial)
    return view.presence if view is not None else "offline"


OWNERS = (
    ("subscriber.", "subscribers"),
    ("reader.", "readers"),
    (".control", "links"),
    (".data", "links"),
    ("audit", "followers"),
    ("analysed", "followers"),
    ("sink.", "followers"),
)
"""Which supervisor keeps the mail of a service that is not there, by a part of its name; the top one for all others."""


def to_supervisor(parts: Parts, tree: Supervisor, name: str, message: object) -> None:
    """Hand a message for a service that is down to its supervisor, which keeps it for the next incarnation."""
    undelivered = Undelivered(name, message)
    owner = next((owner for part, owner in OWNERS if part in name), None)
    ref = parts.services.get(owner) if owner is not None else None
    try:
        if ref is not None:
            ref.tell(undelivered)
            return
    except ActorDeadError:
        pass
    wrapped = undelivered if owner is None else Undelivered(owner, undelivered)
    try:
        tree.actor_ref.tell(wrapped)
    except ActorDeadError:
        # The process is ending. What came with a token was not acknowledged and will be delivered again.
        parts.services.undelivered += 1


def bury(parts: Parts, mail: DeadMail) -> None:
    """Dead-letter deliveries that crashed their subscriber; log whatever else nobody will handle."""
    if isinstance(mail.message, Deliveries) and mail.reason == "crashed_twice":
        for delivery in mail.message.items:
            parts.desk.refuse(delivery, "crashed", f"decoding it ended {mail.child_path}: {mail.error!r}")
    elif isinstance(mail.message, Told) and mail.reason == "crashed_twice":
        parts.desk.refuse(mail.message.delivery, "crashed", f"handling it ended {mail.child_path}: {mail.error!r}")
    elif isinstance(mail.message, Ingest):
        answer_refused(mail.message.reply_to, "crashed", f"decoding it ended {mail.child_path}: {mail.error!r}")
    else:
        # A subscriber whose mail is lost has to ask for a replay.
        parts.intake.inherited.discard(mail.child_path.rpartition("/")[2])
        # At the end of the process what is left was not acknowledged, and will be delivered again.
        level = logging.DEBUG if mail.reason in ("supervisor_down", "stopped") else logging.WARNING
        logger.log(level, "%s: not handled (%s): %.200r", mail.child_path, mail.reason, mail.message)
