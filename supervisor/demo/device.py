"""A simulated device: a connection of its own with its own last will, a rhythm, and a habit of failing."""

from __future__ import annotations

import contextlib
import json
import random
import secrets
import socket
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from .fleet import Family, Habit, Spec
from .payloads import Payload, PiState, SiteState
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
_PATIENCE: dict[Family, float] = {"pi": 60.0, "datalogger": 30.0, "gateway": 30.0}
_BROKEN = (b'{"device_id": "', b"\xff\xfe\x00not text", b"[1, 2", b'{"serial_number": 7}')


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
        if self._spec.habit != "steady":
            self._schedule.after(_FIRST_LAPSE[self._spec.habit] / self._speed, self._lapse)

    def leave(self) -> None:
        """Say goodbye and disconnect, without waiting for it."""
        if self._client is not None:
            self._say_goodbye(self._client)

    def stop(self) -> None:
        """End the connection's thread; after `leave` it ends by itself."""
        if self._client is not None:
            self._client.loop_stop()
            self._client = None

    # -- what the two kinds define -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Schedule what it publishes regularly."""
        raise NotImplementedError

    def _will(self) -> tuple[str, bytes]:
        """Return topic and payload of the last will."""
        raise NotImplementedError

    def _greet(self, client: mqtt.Client) -> None:
        """Say that it is there; called in the connection's thread after every CONNACK."""
        raise NotImplementedError

    def _farewell(self, client: mqtt.Client) -> None:
        """Say goodbye, where the device has a way to."""

    def _garble_topic(self) -> str:
        """Return where its broken messages go."""
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
        topic, payload = self._will()
        client.will_set(topic, payload, qos=1)
        client.reconnect_delay_set(1, 10)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        port = self._broker.port or (8883 if self._broker.scheme == "mqtts" else 1883)
        client.connect_async(self._broker.hostname or "", port, keepalive=KEEPALIVE)
        client.loop_start()
        self._client = client

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
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
            client.loop_stop()
        else:
            client.loop_stop()
            if habit == "crashing":
                # The broker sees the connection break and publishes the last will at once.
                _break(client)
        self._schedule.after(self._away(), lambda: self._come_back(client))

    def _say_goodbye(self, client: mqtt.Client) -> None:
        if client.is_connected():
            self._farewell(client)
        # It is sent after the farewell, in the same stream.
        client.disconnect()

    def _come_back(self, former: mqtt.Client) -> None:
        """Connect anew. Until now a silent device's connection was open and dead, as a pulled plug leaves it."""
        _break(former)
        self._connect()

    def _garble(self) -> None:
        if self._client is not None:
            self._client.publish(self._garble_topic(), self._drawn.choice(_BROKEN))


class Pi(Device):
    """A Raspberry Pi: announcement, heartbeat, status, and an answer to the server's requests."""

    HEARTBEAT: ClassVar[float] = 10.0
    STATUS: ClassVar[float] = 30.0

    def __init__(self, spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> None:
        super().__init__(spec, broker_url, schedule, speed=speed, seed=seed)
        self._state = PiState(spec, self._drawn)
        self._base = f"devices/{spec.serial}" if spec.bound else "devices"

    def _begin(self) -> None:
        self._schedule.every(
            self.HEARTBEAT / self._speed, lambda: self._publish(f"{self._base}/heartbeat", self._state.heartbeat())
        )
        self._schedule.every(
            self.STATUS / self._speed, lambda: self._publish(f"{self._base}/status", self._state.status())
        )

    def _connect(self) -> None:
        # A new session: the last will of the former one cannot end this one in the server's eyes.
        self._state.session = secrets.token_hex(8)
        super()._connect()

    def _will(self) -> tuple[str, bytes]:
        # On its own topics a device may say it in plain text, as many do.
        payload = b"offline" if self._spec.bound else json.dumps(self._state.goodbye()).encode()
        return f"{self._base}/status", payload

    def _greet(self, client: mqtt.Client) -> None:
        client.subscribe("server/requests", qos=1)
        client.publish(f"{self._base}/announce", json.dumps(self._state.announce()), qos=1)

    def _farewell(self, client: mqtt.Client) -> None:
        client.publish(f"{self._base}/status", json.dumps(self._state.goodbye()), qos=1)

    def _garble_topic(self) -> str:
        return f"{self._base}/heartbeat"

    def _roam(self) -> None:
        self._state.ip_address = f"192.168.{self._drawn.randrange(2, 9)}.{self._drawn.randrange(20, 220)}"
        self._publish(f"{self._base}/announce", self._state.announce(), qos=1)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        """Answer `{"request": "announce", "device_id"?, "spread"?}`, within `spread` seconds."""
        try:
            request = json.loads(message.payload)
            spread = float(request.get("spread") or 0)
        except (ValueError, AttributeError, TypeError):
            return
        if request.get("request") == "announce" and request.get("device_id") in (None, self._spec.serial):
            self._schedule.after(
                self._drawn.uniform(0, spread),
                lambda: self._publish(f"{self._base}/announce", self._state.announce(), qos=1),
            )


class SiteDevice(Device):
    """A datalogger or gateway: heartbeat, what it measures and what it drives, on the topics of its site."""

    HEARTBEAT: ClassVar[float] = 10.0
    INPUT: ClassVar[float] = 4.0
    OUTPUT: ClassVar[float] = 12.0

    def __init__(self, spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> None:
        super().__init__(spec, broker_url, schedule, speed=speed, seed=seed)
        self._state = SiteState(spec, self._drawn)
        kind = f"datalogger/{spec.type}" if spec.family == "datalogger" else "gateway"
        self._base = f"{spec.site}/{kind}/{spec.name}"

    def _begin(self) -> None:
        self._schedule.every(
            self.HEARTBEAT / self._speed, lambda: self._publish(f"{self._base}/heartbeat", self._state.heartbeat())
        )
        self._schedule.every(
            self.INPUT / self._speed, lambda: self._publish(f"{self._base}/input", self._state.input(), qos=1)
        )
        self._schedule.every(
            self.OUTPUT / self._speed, lambda: self._publish(f"{self._base}/output", self._state.output(), qos=1)
        )

    def _will(self) -> tuple[str, bytes]:
        return f"devices/{self._spec.serial}/status", b"offline"

    def _greet(self, client: mqtt.Client) -> None:
        client.publish(f"{self._base}/heartbeat", json.dumps(self._state.heartbeat()))

    def _garble_topic(self) -> str:
        return f"{self._base}/input"


def build_device(spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> Device:
    """Return the device that a spec describes, not yet started."""
    kind = Pi if spec.family == "pi" else SiteDevice
    return kind(spec, broker_url, schedule, speed=speed, seed=seed)


def _break(client: mqtt.Client) -> None:
    """Close the connection without a DISCONNECT."""
    connection: Any = client.socket()
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
