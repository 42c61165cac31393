"""Public keys of devices whose payloads are sealed. What was done before the process was killed is left out."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, Database, Model, MySQLDatabase
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class PayloadKey(Table):
        serial = CharField(max_length=64, primary_key=True)
        public = CharField(max_length=64)
        changed_us = BigIntegerField()

    db.create_tables([PayloadKey])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("payload_key"))
