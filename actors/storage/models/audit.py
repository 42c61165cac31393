"""The table of who has done what."""

from __future__ import annotations

from peewee import BigAutoField, BigIntegerField, CharField, IntegerField, TextField

from actors.storage.models.base import Table


class AuditEntry(Table):
    """A change that somebody made over HTTP, or was refused."""

    id = BigAutoField()
    ts_us = BigIntegerField(index=True)
    who = CharField()
    address = CharField(max_length=64)
    action = CharField(max_length=128)
    subject = CharField()
    outcome = CharField(max_length=16)
    status = IntegerField()
    repeated = IntegerField()
    details = TextField()
    """JSON object."""

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("who", "id"), False), (("action", "id"), False), (("subject", "id"), False))
