"""The broker's users of devices. A step that was done before the process was killed is left out."""

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

    class BrokerAccount(Table):
        serial = CharField(max_length=64, primary_key=True)
        nonce = CharField(max_length=32)
        granted = CharField(max_length=32)
        publishes = BooleanField()
        topics = TextField()
        renew_by_us = BigIntegerField(null=True)
        changed_us = BigIntegerField()

    db.create_tables([BrokerAccount])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("broker_account"))
