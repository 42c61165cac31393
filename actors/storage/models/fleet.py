"""Tables of the fleet: who belongs to it, and what is wanted of each."""

from __future__ import annotations

from peewee import (
    AutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    IntegerField,
    TextField,
)

from actors.storage.models.base import Table
from actors.storage.sealed import SealedTextField


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
    labels = TextField(null=True)
    """None in rows that are older than labels."""

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


class FleetGroup(Table):
    """A group that somebody has declared, see `actors.groups`."""

    name = CharField(max_length=64, primary_key=True)
    description = CharField()
    rule = TextField()
    """JSON, empty for none."""
    updated_us = BigIntegerField()
    changed_by = CharField()


class FleetGroupMember(Table):
    """A device that belongs to a group by hand."""

    name = CharField(max_length=64)
    serial = CharField(max_length=64, index=True)

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("name", "serial")


class Roster(Table):
    """A serial that is expected at a site."""

    site = CharField(max_length=64)
    serial = CharField(max_length=64)

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("site", "serial")


class Twin(Table):
    """What is desired of a device and what it reports, see `actors.twins`; a row comes with the first of either."""

    serial = CharField(max_length=64, primary_key=True)
    desired = SealedTextField()
    """JSON object, like `reported`."""
    desired_version = BigIntegerField()
    """Counts the changes of what is desired; 0 before the first, and then nothing is published."""
    desired_us = BigIntegerField()
    """0 before the first, like `reported_us`."""
    changed_by = CharField()
    reported = TextField()
    reported_version = BigIntegerField()
    """The version of what is desired that the device has applied."""
    reported_us = BigIntegerField()
    to_clear = BooleanField()
    """The device was deleted, and what the broker retains of its twin has to be taken back."""
