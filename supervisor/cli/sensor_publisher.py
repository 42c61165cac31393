"""`muster sensor-publisher`: stations that publish, and what they say of themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from .common import ago, print_json, print_table, show


@click.group(invoke_without_command=True, short_help="Publish the readings of a soil station.")
@click.option("--id", metavar="ID", help="The publisher's serial number.  [soil-HOSTNAME]")
@click.option("--prefix", metavar="PREFIX", help="First levels of the topic.  [harit-samarth]")
@click.option("--interval", type=float, metavar="SECONDS", help="Time between two readings.  [60]")
@click.option("--count", type=int, metavar="N", help="Stations in this process, called ID-1 to ID-N.  [1]")
@click.option("--driver", metavar="NAME", help="simulator, replay or an installed one.  [simulator]")
@click.option("--file", metavar="FILE", help="What a replay plays: CSV or JSON lines.")
@click.option("--speed", type=float, metavar="X", help="Replay at X times the recorded pace.  [one row per interval]")
@click.option("--loop", is_flag=True, default=None, help="Replay the file again and again.")
@click.option("--seed", type=int, metavar="N", help="Of the simulator.  [drawn from ID]")
@click.option("--mode", type=click.Choice(("auto", "mqtt", "api")), help="How readings are sent.  [auto]")
@click.option("--broker", metavar="URL", help="The broker; else MUSTER_BROKER_URL, else that of the server here.")
@click.option("--server", metavar="URL", help="The server; else MUSTER_SERVER_URL, else the one running here.")
@click.option("--token-file", metavar="FILE", help="File with a token for the server; else MUSTER_API_TOKEN.")
@click.option("--data-dir", metavar="DIR", help="Where readings are kept until they are delivered.")
@click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml.")
@click.option("--log", type=click.Choice(("text", "json")), help="Form of the log on stderr.")
@click.option("--once", is_flag=True, help="Publish one reading, wait until it is delivered, and end.")
@click.pass_context
def sensor_publisher(context: click.Context, /, *, once: bool, **flags: Any) -> int:
    """Read a soil station and publish what it measures, without losing a reading.

    Readings go to the broker, and over HTTP while it cannot be reached; each is kept on disk until the server has
    confirmed it. Ctrl-C stops it; `muster sensor-publisher status` shows how it is.
    """
    if context.invoked_subcommand is not None:
        context.obj = flags
        return 0
    from supervisor.publisher.boot import run_publisher
    from supervisor.publisher.settings import load_settings

    return run_publisher(load_settings(flags, os.environ, cwd=Path.cwd(), once=once))


@sensor_publisher.command(short_help="Show the publishers of this machine.")
@click.option("--data-dir", metavar="DIR", help="Where they keep their data.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(outer: dict[str, Any], /, *, data_dir: str | None, as_json: bool) -> int:
    """Show mode, backlog and last error of the publishers of this machine; exit code 1 when none runs."""
    from supervisor.publisher.home import read_states
    from supervisor.publisher.settings import load_settings

    flags = {"data_dir": data_dir or outer["data_dir"], "config": outer["config"]}
    base = load_settings(flags, os.environ, cwd=Path.cwd()).home
    states = [state for state in read_states(base) if outer["id"] in (None, state.get("id"))]
    if as_json:
        print_json({"items": states})
    elif states:
        _print(states)
    else:
        click.echo(f"No publisher has run with the data directory {base.parent}.")
    return 0 if any(state["running"] for state in states) else 1


def _print(states: list[dict[str, Any]]) -> None:
    columns = ("ID", "STATE", "MODE", "BACKLOG", "OLDEST", "LAST SUCCESS", "REFUSED", "LAST ERROR")
    print_table(columns, [_row(state) for state in states])
    for state in states:
        for refused in state.get("refused", []):
            click.echo(f"{show(state.get('id'))} refused {show(refused.get('id'))}: {show(refused.get('reason'))}")


def _row(state: dict[str, Any]) -> tuple[Any, ...]:
    oldest = state.get("oldest_age") or 0
    return (
        state.get("id"),
        "running" if state["running"] else "down",
        f"{state.get('mode')} ({state.get('configured')})",
        state.get("backlog"),
        f"{oldest:.0f} s" if oldest else None,
        f"{ago(state['last_success'])} ago" if state.get("last_success") else None,
        state.get("counters", {}).get("refused"),
        state.get("last_error"),
    )
