"""What the commands share: options, JSON and tables."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
import msgspec

from .client import ApiClient, connect

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from rich.table import Table

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


Reach = Callable[[], ApiClient]
"""Finds the server anew: one that has started again may have another address and another token."""


def api_command(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--url`, `--token-file` and `--json`; the function gets an `ApiClient` first and `as_json`."""

    @functools.wraps(command)
    def once(reach: Reach, *args: Any, **kwargs: Any) -> R:
        with reach() as client:
            return command(client, *args, **kwargs)

    return lasting_command(once)


def lasting_command(command: Callable[..., R]) -> Callable[..., R]:
    """As `api_command` for what may outlive the server: the function gets what finds it instead of a client."""

    @click.option("--url", metavar="URL", help="The server; else MUSTER_SERVER_URL, else the one running here.")
    @click.option("--token-file", metavar="FILE", help="File with a token; else MUSTER_API_TOKEN.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapper(*args: Any, url: str | None, token_file: str | None, **kwargs: Any) -> R:
        return command(lambda: connect(url, token_file, os.environ), *args, **kwargs)

    return wrapper


class ListByDefault(click.Group):
    """A group that lists unless a command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front of options that are its own."""
        if ctx.resilient_parsing and not args:  # a shell completes: what comes may as well be another command
            return super().parse_args(ctx, args)
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the commands, and the options of `list`."""
        own = super().shell_complete(ctx, incomplete)
        known = {item.value for item in own}
        below = self.commands["list"].shell_complete(click.Context(self.commands["list"], ctx, "list"), incomplete)
        return own + [item for item in below if item.value not in known]


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

    terminal = sys.stdout.isatty()
    # Cut to the width only for people: a program that reads the table needs all of it.
    console = Console(width=None if terminal else 1000, highlight=False)
    console.print(make_table(columns, rows), soft_wrap=not terminal)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; a state is coloured, and told by its word."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in map(show, row)))
    return table


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
