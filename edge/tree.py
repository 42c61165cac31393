"""The edge's tree, one literal: started from top to bottom, stopped from bottom to top."""

from __future__ import annotations

from pykka import Actor

from actors.link.intake import Route
from actors.outbox import Outbox
from actors.uplink.actor import Uplink
from actors.uplink.link import uplink_routes
from edge.certificate.actor import HANG_AFTER as CERTIFY_HANG_AFTER
from edge.certificate.actor import Certifier
from edge.certificate.files import CertificateFiles
from edge.control import Control
from edge.enrol import Introduction
from edge.finding.reassurance import still_ours
from edge.finding.trouble import Contact
from edge.hub import HubParts, SettingsTwin, hub_specs
from edge.inbox.items import correlation_of
from edge.inbox.made import make_inbox
from edge.inbox.parts import DESK, InboxParts
from edge.inbox.tree import inbox_routes, inbox_spec
from edge.link import EdgeLink
from edge.locator import HANG_AFTER as SEARCH_HANG_AFTER
from edge.locator import Locator, Look, make_locator
from edge.network import NetworkWatcher
from edge.parts import HUB, SERVER, EdgeParts
from edge.payload_keys.exchanger import HANG_AFTER as EXCHANGE_HANG_AFTER
from edge.payload_keys.exchanger import KeyExchanger, Renew
from edge.presence import REQUESTS, Announce, Connected, PresenceActor, SetHeartbeat
from edge.report import Reporter
from edge.scanner.tree import ScannerParts, scanners_spec
from edge.sensors import sensors
from edge.state import describe_edge
from edge.update.actor import HANG_AFTER as UPDATE_HANG_AFTER
from edge.update.actor import Check
from edge.update.made import make_updater
from supervisor import BackoffPolicy, ChildSpec, Intensity, Supervisor
from supervisor.process.sdnotify import Notifier

GIVE_UP = Intensity(restarts=20, within=60.0)
"""Restarts after which the process ends, to be started anew from outside."""
QUICK = BackoffPolicy(base=0.05, cap=5.0)
HANG_AFTER = 30.0
"""Seconds that one message may take: none of these actors waits that long for anything."""
PATHS = {"scan": "/api/scans", "reading": "/api/soil-health/analyze"}
"""Kind of item to the path it is posted to."""


def edge_tree(parts: EdgeParts, notifier: Notifier) -> Supervisor:
    """Return the tree, not yet started."""
    scanners = ScannerParts(
        runtime=parts.runtime,
        directory=parts.directory,
        settings=parts.settings.scanner,
        device_id=parts.device_id,
        board=parts.boards.scanners,
    )
    inbox = make_inbox(parts)
    top = Supervisor(
        runtime=parts.runtime,
        name="edge",
        intensity=GIVE_UP,
        backoff=QUICK,
        directory=parts.directory,
        children=(
            ChildSpec("outbox", lambda: outbox(parts), shutdown=10.0, hang_after=60.0),
            ChildSpec("control", lambda: control(parts), hang_after=HANG_AFTER),
            ChildSpec("presence", lambda: presence(parts)),
            inbox_spec(inbox, longest_program=parts.settings.longest_program),
            ChildSpec("contact", lambda: contact(parts, inbox)),
            scanners_spec(scanners),
            ChildSpec("sensors", lambda: sensors(parts)),
            ChildSpec("network", lambda: network(parts), hang_after=HANG_AFTER),
            ChildSpec("locator", lambda: locator(parts), shutdown=1.0, hang_after=SEARCH_HANG_AFTER),
            ChildSpec("certifier", lambda: certifier(parts), shutdown=1.0, hang_after=CERTIFY_HANG_AFTER),
            ChildSpec("payload_keys", lambda: key_exchanger(parts), shutdown=1.0, hang_after=EXCHANGE_HANG_AFTER),
            ChildSpec("updater", lambda: make_updater(parts), shutdown=5.0, hang_after=UPDATE_HANG_AFTER),
            ChildSpec("reporter", lambda: Reporter(parts, notifier), hang_after=HANG_AFTER),
        ),
    )
    parts.tree = top.actor_ref
    return top


def outbox(parts: EdgeParts) -> Outbox:
    """Return the outbox of everything that has to reach the server, and the hub where one is known."""
    return Outbox(
        parts.home.outbox,
        parts.runtime.clock,
        parts.outbox_board,
        destinations=parts.destinations(),
        directory=parts.directory,
        notify=("uplink", "hub") if parts.hub_at_start else ("uplink",),
        keep_others=parts.bearings.credentials is None,
        device_id=parts.device_id,
    )


def control(parts: EdgeParts) -> Control:
    """Return who answers the commands of this machine."""
    return Control(
        parts.home.control,
        device_id=parts.device_id,
        directory=parts.directory,
        outbox="outbox",
        status=lambda: describe_edge(parts),
        commands={
            "announce": ("presence", Announce(connect=True)),
            "look": ("locator", Look()),
            "update": ("updater", Check()),
            "update-force": ("updater", Check(force=True)),
            **({"renew-payload-key": ("payload_keys", Renew())} if parts.payload_keys.encrypt else {}),
        },
    )


