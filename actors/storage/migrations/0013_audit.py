"""Who has done what, from where."""

from __future__ import annotations

from peewee import BigAutoField, BigIntegerField, CharField, Database, IntegerField, Model, MySQLDatabase, TextField
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class AuditEntry(Model):
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

        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []
            indexes = ((("who", "id"), False), (("action", "id"), False), (("subject", "id"), False))

    db.create_tables([AuditEntry])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("audit_entry"))
