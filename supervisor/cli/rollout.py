"""`muster rollout`: bring a release to devices, and see how far it is."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from actors.updates.states import ENDED, STATES, Status
from actors.updates.windows import DAYS, TIME

from .client import ApiClient, ApiError
from .common import ago, api_command, print_json, print_table, show

if TYPE_CHECKING:
    from rich.console import RenderableType

Item = dict[str, Any]

_PATH: Final = "/api/rollouts"
_WINDOWS: Final = "/api/maintenance-windows"
_COLUMNS = ("ID", "AGE", "VERSION", "STATUS", "WAVE", "DEVICES", "TARGET", "REASON", "BY")
_DEVICES = ("DEVICE", "WAVE", "STATE", "SINCE", "ATTEMPTS", "PROGRESS", "REASON")
LOOK_EVERY: Final = 1.0
"""Seconds between two looks of `watch`."""
PATIENCE: Final = 60.0
"""Seconds that `watch` goes on while the server is away: it may be restarting."""
_BAD: Final = [state for state, rule in STATES.items() if rule.kind == "bad"]
_STOPPED: Final = ("halted", *ENDED)


@click.group(short_help="Bring a release to devices in waves, and see how far it is.")
def rollout() -> None:
    """Bring a release to devices in waves, which halt by themselves when too many fail."""


@rollout.command()
@click.argument("release")
@click.argument("devices", nargs=-1)
@click.option("--group", metavar="NAME", help="All devices of a group, instead of DEVICES.")
@click.option("--all", "everybody", is_flag=True, help="All devices, instead of DEVICES.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Only this share of them, by chance.")
@click.option(
    "--wave",
    "waves",
    multiple=True,
    metavar="SHARE[:SUCCESS[:WAIT]]",
    help="`0.05:1:3600`: 5 %, all of which must succeed, an hour's wait; repeatable. Else a canary, 25 %, the rest.",
)
@click.option(
    "--failures", type=click.FloatRange(0, 1), help="Halt when more than this share of those offered it fail."
)
@click.option("--silent-after", type=click.FloatRange(1), metavar="SECONDS", help="Silence that counts as a failure.")
@click.option("--retries", type=click.IntRange(0, 10), help="How often a device that fails gets it again.")
@click.option("--force", is_flag=True, help="Also in place of a newer version, or of this one after a rollback.")
@click.option("--no-call", is_flag=True, help="Wait until each device asks, instead of telling it to ask at once.")
@click.option("--watch", "is_watching", is_flag=True, help="Go on to watch it.")
@api_command
def start(
    client: ApiClient,
    *,
    release: str,
    devices: Sequence[str],
    group: str | None,
    everybody: bool,
    share: float | None,
    waves: Sequence[str],
    failures: float | None,
    silent_after: float | None,
    retries: int | None,
    force: bool,
    no_call: bool,
    is_watching: bool,
    as_json: bool,
) -> int:
    """Bring the RELEASE, named by its version, to DEVICES, to a group or to all."""
    halt = {"failures": failures, "silent_after": silent_after}
    given = {
        "share": share,
        "waves": [_wave(text) for text in waves] or None,
        "halt": {name: value for name, value in halt.items() if value is not None} or None,
        "retries": retries,
        "force": force or None,
        "call": False if no_call else None,
    }
    body = {"release": release} | {name: value for name, value in given.items() if value is not None}
    made = client.post(_PATH, body | _target(devices, group, everybody=everybody))
    if is_watching:
        return _watch(client, made["id"], as_json=as_json)
    _tell(made, as_json=as_json)
    return 0


def _target(devices: Sequence[str], group: str | None, *, everybody: bool) -> Item:
    given = [bool(devices), group is not None, everybody]
    if sum(given) != 1:
        raise click.UsageError("say who is meant: DEVICES, --group or --all.")
    if group is not None:
        return {"group": group}
    return {"all": True} if everybody else {"devices": list(devices)}


def _wave(text: str) -> Item:
    names, parts = ("share", "success", "wait"), text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= len(names):
        raise click.BadParameter(f"`{text}` is not SHARE[:SUCCESS[:WAIT]], such as 0.05:1:3600")
    return dict(zip(names, numbers, strict=False))


@rollout.command("list")
@click.option("--status", type=click.Choice(get_args(Status)), help="Only those that are so.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many, the newest.")
@api_command
def list_(client: ApiClient, *, status: str | None, limit: int, as_json: bool) -> None:
    """List rollouts, newest first."""
    items = list(client.pages(_PATH, {"status": status}, limit=limit))
    if as_json:
        print_json({"items": items})
    else:
        print_table(_COLUMNS, map(_row, items))


def _row(item: Item) -> tuple[Any, ...]:
    wave = f"{item['wave']} of {len(item['waves'])}"
    done = f"{item['counts'].get('succeeded', 0)} of {item['devices']}"
    told = (item["target"], item["reason"], item["by"])
    return (item["id"], ago(item["created"]), item["version"], item["status"], wave, done, *told)


@rollout.command("show")
@click.argument("rollout_id", metavar="ID")
@click.option("--state", type=click.Choice(list(STATES)), help="Only devices in this state.")
@api_command
def show_(client: ApiClient, *, rollout_id: str, state: str | None, as_json: bool) -> None:
    """Show the rollout ID: how far its waves are, and each of its devices."""
    item = client.get(f"{_PATH}/{rollout_id}")
    devices = list(client.pages(f"{_PATH}/{rollout_id}/devices", {"state": state}))
    if as_json:
        print_json(item | {"items": devices})
        return
    click.echo(_headline(item))
    for number, wave in enumerate(item["waves"], 1):
        click.echo(f"  wave {number}: {_counts(wave['counts'])}")
    print_table(_DEVICES, map(_device_row, devices))


def _device_row(device: Item) -> tuple[Any, ...]:
    progress = None if device["progress"] is None else f"{device['progress']:.0%}"
    told = (device["attempts"], progress, device["reason"])
    return (device["device"], device["wave"], device["state"], ago(device["since"]), *told)


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@api_command
def watch(client: ApiClient, *, rollout_id: str, as_json: bool) -> int:
    """Watch the rollout ID until it ends; exit code 0 when it is completed, 1 when it is halted or cancelled."""
    return _watch(client, rollout_id, as_json=as_json)


def _watch(client: ApiClient, rollout_id: str, *, as_json: bool) -> int:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    is_live = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False) if is_live else nullcontext()
    told = ""
    with live as screen:
        while True:
            item = _look(client, rollout_id, patience=PATIENCE if told else 0.0)
            line = f"{_headline(item)} {_counts(item['counts'])}"
            if screen is not None:
                screen.update(_table(client, item), refresh=True)
            elif line != told and not as_json:
                click.echo(line)
            told = line
            if item["status"] in _STOPPED:
                break
            time.sleep(LOOK_EVERY)
    if as_json:
        print_json(item)
    return 0 if item["status"] == "completed" else 1


def _look(client: ApiClient, rollout_id: str, *, patience: float) -> Item:
    """Return the rollout; wait for so many seconds for a server that is away."""
    until, is_told = time.monotonic() + patience, False
    while True:
        try:
            item: Item = client.get(f"{_PATH}/{rollout_id}")
        except ApiError as error:
            if 400 <= error.status < 500 or time.monotonic() >= until:
                raise
            if not is_told:
                click.echo(f"{error}; looking again for {patience:.0f} s", err=True)
            is_told = True
            time.sleep(LOOK_EVERY)
        else:
            return item


def _table(client: ApiClient, item: Item) -> RenderableType:
    """Return what `watch` shows: the waves, and the devices on which it has failed."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("WAVE", "DEVICES", "SUCCEEDED", "ON THE WAY", "FAILED", "WAITING"):
        table.add_column(column, justify="right", no_wrap=True)
    for number, wave in enumerate(item["waves"], 1):
        by_kind = _by_kind(wave["counts"])
        cells = [f"{'>' if number == item['wave'] else ' '} {number}", wave["devices"]]
        cells += [by_kind.get(kind, 0) for kind in ("good", "active", "bad", "waiting")]
        table.add_row(*map(str, cells))
    failed = [device for state in _BAD if item["counts"].get(state) for device in _some(client, item["id"], state)]
    lines = [Text(show(f"{each['device']}: {each['state']} {each['reason'] or ''}")) for each in failed[:10]]
    return Group(Text(_headline(item), style="bold"), table, *lines)


