"""`EnrolmentActor`: one enrolment or decision after the other, in a thread of its own, since an IoT Hub may be slow."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, TypeVar

import pykka
from peewee import Database

from actors.device_facts import KIND_OF_TYPE
from actors.enrolment.messages import Decide, Enrol, EnrolmentError, Granted, WrongKey
from actors.enrolment.rules import Ruling
from actors.enrolment.steps import consider, decide, grant, note_hub_failure, note_wrong_key
from actors.hub.connection_string import ConnectionStringError
from actors.hub.registry import RegistryError
from actors.messages import DeviceSnapshot
from actors.registry import Execute
from actors.runtime import Clock, ThreadedActor
from actors.storage.enrolment import show_enrolment
from actors.storage.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_WRONG_KEYS = 60
"""Wrong keys within an hour of which there is a record each; all are counted."""
HOUR = 3600.0
EVENTS = ("granted", "waits", "refused", "full", "wrong_key", "hub_failed", "approve", "deny", "revoke")
"""What is counted."""


class EnrolmentBoard:
    """What has happened since the process started; it outlives the actor's incarnations."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong_keys_at: deque[float] = deque(maxlen=MOST_WRONG_KEYS)
        """Monotonic times of the wrong keys that were recorded last."""


class EnrolmentActor(ThreadedActor):
    """Answers `Enrol` and `Decide`, takes `WrongKey`.

    Raises in the asker `EnrolmentError`, and what `ask` raises while the database is away.

    Args:
        ask: gets the writer's answer to a message.
        clock: tells the time.
        board: is kept up to date.
        all_wait: whether first enrolments wait for an operator, too.
        identify: makes the identity of a device in an IoT Hub and returns its connection string; None without a hub.
        declare: adds a device to the roll call, if it is not there.
        on_change: called with the serial after a change that operators see.
        on_tokens: called when tokens were made or revoked.

    """

    def __init__(
        self,
        *,
        ask: Callable[[Any], Any],
        clock: Clock,
        board: EnrolmentBoard,
        all_wait: bool,
        identify: Callable[[str], str] | None,
        declare: Callable[[DeviceSnapshot], None],
        on_change: Callable[[str], None],
        on_tokens: Callable[[], None],
    ) -> None:
        super().__init__()
        self._ask = ask
        self._clock = clock
        self._board = board
        self._all_wait = all_wait
        self._identify = identify
        self._declare = declare
        self._on_change = on_change
        self._on_tokens = on_tokens

    def on_receive(self, message: Any) -> Any:
        """Carry out one request."""
        match message:
            case Enrol():
                return self._enrol(message)
            case Decide():
                return self._decide(message)
            case WrongKey():
                self._note_wrong_key(message)
            case _:
                logger.warning("enrolment: unexpected message %s dropped", type(message).__name__)
        return None

    def _enrol(self, request: Enrol) -> Granted:
        serial = request.application.device_id
        now_us = self._now_us()
        if self._clock.monotonic() >= request.until:
            raise EnrolmentError("busy", "too many devices are being enrolled; ask again", device_id=serial)
        ruling = self._write(lambda database: consider(database, request, now_us, all_wait=self._all_wait))
        if ruling.outcome != "granted":
            self._refuse(serial, ruling)
        # First the hub: if it fails, nothing has changed, and the device asks again with all that it had.
        hub = self._make_identity(request)
        token = self._write(lambda database: grant(database, request, ruling.why, now_us))
        self._board.counts["granted"] += 1
        logger.info("%s at %s is enrolled: %s", serial, request.address, ruling.why)
        self._on_tokens()
        self._declare(_snapshot(request, now_us))
        self._on_change(serial)
        return Granted(token, hub)

    def _refuse(self, serial: str, ruling: Ruling) -> None:
        self._board.counts[ruling.outcome] += 1
        if ruling.outcome == "full":
            raise EnrolmentError("fleet_full", f"{serial} cannot enrol: {ruling.why}", device_id=serial)
        self._on_change(serial)
        if ruling.outcome == "refused":
            message = f"an operator has denied {serial}; it may enrol when one approves it"
            raise EnrolmentError("denied", message, device_id=serial, state="denied")
        message = f"{serial} waits for an operator's approval: {ruling.why}"
        raise EnrolmentError("pending", message, device_id=serial, state="pending")

    def _make_identity(self, request: Enrol) -> str:
        """Return the connection string of the device in the hub, empty without a hub."""
        if self._identify is None:
            return ""
        serial = request.application.device_id
        try:
            return self._identify(serial)
        except (RegistryError, ConnectionStringError) as error:
            self._board.counts["hub_failed"] += 1
            reason, now_us = str(error), self._now_us()
            logger.warning("%s is not enrolled: %s", serial, reason)
            self._write(lambda database: note_hub_failure(database, request, reason, now_us))
            message = f"the IoT Hub gave no identity for {serial}: {reason}"
            raise EnrolmentError("hub_unavailable", message, device_id=serial) from error

    def _decide(self, order: Decide) -> dict[str, Any]:
        now_us = self._now_us()
        row = self._write(lambda database: decide(database, order, now_us))
        if row is None:
            raise EnrolmentError("not_found", "no device of this serial has asked to enrol", serial=order.serial[:64])
        self._board.counts[order.decision] += 1
        logger.info("enrolment of %s: %s by %s at %s", order.serial, order.decision, order.by, order.address)
        self._on_tokens()
        self._on_change(order.serial)
        return show_enrolment(row, now_us)

    def _note_wrong_key(self, attempt: WrongKey) -> None:
        self._board.counts["wrong_key"] += 1
        now, recorded = self._clock.monotonic(), self._board.wrong_keys_at
        if len(recorded) == MOST_WRONG_KEYS and now - recorded[0] < HOUR:
            return
        recorded.append(now)
        logger.warning("wrong enrolment key from %s for %s", attempt.address, attempt.device_id)
        now_us = self._now_us()
        try:
            self._write(lambda database: note_wrong_key(database, attempt, now_us))
        except (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout) as error:
            logger.warning("there is no record of it, since the database is away: %s", error)

    def _write(self, work: Callable[[Database], T]) -> T:
        answer: T = self._ask(Execute(work))
        return answer

    def _now_us(self) -> int:
        return int(self._clock.time() * 1_000_000)


def _snapshot(request: Enrol, now_us: int) -> DeviceSnapshot:
    """Return what the roll call says of a device that has not spoken yet."""
    asker = request.application
    kind = asker.device_type or "raspberry_pi"
    return DeviceSnapshot(
        serial=asker.device_id,
        kind=KIND_OF_TYPE.get(kind.lower().replace("-", "_"), "other"),
        family="pi",
        type=kind,
        device_id=asker.device_id,
        hostname=asker.hostname,
        mac_address=asker.mac_address,
        first_seen_us=now_us,
        since_us=now_us,
    )
