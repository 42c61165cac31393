"""`muster payload-key`: which devices have to seal what they say, and the server's key for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from .client import ApiClient
from .common import api_command, print_json, print_table

_COLUMNS = ("SERIAL", "STATE", "KEY ID")


@click.group("payload-key", short_help="Show which devices seal their payloads, require it of one, or let one off.")
def payload_key() -> None:
    """Decide which devices are believed only sealed.

    A device gives its key by itself, when `edge.payloads.encrypt` tells it to: see `muster-edge payload-key` there.
    """


@payload_key.command("list")
@api_command
def list_(client: ApiClient, *, as_json: bool) -> None:
    """List the devices that are believed only sealed, by serial."""
    items = list(client.pages("/api/payload_keys"))
    if as_json:
        print_json({"items": items})
    else:
        print_table(_COLUMNS, ((item["serial"], _state(item), item["key_id"]) for item in items))


@payload_key.command("show")
@click.argument("serial")
@api_command
def show_(client: ApiClient, *, serial: str, as_json: bool) -> None:
    """Show the public keys of the device with this SERIAL and of the server, and what the pair is called."""
    item = client.get(_path(serial))
    if as_json:
        print_json(item)
        return
    labels = {"device": "serial", "state": "state", "key id": "key_id", "key": "key", "server's key": "server_key"}
    print_table(("", ""), ((label, {**item, "state": _state(item)}[name]) for label, name in labels.items()))


@payload_key.command()
@click.argument("serial")
@api_command
def require(client: ApiClient, *, serial: str, as_json: bool) -> None:
    """Believe the device with this SERIAL only sealed from now on, though it may have given no key yet."""
    item = client.post(f"{_path(serial)}/require", {})
    if as_json:
        print_json(item)
        return
    waits = "" if item["key"] else " It has given no key: what it says and is to be told over a broker waits for that."
    click.echo(f"{serial} is believed only sealed.{waits}")


@payload_key.command()
@click.argument("serial")
@api_command
def drop(client: ApiClient, *, serial: str, as_json: bool) -> None:
    """Forget the key of the device with this SERIAL, and believe it plain again."""
    client.delete(_path(serial))
    if as_json:
        print_json({"serial": serial, "dropped": True})
    else:
        click.echo(f"{serial} is believed plain again, until it gives a key; take `encrypt` out of its file.")


@payload_key.command()
@click.option("--data-dir", metavar="DIR", help="Data directory of the server.")
@click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml.")
def make(*, data_dir: str | None, config: str | None) -> None:
    """Make another key for a stopped server on this machine whose own is lost for good.

    No device takes it by itself, for it could be anybody's: on each of them remove `payload-key.json` and start the
    edge anew.
    """
    from supervisor.server.config import load_config
    from supervisor.server.payload_key_file import make_lost_key

    path = make_lost_key(load_config({"config": config, "data_dir": data_dir}, os.environ, cwd=Path.cwd()))
    click.echo(f"{path}: another key. Make a backup; on each device that seals, remove `payload-key.json` and")
    click.echo("start the edge anew: until then the server opens nothing that it says.")


def _path(serial: str) -> str:
    return f"/api/devices/{serial}/payload_key"


def _state(item: dict[str, Any]) -> str:
    return "sealed" if item["key"] else "key wanted"