def _some(client: ApiClient, rollout_id: str, state: str) -> list[Item]:
    try:
        return list(client.pages(f"{_PATH}/{rollout_id}/devices", {"state": state}, limit=10))
    except ApiError:
        return []


def _by_kind(counts: Item) -> Item:
    total: dict[str, int] = {}
    for state, count in counts.items():
        kind = STATES[state].kind if state in STATES else "active"
        total[kind] = total.get(kind, 0) + count
    return total


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@api_command
def pause(client: ApiClient, *, rollout_id: str, as_json: bool) -> None:
    """Offer the rollout ID to no more devices; those that have begun go on."""
    _tell(client.post(f"{_PATH}/{rollout_id}/pause", {}), as_json=as_json)


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@api_command
def resume(client: ApiClient, *, rollout_id: str, as_json: bool) -> None:
    """Go on with the rollout ID after a pause or a halt; what has failed by then counts no more."""
    _tell(client.post(f"{_PATH}/{rollout_id}/resume", {}), as_json=as_json)


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@api_command
def cancel(client: ApiClient, *, rollout_id: str, as_json: bool) -> None:
    """End the rollout ID; devices that have begun may end what they began."""
    _tell(client.post(f"{_PATH}/{rollout_id}/cancel", {}), as_json=as_json)


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@click.argument("devices", nargs=-1)
@api_command
def retry(client: ApiClient, *, rollout_id: str, devices: Sequence[str], as_json: bool) -> None:
    """Offer the rollout ID anew to DEVICES, or to all on which it has failed, also those that have rolled back."""
    _tell(client.post(f"{_PATH}/{rollout_id}/retry", {"devices": list(devices)} if devices else {}), as_json=as_json)


