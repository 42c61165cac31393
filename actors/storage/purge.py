"""Deletes what belongs to a device without holding up the readings of all others.

A deletion renames the device's row to a serial that no device can have. The readings behind it, which may be millions,
go in slices between the commits, and the row goes last: until then its id cannot be given to a new device.
"""

from __future__ import annotations

from typing import Final

from actors.storage.connection import Connection
from actors.storage.models import Device, Event, LastSeen, Reading, Receipt, Sensor
from actors.storage.sql import Dialect, slices

#: Begins the serial of a deleted device; serial numbers match `[A-Za-z0-9._:-]{1,64}`.
TOMBSTONE: Final = "~"
#: Readings deleted in one transaction: some ten milliseconds.
SLICE: Final = 5_000


class Purge:
    """The deletions of one database; every method runs inside a transaction of the caller."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._rename = dialect.update(Device, ("serial",), "id")
        self._by_id = [dialect.delete(model, "device_id") for model in (LastSeen, Sensor, Receipt)]
        self._by_serial = dialect.delete(Event, "serial")
        self._find = dialect.select(Device, ("id",), f"WHERE {dialect.quote('serial')} LIKE ? LIMIT 1")
        self._readings = dialect.select(Reading, ("id",), "WHERE device_id = ? LIMIT ?")
        self._delete_device = dialect.delete(Device, "id")
        self.is_due = True
        """False once no deleted device is left; a new process has to look."""

    def bury(self, device_id: int, serial: str) -> None:
        """Take the device out of sight and delete all of it but its readings."""
        for sql in self._by_id:
            self._connection.execute(sql, (device_id,))
        self._connection.execute(self._by_serial, (serial,))
        self._connection.execute(self._rename, (f"{TOMBSTONE}{device_id}", device_id))
        self.is_due = True

    def step(self) -> bool:
        """Delete one slice of readings, or a device that has none left; return whether there is more to do."""
        found = self._connection.fetch(self._find, (f"{TOMBSTONE}%",))
        if not found:
            self.is_due = False
            return False
        device_id = found[0][0]
        ids = [row[0] for row in self._connection.fetch(self._readings, (device_id, SLICE))]
        for part in slices(ids):
            where = self._dialect.within("id", len(part))
            self._connection.execute(f"DELETE FROM {self._dialect.table(Reading)} {where}", part)  # noqa: S608  # marks only
        if len(ids) < SLICE:
            self._connection.execute(self._delete_device, (device_id,))
        return True
