"""What all tables have in common."""

from __future__ import annotations

from peewee import BlobField, Model


class DigestField(BlobField):
    """Exactly 16 bytes; a type that MySQL can index whole (see `actors.storage.database`)."""

    field_type = "DIGEST"


class Table(Model):
    """Base of the models: table names in snake case."""

    class Meta:  # noqa: D106  # peewee's place for options
        legacy_table_names = False
