"""Deletes what belongs to a device without holding up the readings of all others.

With a device end its tokens and its enrolment: what it has could bring it back. The record of its enrolments stays:
who was given credentials, and by whom, may be asked when the device is gone.

A deletion renames the device's row to a serial that no device can have. The readings behind it, which may be millions,
go in slices between the commits, then the scans and the roll-ups, and the row goes last: until then its id cannot be
given to a new device.
"""

from __future__ import annotations

import time
from typing import Final

from actors.storage.connection import Connection
from actors.storage.erase import Eraser
from actors.storage.models import (
    Alarm,
    AlarmDevice,
    ApiToken,
    BrokerAccount,
    Command,
    Delivery,
    Device,
    Enrolment,
    Event,
    FleetGroupMember,
    LastSeen,
    PayloadKey,
    Reading,
    Receipt,
    RolledBack,
    RolloutDevice,
    RollupDay,
    RollupHour,
    Scan,
    Sensor,
    Table,
)
from actors.storage.sql import Dialect

#: Begins the serial of a deleted device; serial numbers match `[A-Za-z0-9._:-]{1,64}`.
TOMBSTONE: Final = "~"
#: The kind of event that outlives its device.
ENROLMENT: Final = "enrolment"
#: Rows deleted in one transaction: some ten milliseconds.
SLICE: Final = 5_000


class Purge:
    """The deletions of one database; every method runs inside a transaction of the caller."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._eraser = Eraser(connection, dialect)
        self._rename = dialect.update(Device, ("serial",), "id")
        self._by_id = [dialect.delete(model, "device_id") for model in (LastSeen, Sensor, Receipt)]
        of_serial = (
            AlarmDevice,
            Command,
            FleetGroupMember,
            Enrolment,
            BrokerAccount,
            PayloadKey,
            RolloutDevice,
            RolledBack,
        )
        self._by_serial = [dialect.delete(model, "serial") for model in of_serial]
        self._by_serial.append(dialect.delete(Delivery, "device"))
        timeline = f"DELETE FROM {dialect.table(Event)} WHERE serial = ? AND kind <> ?"  # noqa: S608  # marks only
        self._timeline = dialect.text(timeline)
        self._newest_alarm = dialect.scalar(Alarm, "COALESCE(MAX(id), 0)")
        alarms = f"DELETE FROM {dialect.table(Alarm)} WHERE serial = ? AND cleared_us IS NOT NULL AND id <> ?"  # noqa: S608  # marks only
        self._alarms = dialect.text(alarms)
        """What is open, the desk ends, and SQLite would give the id of the newest to the next one."""
        tokens = dialect.update(ApiToken, ("revoked_us",), "serial")
        self._tokens = f"{tokens} AND role = 'device' AND revoked_us IS NULL"
        self._find = dialect.select(Device, ("id",), "WHERE serial LIKE ? AND id > ? ORDER BY id LIMIT 1")
        self._readings = dialect.select(Reading, ("id",), "WHERE device_id = ? LIMIT ?")
        self._scans = dialect.select(Scan, ("id",), "WHERE device_id = ? LIMIT ?")
        self._delete_device = dialect.delete(Device, "id")
        self._passed = 0
        """Deleted devices up to this id wait for a newer reading than their last one."""
        self.is_due = True
        """False once no deleted device can be cleared away; a new process has to look."""

    def bury(self, device_id: int, serial: str) -> None:
        """Take the device out of sight, end its credentials, and delete all of it but its readings and roll-ups."""
        for sql in self._by_id:
            self._connection.execute(sql, (device_id,))
        for sql in self._by_serial:
            self._connection.execute(sql, (serial,))
        newest = self._connection.fetch(self._newest_alarm)[0][0]
        self._connection.execute(self._alarms, (serial, newest))
        self._connection.execute(self._timeline, (serial, ENROLMENT))
        self._connection.execute(self._tokens, (time.time_ns() // 1000, serial))
        self._connection.execute(self._rename, (f"{TOMBSTONE}{device_id}", device_id))
        self.look_again()

    def look_again(self) -> None:
        """Begin anew: there may be something to clear away."""
        self._passed = 0
        self.is_due = True

    def step(self) -> bool:
        """Delete one slice of rows, or a device that has none left; return whether there is more to do."""
        found = self._connection.fetch(self._find, (f"{TOMBSTONE}%", self._passed))
        if not found:
            self.is_due = False
            return False
        device_id = found[0][0]
        ids = [row[0] for row in self._connection.fetch(self._readings, (device_id, SLICE))]
        deleted = self._eraser.readings(ids)
        if deleted and len(ids) == SLICE:
            return True
        if self._delete_scans(device_id):
            return True
        if any(self._delete_rollups(table, device_id) for table in (RollupHour, RollupDay)):
            return True
        if deleted < len(ids):
            self._passed = device_id
        else:
            self._connection.execute(self._delete_device, (device_id,))
        return True

    def _delete_scans(self, device_id: int) -> bool:
        """Delete a slice of a device's scans; return whether some may be left."""
        ids = [row[0] for row in self._connection.fetch(self._scans, (device_id, SLICE))]
        self._eraser.rows(Scan, "id", ids)
        return len(ids) == SLICE

    def _delete_rollups(self, table: type[Table], device_id: int) -> bool:
        """Delete the first slice of a device's roll-ups in the order of the key; return whether some are left."""
        order = "WHERE device_id = ? ORDER BY device_id, metric, start_us LIMIT 1 OFFSET ?"
        last = self._connection.fetch(self._dialect.select(table, ("metric", "start_us"), order), (device_id, SLICE))
        if not last:
            self._connection.execute(self._dialect.delete(table, "device_id"), (device_id,))
            return False
        metric, start_us = last[0]
        where = "device_id = ? AND (metric < ? OR (metric = ? AND start_us < ?))"
        sql = self._dialect.text(f"DELETE FROM {self._dialect.table(table)} WHERE {where}")  # noqa: S608  # marks only
        self._connection.execute(sql, (device_id, metric, metric, start_us))
        return True
