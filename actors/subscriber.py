"""Subscribers decode what a link delivers and hand it to its device; what they refuse becomes a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

import msgspec

from actors.commands.payloads import decode_response
from actors.dead_letters import DeadLetterDesk
from actors.device_messages import Announced, Beaten, Farewell, FromDevice, Measured, Scanned, Told
from actors.identity import (
    NOT_IN_BODY,
    BadTimestampError,
    canonical_body,
    digest_body,
    digest_id,
    encode_canonical,
    timestamp_us,
)
from actors.link.messages import Replay
from actors.messages import Deliveries, Delivery, Settled, StoreReading
from actors.notifications.receipts import decode_receipt, is_own
from actors.payload_keys.book import PayloadKeys, UnprovenError
from actors.payload_keys.envelope import is_sealed
from actors.payloads import (
    LARGEST_PAYLOAD,
    RefusedError,
    answer_refused,
    decode_announcement,
    decode_beat,
    decode_reading,
    measures_of,
    sender_id_of,
    serial_of,
)
from actors.runtime import Directory, GuardedFuture, PooledActor
from actors.scan_payloads import decode_scan
from actors.sight import Sight
from actors.topics import TWIN_REPORTED, Address, BadTopicError, parse_pi, parse_site
from actors.twins.reports import decode_report

PI_SERIAL = ("device_id", "serial_number")
SITE_SERIAL = ("serial_number", "device_id")
CLOCKS = ("ntp", "rtc", "unsynced")


@dataclass
class Intake:
    """What all subscribers share."""

    devices: Directory
    """Serial to device actor."""
    services: Directory
    desk: DeadLetterDesk
    sights: Mapping[str, Sight]
    """Link name to its sight."""
    zone: tzinfo = UTC
    """The zone of device times that name none."""
    largest_payload: int = LARGEST_PAYLOAD
    """Bytes of a reading."""
    shared_topics: bool = True
    """Whether `devices/announce`, `/heartbeat`, `/status` are served."""
    counts: Counter[str] = field(default_factory=Counter)
    """Messages by verb, for the metrics."""
    keys: PayloadKeys = field(default_factory=PayloadKeys)
    """Which devices speak sealed."""
    inherited: set[str] = field(default_factory=set)
    """Subscribers that crashed and whose mail is kept for their next incarnation."""


class Said(NamedTuple):
    """What a reading's payload holds."""

    serial: str
    channel: str
    timestamp: Any
    """As it was told, like the two that follow; None where it was not."""
    sender_id: Any
    clock: Any
    measures: dict[str, int | float]
    names: frozenset[str]
    rest: dict[str, Any] | None
    """The whole body, where the numbers are not all there is in it apart from who and when; else None."""


