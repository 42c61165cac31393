"""Open pages: what twenty cost the ingest, what two hundred streams cost, and how one feels in a real Chromium."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from bench.fleet import fill
from bench.rows import wait_rows
from bench.support import MusterServer, broker, first_write, median, muster, percentile, start_publisher
from tests.support.browser import chromium
from web.pages import PAGES as PAGES_OF_THE_FACE

SENSORS = 1_000
FLOOD = 100_000
PAIRS = 5
PAGES = 20
STREAMS = 200
RATE = 1_000
SECONDS = 10
PACED = RATE * (SECONDS + 2)
DEVICES = 20_000
WATCHED = 30
"""Seconds for which the browser's page is watched."""
LONG = 100
"""Milliseconds of a task that somebody feels."""
LONG_TASKS = """
  window.longTasks = [];
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: "longtask", buffered: true });
  new MutationObserver((_, observer) => {
    if (!document.querySelector("#devices tr")) return;
    window.firstRow = performance.now();
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true });
"""
AREAS = tuple(page.path for page in PAGES_OF_THE_FACE if page.in_nav)


class Told:
    """What the clients got, once they have ended."""

    def __init__(self) -> None:
        self.got: dict[str, int] = {}


@contextlib.contextmanager
def open_pages(port: int, count: int, *kinds: str, ask: bool = True) -> Iterator[Told]:
    """Have pages open that are none of a browser, in a process of their own."""
    arguments = [str(port), str(count), "1" if ask else "0", *kinds]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.open_pages", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = Told()
    try:
        assert process.stdout.readline().strip() == "ready", "the pages did not open"
        yield told
    finally:
        told.got = json.loads(process.communicate(timeout=30)[0] or "{}")


def ingest(pages: int) -> tuple[float, float, int]:
    """Flood a server that knows the stations.

    Returns:
        Readings per second from the first write to the last row; microseconds of processor time for each; how often the
        pages asked for something.

    """
    with broker() as mosquitto, muster(mosquitto.url) as server, contextlib.ExitStack() as stack:
        flood(mosquitto.port, server, 0, SENSORS)
        told = stack.enter_context(open_pages(server.port, pages)) if pages else Told()
        before = server.cpu_seconds()
        rate = flood(mosquitto.port, server, SENSORS, FLOOD)
        spent = (server.cpu_seconds() - before) / FLOOD * 1e6
        stack.close()
        return rate, spent, told.got.get("requests", 0)


def flood(port: int, server: MusterServer, first: int, count: int) -> float:
    publisher = start_publisher(port, first=first, count=count, sensors=SENSORS, qos=1, kind="soil")
    started = first_write(publisher)
    rate = count / (wait_rows(server.database_url, first + count) - started)
    publisher.wait()
    return rate


def twenty_pages() -> None:
    ratios, costs = [], []
    for number in range(PAIRS):
        # Which of them comes first must not tell.
        found = {pages: ingest(pages) for pages in ((0, PAGES) if number % 2 else (PAGES, 0))}
        (rate, spent, _), (watched, spent_watched, requests) = found[0], found[PAGES]
        ratios.append(watched / rate)
        costs.append(spent / spent_watched)
        print(f"pair {number + 1}: none {rate:6.0f}/s, {spent:.1f} us each   {PAGES} pages {watched:6.0f}/s, "
              f"{spent_watched:.1f} us each, {requests} requests   ratio {ratios[-1]:.2f}, by processor time "
              f"{costs[-1]:.2f}", flush=True)  # fmt: skip
    print(
        f"median ratio {median(ratios):.2f} (budget: at least 0.95), by processor time {median(costs):.2f}", flush=True
    )


def two_hundred_streams() -> None:
    with broker() as mosquitto, muster(mosquitto.url) as server:
        flood(mosquitto.port, server, 0, 2 * SENSORS)
        # Readings go to the page of the stations; the page of the fleet listens to none of them.
        for number, (count, kinds, name) in enumerate((
            (0, (), "any kind"),
            (STREAMS, (), "the fleet's page"),
            (STREAMS, ("reading",), "readings"),
        )):  # fmt: skip
            streams(mosquitto.port, server, 2 * SENSORS + number * PACED, count, name, *kinds)


def streams(port: int, server: MusterServer, first: int, count: int, name: str, *kinds: str) -> None:
    with contextlib.ExitStack() as stack:
        told = stack.enter_context(open_pages(server.port, count, *kinds, ask=False)) if count else Told()
        publisher = start_publisher(port, count=PACED, sensors=2 * SENSORS, qos=1, kind="soil", rate=RATE, first=first)
        first_write(publisher)
        threading.Thread(target=publisher.communicate, daemon=True).start()
        before, started, delays = server.cpu_seconds(), time.monotonic(), []
        while time.monotonic() - started < SECONDS:
            asked = time.perf_counter()
            server.get("/api/health")
            delays.append((time.perf_counter() - asked) * 1000)
            time.sleep(0.05)
        share = (server.cpu_seconds() - before) / (time.monotonic() - started)
        publisher.wait()
    events = sum(number for kind, number in told.got.items() if kind != "beat")
    print(f"{RATE} readings/s, {count:3} streams of {name}: {share * 100:3.0f} % of a core, /api/health p50 "
          f"{percentile(delays, 0.5):.1f} ms, p99 {percentile(delays, 0.99):.1f} ms; they got {events} events, "
          f"{told.got.get('resync', 0)} resyncs", flush=True)  # fmt: skip


