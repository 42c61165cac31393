"""The three databases: how each is dumped while the server runs, and replaced in one step."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from actors.storage.database import MIGRATIONS, open_database
from actors.storage.models import MODELS

from .errors import BackupError

HISTORY: Final = "schema_migration"
"""Where peewee notes the migrations that a database has had."""
TABLES: Final = frozenset({HISTORY, *(str(model._meta.table_name) for model in MODELS)})  # noqa: SLF001 - peewee's place
_LAST_WORDS: Final = 400
_LEAVING: Final = 3.0
"""Seconds for which a server of databases may still count a connection that has ended."""


Rows = dict[str, int] | None
"""Rows by table; None where the database cannot count within the dump's snapshot."""


class DatabaseCopier(Protocol):
    """One database. All raise `BackupError`."""

    kind: str

    def migrations(self) -> tuple[str, ...]:
        """Return those that the database has had."""
        ...

    def dump(self, path: Path) -> Rows:
        """Write all of Muster's tables, as they are at one moment, to a new file, and return how many."""
        ...

    def check(self, path: Path, rows: Mapping[str, int] | None) -> None:
        """Refuse a dump that is not whole."""
        ...

    def refuse_busy(self) -> None:
        """Refuse to go on while another process of Muster uses the database."""
        ...

    def is_empty(self) -> bool:
        """Return whether there is nothing that would be lost."""
        ...

    def replace(self, path: Path, stamp: str) -> str:
        """Put the dump in place of what is there, in one step; return where the old tables are, "" where none were."""
        ...


def copier_for(url: str) -> DatabaseCopier:
    """Return what copies the database that a URL names."""
    match urlsplit(url).scheme:
        case "sqlite":
            from .sqlite import SqliteCopier

            return SqliteCopier(Path(unquote(urlsplit(url).path)[1:]))
        case "mysql":
            from .mariadb import MariaCopier

            return MariaCopier(url)
        case _:
            from .postgres import PostgresCopier

            return PostgresCopier(url)


@contextmanager
def connected(url: str, *, read_only: bool = False) -> Iterator[Any]:
    """Give a connection of our own.

    Raises:
        BackupError: `database`, with what the database said.

    """
    database: Any = open_database(url, read_only=read_only)
    try:
        database.connect()
        yield database
    except BackupError:
        raise
    except Exception as error:
        raise BackupError("database", f"the database refuses: {' '.join(str(error).split())}") from error
    finally:
        database.close()


def refuse_connected(url: str, sql: str) -> None:
    """Refuse while others are connected.

    Args:
        url: of the database.
        sql: counts them.

    Raises:
        BackupError: `running`.

    """
    deadline = time.monotonic() + _LEAVING
    with connected(url) as database:
        while database.execute_sql(sql).fetchone()[0]:
            if time.monotonic() > deadline:
                raise BackupError("running", "a server of Muster is connected to the database; stop it first")
            time.sleep(0.1)


def tail_of(path: Path, size: int = 200) -> bytes:
    """Return the last bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()


def known_migrations() -> set[str]:
    """Return the names of the migrations of this release."""
    return {path.stem for path in MIGRATIONS.glob("[0-9]*.py")}


def read_history(database: Any) -> tuple[str, ...]:
    """Return the migrations that a connected database has had; none is none of ours."""
    if not database.table_exists(HISTORY):
        raise BackupError("database", "there is nothing of Muster in the database yet")
    rows = database.execute_sql(f"SELECT name FROM {HISTORY} ORDER BY name").fetchall()  # noqa: S608 - a constant
    return tuple(str(name) for (name,) in rows)


def find_program(*names: str, package: str) -> str:
    """Return the path of the first of these programs that is installed.

    Raises:
        BackupError: `no_program`, with how to mend it.

    """
    for name in names:
        if path := shutil.which(name):
            return path
    raise BackupError(
        "no_program",
        f"{names[0]} is not installed, which copies this database: run `apt install {package}`, or see docs/backup.md"
        " for how to copy it from another machine",
    )


def run_program(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    stdin: Path | None = None,
    stdout: Path | None = None,
) -> None:
    """Run a client program of the database.

    Args:
        command: without any secret: everybody on this machine can read it.
        environ: added to ours; may hold passwords.
        stdin: file that it reads.
        stdout: new file, mode 0600, that it writes.

    Raises:
        BackupError: `database`, with its last words.

    """
    with (
        open(stdin or os.devnull, "rb") as source,  # noqa: PTH123 - a path or the null device
        os.fdopen(os.open(stdout or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target,
    ):
        done = subprocess.run(  # noqa: S603 - the program was looked up, its arguments are no shell's
            [str(word) for word in command],
            stdin=source,
            stdout=target,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environ},
            check=False,
        )
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[-_LAST_WORDS:]
        raise BackupError("database", f"{Path(command[0]).name} failed: {said or f'exit code {done.returncode}'}")
