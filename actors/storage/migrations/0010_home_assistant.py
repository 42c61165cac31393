"""What is retained for Home Assistant, so that it can be taken back."""

from __future__ import annotations

from peewee import CharField, CompositeKey, Database, Model, MySQLDatabase, TextField
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class HomeAssistantDevice(Model):
        topic = CharField(max_length=255)
        link = CharField(max_length=64)
        server = CharField(max_length=16, index=True)
        serial = CharField(max_length=64)
        measures = TextField()

        class Meta:
            database = db
            legacy_table_names = False
            primary_key = CompositeKey("topic", "link")
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    db.create_tables([HomeAssistantDevice])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("home_assistant_device"))
