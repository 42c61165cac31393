"""A simulated device: a connection of its own with its own last will, a rhythm, and a habit of failing.

Nothing here waits for the thread of a client: the schedule is one thread for all devices of a process. paho's
`loop_stop` returns when the thread has woken up (a second) and all that was sent at QoS 1 is acknowledged (never, if
the broker hangs). The thread ends by itself once its client is told to disconnect.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from .fleet import Family, Habit, Spec
from .payloads import Payload
from .schedule import Schedule

KEEPALIVE = 60
#: Seconds from its start until a device first follows its habit; within a minute all of them can be seen.
_FIRST_LAPSE: dict[Habit, float] = {"silent": 6.0, "crashing": 12.0, "leaving": 25.0, "garbling": 8.0, "roaming": 20.0}
#: Seconds between two lapses.
_LAPSE_EVERY: dict[Habit, float] = {
    "silent": 150.0,
    "crashing": 90.0,
    "leaving": 120.0,
    "garbling": 20.0,
    "roaming": 60.0,
}
#: Seconds that a device stays away; for a silent one beyond the time after which the server calls it offline.
_AWAY: dict[Habit, float] = {"silent": 15.0, "crashing": 15.0, "leaving": 20.0}
#: The server's patience in seconds; the speed does not change it.
_PATIENCE: dict[Family, float] = {"pi": 60.0, "datalogger": 30.0, "gateway": 30.0, "sensor": 60.0}
BROKEN = (b'{"device_id": "', b"\xff\xfe\x00not text", b"[1, 2", b'{"serial_number": 7}')


class Device:
    """What Pis and site devices have in common."""

    def __init__(self, spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> None:
        self._spec = spec
        self._broker = urlsplit(broker_url)
        self._schedule = schedule
        self._speed = speed
        self._drawn = random.Random(f"{seed}/{spec.serial}")  # noqa: S311 - a simulation
        self._client: mqtt.Client | None = None

    def start(self) -> None:
        """Connect and begin the daily round."""
        self._connect()
        self._begin()
        if self._spec.habit in _FIRST_LAPSE:
            self._schedule.after(_FIRST_LAPSE[self._spec.habit] / self._speed, self._lapse)

    def leave(self) -> threading.Event:
        """Say goodbye and disconnect; the event is set when that is sent, at once where there is no connection."""
        client, self._client = self._client, None
        sent = threading.Event()
        if client is None or not client.is_connected():
            sent.set()
        else:
            client.on_disconnect = lambda *_: sent.set()
            self._say_goodbye(client)
        return sent

    # -- what the families define -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Schedule what it publishes regularly."""
        raise NotImplementedError

    def _will(self) -> tuple[str, bytes] | None:
        """Return topic and payload of the last will; None has none."""
        raise NotImplementedError

    def _greet(self, client: mqtt.Client) -> None:
        """Say that it is there; called in the connection's thread after every CONNACK."""

    def _farewell(self, client: mqtt.Client) -> None:
        """Say goodbye, where the device has a way to."""

    def _nonsense(self) -> tuple[str, bytes]:
        """Return topic and payload of a broken message."""
        raise NotImplementedError

    def _roam(self) -> None:
        """Change the address, where the device tells one."""

    # -- the connection ----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"demo-{self._spec.serial}",
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        if self._broker.username:
            client.username_pw_set(unquote(self._broker.username), unquote(self._broker.password or "") or None)
        if self._broker.scheme == "mqtts":
            client.tls_set()
        if (will := self._will()) is not None:
            client.will_set(*will, qos=1)
        client.reconnect_delay_set(1, 10)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        port = self._broker.port or (8883 if self._broker.scheme == "mqtts" else 1883)
        client.connect_async(self._broker.hostname or "", port, keepalive=KEEPALIVE)
        self._client = client
        client.loop_start()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if client is not self._client:
            # It was on its way when its device went away, or came back to a silent one with the broker.
            client.disconnect()
        elif not reason.is_failure:
            self._greet(client)

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        """Ignore what is not for this kind of device."""

    def _publish(self, topic: str, payload: Payload, *, qos: int = 0) -> None:
        # While it is away it has no connection and says nothing; while the broker is away nothing is queued.
        if self._client is not None and self._client.is_connected():
            self._client.publish(topic, json.dumps(payload), qos=qos)

    # -- habits ------------------------------------------------------------------------------------------------------

    def _lapse(self) -> None:
        habit = self._spec.habit
        match habit:
            case "garbling":
                self._garble()
            case "roaming":
                self._roam()
            case _:
                self._go_away(habit)
        self._schedule.after(max(_LAPSE_EVERY[habit] / self._speed, self._away() + 5), self._lapse)

    def _away(self) -> float:
        habit = self._spec.habit
        patience = _PATIENCE[self._spec.family] if habit == "silent" else 0.0
        return patience + _AWAY.get(habit, 0.0) / self._speed

    def _go_away(self, habit: Habit) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if habit == "leaving":
            self._say_goodbye(client)
        elif habit == "crashing":
            _break(client)
        # The connection of a silent one stays open, and nothing is said on it.
        self._schedule.after(self._away(), lambda: self._come_back(client))

    def _say_goodbye(self, client: mqtt.Client) -> None:
        if client.is_connected():
            self._farewell(client)
        # It is sent after the farewell, in the same stream.
        client.disconnect()

    def _come_back(self, former: mqtt.Client) -> None:
        """Connect anew, as after a new start."""
        _break(former)
        self._connect()

    def _garble(self) -> None:
        if self._client is not None:
            self._client.publish(*self._nonsense())


def _break(client: mqtt.Client) -> None:
    """End the connection without a DISCONNECT: the broker sees it break and publishes the last will at once."""
    connection: Any = client.socket()
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    # Sends nothing any more; it keeps the client's thread from connecting again.
    client.disconnect()
