"""Real database servers on free loopback ports, each test with an empty database of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from pathlib import Path
from uuid import uuid4

import psycopg
import pymysql

from tests.support.need import need, unavailable
from tests.support.server import Server


def _new_name() -> str:
    return f"muster_{uuid4().hex[:12]}"


class Postgres(Server):
    """PostgreSQL; root is given up for the user `postgres`, since it refuses to run as root."""

    ready_within = 30.0
    stop_signal = signal.SIGINT  # the fast shutdown; SIGTERM would wait for every client to leave

    def __init__(self, *, durable: bool = False) -> None:
        """`durable` waits for the disk, as in the field; a SIGKILL, which is all that tests do, needs none of it."""
        self._durable = durable
        self._initdb, self._binary = need("initdb"), need("postgres")
        if os.geteuid() == 0:
            try:
                self.user = pwd.getpwnam("postgres").pw_name
            except KeyError:
                unavailable("needs a user `postgres` to run PostgreSQL as root")
        super().__init__()
        self.url = f"postgresql://postgres@{self.host}:{self.port}/postgres"

    def prepare(self) -> None:
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        self.run(self._initdb, "-D", self.directory / "data", *options)

    def command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "fsync": "on" if self._durable else "off",
            "shared_buffers": "32MB",
        }
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [self._binary, "-D", self.directory / "data", *flags]

    def is_ready(self) -> bool:
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def fresh_database(self) -> str:
        """The URL of a new empty database."""
        name = _new_name()
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url.removesuffix("/postgres") + f"/{name}"

    def drop(self, url: str) -> None:
        """Remove a database of `fresh_database`, if the server runs: some thousand files, each."""
        if self.running:
            self._execute(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def _execute(self, sql: str) -> None:
        # Closed explicitly: psycopg's own context manager would open a transaction, where CREATE DATABASE is refused.
        with contextlib.closing(psycopg.connect(self.url, autocommit=True, connect_timeout=2)) as connection:
            connection.execute(sql)


class MariaDB(Server):
    """MariaDB, with the character set that Debian configures."""

    ready_within = 30.0

    def __init__(self, *, durable: bool = False) -> None:
        """`durable` waits for the disk, see `Postgres`."""
        self._durable = durable
        self._install, self._binary = need("mariadb-install-db"), need("mariadbd")
        super().__init__()
        self.url = f"mysql://muster:muster@{self.host}:{self.port}/mysql"
        self._as_root = ["--user=root"] if os.geteuid() == 0 else []

    def prepare(self) -> None:
        options = ("--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={self.directory}/data")
        self.run(self._install, "--no-defaults", *options, *self._as_root)
        (self.directory / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS muster@'%' IDENTIFIED BY 'muster';\n"
            "GRANT ALL PRIVILEGES ON *.* TO muster@'%' WITH GRANT OPTION;\n"
        )

    def command(self) -> list[str | Path]:
        settings = {
            "datadir": f"{self.directory}/data",
            "socket": f"{self.directory}/socket",
            "pid-file": f"{self.directory}/pid",
            "init-file": f"{self.directory}/init.sql",
            "bind-address": self.host,
            "port": str(self.port),
            "character-set-server": "utf8mb4",
            "innodb-buffer-pool-size": "32M",
            "innodb-flush-log-at-trx-commit": "1" if self._durable else "2",
            "innodb-flush-method": "fsync" if self._durable else "nosync",
        }
        flags = [f"--{key}={value}" for key, value in settings.items()]
        return [self._binary, "--no-defaults", *self._as_root, "--skip-name-resolve", *flags]

    def is_ready(self) -> bool:
        try:
            self._execute("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def fresh_database(self) -> str:
        """The URL of a new empty database."""
        name = _new_name()
        self._execute(f"CREATE DATABASE `{name}`")
        return self.url.removesuffix("/mysql") + f"/{name}"

    def drop(self, url: str) -> None:
        """Remove a database of `fresh_database`, if the server runs."""
        if self.running:
            self._execute(f"DROP DATABASE IF EXISTS `{url.rpartition('/')[2]}`")

    def _execute(self, sql: str) -> None:
        address = {"host": self.host, "port": self.port, "user": "muster", "password": "muster"}
        with pymysql.connect(**address, connect_timeout=2) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
