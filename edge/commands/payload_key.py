"""`muster-edge payload-key`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from edge.client import EdgeUnreachableError, ask, read_state
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.home import Places
from edge.wire import Request


def main(arguments: Sequence[str]) -> int:
    """Show whether payloads are sealed, or have the running edge make another key."""
    parser = make_parser("payload-key", "Show whether payloads are sealed, or have the running edge make another key.")
    parser.add_argument("--renew", action="store_true", help="make another key, and give it to the server")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    given, settings = read_settings(parser, arguments)
    if settings is None:
        return WRONG_USAGE
    try:
        if given.renew:
            answer = ask(Places(settings.home), Request("renew-payload-key"))
            if not answer.ok:
                complain(f"The edge refuses: {answer.error}.")
            return 0 if answer.ok else 1
    except EdgeUnreachableError as error:
        complain(str(error))
        return 1
    shown = (read_state(Places(settings.home)) or {}).get("payloads")
    if shown is None:
        complain("No edge has run here yet, or it is of a release before.")
        return 1
    if given.json:
        text = json.dumps(shown, indent=2)
    else:
        text = "\n".join([shown["detail"], *(f"{name}: {count}" for name, count in sorted(shown["counters"].items()))])
    sys.stdout.write(f"{text}\n")
    return 0
