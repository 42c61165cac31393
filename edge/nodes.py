"""A tree of supervisors as `supervisor.describe` gives it, node by node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each node of a tree, the top one first; nothing of an empty one."""
    if tree:
        yield tree
    for child in tree.get("children", ()):
        yield from nodes(child)


def lives(tree: dict[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """Yield of each node what a restart or a crash changes."""
    for node in nodes(tree):
        yield node["path"], node["state"], node["restarts"], node["incarnation"]


def shorten_tracebacks(tree: dict[str, Any], longest: int) -> None:
    """Keep the last characters of each traceback, which name the place; change nothing else."""
    for node in nodes(tree):
        error = node.get("last_exception")
        if error:
            error["traceback"] = error["traceback"][-longest:] if longest else ""
