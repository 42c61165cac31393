"""What the subcommands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.config import load_settings
from edge.settings import EdgeConfigError, EdgeSettings

WRONG_USAGE = 2


def make_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the flags that say which edge is meant."""
    parser = argparse.ArgumentParser(prog=f"muster-edge {command}", description=description)
    parser.add_argument(
        "--config", metavar="FILE", help="file with a section [edge] (default: ./muster.toml, /etc/muster/)"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where the edge keeps what has to survive it")
    return parser


def read_settings(
    parser: argparse.ArgumentParser, arguments: Sequence[str], *, strict: bool = False
) -> tuple[argparse.Namespace, EdgeSettings | None]:
    """Return the arguments and the settings; None in place of the settings, and a sentence said, if they are wrong."""
    given = parser.parse_args(arguments)
    try:
        return given, load_settings(vars(given), os.environ, cwd=Path.cwd(), strict=strict)
    except EdgeConfigError as error:
        complain(str(error))
        return given, None


def complain(sentence: str) -> None:
    """Say on stderr what is wrong."""
    sys.stderr.write(f"muster-edge: {sentence}\n")
