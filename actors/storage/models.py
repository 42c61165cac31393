"""The tables, as peewee models.

The models are bound to no database: queries name theirs when they run (`query.execute(database)`), since the writer
and each reader have one of their own. Times named `*_us` are microseconds since 1970 UTC.

There are no foreign keys. The registry is the only writer and deletes what depends on a device itself; a key check
would cost every reading a look-up of a device whose id the writer has just looked up.
"""

from __future__ import annotations

from typing import Final

from peewee import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    IntegerField,
    Model,
    TextField,
)


class DigestField(BlobField):
    """Exactly 16 bytes; a type that MySQL can index whole (see `actors.storage.database`)."""

    field_type = "DIGEST"


class Table(Model):
    """Base of the models: table names in snake case."""

    class Meta:  # noqa: D106  # peewee's place for options
        legacy_table_names = False


class Device(Table):
    """One row for each serial number ever seen: the columns are the fields of `DeviceSnapshot`."""

    id = AutoField()
    serial = CharField(max_length=64, unique=True)
    kind = CharField(max_length=32)
    family = CharField(max_length=16)
    type = CharField()
    device_id = CharField()
    site = CharField()
    label = CharField()
    group = CharField()
    presence = CharField(max_length=16)
    reason = CharField(max_length=32)
    since_us = BigIntegerField()
    ip_address = CharField()
    hostname = CharField()
    mac_address = CharField()
    first_seen_us = BigIntegerField()
    offline_after = DoubleField(null=True)
    quarantined = BooleanField()
    pinned = BooleanField()
    services = TextField()
    system_info = TextField()
    metadata = TextField()
    device_token = TextField()
    session = CharField()
    broker = CharField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("kind", "serial"), False),)


class LastSeen(Table):
    """When a device was last heard, written behind: its own narrow table, since it changes without anything else."""

    device_id = IntegerField(primary_key=True)
    ts_us = BigIntegerField()


class Sensor(Table):
    """A number that has appeared in a device's readings."""

    device_id = IntegerField()
    name = CharField()
    first_seen_us = BigIntegerField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("device_id", "name")


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


class DeadLetter(Table):
    """A message that could not be processed."""

    id = BigAutoField()
    rx_us = BigIntegerField()
    reason = CharField(max_length=64)
    detail = TextField()
    link = CharField(max_length=128)
    topic = TextField()
    payload = BlobField()
    serial = CharField(max_length=64)
    qos = IntegerField()
    replayed_us = BigIntegerField(null=True)

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("serial", "reason", "id"), False),)


class Event(Table):
    """Something that happened to a device, or to the fleet when `serial` is empty."""

    id = BigAutoField()
    ts_us = BigIntegerField(index=True)
    serial = CharField(max_length=64)
    kind = CharField(max_length=32)
    data = TextField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("serial", "id"), False),)


class ApiToken(Table):
    """A bearer token; only the SHA-256 of its text is kept."""

    id = AutoField()
    name = CharField()
    hash = CharField(max_length=64, unique=True)
    role = CharField(max_length=16)
    serial = CharField(max_length=64)
    created_us = BigIntegerField()
    expires_us = BigIntegerField(null=True)
    revoked_us = BigIntegerField(null=True)


class Enrolment(Table):
    """How far a device is on the way to credentials of its own, see `actors.enrolment`."""

    serial = CharField(max_length=64, primary_key=True)
    state = CharField(max_length=16, index=True)
    token_id = IntegerField(null=True)
    """The token it was given last; None when it was revoked, or none was given yet."""
    hostname = CharField()
    mac_address = CharField()
    device_type = CharField()
    address = CharField()
    """From where it asked last."""
    requested_us = BigIntegerField()
    enrolled_us = BigIntegerField(null=True)
    approved_until_us = BigIntegerField(null=True)
    changed_by = CharField()
    claim = CharField(max_length=64)
    """SHA-256 of what the device chose for this request, in hexadecimal digits; empty when it chose nothing."""


class Setting(Table):
    """A value that the server remembers between starts."""

    key = CharField(max_length=128, primary_key=True)
    value = TextField()


MODELS: Final = (
    Device,
    LastSeen,
    Sensor,
    Reading,
    Receipt,
    DeadLetter,
    Event,
    ApiToken,
    Setting,
    Analysed,
    RollupHour,
    RollupDay,
    Scan,
    Enrolment,
)
