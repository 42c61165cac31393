"""`muster rotate`: new keys and passwords; what was good before stays good for a time."""

from __future__ import annotations

from typing import Any

import click

from .client import ApiClient
from .common import api_command, print_json

_GRACE = click.option(
    "--grace",
    type=click.FloatRange(0, 366 * 24),
    metavar="HOURS",
    help="How long what was good before stays good.  [24, or `broker_access.grace`]",
)


@click.group(short_help="Change the fleet's key and the broker's passwords.", invoke_without_command=True)
@click.option("--retire-shared", is_flag=True, help="End the broker's user that devices of releases before share.")
@click.pass_context
def rotate(context: click.Context, *, retire_shared: bool) -> None:
    """Change the fleet's key, the server's password or those of devices, without downtime."""
    if context.invoked_subcommand is not None:
        if retire_shared:
            raise click.UsageError("--retire-shared stands alone.")
        return
    if not retire_shared:
        raise click.UsageError("say what: fleet-key, server-password, devices or --retire-shared.")
    context.invoke(_retire)


@click.command(hidden=True)
@api_command
def _retire(client: ApiClient, *, as_json: bool) -> None:
    told = client.post("/api/access/retire-shared", {})
    gone = "The shared user has ended: who used it enrols." if told["retired"] else "There was no shared user any more."
    _tell(told, gone, as_json=as_json)


@rotate.command("fleet-key")
@_GRACE
@api_command
def fleet_key(client: ApiClient, *, grace: float | None, as_json: bool) -> None:
    """Make another fleet's key and print it: put it into the images, and where the server has the one of before."""
    told = client.post("/api/access/fleet-key", _body(grace))
    if as_json:
        print_json(told)
        return
    click.echo(told["key"])
    click.echo(f"The key of before is good until {told['ends']}.", err=True)


@rotate.command("server-password")
@_GRACE
@api_command
def server_password(client: ApiClient, *, grace: float | None, as_json: bool) -> None:
    """Give the server another user and password of the broker; it connects with them at once."""
    told = client.post("/api/access/server-password", _body(grace))
    _tell(told, f"The server is {told['username']} now; its user of before ends {told['ends']}.", as_json=as_json)


@rotate.command("devices")
@click.argument("serials", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="All devices that have a user of their own.")
@_GRACE
@api_command
def devices(
    client: ApiClient, *, serials: tuple[str, ...], everybody: bool, grace: float | None, as_json: bool
) -> None:
    """Have the devices of these SERIALS fetch new passwords of the broker."""
    if bool(serials) == everybody:
        raise click.UsageError("name serials, or give --all.")
    told = client.post("/api/access/devices", {**_body(grace), "devices": list(serials)})
    number = len(told["devices"])
    sentence = (
        f"{number} device{'' if number == 1 else 's'} will fetch a new password; the old one ends {told['ends']}."
    )
    _tell(told, sentence, as_json=as_json)


def _body(grace: float | None) -> dict[str, Any]:
    return {} if grace is None else {"grace": grace * 3600.0}


def _tell(told: Any, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(sentence)
