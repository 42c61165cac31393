"""`muster status`: how the server is."""

from __future__ import annotations

from typing import Any

import click

from .client import ApiClient, get_health
from .common import COLOURS, api_command, print_json, show


@click.command(short_help="Show how the server and the fleet are.")
@api_command
def status(client: ApiClient, *, as_json: bool) -> int:
    """Show how the server and its fleet are; exit code 1 when it cannot serve."""
    health = get_health(client)
    if as_json:
        print_json(health)
    else:
        _print(client.url, health)
    return 0 if health["status"] in ("ok", "degraded") else 1


def _print(url: str, health: dict[str, Any]) -> None:
    devices, actors = health["devices"], health["actors"]
    state = click.style(health["status"], fg=COLOURS.get(health["status"]), bold=True)
    broker, database = _broker(health["broker"]), health["database"]
    click.echo(f"server    {state}, version {health['version']}, up {duration(health['uptime'])}, {url}")
    click.echo(f"broker    {broker}")
    click.echo(f"database  {'ok' if database['ok'] else 'away: ' + show(database.get('error'))}")
    restarts = "1 restart" if actors["restarts"] == 1 else f"{actors['restarts']} restarts"
    click.echo(f"actors    {actors['alive']} alive, {restarts}")
    click.echo(
        f"devices   {devices['total']}: {devices['online']} online, {devices['offline']} offline,"
        f" {devices['unknown']} unknown"
    )


def _broker(broker: dict[str, Any]) -> str:
    if broker["connected"]:
        return "connected"
    links = (f"{name} is {state.replace('_', ' ')}" for name, state in broker.get("links", {}).items())
    return f"not connected: {', '.join(links)}".rstrip(": ")


def duration(seconds: float) -> str:
    """Return seconds as `3 d 4 h`, `4 h 12 min`, `12 min 5 s` or `5 s`."""
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
