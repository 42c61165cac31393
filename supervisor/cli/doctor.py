"""`muster doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from supervisor.server.config import load_config

from .common import print_json

_MARKS = {"ok": ("ok", "green"), "warning": ("!!", "yellow"), "failed": ("XX", "red")}


@click.command(short_help="Check everything, say how to mend it.")
@click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(config: str | None, *, as_json: bool) -> int:
    """Check the configuration, the database, the broker and the server; exit code 1 if something is broken."""
    from .checks import run_checks

    loaded = load_config({"config": config}, os.environ, cwd=Path.cwd())
    failed = False
    findings = []
    for check in run_checks(loaded, os.environ):
        failed = failed or check.state == "failed"
        findings.append(check._asdict())
        if not as_json:
            mark, colour = _MARKS[check.state]
            click.echo(f"{click.style(mark, fg=colour)}  {check.name}: {check.found}")
            if check.mend:
                click.echo(f"    {check.mend}")
    if as_json:
        print_json({"items": findings})
    return 1 if failed else 0
