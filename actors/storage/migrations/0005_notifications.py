"""Notifications, and what has become of each of them at each recipient."""

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


def up(_migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Notification(Table):
        id = CharField(max_length=40, primary_key=True)
        batch = CharField(max_length=40)
        seq = IntegerField()
        title = CharField()
        priority = CharField(max_length=8)
        qos = IntegerField()
        retain = BooleanField()
        created_us = BigIntegerField(index=True)
        expires_us = BigIntegerField(null=True)
        recipients = IntegerField()
        sent_by = CharField()
        payload = TextField()

        class Meta:
            indexes = ((("batch", "seq"), False),)

    class Delivery(Table):
        id = BigAutoField()
        notification_id = CharField(max_length=40)
        seq = IntegerField()
        device = CharField(max_length=64)
        topic = TextField()
        link = CharField(max_length=128)
        state = CharField(max_length=16)
        rank = IntegerField()
        qos = IntegerField()
        reason = TextField()
        expires_us = BigIntegerField(null=True)
        updated_us = BigIntegerField()

        class Meta:
            indexes = (
                (("notification_id", "seq"), True),
                (("notification_id", "device"), False),
                (("state", "link", "rank", "id"), False),
                (("device", "id"), False),
            )

    db.create_tables([Notification, Delivery])


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("delivery"), migrator.drop_table("notification"))
