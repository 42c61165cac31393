"""`muster-edge`: the command on a device. This release starts the tree of an edge and shows it, no more."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from actors.installation import InstallationError, check_installation
from actors.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 for done, 1 for failed, 2 for wrong usage."""
    try:
        check_installation()
    except InstallationError as error:
        sys.stderr.write(f"muster-edge: {error}\n")
        return 1
    parser = argparse.ArgumentParser(prog="muster-edge", description="The runtime of Muster on a device.")
    parser.add_argument("--version", action="version", version=f"muster-edge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tree", help="start the edge's tree, print it as JSON and stop it")
    parser.parse_args(arguments)
    return _print_tree()


def _print_tree() -> int:
    # Only now: the check comes before anything is taken from the four packages.
    from actors.runtime import Runtime
    from edge.tree import edge_tree
    from supervisor import Root, describe

    runtime = Runtime.system()
    runtime.start()
    try:
        root = Root(runtime, edge_tree(runtime))
        root.wait_ready(timeout=5.0)
        sys.stdout.write(json.dumps(describe(root.ref), indent=2) + "\n")
        root.stop(timeout=5.0)
    finally:
        runtime.stop()
    return 0
