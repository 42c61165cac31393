"""Tables of the house: what could not be processed, what happened, who may do what."""

from __future__ import annotations

from peewee import AutoField, BigAutoField, BigIntegerField, BlobField, CharField, IntegerField, TextField

from actors.storage.models.base import Table


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


class Setting(Table):
    """A value that the server remembers between starts."""

    key = CharField(max_length=128, primary_key=True)
    value = TextField()
