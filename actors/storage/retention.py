"""Retention: what is old goes, in small steps, when the writer has nothing else to do.

Readings and scans go by the time of their receipt, since the clocks of devices lie; readings never before everyone who
follows the table has come by. Roll-ups go by the hours and days they speak of, events by their time.
Keys by which a message is recognised that has no time of its own are forgotten after a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from actors.commands.messages import FINAL
from actors.storage.connection import Connection
from actors.storage.erase import STEP, Eraser
from actors.storage.models import (
    Alarm,
    AlarmDevice,
    AlarmNotice,
    AuditEntry,
    Command,
    Delivery,
    Event,
    Notification,
    Reading,
    Receipt,
    Rollout,
    RolloutDevice,
    RollupDay,
    RollupHour,
    Scan,
    Setting,
    Table,
)
from actors.storage.receipts import BY_KEY
from actors.storage.rollups import CURSORS, DAY_US, Cursor, horizon_key
from actors.storage.sql import Dialect, get_columns
from actors.updates.states import ENDED

logger = logging.getLogger(__name__)

#: Notifications looked at in one step: each has a recipient at least.
AT_ONCE: Final = 200
#: Alarms whose devices are deleted in one step: each may have some hundred.
ALARMS_AT_ONCE: Final = 10
#: How long an `Idempotency-Key`, or an id without a timestamp, is remembered.
REMEMBER_US: Final = DAY_US

#: Days for which refusals stay in the audit log at most: anybody can cause one.
REFUSALS_DAYS: Final = 30.0

Step = Callable[[int], "tuple[int, bool]"]
"""Takes the time now; returns how many rows it has deleted, and whether there may be more."""


class RetentionRules(msgspec.Struct, frozen=True, kw_only=True):
    """How many days what grows is kept; 0 for ever."""

    readings_days: float = 0
    scans_days: float = 0
    hourly_days: float = 0
    daily_days: float = 0
    notifications_days: float = 0
    commands_days: float = 0
    rollouts_days: float = 0
    events_days: float = 0
    audit_days: float = 0
    followers: tuple[str, ...] = ()
    """Keys in `setting` of followers whose cursors count as 0 until they are there."""


KEEP_ALL: Final = RetentionRules()


class Retention:
    """The retention of one database; `step` runs inside a transaction of the caller."""

    def __init__(
        self, connection: Connection, dialect: Dialect, rules: RetentionRules, followed: Sequence[Callable[[], int]]
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._rules = rules
        self._also_followed = followed
        self._eraser = Eraser(connection, dialect)
        self._at = 0
        """Readings up to this id have been looked at in this pass."""
        self._scans_at = 0
        """The same of scans."""
        self._steps: list[tuple[str, Step]] = []

    def begin(self) -> None:
        """Begin a pass over everything that grows."""
        rules = self._rules
        self._at = self._scans_at = 0
        self._steps = [("receipt", self._receipts)]
        if rules.readings_days:
            self._steps.append(("reading", self._readings))
        if rules.scans_days:
            self._steps.append(("scan", self._scans))
        if rules.hourly_days:
            self._steps.append(("rollup_hour", self._of_rollup(RollupHour, rules.hourly_days)))
        if rules.daily_days:
            self._steps.append(("rollup_day", self._of_rollup(RollupDay, rules.daily_days)))
        if rules.notifications_days:
            self._steps.append(("notification", self._notifications))
        if rules.commands_days:
            self._steps.append(("command", self._commands))
        if rules.rollouts_days:
            self._steps.append(("rollout", self._rollouts))
        if rules.events_days:
            self._steps.append(("event", self._events))
            self._steps.append(("alarm", self._alarms))
            self._steps.append(("alarm_notice", self._alarm_notices))
            self._steps.append(("alarm_device", self._alarm_devices))
        if rules.audit_days:
            self._steps.append(("audit_entry", self._of_audit("ts_us < ?", rules.audit_days)))
            refusals = min(rules.audit_days, REFUSALS_DAYS)
            self._steps.append(("audit_entry", self._of_audit("outcome = 'refused' AND ts_us < ?", refusals)))

    @property
    def is_due(self) -> bool:
        """True until a pass has ended."""
        return bool(self._steps)

    def step(self, now_us: int) -> tuple[str, int]:
        """Delete one slice; return the name of its table and the number of rows."""
        name, step = self._steps[0]
        deleted, is_more = step(now_us)
        if not is_more:
            del self._steps[0]
        return name, deleted

    def _receipts(self, now_us: int) -> tuple[int, bool]:
        where = "WHERE mid = ? AND ts_us < ? LIMIT ?"
        sql = self._dialect.select(Receipt, ("link", "mid"), where)
        keys = self._connection.fetch(sql, (BY_KEY, now_us - REMEMBER_US, STEP))
        self._connection.execute_many(self._delete(Receipt, ("link", "mid")), keys)
        return len(keys), len(keys) == STEP

    def _readings(self, now_us: int) -> tuple[int, bool]:
        """Look at the next rows in the order of their ids, which is that of their receipt but for a few."""
        before = now_us - _to_us(self._rules.readings_days)
        sql = self._dialect.select(Reading, ("id", "rx_us"), "WHERE id > ? AND id <= ? ORDER BY id LIMIT ?")
        rows = self._connection.fetch(sql, (self._at, self._followed(), STEP))
        old = [row_id for row_id, rx_us in rows if rx_us < before]
        if rows:
            self._at = rows[-1][0]
        return self._eraser.readings(old), len(rows) == STEP and bool(old)

    def _scans(self, now_us: int) -> tuple[int, bool]:
        """Do the same with scans, which nobody follows."""
        before = now_us - _to_us(self._rules.scans_days)
        sql = self._dialect.select(Scan, ("id", "rx_us"), "WHERE id > ? ORDER BY id LIMIT ?")
        rows = self._connection.fetch(sql, (self._scans_at, STEP))
        old = [row_id for row_id, rx_us in rows if rx_us < before]
        if rows:
            self._scans_at = rows[-1][0]
        return self._eraser.rows(Scan, "id", old), len(rows) == STEP and bool(old)

    def _followed(self) -> int:
        """Return the id that every follower has come by."""
        sql = self._dialect.select(Setting, get_columns(Setting), f"WHERE {self._dialect.quote('key')} LIKE ?")
        found = dict(self._connection.fetch(sql, (f"{CURSORS}%",)))
        cursors = [_decode_cursor(key, value) for key, value in found.items()]
        cursors += [0 for key in self._rules.followers if key not in found]
        cursors += [tell() for tell in self._also_followed]
        return min(cursors, default=2**63 - 1)

    def _of_rollup(self, table: type[Table], days: float) -> Step:
        """Return the step for a roll-up; what is older than the day that it notes is not complete any more."""

        def step(now_us: int) -> tuple[int, bool]:
            before = now_us - _to_us(days)
            before -= before % DAY_US
            key = get_columns(table)[:3]
            rows = self._connection.fetch(
                self._dialect.select(table, key, "WHERE start_us < ? LIMIT ?"), (before, STEP)
            )
            if rows:
                self._note_horizon(table, before)
                self._connection.execute_many(self._delete(table, key), rows)
            return len(rows), len(rows) == STEP

        return step

    def _note_horizon(self, table: type[Table], since_us: int) -> None:
        key = horizon_key(table)
        where = f"WHERE {self._dialect.quote('key')} = ?"
        found = self._connection.fetch(self._dialect.select(Setting, ("value",), where), (key,))
        if not found or int(found[0][0]) < since_us:
            sql = self._dialect.upsert(Setting, get_columns(Setting), ("key",))
            self._connection.execute(sql, (key, str(since_us)))

    def _notifications(self, now_us: int) -> tuple[int, bool]:
        """Delete what has become of old notifications, then themselves."""
        before = now_us - _to_us(self._rules.notifications_days)
        sql = self._dialect.select(Notification, ("id",), "WHERE created_us < ? ORDER BY created_us LIMIT ?")
        old = [row[0] for row in self._connection.fetch(sql, (before, AT_ONCE))]
        if not old:
            return 0, False
        where = f"{self._dialect.within('notification_id', len(old))} LIMIT ?"
        found = self._connection.fetch(self._dialect.select(Delivery, ("id",), where), (*old, STEP))
        if found:
            return self._eraser.rows(Delivery, "id", [row[0] for row in found]), True
        return self._eraser.rows(Notification, "id", old), len(old) == AT_ONCE

    def _commands(self, now_us: int) -> tuple[int, bool]:
        before = now_us - _to_us(self._rules.commands_days)
        sql = self._dialect.select(
            Command, ("id",), f"{self._dialect.within('state', len(FINAL))} AND changed_us < ? LIMIT ?"
        )
        ids = [row[0] for row in self._connection.fetch(sql, (*FINAL, before, STEP))]
        return self._eraser.rows(Command, "id", ids), len(ids) == STEP

    def _rollouts(self, now_us: int) -> tuple[int, bool]:
        """Delete the devices of a rollout that ended long ago, then itself; one that is not over stays."""
        where = f"{self._dialect.within('status', len(ENDED))} AND changed_us < ? LIMIT 1"
        before = now_us - _to_us(self._rules.rollouts_days)
        found = self._connection.fetch(self._dialect.select(Rollout, ("id",), where), (*ENDED, before))
        if not found:
            return 0, False
        devices = self._dialect.select(RolloutDevice, ("rollout_id", "serial"), "WHERE rollout_id = ? LIMIT ?")
        keys = self._connection.fetch(devices, (found[0][0], STEP))
        if keys:
            self._connection.execute_many(self._delete(RolloutDevice, ("rollout_id", "serial")), keys)
            return len(keys), True
        return self._eraser.rows(Rollout, "id", [found[0][0]]), True

    def _events(self, now_us: int) -> tuple[int, bool]:
        before = now_us - _to_us(self._rules.events_days)
        sql = self._dialect.select(Event, ("id",), "WHERE ts_us < ? ORDER BY ts_us LIMIT ?")
        ids = [row[0] for row in self._connection.fetch(sql, (before, STEP))]
        return self._eraser.rows(Event, "id", ids), len(ids) == STEP

    def _of_audit(self, where: str, days: float) -> Step:
        """Return the step for the audit log."""

        def step(now_us: int) -> tuple[int, bool]:
            sql = self._dialect.select(AuditEntry, ("id",), f"WHERE {where} ORDER BY ts_us LIMIT ?")
            ids = [row[0] for row in self._connection.fetch(sql, (now_us - _to_us(days), STEP))]
            return self._eraser.rows(AuditEntry, "id", ids), len(ids) == STEP

        return step

    def _alarms(self, now_us: int) -> tuple[int, bool]:
        """Delete what has ended for as long as events are kept; not the newest, whose id SQLite would give again."""
        newest = f"(SELECT MAX(id) FROM {self._dialect.table(Alarm)})"  # noqa: S608  # a name of ours
        sql = self._dialect.select(Alarm, ("id",), f"WHERE cleared_us < ? AND id < {newest} LIMIT ?")
        ids = [row[0] for row in self._connection.fetch(sql, (now_us - _to_us(self._rules.events_days), STEP))]
        return self._eraser.rows(Alarm, "id", ids), len(ids) == STEP

    def _alarm_notices(self, now_us: int) -> tuple[int, bool]:
        """Do the same with their news; who was told of one that is open is to be told when it is over."""
        opened = f"(SELECT id FROM {self._dialect.table(Alarm)} WHERE cleared_us IS NULL)"  # noqa: S608  # see above
        sql = self._dialect.select(AlarmNotice, ("id",), f"WHERE ended_us < ? AND alarm_id NOT IN {opened} LIMIT ?")
        ids = [row[0] for row in self._connection.fetch(sql, (now_us - _to_us(self._rules.events_days), STEP))]
        return self._eraser.rows(AlarmNotice, "id", ids), len(ids) == STEP

    def _alarm_devices(self, _now_us: int) -> tuple[int, bool]:
        """Delete which devices alarms told of that are not there any more."""
        kept = f"(SELECT id FROM {self._dialect.table(Alarm)})"  # noqa: S608  # see above
        sql = self._dialect.scalar(AlarmDevice, "DISTINCT alarm_id", f"WHERE alarm_id NOT IN {kept} LIMIT ?")
        ids = [row[0] for row in self._connection.fetch(sql, (ALARMS_AT_ONCE,))]
        return self._eraser.rows(AlarmDevice, "alarm_id", ids), len(ids) == ALARMS_AT_ONCE

    def _delete(self, table: type[Table], key: Sequence[str]) -> str:
        tests = " AND ".join(f"{self._dialect.quote(name)} = ?" for name in key)
        return self._dialect.text(f"DELETE FROM {self._dialect.table(table)} WHERE {tests}")  # noqa: S608  # marks only


def _decode_cursor(key: str, value: str) -> int:
    try:
        return msgspec.json.decode(value, type=Cursor).after
    except msgspec.MsgspecError:
        logger.warning("the cursor %s in `setting` cannot be read, so that no reading is deleted: %.100r", key, value)
        return 0


def _to_us(days: float) -> int:
    return round(days * DAY_US)
