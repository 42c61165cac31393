"""`muster status`: how the server and its fleet are, what is wrong first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .client import ApiClient, ApiError, get_health
from .common import COLOURS, Reach, ago, lasting_command, make_table, print_json, show
from .devices import count_line
from .tree import nodes

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_CHANGING = ("presence", "removed", "sight", "link", "supervision", "alarm")
"""Kinds of events after which it may look different."""
_MOST_ALARMS = 5
_MOST_SITES = 12
_SECOND = 1.0
_STATES = {"backing_off": "waits to be started again", "quarantined": "is quarantined", "gave_up": "has given up"}
"""States of an actor that are wrong -> how they are told."""
_COLOUR = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_RANK = {"critical": 0, "warning": 1, "info": 2}
Item = Mapping[str, Any]


class Wrong(NamedTuple):
    """One thing that is not as it should be."""

    severity: str
    what: str


class Seen(NamedTuple):
    """What the server has answered; what it does not tell us is None."""

    url: str
    health: Item
    links: list[Item] | None = None
    alarms: list[Item] | None = None
    sites: list[Item] | None = None
    tree: dict[str, Any] | None = None


@click.command(short_help="Show how the server and the fleet are.")
@click.option("--watch", "-w", "is_watched", is_flag=True, help="Stay, and show what changes, until Ctrl-C.")
@lasting_command
def status(reach: Reach, *, is_watched: bool, as_json: bool) -> int:
    """Show how the server and its fleet are, what is wrong first; exit code 1 when it cannot serve."""
    if is_watched:
        from .watch import View, watch

        if as_json:
            raise click.UsageError("--watch is for the eye; `muster tail --json` is for programs.")
        return watch(reach, View("status", _CHANGING, look, draw, facts))
    with reach() as client:
        if as_json:
            health = get_health(client)
            print_json(health)
        else:
            seen = look(client)
            health = seen.health
            _print(seen)
    return 0 if health["status"] in ("ok", "degraded") else 1


def look(client: ApiClient) -> Seen:
    """Ask the server for all that is shown."""
    health = get_health(client)
    if health["status"] == "failing":  # it has not begun to serve, or has ended
        return Seen(client.url, health)
    alarms = _items(client, "/api/alarms", {"state": "open", "limit": 100})
    sites = _items(client, "/api/sites", {"limit": 1000})
    return Seen(client.url, health, _items(client, "/api/links"), alarms, sites, _allowed(client, "/api/supervision"))


def _items(client: ApiClient, path: str, params: Mapping[str, str | int | None] | None = None) -> list[Item] | None:
    answer = _allowed(client, path, params)
    return None if answer is None else list(answer["items"])


def _allowed(client: ApiClient, path: str, params: Mapping[str, str | int | None] | None = None) -> Any:
    """Return an answer, None where the server has none for us: health is open to everybody, the rest is not."""
    try:
        return client.get(path, params)
    except ApiError as error:
        if 400 <= error.status < 500:
            return None
        raise


def find_wrong(seen: Seen) -> list[Wrong]:
    """Return what is not as it should be, the worst first."""
    found = [*_of_server(seen.health), *_of_links(seen), *_of_tree(seen.tree), *_of_fleet(seen)]
    found += [
        Wrong(alarm["severity"], f"alarm {alarm['id']} for {ago(alarm['raised'])}: {show(alarm['summary'])}")
        for alarm in seen.alarms or ()
        if not alarm.get("acknowledged") and not alarm.get("silenced_until")
    ]
    return sorted(found, key=lambda wrong: _RANK.get(wrong.severity, 1))


def _of_server(health: Item) -> Iterator[Wrong]:
    broker, database = health["broker"], health["database"]
    if health["status"] == "failing":
        yield Wrong("critical", "the server cannot serve")
    if not database["ok"]:
        yield Wrong("critical", f"database away: {show(database.get('error'))}")
    elif database.get("oldest_age", 0.0) > _SECOND:
        yield Wrong("warning", f"the oldest write has waited for {duration(database['oldest_age'])} for its commit")
    if broker.get("durable") is False:
        yield Wrong("warning", "the broker keeps nothing over its restart; install mosquitto")


def _of_links(seen: Seen) -> Iterator[Wrong]:
    if seen.links is None:
        states = seen.health["broker"].get("links", {})
        if not seen.health["broker"]["connected"]:
            told = ", ".join(f"{name} is {state.replace('_', ' ')}" for name, state in states.items())
            yield Wrong("critical", f"broker not connected: {told}".rstrip(": "))
    for link in seen.links or ():
        if link["state"] == "paused":
            yield Wrong("warning", f"link {link['name']} is paused by an operator for {ago(link.get('since'))}")
        elif not link["connected"]:
            state = show(link["state"]).replace("_", " ")
            detail = f": {show(link['detail'])}" if link.get("detail") else ""
            yield Wrong("critical", f"link {link['name']} is {state} for {ago(link.get('since'))}{detail}")
        if dropped := link.get("dropped_by_broker"):
            yield Wrong("warning", f"the broker has dropped {dropped} messages ({link['name']})")


def _of_tree(tree: dict[str, Any] | None) -> Iterator[Wrong]:
    for node in nodes(tree) if tree is not None else ():
        told = _STATES.get(str(node.get("state")))
        if told:
            last = node.get("last_exception") or {}
            reason = f": {show(last['error'])}" if last.get("error") else ""
            yield Wrong("warning", f"{show(node.get('path') or node['id'])} {told}{reason}")


def _of_fleet(seen: Seen) -> Iterator[Wrong]:
    counts = seen.health["devices"]
    if counts["offline"]:
        yield Wrong("warning", f"{_devices(counts['offline'])} offline: `muster devices --presence offline`")
    if counts["unknown"]:
        yield Wrong("warning", f"{_devices(counts['unknown'])} unknown: `muster devices --presence unknown`")
    flapping = sum(site.get("flapping", 0) for site in seen.sites or ())
    if flapping:
        yield Wrong("info", f"{_devices(flapping)} coming and going: `muster devices --flapping`")


def _devices(number: int) -> str:
    return "1 device is" if number == 1 else f"{number} devices are"


def draw(seen: Seen, room: int = 0) -> RenderableType:  # noqa: ARG001 - what does not fit is cut off below: the sites
    """Draw it for people."""
    from rich.console import Group
    from rich.text import Text

    wrong = find_wrong(seen)
    shown = [each for each in wrong if each.severity != "info"] + [each for each in wrong if each.severity == "info"]
    lines = [Text.assemble((f"{each.severity:<9} ", _COLOUR.get(each.severity, "")), each.what) for each in shown]
    if len(lines) > 2 * _MOST_ALARMS:
        more = len(lines) - 2 * _MOST_ALARMS
        lines = [*lines[: 2 * _MOST_ALARMS], Text(f"and {more} more: `muster alarms`, `muster tree`", style="dim")]
    parts: list[RenderableType] = [*lines, Text()] if lines else []
    parts += [Text.assemble((f"{name:<10}", "dim"), told) for name, told in _figures(seen)]
    if seen.sites:
        parts += [Text(), _sites(seen.sites)]
    return Group(*parts)


def _figures(seen: Seen) -> Iterator[tuple[str, Text]]:
    """Yield the names and figures of what there always is."""
    from rich.text import Text

    health = seen.health
    state = (show(health["status"]), f"bold {COLOURS.get(health['status'], '')}".strip())
    yield "server", Text.assemble(state, f", version {health['version']}, up {duration(health['uptime'])}, {seen.url}")
    yield "broker", Text(_broker(health["broker"]))
    database = health["database"]
    waiting = f", {database['pending']} writes wait" if database.get("pending") else ""
    yield "database", Text(f"ok{waiting}" if database["ok"] else f"away: {show(database.get('error'))}")
    actors = health["actors"]
    restarts = "1 restart" if actors["restarts"] == 1 else f"{actors['restarts']} restarts"
    parked = f", {actors['quarantined']} quarantined" if actors.get("quarantined") else ""
    yield "actors", Text(f"{actors['alive']} alive, {restarts}{parked}")
    yield "fleet", count_line(health["devices"])
    if seen.alarms is not None:
        yield "alarms", Text(_count_alarms(seen.alarms))


def _broker(broker: Item) -> str:
    if broker["connected"]:
        return "connected"
    links = (f"{name} is {state.replace('_', ' ')}" for name, state in broker.get("links", {}).items())
    return f"not connected: {', '.join(links)}".rstrip(": ")


def _count_alarms(alarms: list[Item]) -> str:
    if not alarms:
        return "none open"
    counts = [(severity, sum(alarm["severity"] == severity for alarm in alarms)) for severity in _RANK]
    return ", ".join(f"{number} {severity}" for severity, number in counts if number) + " open"


def _sites(sites: list[Item]) -> RenderableType:
    """Draw the sites, those with absent devices first."""
    from rich.console import Group
    from rich.text import Text

    ordered = sorted(sites, key=lambda site: (-site["offline"] - site["unknown"], site["site"] or "\uffff"))
    rows = ([site["site"], *(site[name] for name in _COUNTED)] for site in ordered[:_MOST_SITES])
    table = make_table(("SITE", *(name.upper() for name in _COUNTED)), rows)
    for column in table.columns[1:]:
        column.justify = "right"
    more = len(sites) - _MOST_SITES
    return Group(table, Text(f"and {more} sites more" if more > 0 else "", style="dim"))


_COUNTED = ("total", "online", "offline", "unknown")


def facts(seen: Seen) -> dict[str, str]:
    """Return a line for each thing, without its ages."""
    health, counts = seen.health, seen.health["devices"]
    told = {
        "server": show(health["status"]),
        "broker": _broker(health["broker"]),
        "database": "ok" if health["database"]["ok"] else f"away: {show(health['database'].get('error'))}",
        "actors": f"{health['actors']['restarts']} restarts, {health['actors'].get('quarantined', 0)} quarantined",
        "fleet": count_line(counts).plain,
    }
    told |= {link["name"]: show(link["state"]).replace("_", " ") for link in seen.links or ()}
    told |= {f"alarm {alarm['id']}": f"{alarm['severity']}: {show(alarm['summary'])}" for alarm in seen.alarms or ()}
    return {name: f"{name}  {text}" for name, text in told.items()}


def _print(seen: Seen) -> None:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 1000, highlight=False).print(draw(seen), soft_wrap=not terminal)


def duration(seconds: float) -> str:
    """Return seconds as `3 d 4 h`, `4 h 12 min`, `12 min 5 s` or `5 s`."""
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole % 60} s"
