"""`muster pki`: an authority of one's own, and the certificates of servers and devices."""

from __future__ import annotations

import datetime as dt
import functools
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from supervisor.backup.ownership import give_to_owner
from supervisor.pki.authority import AUTHORITY_DAYS, DEVICE_DAYS, SERVER_DAYS, Authority, Issued
from supervisor.pki.certificates import is_due
from supervisor.pki.errors import PkiError
from supervisor.pki.index import Kind, Record
from supervisor.pki.settings import read_passphrase
from supervisor.process.data_dir import default_data_dir
from supervisor.process.private_file import write_private
from supervisor.server.access.accounts import RESERVED

from .common import print_json, print_table, show

R = TypeVar("R")

DIRECTORY = "pki"
"""Of the authority, in the data directory: where `muster up --lan --tls` has it, too."""
_PATH = click.Path(path_type=Path)
_DAYS = click.IntRange(1, 36_500)
_KINDS: dict[str, Kind | None] = {"server": "server", "device": "device", "any": None}
_KIND = click.option("--kind", type=click.Choice(tuple(_KINDS)), default="any", help="Of a name that both have.")


def _on_authority(command: Callable[..., R]) -> Callable[..., R]:
    """Add what all commands have; the function gets `directory`, `passphrase` and `as_json`."""

    @click.option("--dir", "directory", type=_PATH, help="Directory of the authority; else `pki` in MUSTER_DATA_DIR.")
    @click.option("--passphrase-file", type=_PATH, help="Opens the authority's key with its first line.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapper(*, directory: Path | None, passphrase_file: Path | None, **options: Any) -> R:
        found = directory or (_data_dir() / DIRECTORY)
        passphrase = read_passphrase(passphrase_file) if passphrase_file is not None else None
        whose = found if found.exists() else found.parent
        try:
            return command(directory=found, passphrase=passphrase, **options)
        finally:
            if found.exists():  # made by root, the server could not use it
                give_to_owner(whose, found)

    return wrapper


@click.group(short_help="Make and revoke certificates.")
def pki() -> None:
    """Make an authority, and certificates for servers and devices; revoke them.

    `muster up --lan --tls` and `muster install server --tls` have an authority already: these commands are for what
    does not enrol by itself (a microcontroller, another server), and for whoever runs a broker of his own.
    """


@pki.command()
@click.option("--name", default="", help="Of the authority, for people.  [Muster of this host]")
@click.option("--days", type=_DAYS, default=AUTHORITY_DAYS, show_default=True, help="How long it is good.")
@_on_authority
def init(*, directory: Path, passphrase: bytes | None, as_json: bool, name: str, days: int) -> None:
    """Make an authority in a new directory."""
    made = Authority.create(directory, name or f"Muster of {socket.gethostname()}", passphrase=passphrase, days=days)
    if as_json:
        print_json(_authority_json(made))
        return
    sealed = "sealed" if passphrase else "mode 0600"
    click.echo(f"{made.ca_file}: what devices and browsers have to trust; good until {made.ends:%Y-%m-%d}.")
    click.echo(f"{directory / 'ca.key'}: signs everything, {sealed}. Keep a copy of the whole directory.")


@pki.command()
@click.option("--server", "servers", multiple=True, metavar="NAME", help="Name or address of a server; repeatable.")
@click.option("--device", metavar="SERIAL", help="Serial number of a device.")
@click.option("--request", type=_PATH, metavar="FILE", help="Sign this request of the device: its key stays there.")
@click.option("--days", type=_DAYS, help=f"How long it is good.  [server {SERVER_DAYS}, device {DEVICE_DAYS}]")
@click.option("--out", type=_PATH, metavar="FILE", help="Where to; else what shows below, in the current directory.")
@_on_authority
def issue(
    *,
    directory: Path,
    passphrase: bytes | None,
    as_json: bool,
    servers: tuple[str, ...],
    device: str | None,
    request: Path | None,
    days: int | None,
    out: Path | None,
) -> None:
    """Issue a certificate to a server or a device: one file, mode 0600, with the key and the certificate.

    Mosquitto, paho and Muster take that file for both. A server gets all names by which it is reached; one that is
    called NAME gets NAME.local, too.
    """
    if bool(servers) == bool(device):
        raise click.UsageError("give either --server or --device.")
    if request and not device:
        raise click.UsageError("--request belongs to a --device.")
    authority = Authority.open(directory, passphrase=passphrase)
    if device in RESERVED:
        raise PkiError("bad_name", f"`{device}` is the name of a user that the broker has for others.")
    path = out or _beside(device or servers[0])
    if path.exists():
        raise PkiError("exists", f"{path} exists; `muster pki renew` replaces it, --out names another file.")
    if device is None:
        issued = authority.issue_server(_with_local(servers), days=days or SERVER_DAYS)
    elif request is not None:
        issued = authority.sign_request(_read(request), device, days=days or DEVICE_DAYS)
    else:
        issued = authority.issue_device(device, days=days or DEVICE_DAYS)
    _hand_over(issued, path, as_json=as_json)


@pki.command()
@click.argument("name", required=False)
@click.option("--due", is_flag=True, help="All servers whose certificate is in the last third of its life.")
@click.option("--out", type=_PATH, metavar="FILE", help="Where to; else NAME.pem in the current directory.")
@_KIND
@_on_authority
def renew(
    *,
    directory: Path,
    passphrase: bytes | None,
    as_json: bool,
    name: str | None,
    due: bool,
    out: Path | None,
    kind: str,
) -> None:
    """Issue a certificate like the last one of NAME, with a new key; the one before stays good until it ends.

    With --due the files in `servers` are renewed that need it, for a timer.
    """
    if bool(name) == due:
        raise click.UsageError("give either NAME or --due.")
    authority = Authority.open(directory, passphrase=passphrase)
    if name:
        issued = authority.renew(name, _KINDS[kind])
        _hand_over(issued, out or _beside(issued.record.name), as_json=as_json)
        return
    renewed = [authority.renew(each, "server") for each in _due_servers(authority)]
    if as_json:
        print_json({"items": [_record_json(each.record) for each in renewed]})
        return
    for each in renewed:
        click.echo(f"{authority.server_file(each.record.name)}: good until {_day(each.record.not_after)}.")
    if not renewed:
        click.echo("Nothing is due.")


@pki.command()
@click.argument("name")
@_KIND
@_on_authority
def revoke(*, directory: Path, passphrase: bytes | None, as_json: bool, name: str, kind: str) -> None:
    """End all certificates of NAME, or the one with that serial number of a certificate."""
    authority = Authority.open(directory, passphrase=passphrase)
    ended = authority.revoke(name, _KINDS[kind])
    if as_json:
        print_json({"items": [_record_json(record) for record in ended], "crl": str(authority.crl_file)})
        return
    if not ended:
        click.echo(f"All that was issued to {name} is revoked already.")
        return
    click.echo(f"{len(ended)} revoked; {authority.crl_file} says so.")
    click.echo("A broker reads it on SIGHUP: `systemctl reload mosquitto`. A server with this authority sees to that.")


@pki.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what has ended or was revoked.")
@_on_authority
def list_records(*, directory: Path, passphrase: bytes | None, as_json: bool, everything: bool) -> None:  # noqa: ARG001 - all commands have it
    """List what was issued, oldest first."""
    records = [record for record in Authority.open(directory).records() if everything or _state(record) == "valid"]
    if as_json:
        print_json({"items": [_record_json(record) for record in records]})
        return
    columns = ("NAME", "KIND", "STATE", "UNTIL", "SERIAL")
    print_table(columns, ((one.name, one.kind, _state(one), _day(one.not_after), one.serial) for one in records))


@pki.command("show")
@click.argument("name", required=False)
@_KIND
@_on_authority
def show_record(*, directory: Path, passphrase: bytes | None, as_json: bool, name: str | None, kind: str) -> None:  # noqa: ARG001 - all commands have it
    """Show the authority, or what was issued to NAME."""
    authority = Authority.open(directory)
    if name is None:
        told = _authority_json(authority)
        if as_json:
            print_json(told)
            return
        for key, value in told.items():
            click.echo(f"{key + ':':14}{show(value)}")
        return
    found = authority.find(name, _KINDS[kind])
    if not found:
        raise PkiError("unknown", f"Nothing was issued to `{name}`; `muster pki list` shows to whom.")
    if as_json:
        print_json({"items": [_record_json(record) for record in found]})
        return
    for record in found:
        names = f", for {', '.join(record.names)}" if record.names else ""
        click.echo(f"{record.name}: {record.kind}, {_state(record)}, until {_day(record.not_after)}{names}")
        click.echo(f"  serial {record.serial}")


def _beside(name: str) -> Path:
    """Return the file of a name in the current directory."""
    return Path(f"{name.replace(':', '_').replace('*', '_').replace('/', '_')}.pem")


def _hand_over(issued: Issued, path: Path, *, as_json: bool) -> None:
    """Write what was issued, and say where it is."""
    try:
        write_private(path, issued.combined, durable=True)
    except OSError as error:
        raise PkiError("unwritable", f"{path} cannot be written: {error.strerror}.") from None
    if as_json:
        print_json({**_record_json(issued.record), "path": str(path)})
        return
    holds = "key and certificate" if issued.key else "certificate"
    click.echo(f"{path}: {holds} of {issued.record.name}, good until {_day(issued.record.not_after)}.")


def _due_servers(authority: Authority) -> list[str]:
    """Return the servers whose file is due; a server that was revoked has no claim to another."""
    due = []
    for name in dict.fromkeys(record.name for record in authority.records() if record.kind == "server"):
        if authority.find(name, "server")[-1].revoked:
            continue
        try:
            certificate = x509.load_pem_x509_certificate(authority.server_file(name).read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            due.append(name)
            continue
        if is_due(certificate):
            due.append(name)
    return due


def _with_local(names: tuple[str, ...]) -> list[str]:
    """Return names, those without a domain also as mDNS knows them."""
    more = [f"{name}.local" for name in names if "." not in name and ":" not in name and name != "localhost"]
    return [*names, *more]


def _authority_json(authority: Authority) -> dict[str, Any]:
    certificate = x509.load_pem_x509_certificate(authority.certificate)
    states = [_state(record) for record in authority.records()]
    return {
        "directory": str(authority.directory),
        "name": certificate.subject.rfc4514_string(),
        "not_after": _stamp(authority.ends.timestamp()),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "ca": str(authority.ca_file),
        "crl": str(authority.crl_file),
        **{state: states.count(state) for state in ("valid", "revoked", "expired")},
    }


def _record_json(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "kind": record.kind,
        "state": _state(record),
        "serial": record.serial,
        "names": record.names,
        "not_before": _stamp(record.not_before),
        "not_after": _stamp(record.not_after),
        "revoked": _stamp(record.revoked) if record.revoked else None,
    }


def _state(record: Record) -> str:
    if record.revoked:
        return "revoked"
    return "valid" if record.not_after > dt.datetime.now(dt.UTC).timestamp() else "expired"


def _stamp(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _day(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d}"


def _data_dir() -> Path:
    told = os.environ.get("MUSTER_DATA_DIR", "")
    return Path(told) if told else default_data_dir(os.environ)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiError("unreadable", f"{path} cannot be read: {error.strerror}.") from None
