"""What a link publishes: a bounded queue of QoS 1 and 2, and a window of packets that the broker has not answered."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from actors.link.client import BufferedClient
from actors.link.complaints import Complaints
from actors.link.messages import ACCEPTED, DROPPED, REFUSED, Publish, Published
from actors.link.status import LinkCounters
from actors.payload_keys.envelope import BadKeyError
from actors.runtime.clock import Clock

logger = logging.getLogger(__name__)

Seal = Callable[[str, bytes, str], bytes]
"""Returns what goes on the wire, given topic, payload and `Publish.to`."""

#: QoS 1 and 2 publications kept while the broker is away or slow.
QUEUE_LIMIT = 10_000

#: Unanswered publications, if the broker's Receive Maximum allows as many; 3.1.1 brokers do not say.
WINDOW_V5 = 1000
WINDOW_V311 = 20

#: A publication in flight each time the connection broke may be what breaks it; after so many times it is given up.
MAX_ATTEMPTS = 5

#: Fixed header, topic length, packet id and an expiry property: what a PUBLISH weighs beside topic and payload.
_OVERHEAD = 16


@dataclass(slots=True)
class _Item:
    message: Publish
    expires_at: float
    attempts: int = 0


class Publisher:
    """Sends `Publish` messages through whichever connection is up, and tells `report` what has become of them."""

    def __init__(
        self,
        clock: Clock,
        counters: LinkCounters,
        report: Callable[[str, Published], None] | None = None,
        seal: Seal | None = None,
    ) -> None:
        self._clock = clock
        self._seal = seal
        self._counters = counters
        self._complaints = Complaints(clock, logger)
        self._report = report
        self._client: BufferedClient | None = None
        self._window = WINDOW_V5
        self._largest = 0
        self._waiting: deque[_Item] = deque()
        self._in_flight: dict[int, _Item] = {}

    @property
    def idle(self) -> bool:
        """True when nothing waits and everything sent was answered."""
        return not self._waiting and not self._in_flight

    def unsent(self) -> list[Publish]:
        """Return what would be lost if the link ended now, in order."""
        return [item.message for item in (*self._in_flight.values(), *self._waiting)]

    def attach(self, client: BufferedClient, receive_maximum: int | None, largest: int | None) -> None:
        """Send through `client`, within the limits its broker announced."""
        self._client = client
        self._window = min(receive_maximum or WINDOW_V5, WINDOW_V5) if client.v5 else WINDOW_V311
        self._largest = largest or 0

    def detach(self) -> None:
        """Keep what is unanswered for the next connection."""
        self._client = None
        for item in reversed(self._in_flight.values()):
            item.attempts += 1
            if item.attempts < MAX_ATTEMPTS:
                self._waiting.appendleft(item)
            else:
                self._counters.publish_abandoned += 1
                logger.error("gave up publishing on %s: the connection broke each time", item.message.topic)
                self._drop(item.message, "abandoned", f"the connection broke {MAX_ATTEMPTS} times while it was sent")
        self._in_flight.clear()

    def publish(self, message: Publish) -> None:
        """Send, queue, or drop and count."""
        if message.qos == 0:
            if self._client is None:
                self._lose(message)
            else:
                self._send(self._client, _Item(message, float("inf")))
        elif len(self._waiting) + len(self._in_flight) >= QUEUE_LIMIT:
            self._counters.publish_overflow += 1
            self._drop(message, "overflow", f"{QUEUE_LIMIT} publications wait for the broker already")
        else:
            expires_at = float("inf") if message.expiry is None else self._clock.monotonic() + message.expiry
            self._waiting.append(_Item(message, expires_at))
            self.pump()

    def pump(self) -> None:
        """Take note of the broker's answers and send what the window allows."""
        client = self._client
        if client is None:
            return
        self._take_answers(client)
        while self._waiting and len(self._in_flight) < self._window and self._client is client:
            self._send(client, self._waiting.popleft())

    def _take_answers(self, client: BufferedClient) -> None:
        for mid, code in client.answered:
            item = self._in_flight.pop(mid, None)
            if item is None:
                continue
            if code >= REFUSED:
                self._counters.publish_refused += 1
                topic = item.message.topic
                text = f"the broker refused a publication on {topic}: reason code 0x{code:02X}"
                self._complaints.about(topic, item.message.to, text)
            self._tell(item.message, code)
        client.answered.clear()

    def _send(self, client: BufferedClient, item: _Item) -> None:
        message = item.message
        left = item.expires_at - self._clock.monotonic()
        if left <= 0:
            self._counters.publish_expired += 1
            self._drop(message, "expired", "its time was over before it could be sent")
            return
        try:
            # Here and not before: what waits, or goes to the next incarnation, is sealed once, with the key of now.
            payload = self._seal(message.topic, message.payload, message.to) if self._seal else message.payload
        except BadKeyError as error:
            self._refuse(message, str(error))
            return
        if self._largest and len(message.topic.encode()) + len(payload) + _OVERHEAD > self._largest:
            # Sent all the same it would end the connection, again and again.
            self._refuse(message, f"larger than the broker's {self._largest} bytes")
            return
        properties = _properties(message, left) if client.v5 else None
        try:
            info = client.publish(message.topic, payload, message.qos, message.retain, properties)
        except ValueError as error:
            self._refuse(message, str(error))
            return
        if message.qos:
            self._in_flight[info.mid] = item
        elif info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN:
            self._lose(message)
            return
        else:
            self._tell(message, ACCEPTED)
        self._counters.published += 1

    def _refuse(self, message: Publish, why: str) -> None:
        self._counters.publish_invalid += 1
        self._complaints.about(message.topic, message.to, f"cannot publish on {message.topic!r}: {why}")
        self._drop(message, "invalid", why)

    def _lose(self, message: Publish) -> None:
        self._counters.publish_link_down += 1
        self._drop(message, "link_down", "the broker cannot be reached")

    def _drop(self, message: Publish, cause: str, detail: str) -> None:
        self._tell(message, DROPPED, cause, detail)

    def _tell(self, message: Publish, reason: int, cause: str = "", detail: str = "") -> None:
        if message.reply_to and self._report is not None:
            self._report(message.reply_to, Published(message.token, reason, cause, detail))


def _properties(message: Publish, left: float) -> Properties | None:
    """Return the properties of a publication, None for none; `left` are the seconds until it expires."""
    told = {
        "MessageExpiryInterval": None if message.expiry is None else max(1, int(min(left, message.expiry))),
        "ResponseTopic": message.response_topic or None,
        "CorrelationData": message.correlation or None,
        "ContentType": message.content_type or None,
    }
    if not any(value is not None for value in told.values()):
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in told.items():
        if value is not None:
            setattr(properties, name, value)
    return properties
