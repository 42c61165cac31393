"""`AccessActor`: brings the broker to what the database says of its users, and back there when it has lost it.

What is granted or revoked is in the database first. A broker that is away is told when it is back, also after a restart
of the server: at its start, and every minute, the actor compares.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final

import msgspec
import pykka

from actors.registry import Execute
from actors.runtime import Runtime, ThreadedActor, compute_backoff
from actors.storage.access import BrokerAccount, drop_accounts, grant_accounts, load_accounts, put_accounts
from actors.storage.errors import StoreUnavailable
from supervisor.server.access.accounts import Account, BrokerAwayError, Mechanism, derive_password
from supervisor.server.access.messages import (
    Compare,
    Grant,
    Look,
    RenewDevices,
    RetireShared,
    Revoke,
    RotateServer,
    Tick,
    UnknownDeviceError,
)
from supervisor.server.access.roster import ServerUsers

logger = logging.getLogger(__name__)

COMPARE_EVERY: Final = 60.0
"""Seconds between two looks at what the broker knows."""
RETRY_FLOOR, RETRY_CAP = 0.2, 10.0
"""Seconds between two attempts while the broker is away."""
AWAY: Final = (StoreUnavailable, pykka.ActorDeadError, pykka.Timeout)
EVENTS: Final = ("granted", "revoked", "rights", "renewal", "expired", "failed", "server_rotated", "shared_retired")
"""What is counted."""


class AccessBoard:
    """How far the broker is, for whoever asks; it outlives the actor's incarnations, whose thread alone writes it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.devices = 0
        """Devices with a user of their own."""
        self.waiting = 0
        """Of these and of those that were revoked: what the broker has not taken yet."""
        self.renewing = 0
        """Devices that have still to fetch a new password."""
        self.reason = ""
        """Why the broker has not taken what waits; empty when all is well."""


