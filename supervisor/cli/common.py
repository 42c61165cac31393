"""What the commands share: options, JSON and tables."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

import click
import msgspec

from .client import connect

P = ParamSpec("P")
R = TypeVar("R")

#: Presence, health and state -> colour.
COLOURS = {
    "online": "green",
    "ok": "green",
    "running": "green",
    "up": "green",
    "unknown": "yellow",
    "degraded": "yellow",
    "backing_off": "yellow",
    "starting": "yellow",
    "connecting": "yellow",
    "offline": "red",
    "failing": "red",
    "quarantined": "red",
    "down": "red",
}


def api_command(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--url`, `--token-file` and `--json`; the function gets an `ApiClient` first and `as_json`."""

    @click.option("--url", metavar="URL", help="The server; else MUSTER_SERVER_URL, else the one running here.")
    @click.option("--token-file", metavar="FILE", help="File with a token; else MUSTER_API_TOKEN.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapper(*args: Any, url: str | None, token_file: str | None, **kwargs: Any) -> R:
        with connect(url, token_file, os.environ) as client:
            return command(client, *args, **kwargs)

    return wrapper


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def read_value(text: str) -> Any:
    """Return a word of the command line as the JSON value that it is, or else as text."""
    raw = text.encode(errors="replace")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return raw.decode()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; as wide as it needs when the output is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in map(show, row)))
    terminal = sys.stdout.isatty()
    # Cut to the width only for people: a program that reads the table needs all of it.
    console = Console(width=None if terminal else 1000, highlight=False)
    console.print(table, soft_wrap=not terminal)


def show(value: Any) -> str:
    """Return a value as a table cell, without the control characters that a device may have sent."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)


def ago(when: str | None, now: datetime | None = None) -> str:
    """Return an RFC 3339 time as the time that has passed: `4 s`, `12 min`, `3 h`, `5 d`."""
    if not when:
        return "-"
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return show(when)
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
