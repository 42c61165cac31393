"""`muster alarms`: what is wrong, and what operators say to it."""

from __future__ import annotations

import re
from typing import Any

import click

from .client import ApiClient
from .common import ListByDefault, ago, api_command, print_json, print_table

_COLUMNS = ("ID", "SEVERITY", "STATE", "SINCE", "RULE", "SUMMARY")
_RULE_COLUMNS = ("NAME", "KIND", "SEVERITY", "ON", "LASTS", "LIMIT", "FROM")
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)\Z")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Span(click.ParamType[float]):
    """A length of time: `90`, `30m`, `2h`, `1d`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it in seconds."""
        found = _SPAN.match(str(value))
        if not found:
            self.fail(f"`{value}` is no length of time such as 90s, 30m, 2h or 1d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


@click.group(cls=ListByDefault, short_help="List alarms, acknowledge and silence them.")
def alarms() -> None:
    """Look at what is wrong. Without a command: `list`, with its options."""


@alarms.command("list")
@click.option("--state", type=click.Choice(("open", "cleared", "all")), default="open", show_default=True)
@click.option("--rule", metavar="NAME", help="Only those of one rule.")
@click.option("--severity", type=click.Choice(("info", "warning", "critical")))
@click.option("--device", metavar="SERIAL", help="Only those about one device.")
@click.option("--site", metavar="NAME", help="Only those of one site.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@api_command
def list_(client: ApiClient, *, state: str, limit: int, as_json: bool, **filters: str | None) -> None:
    """List alarms, newest first."""
    params = {"state": None if state == "all" else state, **filters}
    items = list(client.pages("/api/alarms", params, limit=limit))
    if as_json:
        print_json({"items": items})
    elif items:
        print_table(_COLUMNS, map(_row, items))
    else:
        click.echo("No alarms." if state == "all" else f"No alarms that are {state}.")


@alarms.command()
@click.argument("alarm", metavar="ID", type=click.IntRange(1))
@api_command
def acknowledge(client: ApiClient, *, alarm: int, as_json: bool) -> None:
    """Say that somebody looks after the alarm ID: no more news of it until it is over."""
    item = client.post(f"/api/alarms/{alarm}/acknowledge", {})
    _tell(item, f"Alarm {alarm} is acknowledged by {item['acknowledged_by']}.", as_json=as_json)


@alarms.command()
@click.argument("alarm", metavar="ID", type=click.IntRange(1))
@click.option("--for", "span", type=Span(), default="1h", show_default=True, help="For how long; 0 ends a silence.")
@api_command
def silence(client: ApiClient, *, alarm: int, span: float, as_json: bool) -> None:
    """Have no news of the alarm ID for a time, also if it is raised again meanwhile."""
    item = client.post(f"/api/alarms/{alarm}/silence", {"seconds": span})
    until = item["silenced_until"]
    sentence = f"Alarm {alarm} is silenced until {until}." if until else f"Alarm {alarm} is not silenced any more."
    _tell(item, sentence, as_json=as_json)


@alarms.command()
@api_command
def rules(client: ApiClient, *, as_json: bool) -> None:
    """List the rules by which alarms are raised."""
    items = list(client.pages("/api/alarm-rules"))
    if as_json:
        print_json({"items": items})
    else:
        print_table(_RULE_COLUMNS, map(_rule_row, items))


def _tell(item: Any, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        click.echo(sentence)


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return (item["id"], item["severity"], _state(item), ago(item["raised"]), item["rule"], item["summary"])


def _state(item: dict[str, Any]) -> str:
    if item["state"] == "open" and item["acknowledged"]:
        return "acknowledged"
    return "silenced" if item["state"] == "open" and item["silenced_until"] else str(item["state"])


def _rule_row(item: dict[str, Any]) -> tuple[Any, ...]:
    limit = next((f"{side} {item[side]:g}" for side in ("over", "under") if item.get(side) is not None), "")
    on = "yes" if item["enabled"] else "no"
    what = f"{item['metric']} {limit}".strip() if item.get("metric") else limit
    return item["name"], item["kind"], item["severity"], on, f"{item.get('lasts', 0):g} s", what, item["origin"]
