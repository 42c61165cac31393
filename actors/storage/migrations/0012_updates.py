"""Updates over the air. A step that was done before the process was killed is left out."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    Database,
    DoubleField,
    IntegerField,
    Model,
    MySQLDatabase,
    TextField,
)
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]
TABLES = ("rollout", "rollout_device", "rolled_back", "maintenance_window", "release", "upload")


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Rollout(Table):
        id = CharField(max_length=32, primary_key=True)
        release_id = CharField(max_length=64)
        version = CharField(max_length=64)
        target = CharField()
        status = CharField(max_length=16, index=True)
        reason = TextField()
        wave = IntegerField()
        reached_us = BigIntegerField(null=True)
        plan = TextField()
        windows = TextField()
        counts = TextField()
        created_us = BigIntegerField()
        changed_us = BigIntegerField()
        by = CharField()

    class RolloutDevice(Table):
        rollout_id = CharField(max_length=32)
        serial = CharField(max_length=64, index=True)
        wave = IntegerField()
        state = CharField(max_length=16)
        since_us = BigIntegerField()
        attempts = IntegerField()
        reason = TextField()
        progress = DoubleField(null=True)
        forced = BooleanField()

        class Meta:
            primary_key = CompositeKey("rollout_id", "serial")

    class RolledBack(Table):
        serial = CharField(max_length=64)
        version = CharField(max_length=64)
        at_us = BigIntegerField()
        reason = TextField()

        class Meta:
            primary_key = CompositeKey("serial", "version")

    class MaintenanceWindow(Table):
        site = CharField(max_length=64, primary_key=True)
        windows = TextField()
        changed_us = BigIntegerField()
        changed_by = CharField()

    class Release(Table):
        id = CharField(max_length=32, primary_key=True)
        version = CharField(max_length=64, unique=True)
        size = BigIntegerField()
        sha256 = CharField(max_length=64)
        key_id = CharField(max_length=16)
        facts = TextField()
        uploaded_us = BigIntegerField()
        uploaded_by = CharField()
        revoked_us = BigIntegerField(null=True)
        revoked_by = CharField()
        reason = TextField()

    class Upload(Table):
        id = CharField(max_length=32)
        server = CharField(max_length=64)
        size = BigIntegerField()
        sha256 = CharField(max_length=64)
        name = CharField()
        begun_us = BigIntegerField()
        begun_by = CharField()

        class Meta:
            primary_key = CompositeKey("id", "server")

    db.create_tables([Rollout, RolloutDevice, RolledBack, MaintenanceWindow, Release, Upload])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(*(migrator.drop_table(table) for table in TABLES))
