"""`muster export`: what is stored, as a file for other programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from supervisor.server.config import load_config

FORMATS: Final = ("csv", "jsonl", "parquet")


@click.group(short_help="Write what is stored to a file.")
def export() -> None:
    """Write what is stored to a file, straight from the database; the server may run meanwhile."""


@export.command()
@click.option("--format", "form", type=click.Choice(FORMATS), default="csv", show_default=True)
@click.option("--device", "devices", metavar="SERIAL", multiple=True, help="Only this device; may be given repeatedly.")
@click.option("--group", "groups", metavar="NAME", multiple=True, help="Only this group; may be given repeatedly.")
@click.option("--since", metavar="TIME", help="Only readings from this time on, by the clocks of the devices.")
@click.option("--until", metavar="TIME", help="Only readings before this time.")
@click.option("--metric", "metrics", metavar="NAME", multiple=True, help="Only this measure; may be given repeatedly.")
@click.option("--output", metavar="FILE", default="-", help="Where to write; `-` is the standard output.  [-]")
@click.option("--data-dir", metavar="DIR", help="Data directory of the server, where its SQLite file is.")
@click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml.")
def readings(
    *,
    form: str,
    devices: Sequence[str],
    groups: Sequence[str],
    since: str | None,
    until: str | None,
    metrics: Sequence[str],
    output: str,
    data_dir: str | None,
    config: str | None,
) -> None:
    """Write readings, device by device, the oldest first.

    csv and parquet have one line for each number: time, device, channel, metric, value, and the reading's health index
    and status. jsonl has one object for each reading, with all that is known of it. Times are RFC 3339, UTC.
    """
    from .readings_file import Whose, write_readings  # not before it is asked for: it loads the tables

    loaded = load_config({"config": config, "data_dir": data_dir}, os.environ, cwd=Path.cwd())
    whose = Whose(devices, groups)
    count = write_readings(loaded, form=form, whose=whose, since=since, until=until, metrics=metrics, output=output)
    if output != "-":
        click.echo(f"{count} readings are in {output}.", err=True)
