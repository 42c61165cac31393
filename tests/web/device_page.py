"""How tests open the page of a device, and change what it shows as the server would."""

from __future__ import annotations

import datetime as dt
import json

from playwright.sync_api import expect

from tests.web.fakes import view
from tests.web.page_site import NOW
from tests.web.test_edge_tree import told
from web.render import device_json

SYSTEM = {"load_average": [1, 2, 3], "cpu_count": 4, "temperature": 48.5, "uptime_hours": 50, "model": "Pi 5"}


def put(site, /, **fields):
    """The Pi, with what it tells of itself, is made or changed, and the ring says so."""
    raw = {
        "services": b'{"uplink": "mqtt", "ssh": {"port": 5022, "status": "available"}}',
        "system_info": json.dumps(SYSTEM).encode(),
        "supervision": json.dumps(told()).encode(),
        "presence": "online",
    }
    fields = raw | fields
    pi = view("pi-1", fields.pop("presence"), hostname="raspberrypi", since_us=NOW, last_seen_us=NOW, **fields)
    site.face.fleet.put(pi)
    site.face.ring.publish("device", "pi-1", device_json(pi))


def run_actor(site, **fields):
    """The device has an actor on the server."""
    node = {
        "path": "devices/pi-1",
        "id": "pi-1",
        "type": "worker",
        "state": "running",
        "restarts": 0,
        "incarnation": 1,
        "mailbox": 0,
        "mailbox_age": 0.0,
        "next_restart_in": None,
        "last_exception": None,
    } | fields
    site.face.supervision.unlisted = [node]
    told = {"path": "devices/pi-1", "state": node["state"], "restarts": node["restarts"], "error": None}
    site.face.ring.publish("supervision", "devices/pi-1", told, "pi-1")


def past(site, *segments):
    """What the presence was: (presence, reason, seconds ago at which it began), oldest first."""
    ends = [*(began for _, _, began in segments[1:]), 0]
    site.face.history.rows["presence"] = [
        {"since_us": ago(began), "until_us": ago(end), "presence": presence, "reason": reason}
        for (presence, reason, began), end in zip(segments, ends, strict=True)
    ]


def ago(seconds):
    return int((dt.datetime.now(dt.UTC).timestamp() - seconds) * 1e6)


def enter(site, page, path="/devices/pi-1", token="the-admin-token"):
    """Log in and open a page."""
    page.goto(f"{site.url}/login")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#live")).to_have_text("live")
    page.goto(f"{site.url}{path}")
    expect(page.locator("#live")).to_have_text("live")
    return page


def part(page, name):
    """Choose a part of the page, and return it."""
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel", name=name)


def agree(page, verb):
    """Say yes to the question."""
    page.get_by_role("dialog").get_by_role("button", name=verb).click()