class AccessActor(ThreadedActor):
    """Answers `Grant`, `Revoke`, `RenewDevices`, `RotateServer` and `RetireShared`; takes `Look`.

    Raises in the asker what the writer raises while the database is away.

    Args:
        ask: gets the writer's answer to a message.
        mechanism: tells the broker.
        users: those that are no devices.
        key: from which passwords are derived.
        topics: returns the further topics that a device may read.
        request_renewal: asks devices to fetch new passwords: those of these serials, or all without any; and how many
            that are.
        switch: has the server connect with its user of now, unless it does; called when the broker knows that.
        runtime: clock and timers.
        board: is kept up to date.

    """

    def __init__(
        self,
        *,
        ask: Callable[[Any], Any],
        mechanism: Mechanism,
        users: ServerUsers,
        key: bytes,
        topics: Callable[[str], tuple[str, ...]],
        request_renewal: Callable[[Sequence[str], int], None],
        switch: Callable[[], None],
        runtime: Runtime,
        board: AccessBoard,
    ) -> None:
        super().__init__()
        self._ask, self._mechanism, self._users, self._key = ask, mechanism, users, key
        self._topics, self._request_renewal, self._switch = topics, request_renewal, switch
        self._runtime, self._board = runtime, board
        self._rows: dict[str, BrokerAccount] | None = None
        """What the database holds; None until it was read."""
        self._put: dict[str, None] = {}
        """In this order: who has just asked for a password waits for it."""
        self._rights: set[str] = set()
        self._gone: set[str] = set()
        """What the broker has to be told."""
        self._compare = self._is_stale = True
        """Whether what the broker knows has to be looked at; whether it has to be told of users that are no devices."""
        self._failures = 0
        self._wakes_at: float | None = None

    def on_start(self) -> None:
        """Compare at once."""
        self._wake_in(0.0)

    def on_receive(self, message: Any) -> Any:
        """Carry out one order, and bring the broker up to date."""
        match message:
            case Grant():
                return self._grant(message)
            case Revoke():
                return self._revoke(message.serials)
            case Look():
                self._look(message.serials)
            case Compare():
                self._compare = self._is_stale = True
                self._wake_in(0.0)
            case RenewDevices():
                return self._renew(message)
            case RotateServer():
                return self._rotate_server(message.grace)
            case RetireShared():
                return self._retire()
            case Tick():
                self._tick(message)
            case _:
                logger.warning("access: unexpected message %s dropped", type(message).__name__)
        return None

    # Orders

    def _grant(self, order: Grant) -> dict[str, str]:
        rows = self._load()
        made = [
            BrokerAccount(
                serial=serial,
                nonce=secrets.token_hex(8),
                granted=rows[serial].granted if serial in rows else "",
                publishes=publishes,
                topics=self._topics(serial),
                changed_us=self._now_us(),
            )
            for serial, publishes in order.publishes.items()
        ]
        kept: list[BrokerAccount] = self._write(lambda database: grant_accounts(database, made))
        granted = {account.serial: account for account in kept}
        self._drop(rows, order.publishes.keys() - granted.keys())
        rows.update(granted)
        self._put = dict.fromkeys(granted) | self._put
        self._gone -= granted.keys()
        self._board.counts["granted"] += len(granted)
        self._push()
        return {account.serial: self._password(account) for account in kept}

    def _revoke(self, serials: Iterable[str]) -> int:
        rows = self._load()
        # Also those without a row: a deletion has taken it already.
        gone = set(serials)
        self._write(lambda database: drop_accounts(database, gone))
        known = self._drop(rows, gone)
        self._push()
        return known

    def _drop(self, rows: dict[str, BrokerAccount], gone: AbstractSet[str]) -> int:
        """Note that these have no row any more; return how many had one."""
        known = sum(rows.pop(serial, None) is not None for serial in gone)
        for serial in gone:
            self._put.pop(serial, None)
        self._rights -= gone
        self._gone |= gone
        self._board.counts["revoked"] += known
        return known

    def _look(self, serials: Iterable[str]) -> None:
        if self._rows is None:
            return  # everything is looked at when they are read
        changed = [
            msgspec.structs.replace(row, topics=topics, changed_us=self._now_us())
            for serial in serials
            if (row := self._rows.get(serial)) is not None and (topics := self._topics(serial)) != row.topics
        ]
        if not changed:
            return
        try:
            self._write(lambda database: put_accounts(database, changed))
        except AWAY:
            self._compare = True
            self._wake_in(RETRY_CAP)
            return
        self._rows.update({row.serial: row for row in changed})
        self._rights |= {row.serial for row in changed}
        self._board.counts["rights"] += len(changed)
        self._push()

    def _renew(self, order: RenewDevices) -> list[str]:
        rows = self._load()
        missing = next((serial for serial in order.serials if serial not in rows), None)
        if missing is not None:
            raise UnknownDeviceError(missing)
        until_us = self._now_us() + int(order.grace * 1_000_000)
        wanted = dict.fromkeys(order.serials or sorted(rows))
        due = [msgspec.structs.replace(rows[serial], renew_by_us=until_us) for serial in wanted]
        self._write(lambda database: put_accounts(database, due))
        rows.update({row.serial: row for row in due})
        self._board.counts["renewal"] += len(due)
        self._request_renewal(order.serials and tuple(wanted), len(due))
        self._show()
        self._wake_in(order.grace)
        return [row.serial for row in due]

    def _rotate_server(self, grace: float) -> str:
        self._load()
        self._users.rotate(self._now_us() + int(grace * 1_000_000))
        self._is_stale = True
        self._board.counts["server_rotated"] += 1
        self._push()
        self._wake_in(grace)
        return self._users.now.server.name

    def _retire(self) -> bool:
        self._load()
        was_there = self._users.retire()
        if was_there:
            self._board.counts["shared_retired"] += 1
            self._is_stale = True
            self._push()
        return was_there

    # Time

    def _tick(self, tick: Tick) -> None:
        if tick.at != self._wakes_at:
            return
        self._wakes_at = None
        try:
            rows = self._load()
            self._end_what_is_over(rows)
        except AWAY as error:
            self._fail(f"the database is away: {error}")
            return
        if not self._put:  # else it is being told
            self._compare = True
        self._push()

    def _end_what_is_over(self, rows: dict[str, BrokerAccount]) -> None:
        """End the old password of devices that have not fetched their new one, and of the server."""
        now_us = self._now_us()
        late = {row.serial: row.publishes for row in rows.values() if row.renew_by_us and row.renew_by_us <= now_us}
        if late:
            logger.warning(
                "%d devices have not fetched a new password of the broker in time; the old one ends", len(late)
            )
            self._board.counts["expired"] += len(late)
            self._grant(Grant(late))
        if self._users.end(now_us):
            self._is_stale = True

    def _next_due(self) -> float:
        now_us = self._now_us()
        times = [row.renew_by_us for row in (self._rows or {}).values() if row.renew_by_us]
        times += [self._users.ends_us] if self._users.ends_us else []
        return min([COMPARE_EVERY, *(max(0.0, (at - now_us) / 1_000_000) for at in times)])

    def _wake_in(self, seconds: float) -> None:
        at = self._runtime.clock.monotonic() + seconds
        if self._wakes_at is None or at < self._wakes_at:
            self._wakes_at = at
            self._runtime.timers.at(at, self.actor_ref, Tick(at))

    # The broker

    def _push(self) -> None:
        """Tell the broker what it does not know yet; come back with what it has not taken."""
        rows = self._load()
        try:
            if self._compare:
                self._find_differences(rows)
            if self._put or self._rights or self._gone or self._is_stale:
                self._apply(rows)
        except BrokerAwayError as error:
            self._compare = self._is_stale = True
            self._fail(f"{error}")
            return
        except AWAY as error:
            self._fail(f"the database is away: {error}")
            return
        if self._board.reason:
            logger.info("the broker has taken its users again")
        self._compare, self._failures, self._board.reason = False, 0, ""
        self._show()
        self._switch()
        self._wake_in(0.0 if self._put else self._next_due())

    def _find_differences(self, rows: dict[str, BrokerAccount]) -> None:
        self._gone |= self._mechanism.known() - rows.keys()
        lacking = self._mechanism.lacking(rows.keys())
        told_anew = (row.serial for row in rows.values() if row.granted != row.nonce or row.serial in lacking)
        self._put |= dict.fromkeys(told_anew)
        self._look(rows.keys() - self._put.keys())

    def _apply(self, rows: dict[str, BrokerAccount]) -> None:
        devices = {serial: self._account(row) for serial, row in rows.items()}
        everyone = self._users.now.with_devices(list(devices.values()), anonymous=self._users.anonymous)
        taken = self._mechanism.apply(
            everyone,
            [devices[serial] for serial in self._put],
            sorted(self._gone),
            [devices[serial] for serial in sorted(self._rights - self._put.keys())],
        )
        granted = {serial: msgspec.structs.replace(rows[serial], granted=rows[serial].nonce) for serial in taken}
        self._gone.clear()
        self._rights.clear()
        self._is_stale = False
        if granted:
            self._write(partial(put_accounts, accounts=[*granted.values()]))
        rows.update(granted)
        for serial in granted:
            del self._put[serial]

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._board.counts["failed"] += 1
        if reason != self._board.reason:
            logger.warning("the broker's users are not up to date, tried again: %s", reason)
        self._board.reason = reason
        self._show()
        self._wake_in(compute_backoff(self._failures, base=2 * RETRY_FLOOR, cap=RETRY_CAP, floor=RETRY_FLOOR))

    def _account(self, row: BrokerAccount) -> Account:
        return Account(row.serial, self._password(row), row.publishes, row.topics)

    def _password(self, row: BrokerAccount) -> str:
        return derive_password(self._key, row.serial, row.nonce)

    # The database

    def _load(self) -> dict[str, BrokerAccount]:
        if self._rows is None:
            found: list[BrokerAccount] = self._ask(Execute(load_accounts))
            self._rows = {row.serial: row for row in found}
        return self._rows

    def _write(self, work: Callable[[Any], Any]) -> Any:
        return self._ask(Execute(work))

    def _show(self) -> None:
        rows = self._rows or {}
        self._board.devices = len(rows)
        self._board.waiting = len(self._put) + len(self._gone) + len(self._rights)
        self._board.renewing = sum(row.renew_by_us is not None for row in rows.values())

    def _now_us(self) -> int:
        return int(self._runtime.clock.time() * 1_000_000)
