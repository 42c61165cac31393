"""`muster roster`: who is expected at a site, and who is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import click

from .client import ApiClient
from .common import ago, api_command, print_json, print_table

STATES = ("silent", "unknown", "elsewhere", "undeclared", "healthy")
"""In the order in which they matter to whoever looks."""


@click.group(short_help="Compare who is expected at a site with who is there.")
def roster() -> None:
    """Call the roll: declared devices against observed ones."""


@roster.command("list")
@api_command
def list_(client: ApiClient, *, as_json: bool) -> None:
    """List the sites that have a roster."""
    items = list(client.get("/api/rosters")["items"])
    if as_json:
        print_json({"items": items})
        return
    columns = ("SITE", "FROM", "DECLARED", *(state.upper() for state in STATES))
    print_table(
        columns,
        (
            (item["site"], item["source"], item["declared"], *(item["counts"][state] for state in STATES))
            for item in items
        ),
    )


@roster.command("show")
@click.argument("site")
@api_command
def show_(client: ApiClient, *, site: str, as_json: bool) -> int:
    """Call the roll of SITE; the exit code is 1 if somebody is missing or was not expected."""
    answer = client.get(_path(site))
    if as_json:
        print_json(answer)
    else:
        print_table(("SERIAL", "STATE", "PRESENCE", "SINCE", "LAST SEEN", "NAME", "SEEN AT"), _rows(answer))
    return int(any(answer[state] for state in STATES if state != "healthy"))


def _rows(answer: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for state in STATES:
        for item in answer[state]:
            yield (
                item["serial"],
                state,
                item["presence"] or "never seen",
                ago(item["since"]),
                ago(item["last_seen"]),
                item["label"],
                item["site"],
            )


@roster.command("set")
@click.argument("site")
@click.argument("serials", nargs=-1)
@click.option("--file", "file", type=click.File(encoding="utf-8"), help="Read serial numbers from it; - is stdin.")
@api_command
def set_(client: ApiClient, *, site: str, serials: Sequence[str], file: TextIO | None, as_json: bool) -> None:
    """Note that SERIALS are expected at SITE, instead of whoever was."""
    expected = [*serials, *(file.read().split() if file is not None else ())]
    if not expected:
        raise click.UsageError("name the serials that are expected, or a --file; `muster roster delete` forgets them.")
    answer = client.put(_path(site), {"serials": expected})
    if as_json:
        print_json(answer)
        return
    counts = ", ".join(f"{len(answer[state])} {state}" for state in STATES if answer[state])
    click.echo(f"{answer['declared']} expected at {site}: {counts}.")


@roster.command()
@click.argument("site")
@api_command
def delete(client: ApiClient, *, site: str, as_json: bool) -> None:
    """Forget who is expected at SITE."""
    client.delete(_path(site))
    if as_json:
        print_json({"site": site, "deleted": True})
    else:
        click.echo(f"Nobody is expected at {site} any more.")


def _path(site: str) -> str:
    return f"/api/rosters/{site}"
