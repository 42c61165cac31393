"""Which devices an alarm of several tells of: an alarm is found by each of them, and goes on with them."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, CompositeKey, Database, Model, MySQLDatabase
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class AlarmDevice(Table):
        alarm_id = BigIntegerField()
        serial = CharField(max_length=64, index=True)
        left_us = BigIntegerField(null=True)

        class Meta:
            primary_key = CompositeKey("alarm_id", "serial")

    db.create_tables([AlarmDevice])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("alarm_device"))
