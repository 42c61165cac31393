"""Alarms: the rules that operators made, what is wrong or was, and the news of it that has to be sent."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    CharField,
    Database,
    DoubleField,
    IntegerField,
    Model,
    MySQLDatabase,
    TextField,
)
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class AlarmRule(Table):
        name = CharField(max_length=64, primary_key=True)
        body = TextField()
        changed_us = BigIntegerField()
        changed_by = CharField()

    class Alarm(Table):
        id = BigAutoField()
        open_key = CharField(max_length=250, null=True, unique=True)
        key = CharField(max_length=250)
        rule = CharField(max_length=64)
        kind = CharField(max_length=32)
        severity = CharField(max_length=16)
        subject = CharField(max_length=160)
        serial = CharField(max_length=64)
        site = CharField()
        summary = TextField()
        value = DoubleField(null=True)
        count = IntegerField()
        members = TextField()
        raised_us = BigIntegerField()
        updated_us = BigIntegerField()
        cleared_us = BigIntegerField(null=True)
        cleared_why = CharField()
        acknowledged_us = BigIntegerField(null=True)
        acknowledged_by = CharField()
        silenced_until_us = BigIntegerField(null=True)
        silenced_by = CharField()
        told_us = BigIntegerField(null=True)

        class Meta:
            indexes = ((("key", "id"), False), (("serial", "id"), False), (("cleared_us",), False))

    class AlarmNotice(Table):
        id = BigAutoField()
        alarm_id = BigIntegerField(index=True)
        event = CharField(max_length=16)
        channel = CharField(max_length=64)
        body = TextField()
        attempts = IntegerField()
        made_us = BigIntegerField()
        due_us = BigIntegerField(null=True, index=True)
        ended_us = BigIntegerField(null=True, index=True)
        error = TextField()

    db.create_tables([AlarmRule, Alarm, AlarmNotice])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(*(migrator.drop_table(name) for name in ("alarm_notice", "alarm", "alarm_rule")))
