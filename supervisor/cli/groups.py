"""`muster groups`: who belongs together, and who of them has the least to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from .client import ApiClient, ApiError
from .common import ago, api_command, print_json, print_table, show

_KINDS = ("raspberry_pi", "datalogger", "gateway", "sensor", "controller", "other")
_COLUMNS = ("NAME", "RULE", "BY HAND", "DESCRIPTION", "CHANGED", "BY")
_DEVICES = ("SERIAL", "NAME", "KIND", "SITE", "PRESENCE", "LAST SEEN", "ADDRESS")


class Labels(click.ParamType[tuple[str, str]]):
    """Reads `key=value`."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return key and value."""
        key, equals, text = str(value).partition("=")
        if not (key and equals and text):
            self.fail(f"`{value}` is not key=value", param, ctx)
        return key, text


@click.group(short_help="List, make and change groups of devices; pick a device; put labels on one.")
def groups() -> None:
    """Gather devices by hand, or by a rule; whatever takes a device takes a group, too."""


@groups.command("list")
@click.option("--device", metavar="SERIAL", help="Only the groups that this device is in.")
@api_command
def list_(client: ApiClient, *, device: str | None, as_json: bool) -> None:
    """List the groups by name."""
    items = list(client.pages("/api/groups", {"device": device}))
    if as_json:
        print_json({"items": items})
    else:
        print_table(_COLUMNS, map(_row, items))


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return (
        item["name"],
        _rule(item["rule"]),
        len(item["members"]) or None,
        item["description"],
        ago(item["updated"]),
        item["changed_by"],
    )


def _rule(rule: dict[str, Any] | None) -> str:
    """Return a rule as one would write its options."""
    parts = []
    for name, value in (rule or {}).items():
        parts += [f"{key}={text}" for key, text in value.items()] if name == "labels" else [f"{name}:{value}"]
    return " ".join(parts)


@groups.command("show")
@click.argument("name")
@api_command
def show_(client: ApiClient, *, name: str, as_json: bool) -> None:
    """List the devices of the group NAME."""
    devices = list(client.pages(f"{_path(name)}/devices"))
    if as_json:
        print_json(client.get(_path(name)) | {"items": devices})
        return
    print_table(
        _DEVICES,
        (
            (
                item["serial"],
                item["label"] or item["hostname"],
                item["kind"],
                item["site"],
                item["presence"],
                ago(item["last_seen"]),
                item["ip_address"],
            )
            for item in devices
        ),
    )


@groups.command()
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--site", default="", help="By rule: devices of this site; * and ? are wildcards, here and below.")
@click.option("--type", "type_", default="", help="By rule: devices of this type.")
@click.option("--kind", type=click.Choice(_KINDS), help="By rule: devices of this kind.")
@click.option("--serial", default="", help="By rule: devices with such a serial number, for example `plc-*`.")
@click.option("--name", "label", default="", help="By rule: devices that operators have given such a name.")
@click.option("--label", "labels", type=Labels(), multiple=True, help="By rule: devices with this label.")
@click.option("--member", "members", multiple=True, metavar="SERIAL", help="By hand: this device; may be repeated.")
@api_command
def create(
    client: ApiClient,
    *,
    name: str,
    description: str,
    members: Sequence[str],
    labels: Sequence[tuple[str, str]],
    as_json: bool,
    type_: str,
    **given: str | None,
) -> None:
    """Make the group NAME: of all devices that fit every option of its rule, and of those named by hand."""
    fields = {**given, "type": type_, "labels": dict(labels)}
    rule = {key: value for key, value in fields.items() if value} or None
    body = {"name": name, "description": description, "rule": rule, "members": members}
    made = client.post("/api/groups", body)
    _tell(client, made, "is made", as_json=as_json)


@groups.command()
@click.argument("name")
@click.argument("serials", nargs=-1, required=True)
@api_command
def add(client: ApiClient, *, name: str, serials: Sequence[str], as_json: bool) -> None:
    """Add the devices SERIALS to the group NAME by hand."""
    _tell(client, client.patch(_path(name), {"add": serials}), "is changed", as_json=as_json)


