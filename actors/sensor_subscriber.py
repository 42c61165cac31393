"""The subscriber of sensors: what they publish, and what they post over HTTP instead, become the same message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from actors.analysis import BeyondPhysicsError
from actors.analysts import Analysts
from actors.device_messages import FromDevice, Measured
from actors.messages import Delivery
from actors.payloads import RefusedError, answer_refused, decode_reading, serial_of
from actors.sensor_payloads import decode_plain, guess_publisher, sensor_measures
from actors.statistics import PipelineStatistics
from actors.subscriber import Ingest, Intake, Said, SubscriberActor, said_of
from actors.topics import SENSOR_CHANNEL, SERIAL, Address, parse_sensor

SENSOR_SERIAL = ("publisher_id", "device_id", "serial_number")
MOST_NAME_SETS = 4_096
"""Sets of names remembered; a sender that invents names must not fill the memory."""


class SensorSubscriber(SubscriberActor):
    """`{prefix}/sensor/data`, and readings by `Ingest`."""

    parse = staticmethod(parse_sensor)
    serial_names = SENSOR_SERIAL

    def __init__(
        self,
        name: str,
        intake: Intake,
        *,
        analysts: Analysts,
        statistics: PipelineStatistics,
        data_links: Sequence[str] = (),
    ) -> None:
        super().__init__(name, intake, data_links=data_links)
        self._analysts = analysts
        self._statistics = statistics
        self._known_names: set[frozenset[str]] = set()
        """Sets of names that were checked when they came first."""

    def on_receive(self, message: Any) -> None:
        """Decode a batch of a link, or one reading of a request."""
        if isinstance(message, Ingest):
            self._ingest(message)
            return
        if message.items:
            self._statistics.receive(len(message.items), message.items[-1].rx_us)
        super().on_receive(message)

    def _ingest(self, message: Ingest) -> None:
        self._statistics.receive(1, message.delivery.rx_us)
        try:
            address = parse_sensor(message.delivery.topic)
            decoded = self._sensor(msgspec.structs.replace(address, bound_id=message.serial), message.delivery)
        except RefusedError as refused:
            self._statistics.fail(refused.reason)
            answer_refused(message.reply_to, refused.reason, refused.detail)
            return
        reading = msgspec.structs.replace(
            decoded.reading, source="http", idempotency_key=message.idempotency_key, reply_to=message.reply_to
        )
        self._intake.counts[SENSOR_CHANNEL] += 1
        self._intake.devices.tell(decoded.serial, msgspec.structs.replace(decoded, reading=reading))

    def _refuse(self, delivery: Delivery, refused: RefusedError) -> None:
        """File it under its publisher, if that can be read: a bad station must not use up the quota of others."""
        self._statistics.fail(refused.reason)
        self._intake.desk.refuse(delivery, refused.reason, refused.detail, guess_publisher(delivery.payload))

    def _sensor(self, address: Address, delivery: Delivery) -> Measured:
        said = self._said_again(address, delivery.payload) or self._said(address, delivery.payload)
        analyser = self._analysts.of(SENSOR_CHANNEL, "sensor", said.names)
        if analyser is not None:
            try:
                self._analysts.check(analyser, said.measures)
            except BeyondPhysicsError as error:
                raise RefusedError("beyond_physics", str(error)) from None
        return self.identified(address, delivery, said)

    def _said_again(self, address: Address, payload: bytes) -> Said | None:
        """Return what a known station says in the form that it has used before; None for everything else."""
        if address.bound_id or len(payload) > self._intake.largest_payload:
            return None
        plain = decode_plain(payload)
        if plain is None or plain.publisher_id not in self._intake.devices:
            return None
        measures = plain.sensor_readings
        names = frozenset(measures)
        if names not in self._known_names:
            return None
        return Said(plain.publisher_id, SENSOR_CHANNEL, plain.timestamp, plain.id, plain.clock, measures, names, None)

    def _said(self, address: Address, payload: bytes) -> Said:
        body = decode_reading(payload, self._intake.largest_payload)
        measures, plain = sensor_measures(body)
        serial = self._publisher(body, address)
        said = said_of(serial, SENSOR_CHANNEL, body, measures, flat=plain)
        if len(self._known_names) < MOST_NAME_SETS:
            self._known_names.add(said.names)
        return said

    def _publisher(self, body: dict[str, Any], address: Address) -> str:
        """Return who published: the prefix, where nothing else says it and the prefix can be a serial number."""
        prefix = address.site.replace("/", ".")
        says_nothing = not address.bound_id and all(body.get(name) is None for name in SENSOR_SERIAL)
        if says_nothing and SERIAL.fullmatch(prefix):
            return prefix
        return serial_of(body, bound_id=address.bound_id, names=SENSOR_SERIAL)


_DECODERS: Mapping[str, Callable[[Any, Address, Delivery], FromDevice]] = {
    "data": SensorSubscriber._sensor,  # noqa: SLF001 - a table of this class's own methods
}
SensorSubscriber.decoders = _DECODERS
