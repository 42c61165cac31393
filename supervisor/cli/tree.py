"""`muster tree`: the supervision tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .client import ApiClient
from .common import COLOURS, Reach, ago, lasting_command, print_json, show

if TYPE_CHECKING:
    from rich.console import RenderableType

Node = dict[str, Any]
_REMARKABLE = ("restarts", "mailbox", "last_exception")
"""What an actor has of which there is nothing to say as long as it is 0 or empty."""


@click.command(short_help="Show the supervision tree.")
@click.option("--watch", "-w", "is_watched", is_flag=True, help="Stay, and show what changes, until Ctrl-C.")
@lasting_command
def tree(reach: Reach, *, is_watched: bool, as_json: bool) -> int:
    """Show every actor: its state, restarts, mailbox and last exception."""
    if is_watched:
        from .watch import View, watch

        if as_json:
            raise click.UsageError("--watch is for the eye; `muster tail --json --kinds supervision` is for programs.")
        return watch(reach, View("tree", ("supervision", "link"), _look, _draw, _facts))
    with reach() as client:
        root = _look(client)
    if as_json:
        print_json(root)
    else:
        _print(root)
    return 0


def _look(client: ApiClient) -> Node:
    root: Node = client.get("/api/supervision")
    return root


def _print(root: Node) -> None:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    # Broken into lines only for people: a program that reads the tree wants a line per actor.
    Console(width=None if terminal else 1000, highlight=False).print(_draw(root), soft_wrap=not terminal)


def _draw(root: Node, room: int | None = None) -> RenderableType:
    """Draw the tree; where there is no room for all of it, without the actors of which there is nothing to say."""
    from rich.tree import Tree

    is_short = room is not None and sum(1 for _ in nodes(root)) > room
    drawn = Tree(_line(root))
    _add(drawn, root, is_short=is_short)
    return drawn


def _add(drawn: Any, node: Node, *, is_short: bool = False) -> None:
    children = node.get("children") or []
    told = [child for child in children if not (is_short and _is_dull(child))]
    for child in told:
        _add(drawn.add(_line(child)), child, is_short=is_short)
    if len(told) < len(children):
        drawn.add(_text(f"and {len(children) - len(told)} that run", "dim"))
    counts = node.get("counts") or {}
    if sum(counts.values()) > len(children):
        # The server lists only the remarkable ones of very many.
        drawn.add(_text(", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items()), "dim"))


def _is_dull(node: Node) -> bool:
    """Tell whether an actor and all below it run, never were restarted, and have nothing to do."""
    return all(
        each.get("state") == "running"
        and not (each.get("restarts") or each.get("mailbox") or each.get("last_exception"))
        for each in nodes(node)
    )


def _line(node: Node) -> Any:
    line = _text(show(node["id"]), "bold")
    state = show(node.get("state"))
    line.append(f"  {state.replace('_', ' ')}", style=COLOURS.get(state, ""))
    wait = node.get("next_restart_in")
    if wait is not None:
        line.append(f", next start in {wait:.1f} s", style="yellow")
    if node.get("restarts"):
        line.append(f"  {_restarts(node)}", style="yellow")
    if node.get("mailbox"):
        line.append(f"  {node['mailbox']} waiting", style="dim")
    last = node.get("last_exception")
    if last:
        line.append(f"  {show(last.get('error'))} ({ago(last.get('at'))} ago)", style="red")
    return line


def _facts(root: Node) -> dict[str, str]:
    """Return a line for each actor, by its path."""
    return {str(node.get("path") or node["id"]): _fact(node) for node in nodes(root)}


def _fact(node: Node) -> str:
    told = [show(node.get("path") or node["id"]), show(node.get("state")).replace("_", " ")]
    if node.get("restarts"):
        told.append(_restarts(node))
    if node.get("last_exception"):
        told.append(show(node["last_exception"].get("error")))
    return "  ".join(told)


def nodes(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, in the order of the tree."""
    yield node
    for child in node.get("children") or ():
        yield from nodes(child)


def _restarts(node: Node) -> str:
    return "1 restart" if node["restarts"] == 1 else f"{node['restarts']} restarts"


def _text(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(text, style=style)
