"""`muster resolve`: the address of the primary device."""

from __future__ import annotations

import click

from .client import ApiClient
from .common import api_command, print_json, show


@click.command()
@click.option("--type", "device_type", default="raspberry_pi", show_default=True, help="What is looked for.")
@api_command
def resolve(client: ApiClient, *, device_type: str, as_json: bool) -> None:
    """Print the address of the primary device of a type; how it was found goes to stderr."""
    found = client.get("/api/resolve", {"type": device_type})
    if as_json:
        print_json(found)
        return
    # The address alone on stdout, so that `ssh pi@$(muster resolve)` works.
    click.echo(show(found["ip_address"]))
    how = found.get("how") or found.get("found_by") or found.get("method")
    click.echo(f"{show(found.get('serial'))} {show(found.get('hostname'))}: {show(how)}", err=True)
