"""`muster-edge completion`: the shell completes commands and options, from the commands' own help."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from supervisor.process.completion import SCRIPTS, Choice, script

_OPTION = re.compile(r"(--[a-z][a-z-]*)(?:[ =](\{[^}]*\}|[A-Z]+))?")
"""An option in the line of usage, and what it takes: one of several words, or a placeholder."""
_PATHS = {"FILE": "file", "DIR": "dir"}
"""Placeholders that stand for what the shell completes by itself."""
Run = Callable[[Sequence[str]], object]


def main(arguments: Sequence[str]) -> int:
    """Print the script for a shell."""
    parser = argparse.ArgumentParser(
        prog="muster-edge completion", description="Print what a shell needs to complete `muster-edge`."
    )
    parser.add_argument("shell", choices=SCRIPTS)
    sys.stdout.write(script("muster-edge", parser.parse_args(arguments).shell))
    return 0


def complete(words: Sequence[str], word: str, commands: Mapping[str, str], run: Run) -> Iterator[Choice]:
    """Yield the ways to go on.

    Args:
        words: the whole words behind `muster-edge`.
        word: the one that is being typed.
        commands: name -> what it does.
        run: runs a command by its name and arguments.

    """
    if not words:
        options = {"--help": "", "--version": ""}
        yield from (Choice(name, told) for name, told in {**commands, **options}.items() if name.startswith(word))
    elif words[0] in commands:
        yield from _of_command(_usage(words[0], run), words[-1], word)


def _of_command(usage: str, before: str, word: str) -> Iterator[Choice]:
    options = dict(_OPTION.findall(usage))
    takes = options.get(before, "")
    if takes in _PATHS:
        yield Choice("", kind=_PATHS[takes])
    elif takes.startswith("{"):
        yield from (Choice(each) for each in takes.strip("{}").split(",") if each.startswith(word))
    elif not takes:
        shells = re.search(r"[^ ] \{([^}]*)\}\s*$", usage)  # a choice that is no option's
        plain = shells[1].split(",") if shells and not word.startswith("-") else ()
        yield from (Choice(each) for each in (*plain, *options, "--help") if each.startswith(word))


def _usage(command: str, run: Run) -> str:
    """Return the line of usage from the help of a command; asking for it does nothing else."""
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):
        run([command, "--help"])
    return " ".join(told.getvalue().partition("\n\n")[0].split())
