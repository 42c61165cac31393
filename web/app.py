"""One table of who may call what. The way of a request through it is in `web.gate`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import msgspec

from actors.alarms.rules import Rule
from actors.enrolment.messages import Application
from web import (
    routes_access,
    routes_alarms,
    routes_audit,
    routes_commands,
    routes_dead_letters,
    routes_devices,
    routes_enrolment,
    routes_events,
    routes_fleet,
    routes_groups,
    routes_history,
    routes_links,
    routes_notifications,
    routes_ota,
    routes_page,
    routes_payload_keys,
    routes_pis,
    routes_releases,
    routes_rollouts,
    routes_scans,
    routes_session,
    routes_soil_health,
    routes_supervision,
    routes_system,
    routes_tokens,
    routes_twins,
)
from web.answers import (
    Device,
    Devices,
    Events,
    Health,
    LoggedIn,
    MadeToken,
    Presences,
    Resolved,
    Sensors,
    Session,
    Tokens,
)
from web.answers_alarms import Alarm, AlarmRules, Alarms, AlarmWithNotices, KnownRule
from web.answers_commands import Command, CommandPage, IssuedCommand, IssuedCommands
from web.answers_enrolment import (
    Approval,
    CertificateRequest,
    DeviceCertificate,
    EnrolledDevice,
    Enrolment,
    Enrolments,
    Introduction,
)
from web.answers_readings import (
    Buckets,
    Followers,
    Readings,
)
from web.answers_scans import Scans, StoredScan
from web.answers_supervision import Node
from web.answers_twins import Twin, TwinOutcomes
from web.call import Call, Reply
from web.gate import WsgiApp, lead
from web.ingest import IDEMPOTENCY_KEY
from web.openapi import describe
from web.pages import PAGES
from web.route import PAGED, Route
from web.site import Site
from web.static import OPEN, Asset, answer, pack


def contract(call: Call) -> Reply:
    """Return the OpenAPI description of every route."""
    return answer(_contract_of(call.face.version), call.environ)


@cache
def _contract_of(version: str) -> Asset:
    return pack("openapi.json", msgspec.json.encode(describe(ROUTES, version)))


ROUTES = (
    Route("GET", "/api/health", "open", routes_system.health, Health),
    Route("GET", "/health", "open", routes_system.health, Health),
    Route("GET", "/api/openapi.json", "read", contract),
    Route("GET", "/metrics", "read", routes_system.metrics, media="text/plain"),
    *routes_fleet.ROUTES,
    Route("POST", "/api/devices", "operate", routes_devices.create, Device, body=routes_devices.NewDevice, status=201),
    Route("GET", "/api/devices/<serial>", "read", routes_devices.show, Device, own=True),
    Route("PATCH", "/api/devices/<serial>", "operate", routes_devices.patch, Device, body=routes_devices.DeviceChanges),
    Route("DELETE", "/api/devices/<serial>", "admin", routes_devices.delete, status=204),
    Route(
        "GET",
        "/api/devices/<serial>/readings",
        "read",
        routes_history.readings,
        Readings,
        other_answer=Buckets,
        own=True,
        query=routes_history.READINGS,
    ),
    Route(
        "GET",
        "/api/devices/<serial>/events",
        "read",
        routes_history.events,
        Events,
        own=True,
        query=routes_history.EVENTS,
    ),
    Route(
        "GET",
        "/api/devices/<serial>/presence",
        "read",
        routes_history.presence,
        Presences,
        own=True,
        query=("since", "until"),
    ),
    Route("GET", "/api/devices/<serial>/sensors", "read", routes_history.sensors, Sensors, own=True),
    Route(
        "GET",
        "/api/devices/<serial>/commands",
        "read",
        routes_commands.of_device,
        CommandPage,
        own=True,
        query=routes_commands.OF_DEVICE,
    ),
    Route(
        "POST",
        "/api/devices/<serial>/commands",
        "operate",
        routes_commands.issue,
        IssuedCommand,
        body=routes_commands.NewCommand,
        status=202,
    ),
    Route("GET", "/api/commands", "read", routes_commands.index, CommandPage, query=routes_commands.FILTERS + PAGED),
    Route(
        "POST",
        "/api/commands",
        "operate",
        routes_commands.issue_many,
        IssuedCommands,
        body=routes_commands.NewCommands,
        status=202,
    ),
    Route("GET", "/api/commands/<command>", "read", routes_commands.show, Command),
    Route("POST", "/api/commands/<command>/cancel", "operate", routes_commands.cancel, Command),
    Route("GET", "/api/devices/<serial>/supervision", "read", routes_devices.supervision, Node, own=True),
    *routes_soil_health.ROUTES,
    Route(
        "POST",
        "/api/scans",
        "operate",
        routes_scans.store,
        StoredScan,
        speaks=True,
        headers=(IDEMPOTENCY_KEY,),
        body=routes_scans.NewScan,
        status=201,
        known_status=200,
    ),
    Route("GET", "/api/scans", "read", routes_scans.index, Scans, query=routes_scans.SCANS),
    Route(
        "GET",
        "/api/register_device",
        "open",
        routes_enrolment.inspect,
        Introduction,
        audited=False,
        judges_token=True,
        query=routes_enrolment.INSPECT,
    ),
    Route(
        "POST",
        "/api/register_device",
        "open",
        routes_enrolment.register,
        EnrolledDevice,
        audited=False,
        judges_token=True,
        body=Application,
        status=201,
    ),
    Route(
        "POST",
        "/api/devices/<serial>/certificate",
        "admin",
        routes_enrolment.certify,
        DeviceCertificate,
        own=True,
        body=CertificateRequest,
        status=201,
    ),
    Route("GET", "/api/enrolments", "operate", routes_enrolment.index, Enrolments, query=PAGED),
    Route("POST", "/api/enrolments/<serial>/approve", "admin", routes_enrolment.approve, Enrolment, body=Approval),
    Route("POST", "/api/enrolments/<serial>/deny", "admin", routes_enrolment.deny, Enrolment),
    Route("DELETE", "/api/enrolments/<serial>", "admin", routes_enrolment.revoke, status=204),
    *routes_groups.ROUTES,
    *routes_audit.ROUTES,
    Route("GET", "/api/devices/<serial>/twin", "read", routes_twins.show, Twin, own=True),
    Route(
        "PATCH",
        "/api/devices/<serial>/twin",
        "operate",
        routes_twins.patch,
        Twin,
        headers=(routes_twins.IF_MATCH,),
        body=routes_twins.TwinChange,
    ),
    Route("PATCH", "/api/twins", "operate", routes_twins.patch_many, TwinOutcomes, body=routes_twins.TwinsChange),
    *routes_notifications.ROUTES,
    *routes_releases.ROUTES,
    *routes_ota.ROUTES,
    *routes_rollouts.ROUTES,
    *routes_access.ROUTES,
    *routes_payload_keys.ROUTES,
    Route("GET", "/api/alarms", "read", routes_alarms.index, Alarms, query=routes_alarms.FILTERS),
    Route("GET", "/api/alarms/<alarm>", "read", routes_alarms.show, AlarmWithNotices),
    Route("POST", "/api/alarms/<alarm>/acknowledge", "operate", routes_alarms.acknowledge, Alarm),
    Route(
        "POST", "/api/alarms/<alarm>/silence", "operate", routes_alarms.silence, Alarm, body=routes_alarms.NewSilence
    ),
    Route("GET", "/api/alarm-rules", "read", routes_alarms.rules, AlarmRules, query=PAGED),
    Route("POST", "/api/alarm-rules", "operate", routes_alarms.make_rule, KnownRule, body=Rule, status=201),
    Route(
        "PATCH",
        "/api/alarm-rules/<name>",
        "operate",
        routes_alarms.change_rule,
        KnownRule,
        body=routes_alarms.RuleChanges,
    ),
    Route("DELETE", "/api/alarm-rules/<name>", "operate", routes_alarms.drop_rule, status=204),
    Route("GET", "/api/followers", "read", routes_system.followers, Followers),
    Route("GET", "/api/pi_devices", "read", routes_pis.index, Devices, query=PAGED),
    Route("GET", "/api/pi_device/<name>", "read", routes_pis.show, Device),
    Route("GET", "/api/resolve", "read", routes_pis.resolve, Resolved, query=("type",)),
    *routes_supervision.ROUTES,
    *routes_dead_letters.ROUTES,
    *routes_links.ROUTES,
    Route("GET", "/api/tokens", "admin", routes_tokens.index, Tokens, query=routes_tokens.FILTERS),
    Route("POST", "/api/tokens", "admin", routes_tokens.create, MadeToken, body=routes_tokens.NewToken, status=201),
    Route("DELETE", "/api/tokens/<token>", "admin", routes_tokens.revoke, status=204),
    Route("GET", "/api/events", "read", routes_events.stream, query=routes_events.QUERY, media="text/event-stream"),
    Route("GET", "/api/session", "read", routes_session.show, Session),
    Route("POST", "/api/login", "open", routes_session.login, LoggedIn, body=routes_session.Login),
    Route("POST", "/api/logout", "open", routes_session.logout, status=204),
    # The page itself sends those without a session to the login; its data comes from the routes above.
    *(Route("GET", page.path, "open", routes_page.show(page), media="text/html") for page in PAGES),
    Route("GET", "/login", "open", routes_page.login, query=("key", "next"), media="text/html", audited=True),
    Route("GET", "/favicon.ico", "open", routes_page.icon, media="image/svg+xml"),
    *(Route("GET", f"/static/{name}", "open", routes_page.given(name), media="*/*") for name in OPEN),
    Route("GET", "/static/<name:path>", "read", routes_page.asset, media="*/*"),
)


def make_app(site: Site, routes: Iterable[Route] = ROUTES) -> WsgiApp:
    """Return the WSGI application of the whole face."""
    return lead(site, routes)
