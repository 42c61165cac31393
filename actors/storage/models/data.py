"""Tables of what devices send: readings, what is added up of them, scans, and how copies are recognised."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    IntegerField,
    TextField,
)

from actors.storage.models.base import DigestField, Table


class Reading(Table):
    """One row for each message; its identity is unique, and the index of it serves ranges of `(device_id, ts_us)`."""

    id = BigAutoField()
    device_id = IntegerField()
    ts_us = BigIntegerField()
    digest = DigestField()
    rx_us = BigIntegerField()
    clock = CharField(max_length=16)
    source = CharField(max_length=16)
    channel = CharField(max_length=64)
    measures = TextField()
    # None rather than empty: a column that may be null is added to a table of any size at once.
    health_index = DoubleField(null=True)
    status = CharField(max_length=16, null=True)
    anomalies = TextField(null=True)

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("device_id", "ts_us", "digest"), True),)


class Analysed(Table):
    """The ids of the readings that have a health index: what a partial index would be, which MariaDB lacks."""

    reading_id = BigIntegerField(primary_key=True)


class Rollup(Table):
    """The numbers of one measure of one device within an interval that begins at `start_us`."""

    device_id = IntegerField()
    metric = CharField()
    start_us = BigIntegerField(index=True)
    n = BigIntegerField()
    min = DoubleField()
    max = DoubleField()
    sum = DoubleField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("device_id", "metric", "start_us")


class RollupHour(Rollup):
    """Hours of UTC."""


class RollupDay(Rollup):
    """Days of UTC."""


class Scan(Table):
    """One row for each code that a scanner has read; its identity is unique within its device."""

    id = BigAutoField()
    device_id = IntegerField()
    scan_id = CharField(max_length=128)
    ts_us = BigIntegerField()
    rx_us = BigIntegerField()
    clock = CharField(max_length=16)
    source = CharField(max_length=16)
    code = TextField()
    code_key = CharField(max_length=64)
    """The beginning of the code: an index takes no text of any length."""
    symbology = CharField(max_length=64)
    valid = BooleanField(null=True)
    scanner = CharField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = (
            (("device_id", "scan_id"), True),
            (("device_id", "ts_us", "id"), False),
            (("code_key", "ts_us", "id"), False),
            (("ts_us", "id"), False),
        )


class Receipt(Table):
    """What recognises a reading that its identity cannot, see `actors.storage.receipts`."""

    link = CharField(max_length=128)
    mid = IntegerField()
    """The packet id; 0 for a key of the sender's own, which `link` then holds."""
    device_id = IntegerField()
    ts_us = BigIntegerField()
    digest = DigestField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("link", "mid")
        indexes = ((("mid", "ts_us"), False),)