@groups.command()
@click.argument("name")
@click.argument("serials", nargs=-1, required=True)
@api_command
def remove(client: ApiClient, *, name: str, serials: Sequence[str], as_json: bool) -> None:
    """Take the devices SERIALS, which were added by hand, out of the group NAME."""
    _tell(client, client.patch(_path(name), {"remove": serials}), "is changed", as_json=as_json)


@groups.command()
@click.argument("name")
@api_command
def delete(client: ApiClient, *, name: str, as_json: bool) -> None:
    """Forget the group NAME; its devices stay."""
    client.delete(_path(name))
    if as_json:
        print_json({"name": name, "deleted": True})
    else:
        click.echo(f"The group {show(name)} is forgotten.")


@groups.command()
@click.option("--group", help="Only of this group.")
@click.option("--label", metavar="KEY[=VALUE]", help="Only with this label.")
@click.option("--site", help="Only of this site.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only of this kind.")
@click.option("--type", "type_", help="Only of this type.")
@api_command
def pick(client: ApiClient, *, as_json: bool, type_: str | None, **filters: str | None) -> None:
    """Print the serial number of the present device that has the least to do."""
    picked = client.get("/api/devices/pick", {**filters, "type": type_})
    if as_json:
        print_json(picked)
    else:
        click.echo(show(picked["serial"]))


@groups.command()
@click.argument("words", nargs=-1, required=True, metavar="[DEVICE] KEY=VALUE...")
@click.option("--group", metavar="NAME", help="On every device of this group, in place of DEVICE.")
@api_command
def label(client: ApiClient, *, words: Sequence[str], group: str | None, as_json: bool) -> int:
    """Put labels on a DEVICE, or on all of a group: `key=value` sets one, `key=` takes it away."""
    serials, changes = words[: group is None], _changes(words[group is None :])
    if any("=" in serial for serial in serials):
        raise click.UsageError("name the DEVICE first, or give --group.")
    if group is None:
        _tell_labels([client.patch(f"/api/devices/{serials[0]}", {"labels": changes})], many=False, as_json=as_json)
        return 0
    serials = [item["serial"] for item in client.pages(f"{_path(group)}/devices")]
    if not serials:
        click.echo(f"The group {show(group)} has no devices.", err=True)
    devices = []
    for serial in serials:
        try:
            devices.append(client.patch(f"/api/devices/{serial}", {"labels": changes}))
        except ApiError as error:  # the others get theirs, unless nobody answers any more
            if not error.status:
                raise
            click.echo(f"{show(serial)}: {error}", err=True)
    _tell_labels(devices, many=True, as_json=as_json)
    return int(not serials or len(devices) < len(serials))


def _changes(texts: Sequence[str]) -> dict[str, str | None]:
    """Return what to change, as the API takes it."""
    if not texts:
        raise click.UsageError("there is nothing to change: give KEY=VALUE.")
    changes: dict[str, str | None] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"`{text}` is not key=value")
        changes[key] = value or None
    return changes


def _tell_labels(devices: Sequence[dict[str, Any]], *, many: bool, as_json: bool) -> None:
    if as_json:
        print_json({"items": devices} if many else devices[0])
        return
    for device in devices:
        has = " ".join(f"{key}={value}" for key, value in device["labels"].items()) or "no label"
        click.echo(f"{show(device['serial'])}: {show(has)}")


def _path(name: str) -> str:
    return f"/api/groups/{name}"


def _tell(client: ApiClient, group: dict[str, Any], verb: str, *, as_json: bool) -> None:
    counted = client.get(_path(group["name"]))
    if as_json:
        print_json(counted)
        return
    devices = "1 device" if counted["devices"] == 1 else f"{counted['devices']} devices"
    click.echo(f"The group {show(group['name'])} {verb}: it has {devices} now, {counted['present']} present.")
