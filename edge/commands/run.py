"""`muster-edge run`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.update.launcher import LAUNCHER


def main(arguments: Sequence[str]) -> int:
    """Run the edge until it is stopped."""
    parser = make_parser("run", "Run the edge until it is stopped. With nothing configured it finds its server itself.")
    parser.add_argument("--device-id", metavar="ID", help="serial number of this device (default: the board's own)")
    parser.add_argument("--server", metavar="URL", help="base URL of the server")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities to trust for https:// and mqtts://")
    parser.add_argument("--broker", metavar="URL", help="mqtt://user:password@host:1883, in place of the server's")
    parser.add_argument("--enrolment-key-file", metavar="FILE", help="file with the fleet's key")
    parser.add_argument("--log", choices=("text", "json"), help="form of the log")
    parser.add_argument("--log-file", metavar="FILE", help="log to a file, a new one each day, instead of stderr")
    # Under the launcher a version may run that is older than the file.
    _, settings = read_settings(parser, arguments, strict=LAUNCHER not in os.environ)
    if settings is None:
        return WRONG_USAGE
    # Only now: what follows is the whole runtime, and `--help` needs none of it.
    from edge.boot import run_edge
    from edge.home import EdgeRunsError

    try:
        return run_edge(settings, os.environ)
    except EdgeRunsError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}.")
    return 1
