"""`muster devices`: the roll call."""

from __future__ import annotations

import click

from .client import ApiClient
from .common import ago, api_command, print_json, print_table

_KINDS = ("raspberry_pi", "datalogger", "gateway", "sensor", "controller", "other")


@click.command(short_help="List the devices: the roll call.")
@click.option("--site", help="Only this site.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only this kind.")
@click.option("--type", "type_", help="Only this type.")
@click.option("--group", help="Only this group.")
@click.option("--label", metavar="KEY[=VALUE]", help="Only those with this label.")
@click.option("--presence", type=click.Choice(("online", "offline", "unknown")), help="Only these.")
@click.option("-q", "--search", "q", help="Only those whose serial, label or host name contains this.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@api_command
def devices(client: ApiClient, *, type_: str | None, limit: int | None, as_json: bool, **filters: str | None) -> None:
    """List the devices of the fleet and whether they are present."""
    items = client.pages("/api/devices", {**filters, "type": type_}, limit=limit)
    if as_json:
        print_json({"items": list(items)})
        return
    columns = ("SERIAL", "NAME", "KIND", "SITE", "PRESENCE", "WHY", "SINCE", "LAST SEEN", "ADDRESS")
    print_table(
        columns,
        (
            (
                item["serial"],
                item.get("label") or item.get("hostname"),
                item["kind"],
                item.get("site"),
                item["presence"],
                item.get("reason"),
                ago(item.get("since")),
                ago(item.get("last_seen")),
                item.get("ip_address"),
            )
            for item in items
        ),
    )
