"""Shell completion: the scripts for the shells, and how they and the commands talk.

A script runs the command with the line so far in `COMP_LINE` and a variable that says that it is to complete. The
command prints a line for each way to go on: `plain`, the word, what it is, with tabs between; or `file` or `dir`, which
the shell knows better. It says nothing else and never fails: what goes wrong must not end up in somebody's prompt.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LINE = "COMP_LINE"
_CURSOR = "\0"
"""Stands where somebody types: what it is part of is the word that is not whole. No line of a shell has one."""
_BASH = r"""
__FUNCTION__() {
    local line=${COMP_LINE:0:COMP_POINT} kind value help
    local word=${line##*[[:space:]]} cut=
    # Bash takes a word that has a `:` or a `=` for several; what stands before the last of them stays as it is.
    [[ $word == -*=* ]] && word=${word#*=}
    [[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && cut=${word%"${word##*:}"}
    COMPREPLY=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain) printf -v value %q "$value" && COMPREPLY+=("${value#"$cut"}") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(__VARIABLE__=bash COMP_LINE=$line "${1/#\~/$HOME}" 2>/dev/null)
}
complete -o nosort -F __FUNCTION__ __PROGRAM__
"""
_ZSH = r"""
#compdef __PROGRAM__
__FUNCTION__() {
    local -a values shown
    local kind value help
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain) values+=("$value"); shown+=("$value${help:+  -- $help}") ;;
            file) _files ;;
            dir) _files -/ ;;
        esac
    done < <(__VARIABLE__=zsh COMP_LINE="${words[1,CURRENT]}" ${words[1]} 2>/dev/null)
    (( $#values )) && compadd -l -d shown -a values
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    __FUNCTION__ "$@"
else
    compdef __FUNCTION__ __PROGRAM__
fi
"""
_FISH = r"""
function __FUNCTION__
    set -l line (commandline -cp)
    for answer in (env __VARIABLE__=fish COMP_LINE="$line" __PROGRAM__ 2>/dev/null)
        set -l told (string split \t -- $answer)
        switch $told[1]
            case plain
                printf '%s\t%s\n' $told[2] $told[3]
            case file
                __fish_complete_path (commandline -ct)
            case dir
                __fish_complete_directories (commandline -ct)
        end
    end
end
complete --no-files --command __PROGRAM__ --arguments "(__FUNCTION__)"
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""Shell -> its script, with the names to be put in."""


class Choice(NamedTuple):
    """One way to go on."""

    value: str
    help: str = ""
    kind: str = "plain"
    """`file` and `dir` leave it to the shell."""


Complete = Callable[[Sequence[str], str], Iterable[Choice]]
"""Takes the whole words behind the command and the one that is being typed."""


def script(program: str, shell: str) -> str:
    """Return what a shell has to read so that it completes a program."""
    names = {"__PROGRAM__": program, "__VARIABLE__": variable(program), "__FUNCTION__": f"_{_plain(program)}_complete"}
    text = SCRIPTS[shell].lstrip("\n")
    for name, put_in in names.items():
        text = text.replace(name, put_in)
    return text


def variable(program: str) -> str:
    """Return the environment variable that says that a program is to complete."""
    return f"_{_plain(program).upper()}_COMPLETE"


def answer(complete: Complete, environ: Mapping[str, str]) -> int:
    """Print the ways to go on behind the line in the environment; return the exit code, which is always 0."""
    words, word = split(environ.get(LINE, ""))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            with contextlib.redirect_stdout(nowhere):
                lines = [_line(choice) for choice in complete(words[1:], word)]
        except (Exception, SystemExit):  # noqa: BLE001 - a prompt is no place for a fault of ours
            lines = []
    with contextlib.suppress(OSError):
        sys.stdout.write("".join(lines))
        sys.stdout.flush()
    return 0


def split(line: str) -> tuple[list[str], str]:
    """Return the whole words of a line that is being typed, and the one that is not whole."""
    lexer = shlex.shlex(line + _CURSOR, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    *words, word = _words(lexer)
    return words, word.removesuffix(_CURSOR)


def _words(lexer: shlex.shlex) -> Iterator[str]:
    try:
        yield from lexer
    except ValueError:  # a quotation that is not closed yet
        yield lexer.token


def _line(choice: Choice) -> str:
    told = (choice.kind, choice.value, choice.help)
    return "\t".join(" ".join(part.split()) for part in told) + "\n"


def _plain(program: str) -> str:
    return program.replace("-", "_")
