"""Screenshots of every page for `docs/`: `make screenshots`. A demo fleet with a day of readings and some of all else.

Pictures are of the page as it is: in a real browser, on a real server and broker.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page

from supervisor.release.keys import PrivateKey
from tests.release.support import make_release, make_wheel
from tests.support.browser import chromium
from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.releasing import trust, upload
from tests.support.wait import eventually

PLACE = Path(__file__).parents[1] / "docs" / "images"
FORMS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True},
}
STATIONS = ("soil-east", "soil-north", "soil-south", "soil-west")
STEP = timedelta(minutes=10)
SETTLED = 1500  # ms for charts and lists, after the network is quiet


def paths(serial: str) -> dict[str, str]:
    """Return the path of each page by the name of its picture."""
    return {
        "fleet": "/",
        "device": f"/devices/{serial}",
        "hardware": "/hardware",
        "station": f"/hardware?station={STATIONS[0]}",
        "alarms": "/alarms",
        "notifications": "/notifications",
        "scans": "/scans",
        "updates": "/updates",
        "supervision": "/supervision",
        "dead-letters": "/dead-letters",
        "settings": "/settings",
        "reference": "/reference",
    }


def day_of_readings() -> Iterator[dict[str, object]]:
    """A day of four soil stations, with a gap in the night of one of them."""
    now = datetime.now(UTC)
    for count in range(144, 0, -1):
        at = now - STEP * count
        sun = math.sin((at.hour + at.minute / 60 - 9) / 24 * 2 * math.pi)
        for place, station in enumerate(STATIONS):
            if station == "soil-east" and 60 < count < 78:
                continue
            yield {
                "publisher_id": station,
                "timestamp": at.isoformat(),
                "sensor_readings": {
                    "N": round(45 + 4 * place + 3 * math.sin(count / 20 + place), 1),
                    "P": round(30 + 2 * math.cos(count / 30 + place), 1),
                    "K": round(180 + 15 * math.sin(count / 40 + place), 1),
                    "CO2": round(620 - 120 * sun + 20 * place),
                    "Temperature": round(19 + 6 * sun + place / 2, 2),
                    "Moisture": round(34 - 8 * ((144 - count) % 72) / 72 + place, 1),
                    "pH": round(6.4 + 0.15 * math.sin(count / 50 + place), 2),
                },
            }


def furnish(up: MusterUp, directory: Path) -> str:
    """Give every page something to show; the serial of the device that is shown."""
    eventually(lambda: up.health()["devices"]["online"] >= 14, 60, "the demo fleet is there")
    next(child for child in up.process.descendants() if child.name().startswith("mosquitto")).kill()
    up.wait_health(lambda health: health["status"] != "ok", what="is without its broker")
    up.wait_connected()
    with Device(up.broker_url) as wire:
        for reading in day_of_readings():
            wire.publish("harit-samarth/sensor/data", reading, qos=1)
        wire.publish("devices/heartbeat", b"{no json", qos=1)
    pis = [item["serial"] for item in up.items("/api/devices") if item["kind"] == "raspberry_pi"]
    serial = next(serial for serial in pis if up.wait_presence(serial, "online"))
    administer(up, pis)
    reach(up, serial)
    release(up, directory)
    eventually(lambda: up.get("/api/soil-health/stations")["items"], 30, "stations are analysed")
    up.wait_settled()
    return serial


def administer(up: MusterUp, pis: list[str]) -> None:
    """Tokens, a roster, a group, a rule, and somebody who waits to be let in."""
    up.call("PUT", "/api/rosters/plant-1", {"serials": [*pis[:2], "DL-not-here-yet"]})
    up.post("/api/groups", {"name": "pis", "rule": {"kind": "raspberry_pi"}, "description": "all Pis"}, expect=201)
    for name, role, days in (("grafana", "read", 90), ("ada", "operate", 30)):
        up.post("/api/tokens", {"name": name, "role": role, "expires_in": 86_400 * days}, expect=201)
    rule = {"name": "warm", "kind": "metric", "metric": "Temperature", "over": 21, "lasts": 1, "severity": "critical"}
    up.post("/api/alarm-rules", rule, expect=201)
    key = (up.directory / "run" / "enrolment-key").read_text().strip()
    asked = {"device_id": "pi-new", "hostname": "gate", "enrolment_key": key}
    up.post("/api/register_device", asked, expect=201)
    up.post("/api/register_device", asked, expect=409)


def reach(up: MusterUp, serial: str) -> None:
    """Messages that the simulated devices answer."""
    up.post("/api/notifications", {"group": "pis", "title": "Shift ends at six", "body": "Close the gate."})
    told = {"device": serial, "title": "Temperature alert", "body": "85 °C", "priority": "high"}
    up.post("/api/notifications", told)
    for name in ("ping", "identify"):
        up.post(f"/api/devices/{serial}/commands", {"name": name, "timeout": 3600})
    up.call("PATCH", f"/api/devices/{serial}/twin", {"version": 0, "desired": {"heartbeat": 15}})


def release(up: MusterUp, directory: Path) -> None:
    """Two releases, and a rollout of the newer one."""
    key = PrivateKey.generate()
    trust(up.data, key)
    for version in ("1.2.0", "1.3.0"):
        upload(up, make_release(directory, key, wheels=[make_wheel(directory, version=version)], version=version))
    up.post("/api/rollouts", {"release": "1.3.0", "group": "pis"}, expect=201)


def shoot(page: Page, target: Path) -> None:
    """Take one picture of a page that has settled."""
    page.wait_for_load_state("domcontentloaded")
    page.locator('#live[data-state="live"]').wait_for()
    page.wait_for_timeout(SETTLED)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    print(target.name, f"is {wide} px too wide" if wide > 0 else "")
    page.screenshot(path=target)


def tour(up: MusterUp, browser: Browser, serial: str, wanted: set[str]) -> None:
    """Take all pictures, in each form."""
    for form, settings in FORMS.items():
        with browser.new_context(locale="en-GB", timezone_id="Europe/Rome", **settings) as context:
            page = context.new_page()
            page.on("console", lambda said: print("console:", said.text) if said.type in ("error", "warning") else None)
            page.goto(f"http://{up.address}/login")
            page.screenshot(path=PLACE / f"login-{form}.png")
            page.goto(up.page_url())
            for name, path in paths(serial).items():
                if not wanted or name in wanted:
                    page.goto(f"http://{up.address}{path}")
                    shoot(page, PLACE / f"{name}-{form}.png")


def main() -> None:
    """Take the pictures that are named, or all."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, MusterUp("--demo") as up, chromium() as browser:
        serial = furnish(up, Path(directory))
        tour(up, browser, serial, set(sys.argv[1:]))


if __name__ == "__main__":
    main()