class SubscriberActor(PooledActor):
    """Decodes one family of topics. Subclasses give the parser and the fields that may carry the serial."""

    parse: Callable[[str], Address]
    serial_names: tuple[str, ...]
    decoders: Mapping[str, Callable[[Any, Address, Delivery], FromDevice | None]]
    """What decodes a message, by the verb of its topic; None for what is not from a device."""

    def __init__(self, name: str, intake: Intake, *, data_links: Sequence[str] = ()) -> None:
        super().__init__()
        self._name = name
        self._intake = intake
        self._data_links = data_links
        self._batch: Deliveries | None = None
        self._index = 0

    def on_start(self) -> None:
        """Ask the data links for what a predecessor left: a broker never redelivers on an open connection.

        After a crash its mail comes to us anyway. A replay beside it would bring the message that crashed it again and
        again, each time as if it were the first.
        """
        if self._name in self._intake.inherited:
            self._intake.inherited.discard(self._name)
            return
        for link in self._data_links:
            self._intake.services.tell(link, Replay(self._name))

    def on_receive(self, message: Any) -> None:
        """Decode a batch, in order; then move the watermark."""
        assert isinstance(message, Deliveries), message
        self._batch = message
        devices, counts, keys = self._intake.devices, self._intake.counts, self._intake.keys
        for self._index, delivery in enumerate(message.items):
            opened, sealer = delivery, ""
            try:
                if is_sealed(delivery.payload):
                    found = keys.open_delivery(delivery)
                    if found is None:
                        self._pass_over(delivery)
                        continue
                    opened, sealer = found
                decoded = self._decode(opened)
                if decoded is not None:
                    if keys:
                        self._check(decoded, sealer)
                    counts[decoded.address.verb] += 1
                    devices.tell(decoded.serial, decoded)
            except UnprovenError as refused:
                self._refuse(delivery, refused)
            except RefusedError as refused:
                self._refuse(opened, keys.judge(refused, delivery, sealer))
        self._batch = None
        sight = self._intake.sights.get(message.link)
        if sight is not None:
            sight.handled(self._name, message.handled_until_at)
            if message.number:
                sight.done(self._name, message.number)

    def _refuse(self, delivery: Delivery, refused: RefusedError) -> None:
        self._intake.desk.refuse(delivery, refused.reason, refused.detail, _guess_serial(delivery))

    def unfinished(self) -> Sequence[Deliveries]:
        """Return the rest of a batch, the message that crashed us alone in front of it."""
        batch = self._batch
        if batch is None or not batch.items:
            return ()
        culprit, rest = batch.items[self._index], batch.items[self._index + 1 :]
        self._intake.inherited.add(self._name)
        return (
            Deliveries(batch.link, [culprit], 0.0),
            Deliveries(batch.link, rest, batch.handled_until_at, batch.number),
        )

    def _decode(self, delivery: Delivery) -> FromDevice | None:
        try:
            address = type(self).parse(delivery.topic)
        except BadTopicError as error:
            raise RefusedError("bad_topic", str(error)) from None
        return self.decoders[address.verb](self, address, delivery)

    def _check(self, decoded: FromDevice, sealer: str) -> None:
        """See whether its device may have said this.

        Raises:
            UnprovenError: it cannot have.

        """
        is_farewell, bound_id = isinstance(decoded, Farewell), decoded.address.bound_id
        self._intake.keys.check(decoded.serial, sealer, bound_id=bound_id, is_farewell=is_farewell)

    def _pass_over(self, delivery: Delivery) -> None:
        """Settle what we have published ourselves."""
        self._intake.counts["own_receipts"] += 1
        if delivery.token:
            self._intake.services.tell(delivery.link, Settled([delivery.token]))

    def _beat(self, address: Address, delivery: Delivery) -> FromDevice:
        self._check_shared(address)
        beat = decode_beat(delivery.payload)
        serial = serial_of(beat, bound_id=address.bound_id, names=self.serial_names)
        if beat.status == "offline":
            return Farewell(serial, address, delivery, beat.session or "", goodbye=beat.reason == "goodbye")
        return Beaten(serial, address, delivery, beat)

    def _announcement(self, address: Address, delivery: Delivery) -> FromDevice:
        self._check_shared(address)
        if address.bound_id and address.verb == "status" and delivery.payload in _PLAIN:
            return _PLAIN[delivery.payload](address, delivery)
        said = decode_announcement(delivery.payload)
        serial = serial_of(said, bound_id=address.bound_id, names=self.serial_names)
        if said.status == "offline":
            return Farewell(serial, address, delivery, said.session or "", goodbye=said.reason == "goodbye")
        return Announced(serial, address, delivery, said)

    def _reading(self, address: Address, delivery: Delivery) -> FromDevice:
        body = decode_reading(delivery.payload, self._intake.largest_payload)
        serial = serial_of(body, bound_id=address.bound_id, names=self.serial_names)
        measures, flat = measures_of(body, NOT_IN_BODY)
        channel = "reading" if address.verb == "readings" else address.verb
        return self.identified(address, delivery, said_of(serial, channel, body, measures, flat=flat))

    def identified(self, address: Address, delivery: Delivery, said: Said) -> Measured:
        """Return the reading with its identity.

        Raises:
            RefusedError: `wrong_type`, `too_long`, `too_deep`, `out_of_range`, `bad_timestamp`.

        """
        serial, channel, told, told_id, clock, measures, names, rest = said
        encoded = encode_canonical(measures)
        sender_id = None if told_id is None else sender_id_of(told_id)
        if sender_id is not None:
            fingerprint = digest_id(channel, sender_id)
        else:
            fingerprint = digest_body(channel, encoded if rest is None else _canonical(rest))
        reading = StoreReading(
            serial,
            channel,
            delivery.rx_us if told is None else self._timestamp(told),
            fingerprint,
            delivery.rx_us,
            clock if type(clock) is str and clock in CLOCKS else "",
            "mqtt",
            encoded.decode(),
            told is None,  # an `id` alone does not make `ts_us` the same again when the broker redelivers
            delivery.link,
            delivery.token,
            delivery.dup,
            delivery.topic,
            delivery.payload,
            sender_id or "",
        )
        return Measured(serial, address, delivery, reading, measures, names)

    def _timestamp(self, told: Any) -> int:
        try:
            return timestamp_us(told, self._intake.zone)
        except BadTimestampError as error:
            raise RefusedError("bad_timestamp", str(error)) from None

    def _check_shared(self, address: Address) -> None:
        if address.family == "pi" and not address.bound_id and not self._intake.shared_topics:
            raise RefusedError("unbound", "the shared topics are switched off; a device speaks on devices/{id}/...")


class Ingest(msgspec.Struct, frozen=True):
    """What came over HTTP, in the form of the delivery it would have been; the topic of a scan is not known yet.

    The future gets a `Stored` or a `StoredScan` of `actors.effects` after the commit, or the `RefusedError`.
    """

    delivery: Delivery
    reply_to: GuardedFuture[Any]
    idempotency_key: str = ""
    serial: str = ""
    """Of the device whose token it came with, which may speak only for itself; empty for an operator's."""


