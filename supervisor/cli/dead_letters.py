"""`muster dead-letters`: what could not be processed, and the way back for it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from .client import ApiClient, ApiError
from .common import ListByDefault, ago, api_command, print_json, print_table, show

_SHOWN = 60
#: Letters asked for at a time; each may hold 64 KiB of payload.
_PAGE = 100
#: Bytes of a payload in hexadecimal that a person looks at; `--raw` gives all.
_DUMPED = 1024
_PATH = "/api/dead-letters"

Item = Mapping[str, Any]


@click.group("dead-letters", cls=ListByDefault, short_help="List, show and replay what could not be processed.")
def dead_letters() -> None:
    """List messages that could not be processed, show one of them, or hand them in again after a fix.

    Without a command: `list`, with its options.
    """


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--reason` and `--device`."""
    command = click.option("--device", "serial", metavar="SERIAL", help="Only those of this device.")(command)
    return click.option("--reason", help="Only those with this reason, such as `missing_field`.")(command)


@dead_letters.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@api_command
def list_(client: ApiClient, *, reason: str | None, serial: str | None, limit: int, as_json: bool) -> None:
    """List them with the reason, newest first."""
    items = _find(client, reason, serial, limit)
    if as_json:
        print_json({"items": list(items)})
        return
    columns = ("ID", "AGE", "REASON", "DEVICE", "TOPIC", "DETAIL", "PAYLOAD", "REPLAYED")
    print_table(columns, map(_row, items))


def _row(item: Item) -> tuple[Any, ...]:
    payload = str(item.get("payload") or "")[:_SHOWN]
    replayed = f"{ago(item['replayed'])} ago" if item.get("replayed") else None
    described = (item.get(name) for name in ("reason", "serial", "topic", "detail"))
    return (item["id"], ago(item.get("rx")), *described, payload, replayed)


@dead_letters.command("show")
@click.argument("letter", metavar="ID", type=click.IntRange(0))
@click.option("--raw", is_flag=True, help="Write the bytes of the message alone, as they were received.")
@api_command
def show_(client: ApiClient, *, letter: int, raw: bool, as_json: bool) -> None:
    """Show the one with this ID and its bytes."""
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    item = client.get(f"{_PATH}/{letter}")
    if as_json:
        print_json(item)
        return
    payload = _payload_of(item)
    if raw:
        click.echo(payload, nl=False)
        return
    for name in ("id", "rx", "reason", "detail", "serial", "topic", "link", "qos", "replayed"):
        click.echo(f"{name + ':':<10}{show(item.get(name))}")
    click.echo(f"{'payload:':<10}{len(payload)} bytes kept")
    for line in _dump(payload) if "payload_encoding" in item else str(item["payload"]).split("\n"):
        click.echo(f"  {show(line) if line else ''}".rstrip())


def _payload_of(item: Item) -> bytes:
    """Return the bytes as they were received."""
    text = str(item["payload"])
    return base64.b64decode(text) if item.get("payload_encoding") == "base64" else text.encode()


def _dump(payload: bytes) -> Iterator[str]:
    """Yield lines of offset, bytes in hexadecimal and what of them is ASCII."""
    for start in range(0, min(len(payload), _DUMPED), 16):
        part = payload[start : start + 16]
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:06x}  {part.hex(' '):<47}  {seen}"
    if len(payload) > _DUMPED:
        yield f"and {len(payload) - _DUMPED} bytes more: --raw"


@dead_letters.command(short_help="Hand them in again, after a fix.")
@click.argument("letters", metavar="[ID]...", nargs=-1, type=click.IntRange(0))
@_filters
@click.option("--again", is_flag=True, help="Those chosen by --reason or --device also if they were replayed before.")
@api_command
def replay(
    client: ApiClient,
    *,
    letters: tuple[int, ...],
    reason: str | None,
    serial: str | None,
    again: bool,
    as_json: bool,
) -> int:
    """Hand them in again, oldest first: those with these IDs, or all that --reason and --device choose.

    What is refused again becomes a new dead letter. What was stored meanwhile is recognised and not stored twice.
    """
    if bool(letters) == bool(reason or serial):
        raise click.UsageError("Name either IDs, or --reason or --device.")
    chosen = letters or _chosen(client, reason, serial, again=again)
    failed = [{"id": letter, "error": error} for letter in chosen if (error := _hand_in(client, letter))]
    replayed = len(chosen) - len(failed)
    if as_json:
        print_json({"replayed": replayed, "failed": failed})
    else:
        click.echo(f"{replayed} handed in again.")
        for failure in failed:
            click.echo(f"{failure['id']} was not: {failure['error']}", err=True)
    return 1 if failed else 0


def _chosen(client: ApiClient, reason: str | None, serial: str | None, *, again: bool) -> list[int]:
    """Return the ids, oldest first: the order in which they came is the order of the readings."""
    # All of them before the first is handed in: what is refused again would be found again.
    found = _find(client, reason, serial)
    return sorted(item["id"] for item in found if again or not item.get("replayed"))


def _hand_in(client: ApiClient, letter: int) -> str:
    """Replay one; return why it was not, where that concerns this one alone."""
    try:
        client.post(f"{_PATH}/{letter}/replay", {})
    except ApiError as error:
        if error.status not in (404, 409):
            raise
        return str(error)
    return ""


def _find(client: ApiClient, reason: str | None, serial: str | None, limit: int | None = None) -> Iterator[Item]:
    """Yield dead letters, newest first, at most `limit`."""
    left, cursor = limit, None
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = client.get(_PATH, {"reason": reason, "serial": serial, "limit": size, "cursor": cursor})
        yield from page["items"]
        cursor = page.get("cursor")
        if not cursor:
            return
        left = None if left is None else left - len(page["items"])
