"""A device in Python: announces itself, beats, shows its notifications and gives receipts."""

from __future__ import annotations

import json
import sys
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HEARTBEAT = 30.0
"""Seconds; after 60 of silence the device counts as offline."""
SESSION = 7 * 86_400
"""Seconds for which the broker keeps what is sent while we are away."""
LONGEST_PAUSE = 30
"""Seconds between two attempts to connect."""
REMEMBERED = 1_000
"""Ids of notifications that were shown: QoS 1 may bring one twice."""


class Subscriber:
    """One device and its connection."""

    def __init__(self, url: str, serial: str) -> None:
        self._at = urlsplit(url)
        self._serial = serial
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, serial, protocol=MQTTProtocolVersion.MQTTv5)
        if self._at.username:
            self._client.username_pw_set(unquote(self._at.username), unquote(self._at.password or ""))
        self._client.will_set(f"devices/{serial}/status", self._body(status="offline", reason="will"), qos=1)
        self._client.reconnect_delay_set(1, LONGEST_PAUSE)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._unanswered
        self._client.on_message = self._notified

    def run(self, end: threading.Event) -> None:
        """Connect, and beat until the end."""
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = SESSION
        port = self._at.port or 1883
        self._client.connect_async(self._at.hostname or "127.0.0.1", port, clean_start=False, properties=session)
        self._client.loop_start()  # tries again for ever, also the first time
        while not end.wait(HEARTBEAT):
            if self._client.is_connected():  # else they would all be sent later, when they say nothing any more
                self._say("heartbeat", status="online")
        self._say("status", status="offline", reason="goodbye")
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            sys.stderr.write(f"the broker refuses us: {reason}\n")
            return
        client.subscribe(f"devices/{self._serial}/notifications", qos=1)
        self._say("announce", device_type="raspberry_pi", hostname=self._serial)

    def _unanswered(self, client: mqtt.Client, _data: Any) -> None:
        sys.stderr.write(f"nobody answers at {client.host}:{client.port} yet\n")

    def _notified(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            note = json.loads(message.payload)
            number, title = str(note["id"]), str(note["title"])
        except (ValueError, KeyError, TypeError):
            sys.stderr.write(f"not a notification: {message.payload[:200]!r}\n")
            return
        self._receipt(number, "received")
        if number not in self._shown:
            sys.stdout.write(f"[{note.get('priority', 'normal')}] {title}: {note.get('body', '')}\n")
            sys.stdout.flush()
            self._shown[number] = None
            if len(self._shown) > REMEMBERED:
                self._shown.popitem(last=False)
        self._receipt(number, "displayed")

    def _receipt(self, number: str, state: str) -> None:
        self._say("receipts", notification_id=number, state=state)

    def _say(self, verb: str, **fields: Any) -> None:
        self._client.publish(f"devices/{self._serial}/{verb}", self._body(**fields), qos=1)

    def _body(self, **fields: Any) -> str:
        return json.dumps({"device_id": self._serial, "timestamp": datetime.now(UTC).isoformat(), **fields})


def main() -> None:
    """Run until Ctrl-C."""
    if len(sys.argv) != 3:
        sys.exit("usage: subscriber.py mqtt://[user:password@]host[:port] SERIAL")
    end = threading.Event()
    worker = threading.Thread(target=Subscriber(sys.argv[1], sys.argv[2]).run, args=(end,))
    worker.start()
    try:
        worker.join()
    except KeyboardInterrupt:
        end.set()
        worker.join()


if __name__ == "__main__":
    main()
