"""The first tables: a copy of the models of that day, which stays as it is when the models change."""

from __future__ import annotations

from peewee import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
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

TABLES = ("device", "last_seen", "sensor", "reading", "receipt", "dead_letter", "event", "api_token", "setting")

# Serial numbers differ by case; MySQL's default collations do not.
MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


class DigestField(BlobField):
    field_type = "DIGEST"


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Device(Table):
        id = AutoField()
        serial = CharField(max_length=64, unique=True)
        kind = CharField(max_length=32)
        family = CharField(max_length=16)
        type = CharField()
        device_id = CharField()
        site = CharField()
        label = CharField()
        group = CharField()
        presence = CharField(max_length=16)
        reason = CharField(max_length=32)
        since_us = BigIntegerField()
        ip_address = CharField()
        hostname = CharField()
        mac_address = CharField()
        first_seen_us = BigIntegerField()
        offline_after = DoubleField(null=True)
        quarantined = BooleanField()
        pinned = BooleanField()
        services = TextField()
        system_info = TextField()
        metadata = TextField()
        device_token = TextField()
        session = CharField()
        broker = CharField()

    class LastSeen(Table):
        device_id = IntegerField(primary_key=True)
        ts_us = BigIntegerField()

    class Sensor(Table):
        device_id = IntegerField()
        name = CharField()
        first_seen_us = BigIntegerField()

        class Meta:
            primary_key = CompositeKey("device_id", "name")

    class Reading(Table):
        id = BigAutoField()
        device_id = IntegerField()
        ts_us = BigIntegerField()
        digest = DigestField()
        rx_us = BigIntegerField()
        clock = CharField(max_length=16)
        source = CharField(max_length=16)
        channel = CharField(max_length=64)
        measures = TextField()

        class Meta:
            indexes = ((("device_id", "ts_us", "digest"), True),)

    class Receipt(Table):
        link = CharField(max_length=128)
        mid = IntegerField()
        device_id = IntegerField()
        ts_us = BigIntegerField()
        digest = DigestField()

        class Meta:
            primary_key = CompositeKey("link", "mid")

    class DeadLetter(Table):
        id = BigAutoField()
        rx_us = BigIntegerField()
        reason = CharField(max_length=64)
        detail = TextField()
        link = CharField(max_length=128)
        topic = TextField()
        payload = BlobField()
        serial = CharField(max_length=64)
        qos = IntegerField()
        replayed_us = BigIntegerField(null=True)

        class Meta:
            indexes = ((("serial", "reason", "id"), False),)

    class Event(Table):
        id = BigAutoField()
        ts_us = BigIntegerField(index=True)
        serial = CharField(max_length=64)
        kind = CharField(max_length=32)
        data = TextField()

        class Meta:
            indexes = ((("serial", "id"), False),)

    class ApiToken(Table):
        id = AutoField()
        name = CharField()
        hash = CharField(max_length=64, unique=True)
        role = CharField(max_length=16)
        serial = CharField(max_length=64)
        created_us = BigIntegerField()
        expires_us = BigIntegerField(null=True)
        revoked_us = BigIntegerField(null=True)

    class Setting(Table):
        key = CharField(max_length=128, primary_key=True)
        value = TextField()

    db.create_tables([Device, LastSeen, Sensor, Reading, Receipt, DeadLetter, Event, ApiToken, Setting])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    for table in TABLES:
        migrator.migrate(migrator.drop_table(table))
