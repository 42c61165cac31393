"""Opens the database that a URL names, and brings its tables up to date."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from peewee import Database, MySQLDatabase, PostgresqlDatabase, SqliteDatabase
from playhouse.migrations import Runner

from actors.storage.errors import ConfigurationError, StoreUnavailable

logger = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).parent / "migrations"

#: Seconds to wait for a connection, and for a lock that another connection holds.
CONNECT_TIMEOUT: Final = 5
LOCK_TIMEOUT: Final = 5
#: Seconds after which a silent server counts as gone.
NETWORK_TIMEOUT: Final = 30
#: Seconds that one statement of a read-only connection may take (DESIGN: transactions under 1 s).
READ_TIMEOUT: Final = 1.0
#: Names the advisory lock under which migrations run; any constant will do.
MIGRATION_LOCK: Final = 0x4D757374

POSTGRES_OPTIONS: Final = {"application_name", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "host"}
MYSQL_OPTIONS: Final = {"unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity"}


class SqliteStore(SqliteDatabase):
    """SQLite: `DIGEST` is a BLOB; a new file is for our eyes only, and so are its companions, which take its mode."""

    field_types = SqliteDatabase.field_types | {"DIGEST": "BLOB"}

    def _connect(self) -> Any:
        if not self.database.startswith("file:"):
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT, 0o600))
        return super()._connect()  # type: ignore[misc]  # of peewee, which is untyped


class PostgresStore(PostgresqlDatabase):
    """PostgreSQL through psycopg 3."""

    field_types = PostgresqlDatabase.field_types | {"DIGEST": "BYTEA"}


class MySqlStore(MySQLDatabase):
    """MariaDB and MySQL: texts and blobs beyond 64 KB, and a digest that an index takes whole."""

    field_types = MySQLDatabase.field_types | {
        "DIGEST": "BINARY(16)",
        "TEXT": "MEDIUMTEXT",
        "BLOB": "MEDIUMBLOB",
    }


def open_database(url: str, *, read_only: bool = False) -> Database:
    """Return the database that `url` names, not yet connected.

    `sqlite:///relative/path`, `sqlite:////absolute/path`, `postgresql://user:password@host:5432/name`,
    `mysql://user:password@host:3306/name` (MariaDB too).

    Raises:
        ConfigurationError: the URL or the driver is missing or wrong; the message never holds the password.

    """
    parts = urlsplit(url)
    try:
        opener = {
            "sqlite": _open_sqlite,
            "postgresql": _open_postgres,
            "postgres": _open_postgres,
            "mysql": _open_mysql,
        }[parts.scheme]
    except KeyError:
        raise ConfigurationError(
            f"database URL: unknown scheme {parts.scheme!r}; use sqlite:///, postgresql:// or mysql://"
        ) from None
    return opener(parts, read_only)


def _open_sqlite(parts: SplitResult, read_only: bool) -> Database:
    path = unquote(parts.path)[1:]
    if parts.netloc or not path:
        raise ConfigurationError(
            "database URL: sqlite needs a path after three slashes, for example sqlite:///muster.db or "
            "sqlite:////var/lib/muster/muster.db"
        )
    if parts.query:
        raise ConfigurationError(f"database URL: sqlite takes no options, found {parts.query!r}")
    pragmas: dict[str, Any] = {"foreign_keys": 1, "busy_timeout": LOCK_TIMEOUT * 1000, "temp_store": "memory"}
    # Sixteen megabytes of pages: the readings' unique index is touched at random.
    pragmas["cache_size"] = -16_000
    if read_only:
        pragmas["query_only"] = 1
        name = f"file:{quote(path)}?mode=ro"
        return SqliteStore(name, pragmas=pragmas, timeout=LOCK_TIMEOUT, uri=True, autoconnect=False)
    pragmas |= {"journal_mode": "wal", "synchronous": "full"}
    return SqliteStore(path, pragmas=pragmas, timeout=LOCK_TIMEOUT, lock_type="IMMEDIATE", autoconnect=False)


def _open_postgres(parts: SplitResult, read_only: bool) -> Database:
    _need_driver("psycopg", "postgres")
    settings = {"lock_timeout": f"{LOCK_TIMEOUT}s", "idle_in_transaction_session_timeout": "60s"}
    if read_only:
        settings |= {"default_transaction_read_only": "on", "statement_timeout": f"{int(READ_TIMEOUT * 1000)}ms"}
    name, arguments = _parse_server(parts, POSTGRES_OPTIONS)
    arguments = {
        "application_name": "muster",
        "connect_timeout": CONNECT_TIMEOUT,
        "keepalives_idle": NETWORK_TIMEOUT,
        "tcp_user_timeout": NETWORK_TIMEOUT * 1000,
        "options": " ".join(f"-c {key}={value}" for key, value in settings.items()),
        **arguments,
    }
    return PostgresStore(name, prefer_psycopg3=True, autoconnect=False, **arguments)


def _open_mysql(parts: SplitResult, read_only: bool) -> Database:
    _need_driver("pymysql", "mysql")
    init = f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT}"
    name, arguments = _parse_server(parts, MYSQL_OPTIONS)
    arguments = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": 2 * READ_TIMEOUT if read_only else NETWORK_TIMEOUT,
        "write_timeout": NETWORK_TIMEOUT,
        # Strict: a value that does not fit is an error, never cut off in silence.
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
        "init_command": "SET SESSION TRANSACTION READ ONLY" if read_only else init,
        **arguments,
    }
    return MySqlStore(name, autoconnect=False, **arguments)


def _need_driver(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise ConfigurationError(f"database URL: the driver is missing; pip install 'muster-fleet[{extra}]'")


def _parse_server(parts: SplitResult, known_options: set[str]) -> tuple[str, dict[str, Any]]:
    """Return the database's name and the driver's arguments."""
    name = unquote(parts.path)[1:]
    if not name or "/" in name:
        raise ConfigurationError(f"database URL: the name of the database is missing: {parts.scheme}://host/name")
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError("database URL: the port is not a number from 0 to 65535") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - known_options):
        raise ConfigurationError(
            f"database URL: unknown option {unknown[0]!r}; known are {', '.join(sorted(known_options))}"
        )
    arguments: dict[str, Any] = {"host": parts.hostname, "port": port}
    arguments["user"] = unquote(parts.username) if parts.username else None
    arguments["password"] = unquote(parts.password) if parts.password else None
    return name, {key: value for key, value in (arguments | options).items() if value is not None}


def migrate(database: Database) -> list[str]:
    """Apply the pending migrations under a lock and return their names; the database must be connected."""
    runner = Runner(database, str(MIGRATIONS))
    with _migration_lock(database):
        names: list[str] = runner.up()
    for name in names:
        logger.info("migration %s applied", name)
    return names


def roll_back(database: Database, target: str | None = None) -> list[str]:
    """Revert the last migration, or every one back through `target`; for tests and for an operator's downgrade."""
    with _migration_lock(database):
        names: list[str] = Runner(database, str(MIGRATIONS)).down(target)
    return names


@contextmanager
def _migration_lock(database: Any) -> Iterator[None]:
    """Keep a second process from migrating at the same time."""
    execute: Any = database.execute_sql
    if isinstance(database, PostgresqlDatabase):
        # The connection's lock_timeout bounds the wait; its error is one that the writer retries.
        execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        try:
            yield
        finally:
            execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
    elif isinstance(database, MySQLDatabase):
        name = f"muster.{database.database}"[:64]
        (taken,) = execute("SELECT GET_LOCK(%s, %s)", (name, LOCK_TIMEOUT)).fetchone()
        if taken != 1:
            raise StoreUnavailable("another process is migrating this database")
        try:
            yield
        finally:
            execute("SELECT RELEASE_LOCK(%s)", (name,))
    else:
        # SQLite has no lock outside a transaction, and DDL is transactional: one transaction for all of it.
        with database.atomic():
            yield
