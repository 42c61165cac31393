"""`muster resolve`: the address of the primary device."""

from __future__ import annotations

import click

from .client import ApiClient
from .common import api_command, print_json, show

#: How the server found it, in words.
_METHODS = {
    "roll_call": "online, at the address it announced",
    "last_known": "offline, but its last known address answers",
    "mdns": "found by mDNS",
    "scan": "found by a scan of the local networks",
}


@click.command(short_help="Print the address of the primary device.")
@click.option("--type", "device_type", default="raspberry_pi", show_default=True, help="What is looked for.")
@api_command
def resolve(client: ApiClient, *, device_type: str, as_json: bool) -> None:
    """Print the address of the primary device of a type; how it was found goes to stderr."""
    found = client.get("/api/resolve", {"type": device_type})
    if as_json:
        print_json(found)
        return
    # The address alone on stdout, so that `ssh pi@$(muster resolve)` works.
    click.echo(show(found["address"]))
    name = f"{show(found['serial'])} ({found['hostname']})" if found.get("hostname") else show(found["serial"])
    click.echo(f"{name}: {_METHODS.get(found['method'], found['method'])}", err=True)
