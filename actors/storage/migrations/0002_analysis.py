"""The analysis beside each reading, the roll-ups, and what their queries and the retention need.

Nothing here reads or rewrites a table that may be large: the columns may be null, and the new tables begin empty.
MariaDB commits each step by itself, so that a step which was done before the process was killed is left out.
"""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    CharField,
    CompositeKey,
    Database,
    DoubleField,
    IntegerField,
    Model,
    MySQLDatabase,
    SqliteDatabase,
    TextField,
)
from playhouse.migrate import SchemaMigrator

MYSQL_SETTINGS = ["ENGINE=InnoDB", "DEFAULT CHARACTER SET utf8mb4", "COLLATE utf8mb4_bin"]
TABLES = ("analysed", "rollup_hour", "rollup_day")
COLUMNS = {
    "health_index": DoubleField(null=True),
    "status": CharField(max_length=16, null=True),
    "anomalies": TextField(null=True),
}
INDEXES = {"device": ("kind", "serial"), "receipt": ("mid", "ts_us")}


def up(migrator: SchemaMigrator, db: Database) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False
            table_settings = MYSQL_SETTINGS if isinstance(db, MySQLDatabase) else []

    class Analysed(Table):
        reading_id = BigIntegerField(primary_key=True)

    class Rollup(Table):
        device_id = IntegerField()
        metric = CharField()
        start_us = BigIntegerField(index=True)
        n = BigIntegerField()
        min = DoubleField()
        max = DoubleField()
        sum = DoubleField()

        class Meta:
            primary_key = CompositeKey("device_id", "metric", "start_us")
            # SQLite would keep the key twice, in the rows and in an index.
            without_rowid = isinstance(db, SqliteDatabase)

    class RollupHour(Rollup):
        class Meta:
            without_rowid = isinstance(db, SqliteDatabase)

    class RollupDay(Rollup):
        class Meta:
            without_rowid = isinstance(db, SqliteDatabase)

    db.create_tables([Analysed, RollupHour, RollupDay])
    there = {column.name for column in db.get_columns("reading")}
    steps = [migrator.add_column("reading", name, field) for name, field in COLUMNS.items() if name not in there]
    for table, columns in INDEXES.items():
        if not any(tuple(index.columns) == columns for index in db.get_indexes(table)):
            steps.append(migrator.add_index(table, columns, unique=False))
    migrator.migrate(*steps)


def down(migrator: SchemaMigrator, _db: Database) -> None:
    migrator.migrate(
        *(migrator.drop_index(table, f"{table}_{'_'.join(columns)}") for table, columns in INDEXES.items()),
        *(migrator.drop_column("reading", name) for name in COLUMNS),
        *(migrator.drop_table(table) for table in TABLES),
    )