def presence(parts: EdgeParts) -> PresenceActor:
    """Return who says that this device is there."""
    return PresenceActor(
        facts=parts.facts,
        boards=parts.boards,
        pace=parts.pace,
        directory=parts.directory,
        runtime=parts.runtime,
        then=(DESK,),
    )


def contact(parts: EdgeParts, inbox: InboxParts) -> Supervisor:
    """Return what speaks to broker, server and hub; made anew when any of them is found elsewhere."""
    hub = HubParts(
        runtime=parts.runtime,
        directory=parts.directory,
        connection_string=parts.bearings.hub,
        twin=SettingsTwin(parts.facts.twin, lambda seconds: parts.directory.tell("presence", SetHeartbeat(seconds))),
        board=parts.boards.hub,
        destination=HUB,
        clock=lambda: parts.boards.gauges.clock_quality,
        ca_file=parts.settings.hub_ca_file,
    )
    return Supervisor(
        runtime=parts.runtime,
        intensity=GIVE_UP,
        backoff=QUICK,
        directory=parts.directory,
        children=(
            ChildSpec("link", lambda: link(parts, inbox), hang_after=HANG_AFTER),
            ChildSpec("uplink", lambda: uplink(parts), shutdown=2.0, hang_after=60.0),
            *hub_specs(hub),
        ),
    )


def link(parts: EdgeParts, inbox: InboxParts) -> Actor | None:
    """Return the link to the broker, None while nobody knows one."""
    options = parts.bearings.broker()
    if options is None or not parts.payload_keys.is_ready:
        return None
    return EdgeLink(
        keys=parts.payload_keys,
        line=parts.boards.line,
        offline=parts.facts.offline,
        on_connected=lambda: parts.directory.tell("presence", Connected()),
        durable=(*inbox.own_topics, *inbox.topics),
        filters_file=parts.home.subscriptions,
        watch=parts.link_watch,
        has_moved=lambda: parts.bearings.broker() != options,
        name="link",
        client_id=parts.settings.client_id or parts.device_id,
        options=parts.settings.broker.complete(options),
        routes=(
            *uplink_routes([*{parts.device_id: None, **parts.sensors}], "uplink"),
            Route((REQUESTS,), "presence"),
            *inbox_routes(inbox),
        ),
        directory=parts.directory,
        clock=parts.runtime.clock,
        sight=parts.boards.sight,
        board=parts.boards.link,
    )


def uplink(parts: EdgeParts) -> Uplink:
    """Return who empties the outbox towards the server."""
    return Uplink(
        name="uplink",
        link="link",
        outbox="outbox",
        destination=SERVER,
        configured="auto",
        paths={kind: path for kind, path in PATHS.items() if kind != "reading" or parts.speaks_for_itself()},
        locate=parts.bearings.server,
        directory=parts.directory,
        runtime=parts.runtime,
        sight=parts.boards.sight,
        watch=parts.link_watch,
        link_board=parts.boards.link,
        board=parts.boards.uplink,
        can_publish=parts.bearings.broker() is not None and parts.payload_keys.is_ready,
        on_lost=parts.bearings.lost,
        correlation=correlation_of,
    )


def network(parts: EdgeParts) -> NetworkWatcher:
    """Return who knows our addresses."""
    return NetworkWatcher(
        directory=parts.directory,
        runtime=parts.runtime,
        board=parts.boards.network,
        notify=("presence", "locator"),
    )


def locator(parts: EdgeParts) -> Locator:
    """Return who finds the server and enrols there."""
    facts = parts.facts
    return make_locator(
        settings=parts.settings,
        device_id=parts.device_id,
        rundir=parts.rundir,
        bearings=parts.bearings,
        introduce=lambda: Introduction(facts.hostname, facts.mac_address, parts.settings.device_type),
        contact=Contact(parts.link_watch, parts.boards.link, parts.boards.uplink),
        runtime=parts.runtime,
        on_found=parts.found,
        certificate=CertificateFiles(parts.home, parts.device_id),
    )


def key_exchanger(parts: EdgeParts) -> KeyExchanger | None:
    """Return who gives the server our payload key; None where nothing is sealed."""
    if not parts.payload_keys.encrypt:
        return None
    return KeyExchanger(
        keys=parts.payload_keys,
        bearings=parts.bearings,
        device_id=parts.device_id,
        runtime=parts.runtime,
        on_changed=parts.found,
        prove=lambda: still_ours(parts.bearings, parts.device_id),
    )


def certifier(parts: EdgeParts) -> Certifier:
    """Return who has our certificate renewed."""
    return Certifier(
        bearings=parts.bearings,
        files=CertificateFiles(parts.home, parts.device_id),
        device_id=parts.device_id,
        runtime=parts.runtime,
        on_changed=parts.found,
        prove=lambda: still_ours(parts.bearings, parts.device_id),
    )
