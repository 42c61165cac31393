"""`muster command`: have devices do something and wait for what becomes of it; `muster commands` looks back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
import msgspec

from actors.commands.messages import FINAL, LONGEST, SHORTEST, STATES, USUAL

from .client import ApiClient
from .common import ago, api_command, print_json, print_table, read_value, show

Item = Mapping[str, Any]

_PATH = "/api/commands"
#: Seconds between two looks, the first and the longest.
_FIRST_LOOK: Final = 0.1
_LAST_LOOK: Final = 1.0
_COLUMNS = ("ID", "AGE", "DEVICE", "COMMAND", "STATE", "REASON", "BY")
#: What still may come of a command, in words.
_WORDS: Final = {"queued": "queued, the device is away or does not listen yet"}


@click.command(short_help="Have a device do something and wait for the answer.")
@click.argument("words", metavar="[DEVICE] NAME [KEY=VALUE]...", nargs=-1, required=True)
@click.option("--group", metavar="NAME", help="All devices of a group, instead of DEVICE.")
@click.option("--all", "everybody", is_flag=True, help="All devices, instead of DEVICE.")
@click.option("--args", "json_args", metavar="JSON", help="The arguments as one JSON object.")
@click.option(
    "--timeout",
    type=click.FloatRange(SHORTEST, LONGEST),
    default=USUAL,
    show_default=True,
    help="Seconds until nobody wants it any more; so long it waits for a device that is away.",
)
@click.option("--no-wait", is_flag=True, help="Print the id and do not wait for the answer.")
@api_command
def command(
    client: ApiClient,
    *,
    words: tuple[str, ...],
    group: str | None,
    everybody: bool,
    json_args: str | None,
    timeout: float,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Have a DEVICE, or all of a group, do NAME with the arguments KEY=VALUE.

    Our own edge knows ping, identify, announce, status, logs, restart, reboot, update, set and run, as far as its
    configuration allows: `muster command pi-1 logs lines=20`. A value that is JSON is taken as such, anything else
    as text.

    How it goes is written to stderr, what the device gives back to stdout. The exit code is 0 if every device has done
    it.
    """
    target, (name, *pairs) = _read_words(words, group=group, everybody=everybody)
    body = {"name": name, "args": _read_args(pairs, json_args), "timeout": timeout}
    if "device" in target:
        given = client.post(f"/api/devices/{target['device']}/commands", body)
    else:
        given = client.post(_PATH, body | target)
    if no_wait:
        print_json(given) if as_json else click.echo(given["id"])
        return 0
    if "device" in target:
        return _wait_for_one(client, given["id"], as_json=as_json)
    return _wait_for_all(client, given["id"], len(given["commands"]), as_json=as_json)


def _read_words(words: tuple[str, ...], *, group: str | None, everybody: bool) -> tuple[dict[str, Any], list[str]]:
    """Return who is meant, and the name of the command with what follows it."""
    if group is not None and everybody:
        raise click.UsageError("--group and --all exclude each other.")
    if group is not None:
        return {"group": group}, list(words)
    if everybody:
        return {"all": True}, list(words)
    if len(words) < 2:
        raise click.UsageError("Name a device and a command: muster command DEVICE NAME.")
    return {"device": words[0]}, list(words[1:])


def _read_args(pairs: list[str], text: str | None) -> dict[str, Any]:
    """Return the arguments of the command."""
    if text is not None:
        try:
            args = msgspec.json.decode(text.encode(errors="replace"), type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise click.UsageError(f"--args is no JSON object: {error}.") from None
    else:
        args = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.UsageError(f"`{pair}` is no argument, write KEY=VALUE.")
        args[key] = read_value(value)
    return args


# Waiting


def _look_until(look: Callable[[], bool]) -> None:
    """Look again and again, ever more slowly, until there is nothing to wait for."""
    pause = _FIRST_LOOK
    while not look():
        time.sleep(pause)
        pause = min(pause * 1.5, _LAST_LOOK)


def _wait_for_one(client: ApiClient, command_id: str, *, as_json: bool) -> int:
    row: Item = {}
    told = ""

    def look() -> bool:
        nonlocal row, told
        row = client.get(f"{_PATH}/{command_id}")
        line = _describe(row)
        if line != told and not as_json:
            click.echo(line, err=True)
            told = line
        return row["state"] in FINAL

    _look_until(look)
    if as_json:
        print_json(row)
    elif isinstance(row["result"], str):
        click.echo(row["result"])
    elif row["result"] is not None:
        print_json(row["result"])
    return 0 if row["state"] == "succeeded" else 1


def _describe(row: Item) -> str:
    state = row["state"]
    words = state if row["reason"] else _WORDS.get(state, state)
    return show(f"{row['device']}: {words}" + (f": {row['reason']}" if row["reason"] else ""))


def _wait_for_all(client: ApiClient, batch: str, number: int, *, as_json: bool) -> int:
    rows: list[Item] = []
    told = ""

    def look() -> bool:
        nonlocal rows, told
        rows = list(client.pages(_PATH, {"batch": batch}))
        counts = Counter(row["state"] for row in rows)
        line = f"{number} devices: " + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        if line != told and not as_json:
            click.echo(line, err=True)
            told = line
        return all(row["state"] in FINAL for row in rows)

    _look_until(look)
    failed = [row for row in rows if row["state"] != "succeeded"]
    if as_json:
        print_json({"id": batch, "commands": rows})
    elif failed:
        print_table(("DEVICE", "STATE", "REASON"), ((row["device"], row["state"], row["reason"]) for row in failed))
    return 1 if failed else 0


# Looking back


@click.group(short_help="List the commands that were given, and cancel them.")
def commands() -> None:
    """List what devices were asked to do, and end what is not over."""


@commands.command("list")
@click.option("--device", "serial", metavar="SERIAL", help="Only those of this device.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@api_command
def list_(client: ApiClient, *, serial: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List commands, newest first."""
    items = list(client.pages(_PATH, {"device": serial, "state": state}, limit=limit))
    if as_json:
        print_json({"items": items})
    else:
        print_table(_COLUMNS, map(_row, items))


def _row(item: Item) -> tuple[Any, ...]:
    told = (item[name] for name in ("device", "name", "state", "reason", "by"))
    return (item["id"], ago(item["created"]), *told)


@commands.command()
@click.argument("command_id", metavar="ID")
@api_command
def cancel(client: ApiClient, *, command_id: str, as_json: bool) -> None:
    """End the command with this ID; what its device has begun is not undone."""
    row = client.post(f"{_PATH}/{command_id}/cancel", {})
    if as_json:
        print_json(row)
    else:
        click.echo(_describe(row))
