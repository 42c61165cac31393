"""`muster sealing`: the key of what the database holds sealed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from supervisor.server.config import load_config

_OPTIONS = (
    click.option("--data-dir", metavar="DIR", help="Data directory of the server."),
    click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml."),
)


@click.group(short_help="Change the key of sealed values.")
def sealing() -> None:
    """Change the key with which arguments of commands, twins and notifications are sealed in the database."""


@sealing.command()
@_OPTIONS[0]
@_OPTIONS[1]
def rotate(*, data_dir: str | None, config: str | None) -> None:
    """Make a new key; a running server notices it within half a minute and seals every value anew."""
    from supervisor.server.sealing import KeyFile, ask_noted

    loaded = load_config({"config": config, "data_dir": data_dir}, os.environ, cwd=Path.cwd())
    keys = KeyFile.of(loaded.data_path, os.environ)
    new = keys.rotate(ask_noted(loaded.database.url))
    click.echo(f"{keys.path}: new values are sealed with the key {new}, old ones one after the other.")
    click.echo("The keys before stay in the file as long as a value may need them; make a backup.")
