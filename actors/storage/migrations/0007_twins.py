"""Twins: what is desired of a device, and what it reports."""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, CharField, Database, Model, MySQLDatabase, TextField
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Twin(Table):
        serial = CharField(max_length=64, primary_key=True)
        desired = TextField()
        desired_version = BigIntegerField()
        desired_us = BigIntegerField()
        changed_by = CharField()
        reported = TextField()
        reported_version = BigIntegerField()
        reported_us = BigIntegerField()
        to_clear = BooleanField()

    db.create_tables([Twin])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("twin"))
