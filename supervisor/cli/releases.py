"""`muster release upload|list|revoke|delete`: the releases on a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from supervisor.release.archive import Release

from .client import ApiClient, connect
from .common import ago, api_command, print_json, print_table, show
from .uploading import Advance, Upload

_COLUMNS = ("VERSION", "SIZE", "PLATFORMS", "KEY", "UPLOADED", "BY", "STATE")


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE")
@click.option("--patience", type=click.FloatRange(0), default=600.0, show_default=True, metavar="SECONDS")
@click.option("--url", metavar="URL", help="The server; else MUSTER_SERVER_URL, else the one running here.")
@click.option("--token-file", metavar="FILE", help="File with a token; else MUSTER_API_TOKEN.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def upload(*, path: Path, patience: float, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Upload the release FILE.

    A connection that breaks and a server that restarts are waited for, up to --patience seconds. The same command goes
    on where an earlier one was interrupted.
    """
    with Release(path) as opened:
        manifest = opened.manifest
    upload = Upload(path, lambda: connect(url, token_file, os.environ), patience)
    with _bar(f"{manifest.name} {manifest.version}", upload.size) as advance:
        version = upload.run(advance)
    with connect(url, token_file, os.environ) as client:
        made = client.get(_path(version))
    if as_json:
        print_json(made)
        return
    click.echo(f"Release {show(version)} is on the server, signed by {show(made['key_id'])}.")


@click.command("list")
@api_command
def list_(client: ApiClient, *, as_json: bool) -> None:
    """List the releases on the server, the last uploaded first."""
    items = list(client.pages("/api/releases"))
    if as_json:
        print_json({"items": items})
        return
    print_table(_COLUMNS, map(_row, items))


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    state = "revoked" if item["revoked"] else "ok" if item["here"] else "elsewhere"
    size = f"{item['size'] / 2**20:.1f} MB"
    platforms = " ".join(item["platforms"])
    return item["version"], size, platforms, item["key_id"], ago(item["uploaded"]), item["uploaded_by"], state


@click.command()
@click.argument("version")
@click.option("--reason", default="", help="Why, for whoever asks later.")
@api_command
def revoke(client: ApiClient, *, version: str, reason: str, as_json: bool) -> None:
    """Let no device have the release VERSION any more; its rollouts halt."""
    item = client.post(f"{_path(version)}/revoke", {"reason": reason})
    if as_json:
        print_json(item)
    else:
        click.echo(f"Release {show(item['version'])} is revoked.")


@click.command()
@click.argument("version")
@api_command
def delete(client: ApiClient, *, version: str, as_json: bool) -> None:
    """Delete the release VERSION from the server, unless a rollout needs it."""
    client.delete(_path(version))
    if as_json:
        print_json({"version": version, "deleted": True})
    else:
        click.echo(f"Release {show(version)} is deleted.")


def _path(version: str) -> str:
    return f"/api/releases/{version}"


@contextmanager
def _bar(title: str, size: int) -> Iterator[Advance]:
    """Show how far an upload is; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=size)
        yield lambda done: progress.update(task, completed=done)
