"""Open pages without a browser: what the page of the fleet listens to and asks for, many times over.

Run as a process of its own: `python -m bench.open_pages PORT PAGES ASK [KIND ...]`. ASK is 1 for pages that ask as the
page does, 0 for streams alone; they are of the kinds given, else of those of the page. It prints `ready` when all
streams are open, and what it got as JSON when its input ends.
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import json
import queue
import random
import selectors
import socket
import sys
import threading
import time
from collections import Counter

TOKEN = {"Authorization": "Bearer bench", "Accept-Encoding": "gzip"}
KINDS = ("device", "presence", "removed", "sight", "alarm", "enrolment", "link", "supervision")
"""What `web/static/fleet/page.js` and the frame listen to."""
LIST, SITES, HEALTH = "/api/devices?limit=50", "/api/sites?limit=100&q=", "/api/health"
ALARMS, ENROLMENTS = "/api/alarms?state=open&limit=100", "/api/enrolments?limit=100"
PANELS = (LIST, SITES, HEALTH, ALARMS, ENROLMENTS)
"""What they ask for at the beginning, every third look and at a resync."""
OFTEN = (LIST, SITES, HEALTH)
"""What they ask for at every look."""
ON_EVENT = {
    "device": (LIST, SITES),
    "presence": (LIST, SITES),
    "removed": (LIST, SITES),
    "sight": (LIST, SITES),
    "alarm": (SITES, ALARMS),
    "enrolment": (ENROLMENTS,),
    "link": (HEALTH,),
    "supervision": (HEALTH,),
    "resync": PANELS,
}
PACE = {LIST: 3.0, SITES: 2.0, HEALTH: 2.0}
"""Seconds between two requests for the same; half of one where nothing is said."""
LOOK, ALL_EVERY = 10.0, 3
"""Seconds between looks; every third is at everything."""
ASKERS = 8


class Page:
    """One of them: its stream, and when it asked last for what."""

    def __init__(self, port: int, kinds: tuple[str, ...]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = f"GET /api/events?kinds={','.join(kinds)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\n\r\n"
        self.socket.sendall(head.encode())
        begun = b""
        while b": muster" not in begun:
            part = self.socket.recv(4096)
            assert part, begun
            begun += part
        assert begun.startswith(b"HTTP/1.1 200"), begun[:200]
        self.tail = b""
        self.looks = 0
        self.planned: set[str] = set()
        self.asked: dict[str, float] = {}

    def kinds(self) -> list[str]:
        """Return the kinds of the events that have come."""
        received = self.socket.recv(1 << 20)
        assert received, "the server ended a stream"
        *lines, self.tail = (self.tail + received).split(b"\n")
        return [line[7:].decode() for line in lines if line.startswith(b"event: ")]


class Pages:
    """All of them. One thread reads the streams, a few ask."""

    def __init__(self, port: int, count: int, kinds: tuple[str, ...], *, ask: bool) -> None:
        self._port = port
        self._ask = ask
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Page, str]] = []
        self._asking: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._number = 0
        self.got: Counter[str] = Counter()
        for _ in range(count):
            page = Page(port, kinds)
            self._selector.register(page.socket, selectors.EVENT_READ, page)
            if ask:
                self._plan(page, "", time.monotonic() + random.uniform(0, LOOK))
        for _ in range(ASKERS):
            threading.Thread(target=self._keep_asking, daemon=True).start()

    def run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            for key, _ in self._selector.select(0.05):
                for kind in key.data.kinds():
                    self.got[kind] += 1
                    for path in ON_EVENT.get(kind, ()) if self._ask else ():
                        self._request(key.data, path)
            while self._due and self._due[0][0] <= time.monotonic():
                due, _, page, path = heapq.heappop(self._due)
                if path:
                    page.planned.discard(path)
                    page.asked[path] = due
                    self._asking.put(path)
                else:
                    self._look(page, due)

    def _look(self, page: Page, now: float) -> None:
        page.looks += 1
        for path in OFTEN if page.looks % ALL_EVERY else PANELS:
            self._request(page, path)
        self._plan(page, "", now + LOOK)

    def _request(self, page: Page, path: str) -> None:
        if path not in page.planned:
            page.planned.add(path)
            self._plan(page, path, max(time.monotonic(), page.asked.get(path, 0.0) + PACE.get(path, 0.5)))

    def _plan(self, page: Page, path: str, due: float) -> None:
        self._number += 1
        heapq.heappush(self._due, (due, self._number, page, path))

    def _keep_asking(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while True:
            path = self._asking.get()
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", path, headers=TOKEN)
                answer = connection.getresponse()
                answer.read()
                self.got["requests" if answer.status == 200 else f"answers {answer.status}"] += 1
                continue
            connection.close()
            self.got["broken requests"] += 1


def main(port: int, count: int, ask: bool, kinds: tuple[str, ...]) -> None:
    pages = Pages(port, count, kinds, ask=ask)
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    print("ready", flush=True)
    pages.run(ended)
    print(json.dumps(pages.got), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1", tuple(sys.argv[4:]) or KINDS)
