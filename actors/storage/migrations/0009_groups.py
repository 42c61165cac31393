"""Groups, rosters, and the labels of devices. A step that was done before the process was killed is left out."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, CompositeKey, Database, Model, MySQLDatabase, TextField
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]
TABLES = ("fleet_group", "fleet_group_member", "roster")


def up(migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class FleetGroup(Table):
        name = CharField(max_length=64, primary_key=True)
        description = CharField()
        rule = TextField()
        updated_us = BigIntegerField()
        changed_by = CharField()

    class FleetGroupMember(Table):
        name = CharField(max_length=64)
        serial = CharField(max_length=64, index=True)

        class Meta:
            primary_key = CompositeKey("name", "serial")

    class Roster(Table):
        site = CharField(max_length=64)
        serial = CharField(max_length=64)

        class Meta:
            primary_key = CompositeKey("site", "serial")

    db.create_tables([FleetGroup, FleetGroupMember, Roster])
    if "labels" not in {column.name for column in db.get_columns("device")}:
        migrator.migrate(migrator.add_column("device", "labels", TextField(null=True)))


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_column("device", "labels"), *(migrator.drop_table(table) for table in TABLES))