class PiSubscriber(SubscriberActor):
    """`devices/...`, and scans by `Ingest`."""

    parse = staticmethod(parse_pi)
    serial_names = PI_SERIAL

    def on_receive(self, message: Any) -> None:
        """Decode a batch of a link, or one scan of a request."""
        if isinstance(message, Ingest):
            self._ingest(message)
        else:
            super().on_receive(message)

    def _scan(self, address: Address, delivery: Delivery) -> FromDevice:
        scan = decode_scan(delivery, bound_id=address.bound_id, zone=self._intake.zone)
        return Scanned(scan.serial, address, delivery, scan)

    def _response(self, address: Address, delivery: Delivery) -> FromDevice:
        return Told(address.bound_id, address, delivery, "commander", decode_response(delivery))

    def _receipt(self, address: Address, delivery: Delivery) -> FromDevice | None:
        if is_own(delivery.payload):
            self._pass_over(delivery)
            return None
        receipt = decode_receipt(delivery, bound_id=address.bound_id, zone=self._intake.zone)
        return Told(address.bound_id, address, delivery, "ledger", receipt)

    def _twin(self, address: Address, delivery: Delivery) -> FromDevice:
        report = decode_report(delivery, bound_id=address.bound_id)
        return Told(address.bound_id, address, delivery, "twins", report)

    def _ingest(self, message: Ingest) -> None:
        try:
            scan = decode_scan(
                message.delivery,
                bound_id=message.serial,
                zone=self._intake.zone,
                source="http",
                idempotency_key=message.idempotency_key,
            )
        except RefusedError as refused:
            answer_refused(message.reply_to, refused.reason, refused.detail)
            return
        address = parse_pi(f"devices/{scan.serial}/scans")
        delivery = msgspec.structs.replace(message.delivery, topic=f"devices/{scan.serial}/scans")
        scan = msgspec.structs.replace(scan, topic=delivery.topic, reply_to=message.reply_to)
        self._intake.counts[address.verb] += 1
        self._intake.devices.tell(scan.serial, Scanned(scan.serial, address, delivery, scan))


class SiteSubscriber(SubscriberActor):
    """`{site}/datalogger/...` and `{site}/gateway/...`."""

    parse = staticmethod(parse_site)
    serial_names = SITE_SERIAL


def _plain_online(address: Address, delivery: Delivery) -> FromDevice:
    from actors.payloads import Beat

    return Beaten(address.bound_id, address, delivery, Beat())


def _plain_offline(address: Address, delivery: Delivery) -> FromDevice:
    return Farewell(address.bound_id, address, delivery)


_PLAIN: Mapping[bytes, Callable[[Address, Delivery], FromDevice]] = {
    b"online": _plain_online,
    b"offline": _plain_offline,
}
"""The common form of a last will on `devices/{id}/status`: plain text instead of JSON."""

_DECODERS: Mapping[str, Callable[[Any, Address, Delivery], FromDevice]] = {
    "heartbeat": SubscriberActor._beat,  # noqa: SLF001 - a table of this class's own methods
    "announce": SubscriberActor._announcement,  # noqa: SLF001
    "status": SubscriberActor._announcement,  # noqa: SLF001
    "readings": SubscriberActor._reading,  # noqa: SLF001
    "input": SubscriberActor._reading,  # noqa: SLF001
    "output": SubscriberActor._reading,  # noqa: SLF001
}
SubscriberActor.decoders = _DECODERS
PiSubscriber.decoders = {
    **_DECODERS,
    "scans": PiSubscriber._scan,  # noqa: SLF001 - as above
    "responses": PiSubscriber._response,  # noqa: SLF001
    "receipts": PiSubscriber._receipt,  # noqa: SLF001
    TWIN_REPORTED: PiSubscriber._twin,  # noqa: SLF001
}


def _canonical(body: dict[str, Any]) -> bytes:
    """Return the canonical body.

    Raises:
        RefusedError: if it is nested too deep, or has a number that JSON cannot carry on.

    """
    try:
        return canonical_body(body)
    except RecursionError:
        raise RefusedError("too_deep", "the body is nested too deep") from None
    except (OverflowError, msgspec.MsgspecError) as error:
        raise RefusedError("out_of_range", str(error)) from None


def said_of(serial: str, channel: str, body: dict[str, Any], measures: dict[str, int | float], *, flat: bool) -> Said:
    """Return what a decoded body says; `flat` where the numbers are all there is in it."""
    names = frozenset(measures)
    rest = None if flat else body
    return Said(serial, channel, body.get("timestamp"), body.get("id"), body.get("clock"), measures, names, rest)


def _guess_serial(delivery: Delivery) -> str:
    """Return the serial a refused message is filed under, as far as its topic tells."""
    parts = delivery.topic.split("/")
    return parts[1][:64] if len(parts) in (3, 4) and parts[0] == "devices" else ""
