"""`muster token`: who may speak to the server."""

from __future__ import annotations

from typing import Any

import click

from .client import ApiClient
from .common import ago, api_command, print_json, print_table

_ROLES = ("read", "operate", "admin", "device")
_DAY = 86_400.0


@click.group(short_help="Create, list and revoke API tokens.")
def token() -> None:
    """Create, list and revoke the tokens of the HTTP API."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="read", show_default=True)
@click.option("--serial", help="The device that a token of role `device` is limited to.")
@click.option("--days", type=click.FloatRange(0, 3650, min_open=True), help="How long it is valid; for ever without.")
@api_command
def create(client: ApiClient, *, name: str, role: str, serial: str | None, days: float | None, as_json: bool) -> None:
    """Make a token called NAME and print it; it is shown only this once."""
    if (role == "device") != (serial is not None):
        raise click.UsageError("--serial belongs to --role device, and the other way round.")
    body: dict[str, str | float] = {"name": name, "role": role}
    if serial:
        body["serial"] = serial
    if days:
        body["expires_in"] = days * _DAY
    made = client.post("/api/tokens", body)
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@token.command("list")
@api_command
def list_(client: ApiClient, *, as_json: bool) -> None:
    """List the tokens by name; their secret is not kept."""
    items = list(client.pages("/api/tokens"))
    if as_json:
        print_json({"items": items})
        return
    rows = (
        (item["id"], item["name"], item["role"], item.get("serial"), ago(item.get("created")), _end_of(item))
        for item in items
    )
    print_table(("ID", "NAME", "ROLE", "SERIAL", "CREATED", "ENDS"), rows)


def _end_of(item: dict[str, Any]) -> str:
    """Return when a token ends, or that it has ended."""
    return "revoked" if item.get("revoked") else str(item.get("expires") or "never")


@token.command()
@click.argument("token_id", metavar="ID", type=int)
@api_command
def revoke(client: ApiClient, *, token_id: int, as_json: bool) -> None:
    """Revoke the token with this ID at once."""
    client.delete(f"/api/tokens/{token_id}")
    if as_json:
        print_json({"id": token_id, "revoked": True})
    else:
        click.echo(f"Token {token_id} is revoked.")
