"""`muster audit`: who has changed what, from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from .client import ApiClient
from .common import ago, api_command, print_json, print_table

_PATH = "/api/audit"

Item = Mapping[str, Any]


@click.command(short_help="Who has changed what, and who was refused.")
@click.option("--who", metavar="NAME", help="Only of this one, such as `admin ops`.")
@click.option("--action", help="Only this, such as `post_api_tokens`.")
@click.option("--subject", help="Only of this device, group, token, ...")
@click.option("--outcome", type=click.Choice(("done", "refused", "failed")))
@click.option("--since", metavar="TIME", help="RFC 3339, such as 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="TIME")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@api_command
def audit(client: ApiClient, *, limit: int, as_json: bool, **filters: str | None) -> None:
    """List changes that were made over HTTP, by the page and these commands too, and what was refused; newest first."""
    items = _find(client, filters, limit)
    if as_json:
        print_json({"items": list(items)})
        return
    print_table(("AGE", "WHO", "FROM", "ACTION", "SUBJECT", "OUTCOME", "DETAILS"), map(_row, items))


def _row(item: Item) -> tuple[Any, ...]:
    details = ", ".join(f"{name}={value}" for name, value in item["details"].items() if value is not None)
    times = f" ({item['repeated']} more before)" if item["repeated"] else ""
    outcome = item["outcome"] if item["outcome"] == "done" else f"{item['outcome']} {item['status']}{times}"
    return (ago(item["ts"]), item["who"], item["address"], item["action"], item["subject"], outcome, details)


def _find(client: ApiClient, filters: Mapping[str, str | None], limit: int) -> Iterator[Item]:
    """Yield entries, newest first, at most `limit`."""
    cursor = None
    while limit > 0:
        page = client.get(_PATH, {**filters, "limit": min(limit, 1000), "cursor": cursor})
        yield from page["items"]
        cursor = page["cursor"]
        if not cursor:
            return
        limit -= len(page["items"])
