"""Tables of releases: what may be rolled out, and what is still being uploaded."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, CompositeKey, TextField

from actors.storage.models.base import Table


class Release(Table):
    """A release that was verified; its file lies in the data directory of each server that it was uploaded to."""

    id = CharField(max_length=32, primary_key=True)
    version = CharField(max_length=64, unique=True)
    size = BigIntegerField()
    sha256 = CharField(max_length=64)
    key_id = CharField(max_length=16)
    facts = TextField()
    uploaded_us = BigIntegerField()
    uploaded_by = CharField()
    revoked_us = BigIntegerField(null=True)
    revoked_by = CharField()
    reason = TextField()


class Upload(Table):
    """A file on its way to one server; how much of it is there the file itself says."""

    id = CharField(max_length=32)
    server = CharField(max_length=64)
    size = BigIntegerField()
    sha256 = CharField(max_length=64)
    name = CharField()
    begun_us = BigIntegerField()
    begun_by = CharField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("id", "server")
