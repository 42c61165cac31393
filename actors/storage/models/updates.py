"""Tables of updates: rollouts, how far each device is, and when devices may be updated."""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, CharField, CompositeKey, DoubleField, IntegerField, TextField

from actors.storage.models.base import Table


class Rollout(Table):
    """A release on its way to devices, see `actors.updates.header.Header`."""

    id = CharField(max_length=32, primary_key=True)
    release_id = CharField(max_length=64)
    version = CharField(max_length=64)
    target = CharField()
    status = CharField(max_length=16, index=True)
    reason = TextField()
    wave = IntegerField()
    reached_us = BigIntegerField(null=True)
    plan = TextField()
    windows = TextField()
    counts = TextField()
    created_us = BigIntegerField()
    changed_us = BigIntegerField()
    by = CharField()


class RolloutDevice(Table):
    """How far a device of a rollout is, see `actors.updates.rollout.Entry`."""

    rollout_id = CharField(max_length=32)
    serial = CharField(max_length=64, index=True)
    wave = IntegerField()
    state = CharField(max_length=16)
    since_us = BigIntegerField()
    attempts = IntegerField()
    reason = TextField()
    progress = DoubleField(null=True)
    forced = BooleanField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("rollout_id", "serial")


class RolledBack(Table):
    """A version that a device has left again; it succeeded there later if there is no such row."""

    serial = CharField(max_length=64)
    version = CharField(max_length=64)
    at_us = BigIntegerField()
    reason = TextField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("serial", "version")


class MaintenanceWindow(Table):
    """When the devices of a site may be updated: JSON of its windows."""

    site = CharField(max_length=64, primary_key=True)
    windows = TextField()
    changed_us = BigIntegerField()
    changed_by = CharField()
