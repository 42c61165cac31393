"""Enrolments: which device asked for credentials of its own, and what became of it.

A step that was done before the process was killed is left out, as in `0002`.
"""

from __future__ import annotations

from peewee import BigIntegerField, CharField, Database, IntegerField, Model, MySQLDatabase
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]
INDEX = ("state",)


def up(migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Enrolment(Table):
        serial = CharField(max_length=64, primary_key=True)
        state = CharField(max_length=16)
        token_id = IntegerField(null=True)
        hostname = CharField()
        mac_address = CharField()
        device_type = CharField()
        address = CharField()
        requested_us = BigIntegerField()
        enrolled_us = BigIntegerField(null=True)
        approved_until_us = BigIntegerField(null=True)
        changed_by = CharField()
        claim = CharField(max_length=64)

    db.create_tables([Enrolment])
    if not any(tuple(index.columns) == INDEX for index in db.get_indexes("enrolment")):
        migrator.migrate(migrator.add_index("enrolment", INDEX, unique=False))


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("enrolment"))