def browser() -> None:
    with tempfile.TemporaryDirectory() as name, broker() as mosquitto, chromium() as opened:
        directory = Path(name)
        fill(directory / "muster.db", DEVICES)
        server = MusterServer(mosquitto.url, directory, MUSTER_OFFLINE_AFTER="3600")
        try:
            server.wait_ready(120)
            for area in AREAS:
                first_view(opened, server, area)
            under_load(opened, server, mosquitto.port)
        finally:
            server.stop()


def log_in(opened: Browser, server: MusterServer) -> Page:
    page = opened.new_context().new_page()
    page.goto(f"{server.url}/login")
    page.context.request.post(f"{server.url}/api/login", data={"token": "bench"}, headers={"X-Muster-CSRF": "1"})
    page.add_init_script(LONG_TASKS)
    return page


def first_view(opened: Browser, server: MusterServer, area: str) -> None:
    """Open a page as somebody does who has never been there."""
    page = log_in(opened, server)
    received: list[float] = []
    session: Any = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    started = time.monotonic()
    page.goto(server.url + area)
    page.wait_for_selector("#live[data-state=live]")
    live = time.monotonic() - started
    first_row = page.evaluate("window.firstRow") if area == "/" else None
    page.wait_for_timeout(1_000)
    row = f", first row after {first_row / 1000:.2f} s (budget 1)" if first_row else ""
    print(f"{area}: {sum(received) / 1000:.0f} kB in {len(received)} answers (budget 200), "
          f"live after {live:.2f} s{row}", flush=True)  # fmt: skip
    page.context.close()


def under_load(opened: Browser, server: MusterServer, port: int) -> None:
    """Watch the page of the fleet while a thousand devices a second come or go, and while none does."""
    page = log_in(opened, server)
    page.goto(f"{server.url}/")
    page.wait_for_selector("#live[data-state=live]")
    page.wait_for_timeout(2_000)
    watch(opened, page, "nothing happens", lambda: page.wait_for_timeout(WATCHED * 1000))
    with open_pages(server.port, 1, "presence", "device", ask=False) as told:
        watch(opened, page, f"{RATE} devices a second come or go", lambda: come_and_go(port))
    events = told.got.get("presence", 0) + told.got.get("device", 0)
    state = page.locator("#live").get_attribute("data-state")
    print(f"{events} events were written to it, it is {state}", flush=True)
    page.context.close()


def come_and_go(port: int) -> None:
    publisher = start_publisher(port, count=RATE * WATCHED, sensors=DEVICES, qos=0, kind="status", rate=RATE)
    first_write(publisher)
    publisher.communicate()


def watch(opened: Browser, page: Page, what: str, work: Callable[[], None]) -> None:
    """Tell of the long tasks of a page meanwhile: by the clock, and by the time that they had a processor."""
    session = opened.new_browser_cdp_session()
    events: list[dict[str, Any]] = []
    ended: list[bool] = []
    session.on("Tracing.dataCollected", lambda told: events.extend(told["value"]))
    session.on("Tracing.tracingComplete", lambda _: ended.append(True))
    session.send("Tracing.start", {"traceConfig": {"includedCategories": ["toplevel"]}})
    page.evaluate("window.longTasks.length = 0")
    work()
    tasks = page.evaluate("window.longTasks")
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(50)
    session.detach()
    mains = {(event["pid"], event["tid"]) for event in events if event.get("args", {}).get("name") == "CrRendererMain"}
    runs = [event for event in events if "RunTask" in event["name"] and (event["pid"], event["tid"]) in mains]
    busy = [event.get("tdur", 0) / 1000 for event in runs]
    print(f"{DEVICES} devices, {what}, {WATCHED} s: {sum(task > LONG for task in tasks)} tasks over {LONG} ms "
          f"(budget 0), longest {max(tasks, default=0):.0f} ms; by processor time {sum(task > LONG for task in busy)}, "
          f"longest {max(busy, default=0):.0f} ms, {sum(busy) / WATCHED / 10:.1f} % of a core", flush=True)  # fmt: skip


PARTS = {"ingest": twenty_pages, "streams": two_hundred_streams, "browser": browser}


def run() -> None:
    for part in PARTS.values():
        part()


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        PARTS[wanted]()
