"""`muster-edge`: the command on a device. Each subcommand is loaded when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from actors.installation import InstallationError, check_installation
from actors.version import __version__

if TYPE_CHECKING:
    from supervisor.process.completion import Choice

#: Name -> (module, what it does). Each module has `main(arguments)`, which returns the exit code.
COMMANDS = {
    "run": ("edge.commands.run", "run the edge until it is stopped"),
    "status": ("edge.commands.status", "show how the edge of this machine is"),
    "announce": ("edge.commands.announce", "have the running edge announce itself now"),
    "scan": ("edge.commands.scan", "queue a scan by hand or from a script"),
    "update": ("edge.commands.update", "show how the updates of this device are, ask for one, put them off"),
    "payload-key": ("edge.commands.payload_key", "show whether payloads are sealed, make another key"),
    "scan-test": ("edge.scanner.test", "show what the scanners read, and send nothing"),
    "install": ("edge.install", "install the edge on this machine as a service"),
    "uninstall": ("edge.install", "remove what install has made"),
    "completion": ("edge.completion", "print what a shell needs to complete this command"),
}
_NAMED = ("install", "uninstall")
"""Commands that share a module: their name is the first argument."""

COMPLETING = "_MUSTER_EDGE_COMPLETE"
"""The variable that the scripts of `muster-edge completion` set; a literal, for its module takes a while to load."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 for done, 1 for failed, 2 for wrong usage."""
    try:
        check_installation()
    except InstallationError as error:
        sys.stderr.write(f"muster-edge: {error}\n")
        return 1
    # Only now: the check comes before anything is taken from the four packages.
    if arguments is None and COMPLETING in os.environ:
        from supervisor.process.completion import answer

        return answer(_complete, os.environ)
    given = _parser().parse_args(arguments)
    try:
        return _run([given.command, *given.arguments])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has closed it
        sys.stderr.close()
        return 1


def _run(arguments: Sequence[str]) -> int:
    """Run the command that is named first."""
    command, *given = arguments
    module = importlib.import_module(COMMANDS[command][0])
    return int(module.main([command, *given] if command in _NAMED else given))


def _complete(words: Sequence[str], word: str) -> Iterable[Choice]:
    from edge.completion import complete

    return complete(words, word, {name: told for name, (_, told) in COMMANDS.items()}, _run)


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<11} {what}" for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="muster-edge",
        description="The runtime of Muster on a device.",
        epilog=f"commands:\n{listed}\n\n`muster-edge COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"muster-edge {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what the command takes")
    return parser
