"""What the contract says beside the types: the groups of routes, and an example of each request, which tests try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from web.route import Route


class Tag(NamedTuple):
    """A group of routes."""

    name: str
    about: str
    paths: tuple[str, ...]
    """What their paths begin with; of several groups the one with the longest beginning has a route."""


TAGS: Final = (
    Tag("Server", "How it is, who asks, the contract itself.", ("/api/", "/health", "/metrics")),
    Tag("Devices", "The fleet.", ("/api/devices", "/api/sites", "/api/pi_device", "/api/resolve")),
    Tag("Readings", "What sensors have measured.", ("/api/devices/<serial>/readings", "/api/devices/<serial>/sensors")),
    Tag("Soil health", "Soil stations, their index, and what drives it.", ("/api/soil-health", "/api/followers")),
    Tag("Scans", "What barcode scanners have read.", ("/api/scans",)),
    Tag("Commands", "What devices are asked to do.", ("/api/commands", "/api/devices/<serial>/commands")),
    Tag("Twins", "What is desired of a device, and what it reports.", ("/api/twins", "/api/devices/<serial>/twin")),
    Tag("Notifications", "Messages to devices and topics, and their receipts.", ("/api/notifications",)),
    Tag("Alarms", "What is wrong, and the rules by which that is found.", ("/api/alarms", "/api/alarm-rules")),
    Tag(
        "Groups and rosters",
        "Who belongs together, and who is expected where.",
        ("/api/groups", "/api/rosters", "/api/devices/pick"),
    ),
    Tag("Releases", "Software for devices, and how they get it.", ("/api/releases", "/api/ota")),
    Tag("Rollouts", "A release on its way to many devices.", ("/api/rollouts", "/api/maintenance-windows")),
    Tag(
        "Enrolment",
        "Credentials and keys of a device's own.",
        (
            "/api/register_device",
            "/api/enrolments",
            "/api/devices/<serial>/certificate",
            "/api/devices/<serial>/payload_key",
            "/api/payload_keys",
        ),
    ),
    Tag("Links and brokers", "The connections to the brokers, and what these tell.", ("/api/links", "/api/brokers")),
    Tag(
        "Supervision",
        "The tree of actors, and what has crashed.",
        ("/api/supervision", "/api/crashes", "/api/devices/<serial>/supervision"),
    ),
    Tag("Dead letters", "What could not be processed.", ("/api/dead-letters",)),
    Tag("Live events", "What happens, as it happens.", ("/api/events",)),
    Tag("Access to the broker", "The broker's users and their passwords.", ("/api/access",)),
    Tag("Tokens and sessions", "Who may use this API.", ("/api/tokens", "/api/session", "/api/login", "/api/logout")),
    Tag("Audit log", "Who has changed what.", ("/api/audit",)),
)
"""In the order in which people read them."""


def tag_of(route: Route) -> Tag:
    """Return the group of a route. Raises ValueError for a route of the pages, which are not in the contract."""
    found = [(len(path), tag) for tag in TAGS for path in tag.paths if route.path.startswith(path)]
    return max(found)[1]


def is_of_api(route: Route) -> bool:
    """Return whether the contract tells of a route: it does not of the pages and their files."""
    return any(route.path.startswith(path) for tag in TAGS for path in tag.paths)


VARIABLES: Final[Mapping[str, str]] = {
    "serial": "pi-7",
    "command": "0643a9d1c2f80011",
    "rollout": "0643a9d1c2f80011",
    "notification": "5f0c2a94d1e07b3388aa41c6",
    "version": "1.2.3",
    "upload": "5f0c2a94d1e07b33",
    "site": "plant-1",
    "alarm": "17",
    "letter": "7",
    "group": "7",
    "token": "1",
    "path": "links/local.data",
    "action": "restart",
}
"""An example of each variable of the paths but of `name`, which stands for many things."""
NAMES: Final[Mapping[str, str]] = {
    "/api/groups": "pumps",
    "/api/links": "local.data",
    "/api/alarm-rules": "hot",
    "/api/pi_device": "raspberrypi",
}
"""An example of `name` by what the path begins with."""


def example_of(variable: str, path: str) -> str:
    """Return an example of a variable of a path."""
    if variable == "name":
        return next(name for beginning, name in NAMES.items() if path.startswith(beginning))
    return VARIABLES[variable]


class Example(NamedTuple):
    """A request that can be made so."""

    body: Any = None
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


_WHEN: Final = "2026-01-31T12:00:00Z"
_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SOIL: Final = {"N": 41, "P": 22, "K": 180, "CO2": 420, "Temperature": 21.5, "Moisture": 33, "pH": 6.4}
_REQUEST: Final = "-----BEGIN CERTIFICATE REQUEST-----\n...\n-----END CERTIFICATE REQUEST-----\n"
_PUBLIC_KEY: Final = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

EXAMPLES: Final[Mapping[str, Example]] = {
    "get_api_devices": Example(query={"presence": "offline", "site": "plant-1", "limit": "50"}),
    "post_api_devices": Example({"serial": "pi-7", "kind": "raspberry_pi", "label": "Gate"}),
    "patch_api_devices_serial": Example({"label": "North gate", "offline_after": 120}),
    "get_api_resolve": Example(query={"type": "raspberry_pi"}),
    "get_api_devices_pick": Example(query={"group": "pumps"}),
    "get_api_devices_serial_readings": Example(query={"metric": "pH", "bucket": "1h"}),
    "get_api_devices_serial_events": Example(query={"kind": "presence", "since": _WHEN}),
    "post_api_devices_serial_commands": Example({"name": "logs", "args": {"lines": 20}, "timeout": 60}),
    "get_api_commands": Example(query={"state": "failed"}),
    "post_api_commands": Example({"group": "pumps", "name": "ping"}),
    "post_api_soil_health_analyze": Example({"publisher_id": "soil-1", "timestamp": _WHEN, "sensor_readings": _SOIL}),
    "get_api_soil_health_history": Example(query={"device": "soil-1", "limit": "100"}),
    "post_api_scans": Example(
        {"scan_id": "2026-01-31-0001", "code": "4006381333931", "device_id": "pi-7", "timestamp": _WHEN}
    ),
    "get_api_scans": Example(query={"device": "pi-7", "limit": "10"}),
    "get_api_register_device": Example(query={"device_id": "pi-7", "nonce": "0123456789abcdef"}),
    "post_api_register_device": Example(
        {"device_id": "pi-7", "hostname": "gate", "enrolment_key": "the key of the fleet"}
    ),
    "post_api_devices_serial_certificate": Example({"csr": _REQUEST}),
    "post_api_enrolments_serial_approve": Example({"request": "3f9c21aa07b45e10"}),
    "post_api_groups": Example({"name": "pumps", "rule": {"site": "plant-*"}, "members": ["pi-7"]}),
    "patch_api_groups_name": Example({"add": ["pi-7"], "rule": None}),
    "put_api_rosters_site": Example({"serials": ["pi-7", "plc-07"]}),
    "get_api_audit": Example(query={"outcome": "refused", "since": _WHEN}),
    "patch_api_devices_serial_twin": Example({"desired": {"heartbeat": 15}}, headers={"If-Match": '"3"'}),
    "patch_api_twins": Example({"group": "pumps", "desired": {"heartbeat": 15}}),
    "post_api_notifications": Example({"device": "pi-7", "title": "Temperature alert", "priority": "high"}),
    "post_api_notifications_topic": Example({"topic": "emergency/building-a/all", "title": "Leave"}),
    "post_api_notifications_bulk": Example(
        {"notifications": [{"device": "pi-7", "title": "Hot"}, {"group": "pumps", "title": "Hot"}]}
    ),
    "post_api_releases_uploads": Example({"size": 900, "sha256": _SHA256, "name": "app-1.2.3.muster"}),
    "patch_api_releases_uploads_upload": Example(headers={"Upload-Offset": "0"}),
    "post_api_releases_version_revoke": Example({"reason": "loses readings"}),
    "get_api_ota_check_update": Example(query={"device_id": "pi-7", "version": "1.1"}),
    "get_api_ota_download_update": Example(query={"release": "5f0c2a94d1e07b33"}),
    "post_api_ota_update_status": Example({"device_id": "pi-7", "state": "downloading", "version": "1.2.3"}),
    "get_api_rollouts": Example(query={"status": "running"}),
    "post_api_rollouts": Example(
        {"release": "1.2.3", "group": "pumps", "waves": [{"share": 0.05, "success": 1, "wait": 3600}, {"share": 1}]}
    ),
    "get_api_rollouts_rollout_devices": Example(query={"state": "failed"}),
    "post_api_rollouts_rollout_retry": Example({"devices": ["pi-7"]}),
    "put_api_maintenance_windows_site": Example({"windows": [{"begin": "22:00", "end": "04:30"}]}),
    "post_api_access_fleet_key": Example({"grace": 86400}),
    "post_api_access_server_password": Example({"grace": 86400}),
    "post_api_access_devices": Example({"devices": ["pi-7"], "grace": 86400}),
    "post_api_devices_serial_payload_key": Example({"key": _PUBLIC_KEY}),
    "get_api_alarms": Example(query={"state": "open", "severity": "critical"}),
    "post_api_alarms_alarm_silence": Example({"seconds": 7200}),
    "post_api_alarm_rules": Example({"name": "hot", "kind": "metric", "metric": "temperature", "over": 80}),
    "patch_api_alarm_rules_name": Example({"over": 85}),
    "get_api_dead_letters": Example(query={"reason": "not_json", "limit": "5"}),
    "get_api_tokens": Example(query={"state": "valid", "order": "desc"}),
    "post_api_tokens": Example({"name": "grafana", "role": "read", "expires_in": 86400}),
    "get_api_events": Example(query={"kinds": "presence,reading"}),
    "post_api_login": Example({"token": "the text of a token"}),
}
"""By operation; one that is not here needs nothing but its path."""
NONE: Final = Example()
