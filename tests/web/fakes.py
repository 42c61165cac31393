"""In-memory twins of all that the face is given, and a small WSGI client."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import NamedTuple
from urllib.parse import unquote
from wsgiref.headers import Headers

import msgspec

from actors.events import EventRing
from actors.fleet import DeviceView
from actors.fleet_pages import BEHIND_ALL, FIRST, SEVERITY, FleetPage
from actors.groups.labels import merge_labels
from actors.messages import DeviceSnapshot
from actors.runtime import ManualClock
from tests.web.fake_access import FakeAccess
from tests.web.fake_alarms import FakeAlarms
from tests.web.fake_audit import FakeAudit
from tests.web.fake_commands import FakeCommands
from tests.web.fake_enrolments import FakeEnrolments
from tests.web.fake_groups import FakeGroups
from tests.web.fake_notifications import FakeNotifications
from tests.web.fake_payload_keys import FakePayloadKeys
from tests.web.fake_releases import FakeOta, FakeReleases
from tests.web.fake_rollouts import FakeRollouts
from tests.web.fake_scans import FakeScans
from tests.web.fake_soil import NOON, FakeFollowers, FakeSoilHealth
from tests.web.fake_twins import FakeTwins
from web.app import make_app
from web.face import ConflictError, Face
from web.limits import Limits, Rates
from web.proxies import Proxies
from web.pump import HAND_OVER
from web.sessions import Credential, digest
from web.site import Places, Site


def view(serial, presence="online", **fields):
    """A device as the fleet would show it."""
    derived = {
        "presence": presence,
        "reason": fields.pop("reason", "heartbeat"),
        "since_us": fields.pop("since_us", NOON),
        "last_seen_us": fields.pop("last_seen_us", NOON),
        "offline_after": fields.pop("effective_offline_after", 60.0),
        "flapping": fields.pop("flapping", False),
        "supervision": fields.pop("supervision", b""),
    }
    known = {"kind": "raspberry_pi", "family": "pi", "first_seen_us": NOON} | fields
    return DeviceView(snapshot=DeviceSnapshot(serial=serial, **known), **derived)


COUNTED = ("total", "online", "offline", "unknown", "flapping", "quarantined")
#: The key of a device in every order.
KEYS = {
    "serial": lambda view: view.snapshot.serial,
    "label": lambda view: (view.snapshot.label or view.snapshot.hostname or view.snapshot.serial).lower(),
    "presence": lambda view: SEVERITY[view.presence],
    "since": lambda view: view.since_us,
    "last_seen": lambda view: view.last_seen_us,
    "kind": lambda view: view.snapshot.kind,
    "site": lambda view: view.snapshot.site.lower() or BEHIND_ALL,
}


class FakeFleet:
    def __init__(self, *devices):
        self.devices = {device.snapshot.serial: device for device in devices}
        self.alarms_at = Counter()

    def put(self, device):
        self.devices[device.snapshot.serial] = device

    def get(self, serial):
        return self.devices.get(serial)

    def page(self, where, cut=FIRST):
        found = [(KEYS[cut.sort](view), serial) for serial, view in self.devices.items() if where.matches(view)]
        left = sorted(found, reverse=cut.descending)
        if cut.after:
            left = [place for place in left if (place < cut.after if cut.descending else place > cut.after)]
        shown = left[: cut.limit]
        devices = [self.devices[serial] for _, serial in shown]
        return FleetPage(devices, shown[-1] if len(left) > cut.limit else None, len(found))

    def counts(self):
        presences = [device.presence for device in self.devices.values()]
        return {"total": len(presences)} | {name: presences.count(name) for name in ("online", "offline", "unknown")}

    def sites(self):
        found = {}
        for view in self.devices.values():
            count = found.setdefault(view.snapshot.site, Counter())
            count.update(["total", view.presence])
            count["flapping"] += view.flapping
            count["quarantined"] += view.snapshot.quarantined
        return [
            {"site": site, "alarms": self.alarms_at[site]} | {name: count[name] for name in COUNTED}
            for site, count in found.items()
        ]

    def open_alarms(self):
        return self.alarms_at.total()

    def create(self, device):
        if device.serial in self.devices:
            raise ConflictError("this serial exists")
        fields = msgspec.structs.asdict(device)
        fields.pop("presence"), fields.pop("reason"), fields.pop("since_us"), fields.pop("last_seen_us")
        self.put(view(fields.pop("serial"), "offline", reason="startup", since_us=0, last_seen_us=0, **fields))
        return self.devices[device.serial]

    def patch(self, serial, changes):
        device = self.devices.get(serial)
        if device is None:
            return None
        effective = changes.get("offline_after", device.offline_after) or 60.0
        if "labels" in changes:
            changes = changes | {"labels": merge_labels(device.snapshot.labels, changes["labels"])}
        snapshot = msgspec.structs.replace(device.snapshot, **changes)
        self.devices[serial] = device._replace(snapshot=snapshot, offline_after=effective)
        return self.devices[serial]

    def delete(self, serial):
        return self.devices.pop(serial, None) is not None


class FakeHistory:
    def __init__(self):
        self.rows = {"readings": [], "buckets": [], "events": [], "presence": [], "sensors": [], "dead_letters": []}
        self.asked = None
        self.failure = None

    def _page(self, table, limit, cursor):
        if self.failure:
            raise self.failure
        start = int(cursor or 0)
        rows = self.rows[table]
        return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None

    def readings(self, serial, *, metric, since_us, until_us, limit, cursor):
        self.asked = {"serial": serial, "metric": metric, "since_us": since_us, "until_us": until_us}
        return self._page("readings", limit, cursor)

    def buckets(self, serial, *, metric, since_us, until_us, bucket_us, limit, cursor):
        self.asked = {"metric": metric, "since_us": since_us, "until_us": until_us, "bucket_us": bucket_us}
        return self._page("buckets", limit, cursor)

    def events(self, serial, *, kind, since_us, until_us, limit, cursor):
        self.asked = {"kind": kind, "since_us": since_us, "until_us": until_us}
        return self._page("events", limit, cursor)

    def presence(self, serial, *, since_us, until_us):
        if self.failure:
            raise self.failure
        self.asked = {"since_us": since_us, "until_us": until_us}
        return self.rows["presence"]

    def sensors(self, serial):
        return self.rows["sensors"]

    def dead_letters(self, *, reason, serial, limit, cursor):
        self.asked = {"reason": reason, "serial": serial}
        return self._page("dead_letters", limit, cursor)

    def dead_letter_reasons(self, serial):
        rows = [row for row in self.rows["dead_letters"] if serial in (None, row["serial"])]
        return [{"reason": reason, "count": n} for reason, n in Counter(row["reason"] for row in rows).most_common()]

    def dead_letter(self, letter):
        return next((row for row in self.rows["dead_letters"] if row["id"] == letter), None)


class FakeLinks:
    def __init__(self):
        self.rows = [{"name": "local.data", "state": "subscribed", "since_us": NOON, "reconnects": 0, "detail": ""}]
        self.reconnected = []
        self.known = [
            {
                "name": "local",
                "address": "127.0.0.1:1883",
                "links": ["local.control", "local.data"],
                "version": "mosquitto version 2.0.18",
                "figures": {"clients_connected": {"value": 3, "unit": "", "heard_us": NOON}},
                "reason": None,
            }
        ]

    def status(self):
        return self.rows

    def _row(self, name):
        found = [row for row in self.rows if row["name"] == name]
        if not found:
            raise KeyError(name)
        return found[0]

    def reconnect(self, name):
        if self._row(name)["state"] == "paused":
            raise ConflictError(f"{name} is paused; resume it")
        self.reconnected.append(name)

    def pause(self, name):
        self._set(name, "subscribed", "paused")

    def resume(self, name):
        self._set(name, "paused", "subscribed")

    def _set(self, name, before, after):
        row = self._row(name)
        if row["state"] != before:
            raise ConflictError(f"{name} is {row['state']}")
        row |= {"state": after, "since_us": NOON}

    def brokers(self):
        return self.known


class FakeSupervision:
    def __init__(self):
        self.done = []
        self.unlisted = []
        self.groups = [
            {
                "id": 7,
                "type": "ValueError",
                "place": "actors/device.py:40 in _take",
                "role": "devices/*",
                "count": 3,
                "first_us": NOON,
                "last_us": NOON + 60_000_000,
                "paths": ["server/devices/pi-1"],
                "error": "no",
                "traceback": "Traceback ...",
                "crashes": [{"at_us": NOON + 60_000_000, "path": "server/devices/pi-1", "error": "no"}],
            }
        ]
        self.root = {
            "path": "server",
            "id": "server",
            "type": "supervisor",
            "state": "running",
            "restarts": 0,
            "mailbox": 0,
            "last_exception": None,
            "total": 1,
            "counts": {"running": 1},
            "children": [
                {
                    "path": "links/local.data",
                    "id": "local.data",
                    "type": "worker",
                    "state": "running",
                    "restarts": 1,
                    "mailbox": 3,
                    "mailbox_age": 0.1,
                    "last_exception": {"error": "ValueError: x", "traceback": "Traceback ...", "at_us": NOON},
                    "children": [],
                }
            ],
        }

    def tree(self):
        return self.root

    def node(self, path):
        waiting = [self.root, *self.unlisted]
        while waiting:
            node = waiting.pop()
            if node["path"].removeprefix("server/") == path.removeprefix("server/"):
                return node
            waiting += node.get("children", ())
        raise KeyError(path)

    def crashes(self, *, limit, cursor):
        at = int(cursor or 0)
        groups = [{key: value for key, value in group.items() if key != "crashes"} for group in self.groups]
        return groups[at : at + limit], str(at + limit) if len(groups) > at + limit else None

    def crash(self, group):
        return next((found for found in self.groups if found["id"] == group), None)

    def _do(self, action, path):
        if path == "server":
            raise ValueError("the root cannot be told anything")
        self.node(path)
        self.done.append((action, path))

    def restart(self, path):
        self._do("restart", path)

    def quarantine(self, path):
        self._do("quarantine", path)

    def resume(self, path):
        self._do("resume", path)


class FakeResolver:
    def __init__(self):
        self.found = {}

    def resolve(self, device_type):
        return self.found.get(device_type)


class FakeDeadLetters:
    def __init__(self):
        self.replayed = []

    def replay(self, letter):
        if letter == 6:
            raise ConflictError("this dead letter has no topic")
        if letter != 7:
            raise KeyError(letter)
        self.replayed.append(letter)


class FakeTokens:
    def __init__(self):
        self.known = {
            "the-read-token": Credential("read"),
            "the-operate-token": Credential("operate"),
            "the-admin-token": Credential("admin", name="ops"),
            "the-device-token": Credential("device", "pi-1"),
        }

        self.rows = []

    def verify(self, plain):
        return self.known.get(plain)

    def verify_digest(self, known):
        return next((credential for plain, credential in self.known.items() if digest(plain) == known), None)

    def items(self):
        return self.rows

    def create(self, *, name, role, serial, expires_in):
        number = len(self.rows) + 1
        ends = NOON + int(expires_in * 1e6) if expires_in else None
        row = {"id": number, "name": name, "role": role, "serial": serial or None, "created_us": NOON}
        self.rows.append(row | {"expires_us": ends, "revoked_us": None})
        self.known[f"the-new-token-{number}"] = Credential(role, serial or None)
        return self.rows[-1] | {"token": f"the-new-token-{number}"}

    def revoke(self, token_id):
        row = next((row for row in self.rows if row["id"] == token_id and row["revoked_us"] is None), None)
        if row is None:
            raise KeyError(token_id)
        row["revoked_us"] = NOON
        del self.known[f"the-new-token-{token_id}"]


class FakePageKeys:
    def __init__(self):
        self.keys = {"the-page-key"}

    def redeem(self, key):
        return key in self.keys


def make_face(*devices, clock=None, ring=None):
    """A face of fakes; its parts are reachable as attributes, for tests to set up and look at."""
    fleet, links = FakeFleet(*devices), FakeLinks()

    def health():
        connected = all(row["state"] == "subscribed" for row in links.rows)
        return {
            "status": "ok" if connected else "degraded",
            "version": "9.9",
            "broker": {
                "connected": connected,
                "durable": True,
                "links": {row["name"]: row["state"] for row in links.rows},
            },
            "database": {"ok": True, "pending": 0, "oldest_age": 0.0},
            "actors": {"alive": 9, "restarts": 1, "quarantined": 0},
            "devices": fleet.counts(),
        }

    return Face(
        fleet=fleet,
        history=FakeHistory(),
        soil_health=FakeSoilHealth(),
        scans=FakeScans(),
        enrolments=FakeEnrolments(),
        alarms=FakeAlarms(),
        commands=FakeCommands(),
        notifications=FakeNotifications(),
        groups=FakeGroups(fleet),
        twins=FakeTwins(),
        releases=FakeReleases(),
        ota=FakeOta(),
        rollouts=FakeRollouts(),
        access=FakeAccess(),
        payload_keys=FakePayloadKeys(),
        followers=FakeFollowers(),
        links=links,
        supervision=FakeSupervision(),
        resolver=FakeResolver(),
        dead_letters=FakeDeadLetters(),
        tokens=FakeTokens(),
        audit=FakeAudit(),
        page_keys=FakePageKeys(),
        ring=ring or EventRing(),
        health=health,
        metrics=lambda: b"muster_up 1\n",
        clock=clock or ManualClock(),
        version="9.9",
    )


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class Client:
    """Calls the WSGI application as a server would; keeps cookies; has the admin token unless told otherwise."""

    def __init__(self, face, *, token="the-admin-token", rates=None, streams=2, proxies=None):
        self.face = face
        self.site = Site(
            face=face, limits=Limits(rates or Rates()), streams=Places(streams), proxies=proxies or Proxies()
        )
        self.app = make_app(self.site)
        self.token = token
        self.cookie = ""
        self.handed_over = []

    def environ(self, method, url, body=b"", **headers):
        path, _, query = url.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)) if body else "",
            "REMOTE_ADDR": "192.0.2.7",
            "SERVER_NAME": "muster",
            "SERVER_PORT": "5000",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            HAND_OVER: self.handed_over.append,
        }
        if self.token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        if self.cookie:
            environ["HTTP_COOKIE"] = self.cookie
        return environ | headers

    def open(self, method, url, json_body=None, body=b"", **headers):
        """Return status, headers and the iterable as the application gave it."""
        if json_body is not None:
            body = json.dumps(json_body).encode()
        started = []
        answer = self.app(self.environ(method, url, body, **headers), lambda *args: started.append(args))
        status, pairs = started[0][:2]
        found = Headers(pairs)
        if "Set-Cookie" in found:
            self.cookie = found["Set-Cookie"].partition(";")[0]
        return int(status[:3]), found, answer

    def call(self, method, url, json_body=None, body=b"", **headers):
        status, found, answer = self.open(method, url, json_body, body, **headers)
        raw = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return Answer(status, found, raw)

    def get(self, url, **headers):
        return self.call("GET", url, **headers)

    def post(self, url, json_body=None, **headers):
        return self.call("POST", url, json_body, **headers)
