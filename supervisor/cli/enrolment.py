"""`muster enrolment`: which devices have credentials, and which wait for an operator."""

from __future__ import annotations

from typing import Any

import click

from .client import ApiClient
from .common import ago, api_command, print_json, print_table

_COLUMNS = ("SERIAL", "STATE", "HOST", "ADDRESS", "ASKED", "ENROLLED", "BY", "REQUEST")


@click.group(short_help="List the enrolments of devices, approve, deny and revoke them.")
def enrolment() -> None:
    """Decide which devices get credentials of their own.

    A device that enrols for the first time needs only the fleet's key. One that enrols again without proof waits here
    until somebody has approved it.
    """


@enrolment.command("list")
@click.option("--waiting", is_flag=True, help="Only those that wait for an operator.")
@api_command
def list_(client: ApiClient, *, waiting: bool, as_json: bool) -> None:
    """List the enrolments: those that wait first, then by serial."""
    items = [item for item in client.pages("/api/enrolments") if not waiting or item["state"] == "pending"]
    if as_json:
        print_json({"items": items})
    else:
        print_table(_COLUMNS, map(_row, items))


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return (
        item["serial"],
        item["state"],
        item["hostname"],
        item["address"],
        ago(item["requested"]),
        ago(item["enrolled"]),
        item["changed_by"],
        item["request"],
    )


@enrolment.command()
@click.argument("serial")
@click.option("--request", default="", help="Only if this request waits still: REQUEST of `list`.")
@api_command
def approve(client: ApiClient, *, serial: str, request: str, as_json: bool) -> None:
    """Let the device with this SERIAL enrol within the next 24 hours; look first at who asks, with `list`."""
    row = client.post(f"/api/enrolments/{serial}/approve", {"request": request} if request else {})
    where = f"{row['hostname'] or 'a host without a name'} at {row['address']}"
    _tell(row, f"{serial} ({where}) may enrol until {row['approved_until']}.", as_json=as_json)


@enrolment.command()
@click.argument("serial")
@api_command
def deny(client: ApiClient, *, serial: str, as_json: bool) -> None:
    """Refuse the device with this SERIAL and let it off the broker; its tokens stay valid."""
    row = client.post(f"/api/enrolments/{serial}/deny", {})
    _tell(row, f"{serial} is denied.", as_json=as_json)


@enrolment.command()
@click.argument("serial")
@api_command
def revoke(client: ApiClient, *, serial: str, as_json: bool) -> None:
    """End the credentials of the device with this SERIAL at once."""
    client.delete(f"/api/enrolments/{serial}")
    row = {"serial": serial, "state": "denied"}
    _tell(row, f"{serial} has no credentials any more, and is denied until somebody approves it.", as_json=as_json)


def _tell(row: Any, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        click.echo(sentence)
