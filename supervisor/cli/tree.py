"""`muster tree`: the supervision tree."""

from __future__ import annotations

import sys
from typing import Any

import click

from .client import ApiClient
from .common import COLOURS, ago, api_command, print_json, show

Node = dict[str, Any]


@click.command(short_help="Show the supervision tree.")
@api_command
def tree(client: ApiClient, *, as_json: bool) -> None:
    """Show every actor: its state, restarts, mailbox and last exception."""
    root = client.get("/api/supervision")
    if as_json:
        print_json(root)
    else:
        _print(root)


def _print(root: Node) -> None:
    from rich.console import Console
    from rich.tree import Tree

    drawn = Tree(_line(root))
    _add(drawn, root)
    terminal = sys.stdout.isatty()
    # Broken into lines only for people: a program that reads the tree wants a line per actor.
    Console(width=None if terminal else 1000, highlight=False).print(drawn, soft_wrap=not terminal)


def _add(drawn: Any, node: Node) -> None:
    children = node.get("children") or []
    for child in children:
        _add(drawn.add(_line(child)), child)
    counts = node.get("counts") or {}
    if sum(counts.values()) > len(children):
        # The server lists only the remarkable ones of very many.
        drawn.add(_text(", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items()), "dim"))


def _line(node: Node) -> Any:
    line = _text(show(node["id"]), "bold")
    state = show(node.get("state"))
    line.append(f"  {state.replace('_', ' ')}", style=COLOURS.get(state, ""))
    wait = node.get("next_restart_in")
    if wait is not None:
        line.append(f", next start in {wait:.1f} s", style="yellow")
    if node.get("restarts"):
        line.append(f"  {node['restarts']} {'restart' if node['restarts'] == 1 else 'restarts'}", style="yellow")
    if node.get("mailbox"):
        line.append(f"  {node['mailbox']} waiting", style="dim")
    last = node.get("last_exception")
    if last:
        line.append(f"  {show(last.get('error'))} ({ago(last.get('at'))} ago)", style="red")
    return line


def _text(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(text, style=style)