def _times(
    _context: click.Context, _parameter: click.Parameter, times: tuple[str, str] | None
) -> tuple[str, str] | None:
    for told in times or ():
        if not re.match(TIME, told):
            raise click.BadParameter(f"{told!r} is no time of the day; write 04:30.")
    return times


@rollout.command()
@click.argument("site", required=False)
@click.option("--between", nargs=2, metavar="BEGIN END", callback=_times, help="Set it: `--between 22:00 04:30`.")
@click.option("--day", "days", multiple=True, type=click.Choice(DAYS), help="On which it begins, repeatable; else all.")
@click.option("--timezone", default="UTC", show_default=True, help="Of the times, such as Europe/Rome.")
@click.option("--clear", is_flag=True, help="At any time from now on.")
@api_command
def windows(
    client: ApiClient,
    *,
    site: str | None,
    between: tuple[str, str] | None,
    days: Sequence[str],
    timezone: str,
    clear: bool,
    as_json: bool,
) -> None:
    """List the maintenance windows of the sites, or set that of a SITE."""
    if (between is not None or clear) and site is None:
        raise click.UsageError("name the SITE.")
    if between is not None and clear:
        raise click.UsageError("--between and --clear exclude each other.")
    if between is not None or clear:
        window = {} if between is None else {"begin": between[0], "end": between[1], "timezone": timezone}
        given = [window | ({"days": list(days)} if days else {})] if between is not None else []
        items = [client.put(f"{_WINDOWS}/{site}", {"windows": given})]
    else:
        items = [item for item in client.get(_WINDOWS)["items"] if site in (None, item["site"])]
    if as_json:
        print_json({"items": items})
    else:
        print_table(("SITE", "OPEN", "WINDOWS", "SET BY"), map(_window_row, items))


def _window_row(item: Item) -> tuple[Any, ...]:
    each = (f"{_days(w['days'])} {w['begin']}-{w['end']} {w['timezone']}" for w in item["windows"])
    return (item["site"], "yes" if item["open"] else "no", ", ".join(each) or "at any time", item["source"])


def _days(days: Sequence[str]) -> str:
    return "daily" if len(days) == len(DAYS) else " ".join(days)


def _tell(item: Item, *, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        click.echo(_headline(item))


def _headline(item: Item) -> str:
    """Return where a rollout stands, in one line."""
    reason = f", {item['reason']}" if item["reason"] else ""
    wave = f"wave {item['wave']} of {len(item['waves'])}"
    return show(f"{item['id']}: {item['version']} to {item['target']}: {item['status']}{reason}, {wave}.")


def _counts(counts: Item) -> str:
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items()) or "no devices"
