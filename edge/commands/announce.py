"""`muster-edge announce`."""

from __future__ import annotations

from collections.abc import Sequence

from edge.client import EdgeUnreachableError, ask
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.home import Places
from edge.wire import Request


def main(arguments: Sequence[str]) -> int:
    """Have the running edge announce itself, and look for its server if it has none."""
    parser = make_parser(
        "announce", "Have the running edge announce itself now, and look for its server if it has none."
    )
    _, settings = read_settings(parser, arguments)
    if settings is None:
        return WRONG_USAGE
    try:
        answer = ask(Places(settings.home), Request("announce"))
        if answer.ok:
            answer = ask(Places(settings.home), Request("look"))
    except EdgeUnreachableError as error:
        complain(str(error))
        return 1
    if not answer.ok:
        complain(f"The edge refuses: {answer.error}.")
    return 0 if answer.ok else 1
