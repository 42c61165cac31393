"""The command `muster`."""

from __future__ import annotations

import os
import sys

from actors.installation import InstallationError, check_installation


def main() -> None:
    """Run `muster` and exit: 0 done, 1 failed, 2 wrong usage."""
    try:
        check_installation()
    except InstallationError as error:
        sys.stderr.write(f"muster: {error}\n")
        sys.exit(1)
    # Only now: the command line may import from any of the four packages.
    from supervisor.process.completion import answer, variable

    if variable("muster") in os.environ:
        from .completion import complete

        sys.exit(answer(complete, os.environ))
    from .main import run

    sys.exit(run(sys.argv[1:]))
