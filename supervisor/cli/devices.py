"""`muster devices`: the roll call."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .client import ApiClient, get_health
from .common import Reach, ago, lasting_command, make_table, print_json, print_table, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .watch import View

_KINDS = ("raspberry_pi", "datalogger", "gateway", "sensor", "controller", "other")
_ORDERS = ("serial", "label", "presence", "since", "last_seen", "kind", "site")
#: What it takes to see a device, by the columns that a terminal of so many has room for.
_COLUMNS: Mapping[int, Sequence[str]] = {
    0: ("SERIAL", "PRESENCE", "SINCE", "NAME"),
    80: ("SERIAL", "NAME", "KIND", "SITE", "PRESENCE", "SINCE", "MARK"),
    110: ("SERIAL", "NAME", "KIND", "SITE", "PRESENCE", "WHY", "SINCE", "LAST SEEN", "ADDRESS", "MARK"),
}
_ALL = _COLUMNS[max(_COLUMNS)]
_CHANGING = ("device", "presence", "removed", "sight", "supervision")
"""Kinds of events after which the list may look different."""
_AROUND = 6
"""Lines of the screen that are not devices."""
_MOST = 1000
"""Devices of one answer."""
Item = Mapping[str, Any]
Filters = Mapping[str, str | None]


@click.command(short_help="List the devices: the roll call.")
@click.option("--site", help="Only this site.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only this kind.")
@click.option("--type", "type_", help="Only this type.")
@click.option("--group", help="Only this group.")
@click.option("--label", metavar="KEY[=VALUE]", help="Only those with this label.")
@click.option("--presence", type=click.Choice(("online", "offline", "unknown")), help="Only these.")
@click.option("--flapping/--steady", default=None, help="Only those that come and go, or that do not.")
@click.option("--quarantined/--working", default=None, help="Only those whose actor is parked, or is not.")
@click.option("-q", "--search", "q", help="Only those whose serial, label or host name contains this.")
@click.option("--sort", type=click.Choice(_ORDERS), help="In this order; presence begins with what is offline.")
@click.option("--reverse", is_flag=True, help="In the opposite order.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--watch", "-w", "is_watched", is_flag=True, help="Stay, and show what changes, until Ctrl-C.")
@lasting_command
def devices(
    reach: Reach,
    *,
    type_: str | None,
    flapping: bool | None,
    quarantined: bool | None,
    reverse: bool,
    limit: int | None,
    is_watched: bool,
    as_json: bool,
    **words: str | None,
) -> int:
    """List the devices of the fleet and whether they are present."""
    filters = {**words, "type": type_, "flapping": _bool(flapping), "quarantined": _bool(quarantined)}
    filters["order"] = "desc" if reverse else None
    if is_watched:
        if as_json:
            raise click.UsageError("--watch is for the eye; `muster tail --json` is for programs.")
        from .watch import watch

        return watch(reach, _view(filters, limit))
    with reach() as client:
        items = client.pages("/api/devices", filters, limit=limit)
        if as_json:
            print_json({"items": list(items)})
        else:
            columns = _columns() if sys.stdout.isatty() else _ALL
            print_table(columns, (_row(item, columns) for item in items))
    return 0


def _bool(given: bool | None) -> str | None:
    return None if given is None else str(given).lower()


def _columns() -> Sequence[str]:
    """Return what this terminal has room for."""
    width = shutil.get_terminal_size().columns
    return _COLUMNS[max(least for least in _COLUMNS if least <= width)]


def _row(item: Item, columns: Sequence[str]) -> list[Any]:
    mark = [word for word in ("quarantined", "flapping") if item.get(word)]
    cells = {
        "SERIAL": item["serial"],
        "NAME": item.get("label") or item.get("hostname"),
        "KIND": item["kind"],
        "SITE": item.get("site"),
        "PRESENCE": item["presence"],
        "WHY": item.get("reason"),
        "SINCE": ago(item.get("since")),
        "LAST SEEN": ago(item.get("last_seen")),
        "ADDRESS": item.get("ip_address"),
        "MARK": ", ".join(mark) or " ",
    }
    return [cells[column] for column in columns]


def _view(filters: Filters, limit: int | None) -> View:
    from .watch import View

    def look(client: ApiClient) -> Item:
        lines = shutil.get_terminal_size().lines - _AROUND if sys.stdout.isatty() else _MOST
        size = min(limit or _MOST, max(1, lines), _MOST)
        page = client.get("/api/devices", {**filters, "sort": filters.get("sort") or "presence", "limit": size})
        return {**page, "counts": get_health(client)["devices"]}

    return View("devices", _CHANGING, look, _draw, _facts)


def _draw(seen: Item, room: int) -> RenderableType:  # noqa: ARG001 - as many devices were asked for as there is room
    from rich.console import Group
    from rich.text import Text

    columns = _columns()
    items, counts = seen["items"], seen["counts"]
    more = Text()
    matches = seen.get("matches")
    if seen.get("cursor"):
        of = f" of {matches}" if matches is not None else ""
        more = Text(f"{len(items)}{of} shown; a larger window or a filter shows others", style="dim")
    elif not items:
        more = Text("No devices. `muster up --demo` shows some; docs/finding.md tells how real ones come.", style="dim")
    counted = count_line(counts)
    if seen.get("matches") not in (None, counts["total"]):
        counted.append(f"; {seen['matches']} match")
    table = make_table(columns, (_row(item, columns) for item in items))
    return Group(counted, Text(), *([table] if items else []), more)


def count_line(counts: Item) -> Any:
    """Return how many devices there are by presence, each with its word."""
    from rich.text import Text

    line = Text(f"{counts['total']} devices: ")
    for presence, colour in (("online", "green"), ("offline", "red"), ("unknown", "yellow")):
        comma = "" if presence == "online" else ", "
        line.append(f"{comma}{counts[presence]} {presence}", style=colour if counts[presence] else "dim")
    return line


def _facts(seen: Item) -> dict[str, str]:
    """Return a line for each device, by its serial."""
    return {item["serial"]: _fact(item) for item in seen["items"]}


def _fact(item: Item) -> str:
    told = [item["serial"], item["presence"], f"({show(item.get('reason'))})"]
    return "  ".join(map(show, [*told, *(word for word in ("quarantined", "flapping") if item.get(word))]))
