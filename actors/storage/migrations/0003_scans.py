"""The codes that scanners have read. A step that was done before the process was killed is left out, as in `0002`."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    Database,
    IntegerField,
    Model,
    MySQLDatabase,
    TextField,
)
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]
INDEXES = (("device_id", "scan_id"), ("device_id", "ts_us", "id"), ("code_key", "ts_us", "id"), ("ts_us", "id"))
IDENTITY = INDEXES[0]


def up(migrator: SchemaMigrator, db: Database) -> None:
    class Scan(Model):
        id = BigAutoField()
        device_id = IntegerField()
        scan_id = CharField(max_length=128)
        ts_us = BigIntegerField()
        rx_us = BigIntegerField()
        clock = CharField(max_length=16)
        source = CharField(max_length=16)
        code = TextField()
        code_key = CharField(max_length=64)
        symbology = CharField(max_length=64)
        valid = BooleanField(null=True)
        scanner = CharField()

        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    db.create_tables([Scan])
    there = {tuple(index.columns) for index in db.get_indexes("scan")}
    migrator.migrate(
        *(migrator.add_index("scan", columns, columns == IDENTITY) for columns in INDEXES if columns not in there)
    )


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("scan"))
