"""A real MQTT client for tests, on paho."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_DEADLINE = 10.0  # seconds, for whatever the broker has to answer


class Message(NamedTuple):
    """What a device received."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Will(NamedTuple):
    topic: str
    payload: Any
    qos: int = 0
    retain: bool = False


class Device:
    """One MQTT connection; a context manager that connects, and disconnects in the end.

    Credentials may stand in the URL (`mqtt://user:password@host:port`). `ca_file` is for `mqtts`, and `cert_file`,
    which holds the key as well. The broker keeps the session for `keeps` seconds, and an earlier one goes on then.
    paho's own thread runs the connection; once it was welcomed, it reconnects when the connection is lost.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        will: Will | None = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        keeps: int = 0,
    ) -> None:
        self._address = urlsplit(url)
        self._keeps = keeps
        self.client_id = client_id or f"test-{uuid4().hex[:12]}"
        self.received: list[Message] = []
        """Everything that came, in order."""
        self._unread: list[Message] = []
        self._outcomes: dict[tuple[str, int], list[ReasonCode]] = {}
        self._connack: ReasonCode | None = None
        self._news = threading.Condition()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, self.client_id, protocol=protocol, reconnect_on_failure=False
        )
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_publish = lambda _c, _u, mid, code, _p: self._settle("publish", mid, [code])
        self.client.on_subscribe = lambda _c, _u, mid, codes, _p: self._settle("subscribe", mid, codes)
        if self._address.username is not None:
            self.client.username_pw_set(self._address.username, self._address.password)
        if self._address.scheme == "mqtts":
            own = str(cert_file) if cert_file else None
            self.client.tls_set(str(ca_file) if ca_file else None, own, own)
        if will is not None:
            self.client.will_set(will.topic, encode(will.payload), will.qos, will.retain)

    def __enter__(self) -> Self:
        try:
            return self.connect()
        except BaseException:
            self.disconnect()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.disconnect()

    def connect(self) -> Self:
        """Connect and wait for the broker's answer; AssertionError unless it is a welcome."""
        self._connack = None
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._keeps
        lasting = {"clean_start": False, "properties": properties} if self._keeps else {}
        self.client.connect(self._address.hostname, self._address.port or 1883, **lasting)
        self.client.loop_start()
        self._wait(lambda: self._connack is not None, "CONNACK")
        assert not self._connack.is_failure, f"refused: {self._connack}"
        self.client._reconnect_on_failure = True  # which paho only lets its constructor set
        return self

    def disconnect(self) -> None:
        """Leave in good order: the will is not published."""
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self) -> None:
        """Break the connection without a goodbye, for good: the broker publishes the will."""
        self.client._reconnect_on_failure = False
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def publish(
        self, topic: str, payload: Any = b"", qos: int = 1, *, retain: bool = False, properties: Any = None
    ) -> ReasonCode:
        """Publish and wait: for the broker's acknowledgement with QoS 1 and 2, with QoS 0 for the bytes to be sent."""
        mid = self.client.publish(topic, encode(payload), qos, retain, properties).mid
        self._wait(lambda: ("publish", mid) in self._outcomes, f"acknowledgement of {topic}")
        return self._outcomes.pop(("publish", mid))[0]

    def subscribe(self, topic_filter: str, qos: int = 1) -> ReasonCode:
        """Subscribe and wait for the SUBACK; AssertionError when the broker refuses."""
        mid = self.client.subscribe(topic_filter, qos)[1]
        self._wait(lambda: ("subscribe", mid) in self._outcomes, f"SUBACK of {topic_filter}")
        (code,) = self._outcomes.pop(("subscribe", mid))
        assert not code.is_failure, f"{topic_filter} refused: {code}"
        return code

    def next(self, topic_filter: str = "#", timeout: float = 20.0) -> Message:
        """The oldest message matching the filter that `next` has not returned yet; waits up to `timeout` seconds."""

        def oldest() -> Message | None:
            return next((m for m in self._unread if paho.topic_matches_sub(topic_filter, m.topic)), None)

        self._wait(lambda: oldest() is not None, f"a message on {topic_filter}", timeout)
        with self._news:
            message = oldest()
            self._unread.remove(message)
        return message

    def _wait(self, predicate, what: str, timeout: float = _DEADLINE) -> None:
        deadline = time.monotonic() + timeout
        with self._news:
            if not self._news.wait_for(predicate, deadline - time.monotonic()):
                raise AssertionError(f"{self.client_id}: no {what} within {timeout:g} s; received {self.received!r}")

    def _on_connect(self, _client, _userdata, _flags, code: ReasonCode, _properties) -> None:
        with self._news:
            self._connack = code
            self._news.notify_all()

    def _on_message(self, _client, _userdata, message: paho.MQTTMessage) -> None:
        properties = getattr(message, "properties", None)
        seen = Message(message.topic, message.payload, message.qos, message.retain, properties)
        with self._news:
            self.received.append(seen)
            self._unread.append(seen)
            self._news.notify_all()

    def _settle(self, kind: str, mid: int, codes: list[ReasonCode]) -> None:
        with self._news:
            self._outcomes[(kind, mid)] = codes
            self._news.notify_all()


def encode(payload: Any) -> bytes:
    """Bytes as they are, text as UTF-8, anything else as JSON."""
    if isinstance(payload, bytes):
        return payload
    return (payload if isinstance(payload, str) else json.dumps(payload)).encode()
