"""`muster backup` and `muster restore`: everything of a server in one encrypted file, and back."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from supervisor.server.config import Config, find_file, load_config

from .common import print_json

if TYPE_CHECKING:
    from supervisor.backup.make import Made
    from supervisor.backup.stream import Secret

R = TypeVar("R")

_PATH = click.Path(path_type=Path)


def _options(command: Callable[..., R]) -> Callable[..., R]:
    """Add what both commands have."""

    @click.argument("file", type=_PATH)
    @click.option("--passphrase-file", type=_PATH, metavar="FILE", help="Its first line is the passphrase.")
    @click.option("--key-file", type=_PATH, metavar="FILE", help="The key, made by `muster backup --new-key FILE`.")
    @click.option("--data-dir", metavar="DIR", help="Data directory of the server.")
    @click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapper(**options: Any) -> R:
        with _terminated_like_interrupted():
            return command(**options)

    return wrapper


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let the service manager's SIGTERM leave no plain copy of the database behind, and undo half a restore."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.command(short_help="Write everything to one encrypted file.")
@_options
@click.option("--verify", is_flag=True, help="Only read FILE through and compare it with its manifest.")
@click.option("--new-key", is_flag=True, help="Only make FILE, a new key for --key-file.")
def backup(
    *,
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    data_dir: str | None,
    config: str | None,
    as_json: bool,
    verify: bool,
    new_key: bool,
) -> None:
    """Write database, keys, configuration, audit trail and places of this machine's server to FILE.

    The server may run meanwhile. The file is read again before it gets its name. Keep passphrase or key elsewhere:
    without it nobody can read the backup, with it everybody.
    """
    from supervisor.backup.configuration import configuration_places
    from supervisor.backup.databases import copier_for
    from supervisor.backup.make import Source, make_backup, verify_backup
    from supervisor.backup.secret import make_key
    from supervisor.server.sealing import KeyFile, ask_noted

    if new_key:
        make_key(file)
        click.echo(f"{file}: keep it, and a copy of it, away from the backups.")
        return
    secret = _secret(passphrase_file, key_file)
    if verify:
        _show(file, verify_backup(file, secret), as_json=as_json)
        return
    loaded = _load(config, data_dir)
    source = Source(
        loaded.data_path,
        copier_for(loaded.database.url),
        configuration_places(find_file(config or os.environ.get("MUSTER_CONFIG"), Path.cwd()), loaded, Path.cwd()),
        KeyFile.of(loaded.data_path, os.environ),
        ask_noted(loaded.database.url),
    )
    _show(file, make_backup(source, file, secret), as_json=as_json)


@click.command(short_help="Put back what `muster backup` has written.")
@_options
@click.option("--force", is_flag=True, help="Set aside what is there already.")
@click.option("--configuration", is_flag=True, help="Only the files of the configuration, to where they were.")
def restore(
    *,
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    data_dir: str | None,
    config: str | None,
    as_json: bool,
    force: bool,
    configuration: bool,
) -> None:
    """Put data directory and database back as they were; the server must not run.

    All of FILE is checked before anything is replaced. On a new machine restore the configuration first
    (--configuration): it says where data directory and database are.
    """
    from supervisor.backup.databases import copier_for
    from supervisor.backup.restore import Target, restore_backup, restore_configuration

    secret = _secret(passphrase_file, key_file)
    if configuration:
        written = [str(path) for path in restore_configuration(file, secret, force=force)]
        if as_json:
            print_json({"written": written})
        else:
            click.echo("\n".join(written) or "Everything is as in the backup.")
        return
    loaded = _load(config, data_dir)
    done = restore_backup(file, Target(loaded.data_path, copier_for(loaded.database.url)), secret, force=force)
    if as_json:
        print_json({"data_dir": str(loaded.data_path), "created": done.about.created, "set_aside": done.aside})
        return
    click.echo(f"{loaded.data_path} and the database are as they were at {done.about.created}.")
    for place in done.aside:
        click.echo(f"What was there before: {place}. Remove it when all is well.")


def _secret(passphrase_file: Path | None, key_file: Path | None) -> Secret:
    from supervisor.backup.secret import load_key, load_passphrase

    if (passphrase_file is None) == (key_file is None):
        raise click.UsageError("give either --passphrase-file or --key-file.")
    if passphrase_file is not None:
        return load_passphrase(passphrase_file)
    assert key_file is not None
    return load_key(key_file)


def _load(config: str | None, data_dir: str | None) -> Config:
    return load_config({"config": config, "data_dir": data_dir}, os.environ, cwd=Path.cwd())


def _show(path: Path, made: Made, *, as_json: bool) -> None:
    about, manifest = made.about, made.manifest
    if as_json:
        print_json(
            {
                "path": str(path),
                "size": made.size,
                "created": about.created,
                "version": about.version,
                "server": about.server,
                "database": about.database,
                "files": len(manifest.files),
                "rows": manifest.rows,
                "left_out": manifest.left_out,
            }
        )
        return
    rows = "" if manifest.rows is None else f", {sum(manifest.rows.values())} rows"
    click.echo(f"{path}: {made.size / 2**20:.1f} MB, verified; {len(manifest.files)} files{rows}")
    click.echo(f"  of {about.created}, Muster {about.version}, {about.database}")
    for name in manifest.left_out:
        click.echo(f"  left out: {name}")
