"""The families of simulated devices: what each of them says, and how often."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, ClassVar

import paho.mqtt.client as mqtt

from .device import BROKEN, Device
from .fleet import Family, Spec
from .payloads import Payload, PiState, SiteState, timestamp
from .schedule import Schedule
from .station import StationState

COMMANDS = ("ping", "identify", "status")


class Pi(Device):
    """A Raspberry Pi: announcement, heartbeat, status, scans, and an answer to all that the server asks of it."""

    HEARTBEAT: ClassVar[float] = 10.0
    STATUS: ClassVar[float] = 30.0
    SCAN: ClassVar[float] = 7.0
    WORKS: ClassVar[float] = 1.5
    """Seconds that a command takes."""

    def __init__(self, spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> None:
        super().__init__(spec, broker_url, schedule, speed=speed, seed=seed)
        self._state = PiState(spec, self._drawn)
        self._own = f"devices/{spec.serial}"
        self._base = self._own if spec.bound else "devices"

    def _begin(self) -> None:
        self._schedule.every(
            self.HEARTBEAT / self._speed, lambda: self._publish(f"{self._base}/heartbeat", self._state.heartbeat())
        )
        self._schedule.every(
            self.STATUS / self._speed, lambda: self._publish(f"{self._base}/status", self._state.status())
        )
        if self._state.has_scanner:
            scans = f"devices/{self._spec.serial}/scans"
            self._schedule.every(self.SCAN / self._speed, lambda: self._publish(scans, self._state.scan(), qos=1))

    def _connect(self) -> None:
        # A new session: the last will of the former one cannot end this one in the server's eyes.
        self._state.session = secrets.token_hex(8)
        super()._connect()

    def _will(self) -> tuple[str, bytes]:
        # On its own topics a device may say it in plain text, as many do.
        payload = b"offline" if self._spec.bound else json.dumps(self._state.goodbye()).encode()
        return f"{self._base}/status", payload

    def _greet(self, client: mqtt.Client) -> None:
        client.subscribe(
            [("server/requests", 1), *((f"{self._own}/{what}", 1) for what in ("notifications", "commands"))]
        )
        client.publish(f"{self._base}/announce", json.dumps(self._state.announce()), qos=1)

    def _farewell(self, client: mqtt.Client) -> None:
        client.publish(f"{self._base}/status", json.dumps(self._state.goodbye()), qos=1)

    def _nonsense(self) -> tuple[str, bytes]:
        return f"{self._base}/heartbeat", self._drawn.choice(BROKEN)

    def _roam(self) -> None:
        self._state.ip_address = f"192.168.{self._drawn.randrange(2, 9)}.{self._drawn.randrange(20, 220)}"
        self._publish(f"{self._base}/announce", self._state.announce(), qos=1)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            asked = json.loads(message.payload)
        except ValueError:
            return
        if isinstance(asked, dict):
            self._obey(message.topic.rpartition("/")[2], asked)

    def _obey(self, what: str, asked: dict[str, Any]) -> None:
        """Do what the server asks for; a notification is shown at once, a command takes a moment."""
        match what:
            case "requests" if asked.get("request") == "announce" and asked.get("device_id") in (
                None,
                self._spec.serial,
            ):
                spread = asked.get("spread")
                self._later(
                    self._drawn.uniform(0, spread if isinstance(spread, int | float) else 0),
                    f"{self._base}/announce",
                    self._state.announce,
                )
            case "notifications":
                shown = {
                    "notification_id": asked.get("id"),
                    "state": "displayed",
                    "timestamp": timestamp(),
                }
                self._publish(f"{self._own}/receipts", shown, qos=1)
            case "commands" if not asked.get("cancel"):
                answer = {"id": asked.get("id"), "timestamp": timestamp()}
                self._publish(f"{self._own}/responses", {**answer, "state": "running"}, qos=1)
                done = self._answer_to(str(asked.get("name")))
                self._later(self.WORKS / self._speed, f"{self._own}/responses", lambda: {**answer, **done})

    def _answer_to(self, command: str) -> Payload:
        if command in COMMANDS:
            return {"state": "succeeded", "result": {"simulated": True, "device": self._spec.serial}}
        return {"state": "failed", "reason": f"a simulated device knows {', '.join(COMMANDS)}"}

    def _later(self, seconds: float, topic: str, make: Callable[[], Payload]) -> None:
        self._schedule.after(seconds, lambda: self._publish(topic, make(), qos=1))


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

    def _nonsense(self) -> tuple[str, bytes]:
        return f"{self._base}/input", self._drawn.choice(BROKEN)


class Station(Device):
    """A soil station: it only measures. That it speaks is all that is known of its presence."""

    READING: ClassVar[float] = 3.0

    def __init__(self, spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> None:
        super().__init__(spec, broker_url, schedule, speed=speed, seed=seed)
        self._state = StationState(spec)
        self._topic = f"{spec.site}/sensor/data"

    def _begin(self) -> None:
        self._schedule.every(
            self.READING / self._speed,
            lambda: self._publish(self._topic, self._state.reading(time.time(), self._speed), qos=1),
        )

    def _will(self) -> None:
        return None

    def _nonsense(self) -> tuple[str, bytes]:
        return self._topic, self._drawn.choice((*BROKEN, *self._state.broken()))


_FAMILIES: dict[Family, type[Device]] = {"pi": Pi, "datalogger": SiteDevice, "gateway": SiteDevice, "sensor": Station}


def build_device(spec: Spec, broker_url: str, schedule: Schedule, *, speed: float, seed: int) -> Device:
    """Return the device that a spec describes, not yet started."""
    return _FAMILIES[spec.family](spec, broker_url, schedule, speed=speed, seed=seed)
