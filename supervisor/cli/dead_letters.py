"""`muster dead-letters`: what could not be processed."""

from __future__ import annotations

import click

from .client import ApiClient
from .common import ago, api_command, print_json, print_table

_SHOWN = 60


@click.command("dead-letters", short_help="List what could not be processed.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@api_command
def dead_letters(client: ApiClient, *, limit: int, as_json: bool) -> None:
    """List messages that could not be processed, with the reason, newest first."""
    items = list(client.pages("/api/dead-letters", limit=limit))
    if as_json:
        print_json({"items": items})
        return
    print_table(
        ("ID", "AGE", "REASON", "TOPIC", "DETAIL", "PAYLOAD"),
        (
            (
                item.get("id"),
                ago(item.get("rx")),
                item.get("reason"),
                item.get("topic"),
                item.get("detail"),
                str(item.get("payload") or "")[:_SHOWN],
            )
            for item in items
        ),
    )
