"""`muster twin`: what is desired of a device, and what it reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import click
import msgspec

from .client import ApiClient
from .common import api_command, print_json, print_table, read_value, show

_COLUMNS = ("PROPERTY", "DESIRED", "REPORTED", "")
_LOOK_EVERY = 0.5
"""Seconds between two looks while waiting for a device."""


@click.group(short_help="Show and change what is desired of devices, and what they report.")
def twin() -> None:
    """Look at twins and change them.

    A twin has two documents: what operators desire of a device, and what it reports. A change waits for a device that
    is away, and nobody overwrites what somebody else has changed meanwhile.
    """


@twin.command()
@click.argument("serial", metavar="DEVICE")
@api_command
def get(client: ApiClient, *, serial: str, as_json: bool) -> None:
    """Show the twin of a DEVICE."""
    _tell(client.get(_path(serial)), as_json=as_json)


@twin.command("set")
@click.argument("words", nargs=-1, metavar="[DEVICE] [PROPERTY=VALUE]...")
@click.option("--unset", multiple=True, metavar="PROPERTY", help="Desire nothing any more of this property.")
@click.option("--file", "patch_file", type=click.File("rb"), help="A JSON object to merge, `-` for the standard input.")
@click.option("--version", type=click.IntRange(min=0), help="Only if the twin is at this version; else as it is now.")
@click.option("--group", metavar="NAME", help="Of every device of this group, in place of DEVICE.")
@click.option("--all", "everybody", is_flag=True, help="Of every device, in place of DEVICE.")
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait until the device has applied it.")
@api_command
def set_(
    client: ApiClient,
    *,
    words: Sequence[str],
    unset: Sequence[str],
    patch_file: BinaryIO | None,
    version: int | None,
    group: str | None,
    everybody: bool,
    wait: float | None,
    as_json: bool,
) -> int:
    """Change what is desired of a DEVICE, or of several.

    VALUE is JSON, or else text: `heartbeat=15 led.on=true name="pump 7"`. A dot leads into an object.
    """
    serials = [] if group or everybody else list(words[:1])
    patch = _patch(words[len(serials) :], unset, patch_file)
    if group and everybody:
        raise click.UsageError("give --group or --all, not both.")
    if group or everybody:
        if version is not None or wait is not None:
            raise click.UsageError("--version and --wait are for one device.")
        target = {"group": group} if group else {"all": True}
        return _tell_outcomes(client.patch("/api/twins", {**target, "desired": patch}), as_json=as_json)
    if not serials or "=" in serials[0]:
        raise click.UsageError("name the DEVICE first, or give --group or --all.")
    (serial,) = serials
    path = _path(serial)
    seen = client.get(path)["desired_version"] if version is None else version
    changed = client.patch(path, {"version": seen, "desired": patch})
    if wait is not None:
        changed = _wait_applied(client, path, changed, wait)
    _tell(changed, as_json=as_json)
    return int(wait is not None and not _is_applied(changed, changed["desired_version"]))


def _path(serial: str) -> str:
    return f"/api/devices/{serial}/twin"


def _patch(words: Sequence[str], unset: Sequence[str], patch_file: BinaryIO | None) -> dict[str, Any]:
    """Return the merge patch that the arguments spell."""
    patch: dict[str, Any] = {}
    if patch_file is not None:
        try:
            patch = msgspec.json.decode(patch_file.read(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise click.UsageError(f"--file has no JSON object: {error}.") from None
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise click.UsageError(f"`{word}` is not PROPERTY=VALUE.")
        _put(patch, name, read_value(text))
    for name in unset:
        _put(patch, name, None)
    if not patch:
        raise click.UsageError("there is nothing to change: give PROPERTY=VALUE, --unset or --file.")
    return patch


def _put(patch: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    at = patch
    for part in above:
        below = at.setdefault(part, {})
        if not isinstance(below, dict):
            raise click.UsageError(f"`{name}` leads into `{part}`, which is no object here.")
        at = below
    if not all((*above, last)):
        raise click.UsageError(f"`{name}` is not the name of a property.")
    at[last] = value


def _wait_applied(client: ApiClient, path: str, state: Any, seconds: float) -> Any:
    """Return the twin once the device has applied this version or a later one, or when the time is over."""
    version, deadline, pause = state["desired_version"], time.monotonic() + seconds, threading.Event()
    while not _is_applied(state, version) and time.monotonic() < deadline:
        pause.wait(min(_LOOK_EVERY, max(0.0, deadline - time.monotonic())))
        state = client.get(path)
    return state


def _is_applied(state: Mapping[str, Any], version: int) -> bool:
    return bool(state["reported_version"] >= version and not state["difference"])


def _tell(state: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    by = f" by {show(state['changed_by'])}" if state["changed_by"] else ""
    click.echo(f"{state['serial']}: desired is version {state['desired_version']}{by}, ", nl=False)
    click.echo(f"the device reports version {state['reported_version']}.")
    rows = list(_rows(state))
    if rows:
        print_table(_COLUMNS, rows)


def _rows(state: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield a line for each property, those of objects by their paths."""
    wanted, told, differing = (dict(_flat(state[name])) for name in ("desired", "reported", "difference"))
    for path in sorted(wanted.keys() | told.keys()):
        yield path, wanted.get(path, ""), told.get(path, ""), "differs" if path in differing else ""


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        path = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{path}.")
        else:
            yield path, msgspec.json.encode(item).decode()


def _tell_outcomes(told: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what became of each device; 1 if one was refused."""
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['changed']} changed, {told['unchanged']} as desired already, {told['refused']} refused.")
        for item in told["items"]:
            if item["state"] == "refused":
                click.echo(f"{item['device']}: {show(item['reason'])}", err=True)
    return int(told["refused"] > 0)
