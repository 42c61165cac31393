"""`muster-edge`: the command on a device. Each subcommand is loaded when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from actors.installation import InstallationError, check_installation
from actors.version import __version__

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
}
_NAMED = ("install", "uninstall")
"""Commands that share a module: their name is the first argument."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 for done, 1 for failed, 2 for wrong usage."""
    try:
        check_installation()
    except InstallationError as error:
        sys.stderr.write(f"muster-edge: {error}\n")
        return 1
    given = _parser().parse_args(arguments)
    # Only now: the check comes before anything is taken from the four packages.
    module = importlib.import_module(COMMANDS[given.command][0])
    own = [given.command] if given.command in _NAMED else []
    try:
        return int(module.main([*own, *given.arguments]))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has closed it
        sys.stderr.close()
        return 1


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
