"""Commands: what devices were asked to do, and what became of it."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, Database, Model, MySQLDatabase, TextField
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Command(Table):
        id = CharField(max_length=32, primary_key=True)
        batch = CharField(max_length=32, index=True)
        serial = CharField(max_length=64)
        name = CharField(max_length=64)
        args = TextField()
        state = CharField(max_length=16)
        result = TextField()
        reason = TextField()
        created_us = BigIntegerField()
        deadline_us = BigIntegerField()
        sent_us = BigIntegerField(null=True)
        accepted_us = BigIntegerField(null=True)
        changed_us = BigIntegerField()
        by = CharField()

        class Meta:
            indexes = ((("serial", "id"), False), (("state", "changed_us"), False))

    db.create_tables([Command])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("command"))
