"""A crowd of dataloggers in a process of its own: numbered QoS 1 messages over a few connections, none skipped.

Run as `python -m tests.support.publisher URL --first 0 --messages 20000`; it ends with code 0 once the broker has
acknowledged every one of them, and says so in a line `acknowledged N`.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

DEVICES = 100
WINDOW = 500
"""Messages of one connection under way to the broker."""


def serial_of(number: int) -> str:
    return f"CROWD-{number % DEVICES:03d}"


def topic_of(number: int) -> str:
    return f"plant/datalogger/crowd/{number % DEVICES}/input"


def message_of(number: int) -> dict[str, Any]:
    """The payload of message `number`: every way to tell one reading from another has its share."""
    body: dict[str, Any] = {"serial_number": serial_of(number), "seq": number, "level": number % 97 / 2}
    match number // DEVICES % 4:
        case 0:  # a time of its own
            body["timestamp"] = 1_760_000_000 + number
        case 1:  # one time for many; the body differs
            body["timestamp"] = "2025-10-17T10:00:00Z"
        case 2:  # one time for many, and an id
            body |= {"timestamp": "2025-10-17T10:00:00Z", "id": f"m{number}"}
        case _:  # neither: only packet ids and DUP can tell
            pass
    return body


class Connection(threading.Thread):
    """Publishes the numbers it is given, in order, and waits for every acknowledgement."""

    def __init__(self, url: str, numbers: range, *, interval: float) -> None:
        super().__init__(daemon=True)
        self._numbers = numbers
        self._interval = interval
        address = urlsplit(url)
        self._window = threading.BoundedSemaphore(WINDOW)
        self.acknowledged = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_inflight_messages_set(WINDOW)
        self._client.on_publish = self._on_publish
        self._client.connect(address.hostname or "", address.port or 1883)
        self._client.loop_start()

    def run(self) -> None:
        encode = msgspec.json.encode
        due = time.monotonic()
        for number in self._numbers:
            self._window.acquire()
            self._client.publish(topic_of(number), encode(message_of(number)), 1)
            due += self._interval
            if self._interval and (ahead := due - time.monotonic()) > 0:
                threading.Event().wait(ahead)
        for _ in range(WINDOW):
            self._window.acquire()
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(self, *_: Any) -> None:
        self.acknowledged += 1
        self._window.release()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second, all connections; 0 is flat out")
    given = parser.parse_args()
    interval = given.connections / given.rate if given.rate else 0.0
    last = given.first + given.messages
    crowd = [
        Connection(given.url, range(given.first + place, last, given.connections), interval=interval)
        for place in range(given.connections)
    ]
    for connection in crowd:
        connection.start()
    for connection in crowd:
        connection.join()
    acknowledged = sum(connection.acknowledged for connection in crowd)
    print(f"acknowledged {acknowledged}", flush=True)
    return 0 if acknowledged == given.messages else 1


if __name__ == "__main__":
    sys.exit(main())
