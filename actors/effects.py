"""What follows a commit: statistics, receipts, baselines, the publication of analyses, live events.

Nothing here happens before the commit, and nothing of it for a reading that was known already, but for its receipt:
that a message is stored is true each time it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from actors.analysis import Baseline
from actors.analysts import Analysts
from actors.events import EventRing
from actors.fleet import Fleet, Record
from actors.historian import WINDOW, Recall, Recalled
from actors.link.messages import Publish
from actors.messages import StoreDeadLetter, StoreReading, StoreScan, StoreTwinReport
from actors.payloads import LONGEST_SENDER_ID, answer_refused
from actors.runtime import Directory, PooledActor, Runtime, ToSelf
from actors.statistics import PipelineStatistics
from actors.timestamps import rfc3339
from actors.topics import RESPONSES_TAIL, SCANS_TAIL, SENSOR_CHANNEL, SENSOR_TAIL, SERIAL

TICK = 0.05
"""Seconds over which receipts and publications gather."""
PUBLISH_EVERY = 1.0
"""Seconds between two analyses of one publisher."""
MOST_PER_TICK = 50
"""Devices shown or published in one tick: a thousand a second, so that a flood of readings is stored first."""
FLOOD = 100
"""Readings stored in one tick (two thousand a second) from which on only `MOST_IN_FLOOD` are published in it."""
MOST_IN_FLOOD = 5
"""To explain an analysis costs as much as to store three readings; who publishes so fast wants them stored."""
SHOWN = ("contributions", "recommendations")
"""What the live page is told of an explanation: ten thousand events are kept in memory."""
MOST_SCANS_SHOWN = 100
"""Scans of one commit that the live page is told of: the newest of what a device had kept through an outage."""
MOST_IDS = 500
"""Ids in one receipt."""


class Committed(msgspec.Struct, frozen=True):
    """From the registry, once for each commit."""

    new: Sequence[StoreReading]
    known: Sequence[StoreReading]
    dead: Sequence[StoreDeadLetter]
    scans: Sequence[StoreScan] = ()
    """Those that were new."""
    known_scans: Sequence[StoreScan] = ()
    twin_reports: Sequence[StoreTwinReport] = ()


class Stored(msgspec.Struct, frozen=True):
    """The answer to a reading that came over HTTP."""

    reading: StoreReading
    is_new: bool


class StoredScan(msgspec.Struct, frozen=True):
    """The answer to a scan that came over HTTP."""

    scan: StoreScan
    is_new: bool


class Tick(ToSelf):
    """To itself: publish and send what has gathered."""


TICK_NOW = Tick()


class _Identified(msgspec.Struct):
    """What a receipt needs of a message that was refused."""

    id: str | int | None = None
    scan_id: str | int | None = None
    response_id: str | int | None = None
    publisher_id: str | None = None
    device_id: str | None = None
    serial_number: str | None = None


UNPROVEN = frozenset({"not_encrypted", "not_decipherable"})
"""Reasons that are told to nobody: the sender may be anybody, and a device forgets what it is told is refused."""
_NAMED_BY = {SCANS_TAIL: "scan_id", RESPONSES_TAIL: "response_id"}
"""The field that names a message, by the end of its topic; everywhere else it is `id`."""

_decode_identified = msgspec.json.Decoder(_Identified).decode
_decode_measures = msgspec.json.Decoder(dict[str, float]).decode


@dataclass
class Aftermath:
    """What the effects need; it outlives the actor, and with it what is on its way."""

    runtime: Runtime
    fleet: Fleet
    services: Directory
    ring: EventRing
    analysts: Analysts
    statistics: PipelineStatistics
    default_link: str
    """The control link of the first broker, for what no broker has spoken for."""
    qos: int = 1
    retain: bool = False
    on_committed: Callable[[], None] = lambda: None
    """Called after each commit that stored readings: wakes who follows the table."""
    is_private: Callable[[str], bool] = lambda _serial: False
    """Tells of which devices nothing is published that they have sealed."""


class EffectsActor(PooledActor):
    """Takes `Committed` and `Recalled`."""

    def __init__(self, aftermath: Aftermath) -> None:
        super().__init__()
        self._after = aftermath
        self._receipts: dict[str, tuple[list[str], dict[str, str]]] = {}
        """Serial to the ids stored and the ids refused, each with its reason."""
        self._to_publish: dict[str, StoreReading] = {}
        """Serial to its newest reading, analysed before others, in the order in which they became due."""
        self._published_at: dict[str, float] = {}
        self._stored = 0
        """Readings stored since the last tick."""
        self._recalling: dict[str, list[StoreReading]] = {}
        """Readings of devices whose history has been asked for."""
        self._ticking = False

    def on_receive(self, message: Any) -> None:
        """Handle a commit, a device's history, or the time to publish."""
        match message:
            case Committed():
                self._committed(message)
            case Tick():
                self._tick()
            case Recalled():
                self._recalled(message)

    # A commit

    def _committed(self, message: Committed) -> None:
        statistics = self._after.statistics
        self._stored += len(message.new)
        for reading in message.new:
            if reading.channel == SENSOR_CHANNEL:
                statistics.processed += 1
                statistics.last_processed_us = reading.rx_us
            self._note(reading)
            if reading.sender_id or reading.reply_to is not None:
                self._answer(reading, is_new=True)
        for reading in message.known:
            if reading.channel == SENSOR_CHANNEL:
                statistics.duplicates += 1
            self._answer(reading, is_new=False)
        self._scanned(message)
        self._reported(message.twin_reports)
        for letter in message.dead:
            self._refused(letter)
        if message.new:
            self._after.on_committed()
        if self._receipts or self._to_publish:
            self._arm()

    def _answer(self, reading: StoreReading, *, is_new: bool) -> None:
        if reading.sender_id:
            self._receipt(reading.serial)[0].append(reading.sender_id)
        if reading.reply_to is not None:
            # Without the future in it, so that the two do not hold each other.
            reading.reply_to.set(Stored(msgspec.structs.replace(reading, reply_to=None), is_new))

    def _scanned(self, message: Committed) -> None:
        for scan in message.scans[-MOST_SCANS_SHOWN:]:
            self._after.ring.publish("scan", scan.serial, scan_event(scan))
        for scans, is_new in ((message.scans, True), (message.known_scans, False)):
            for scan in scans:
                if scan.named:
                    self._receipt(scan.serial)[0].append(scan.scan_id)
                if scan.reply_to is not None:
                    scan.reply_to.set(StoredScan(msgspec.structs.replace(scan, reply_to=None), is_new))

    def _reported(self, reports: Sequence[StoreTwinReport]) -> None:
        for report in reports:
            if report.sender_id:
                self._receipt(report.serial)[0].append(report.sender_id)

    def _refused(self, letter: StoreDeadLetter) -> None:
        """Tell a sender that waits for an answer, or for the receipt of its message, that it will never be stored."""
        if letter.reply_to is not None:
            answer_refused(letter.reply_to, letter.reason, letter.detail)
        try:
            said = _decode_identified(letter.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        serial = letter.serial or said.publisher_id or said.device_id or said.serial_number or ""
        told_id = getattr(said, next((name for tail, name in _NAMED_BY.items() if letter.topic.endswith(tail)), "id"))
        if told_id is None or not SERIAL.fullmatch(serial) or letter.reason in UNPROVEN:
            return
        # Who sends a longer id than is taken has the reason in the dead letters; echoed, it would make receipts grow.
        if len(text := str(told_id)) <= LONGEST_SENDER_ID:
            self._receipt(serial)[1][text] = letter.reason

    def _receipt(self, serial: str) -> tuple[list[str], dict[str, str]]:
        return self._receipts.setdefault(serial, ([], {}))

    def _note(self, reading: StoreReading) -> None:
        """Keep a reading to be shown; one without an analysis does not take the place of one that has one."""
        if _is_analysed(reading):
            self._analysed(reading)
        elif (waiting := self._to_publish.get(reading.serial)) is None or not _is_analysed(waiting):
            self._to_publish[reading.serial] = reading

    def _analysed(self, reading: StoreReading) -> None:
        self._to_publish[reading.serial] = reading
        record = self._after.fleet.record(reading.serial)
        if record is None:
            return
        if record.baseline is not None:
            if record.baseline.is_due(reading.ts_us):
                record.baseline.add(reading.ts_us, _decode_measures(reading.measures))
        elif record.is_new:
            record.baseline = Baseline()
            record.baseline.add(reading.ts_us, _decode_measures(reading.measures))
        elif (waiting := self._recalling.get(reading.serial)) is not None:
            if len(waiting) < WINDOW:
                waiting.append(reading)
        else:
            self._recalling[reading.serial] = [reading]
            self._after.services.tell("historian", Recall(reading.serial))

    def _recalled(self, message: Recalled) -> None:
        """Begin a baseline with what the table has of the device, and go on with what came meanwhile."""
        waiting = self._recalling.pop(message.serial, [])
        record = self._after.fleet.record(message.serial)
        if record is None or message.rows is None:
            return  # not answered: the next reading asks again
        baseline = Baseline.from_history(message.rows)
        known = {ts_us for ts_us, _ in message.rows}
        for reading in waiting:
            if reading.ts_us not in known:
                baseline.add(reading.ts_us, _decode_measures(reading.measures))
        record.baseline = baseline

    # What gathers

    def _arm(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._after.runtime.timers.after(TICK, self.actor_ref, TICK_NOW)

    def _tick(self) -> None:
        self._ticking = False
        self._send_receipts()
        self._publish_due()
        if self._to_publish:
            self._arm()

    def _send_receipts(self) -> None:
        receipts, self._receipts = self._receipts, {}
        now = rfc3339(int(self._after.runtime.clock.time() * 1_000_000))
        for serial, (stored, refused) in receipts.items():
            for part in _parts(stored, refused):
                payload = msgspec.json.encode({**part, "timestamp": now})
                self._after.services.tell(self._link_of(serial), Publish(f"devices/{serial}/receipts", payload))

    def _publish_due(self) -> None:
        """Show and publish readings of devices that have had none for a second, those that wait longest first."""
        now = self._after.runtime.clock.monotonic()
        most = MOST_PER_TICK if self._stored < FLOOD else MOST_IN_FLOOD
        self._stored = 0
        last_at = self._published_at
        due = (serial for serial in self._to_publish if now - last_at.get(serial, -PUBLISH_EVERY) >= PUBLISH_EVERY)
        for serial in list(islice(due, most)):
            reading = self._to_publish.pop(serial)
            record = self._after.fleet.record(serial)
            if record is not None:
                self._published_at[serial] = now
                self._publish(reading, record)
            else:
                self._published_at.pop(serial, None)

    def _publish(self, reading: StoreReading, record: Record) -> None:
        """Show a reading on the live page and its analysis, if sensors publish such, on the topic of its prefix."""
        after = self._after
        measures, is_analysed = _decode_measures(reading.measures), _is_analysed(reading)
        kind, site = record.snapshot.kind, record.snapshot.site
        analyser = after.analysts.of(reading.channel, kind, frozenset(measures)) if is_analysed else None
        explained = after.analysts.explain(analyser, measures, record.baseline, site)
        verdict = {
            "health_index": reading.health_index,
            "status": reading.status,
            "anomalies": msgspec.Raw(reading.anomalies.encode() or b"[]"),
        }
        when = rfc3339(reading.ts_us)
        shown = {name: explained[name] for name in SHOWN if name in explained}
        event = {"serial": reading.serial, "kind": kind, "ts": when, "measures": measures, **verdict, **shown}
        after.ring.publish("reading", reading.serial, event)
        if not is_analysed or not reading.topic.endswith(SENSOR_TAIL) or after.is_private(reading.serial):
            return
        body = {
            "publisher_id": reading.serial,
            "timestamp": when,
            **explained,
            **verdict,
            "sensor_readings": measures,
            "analyser": analyser.name if analyser is not None else "",
            "reading": {"id": reading.sender_id or None, "source": reading.source, "received": rfc3339(reading.rx_us)},
        }
        topic = f"{reading.topic.removesuffix(SENSOR_TAIL)}/soil-health/analysis"
        message = Publish(topic, msgspec.json.encode(body), after.qos, after.retain)
        after.services.tell(self._link_of(reading.serial), message)
        after.statistics.published += 1

    def _link_of(self, serial: str) -> str:
        record = self._after.fleet.record(serial)
        broker = record.snapshot.broker if record is not None else ""
        return f"{broker}.control" if broker else self._after.default_link


def _is_analysed(reading: StoreReading) -> bool:
    return bool(reading.status or reading.anomalies)


def scan_event(scan: StoreScan) -> dict[str, Any]:
    """Return what the live page is told of a scan: what `GET /api/scans` tells of it, but for the row's number."""
    return {
        "scan_id": scan.scan_id,
        "device_id": scan.serial,
        "code": scan.code,
        "symbology": scan.symbology,
        "valid": scan.valid,
        "scanner": scan.scanner,
        "clock": scan.clock,
        "timestamp": rfc3339(scan.ts_us),
        "received": rfc3339(scan.rx_us),
    }


def _parts(stored: list[str], refused: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """Cut one device's receipt into messages of a bounded size."""
    reasons = list(refused.items())
    for start in range(0, max(len(stored), len(reasons)), MOST_IDS):
        stop = start + MOST_IDS
        yield {"stored": stored[start:stop], "refused": dict(reasons[start:stop])}
