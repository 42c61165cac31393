"""`muster completion`: the shell completes commands, options, and names from the running server."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem, ShellComplete

from actors.events import KINDS
from supervisor.process.completion import SCRIPTS, Choice, script

from .client import ApiClient, ApiError, Params, connect
from .main import LazyGroup

_PATIENCE = 1.0
"""Seconds that somebody who has pressed Tab waits for the server."""
_MOST = 1000


@click.command(short_help="Print what a shell needs to complete `muster`.")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def completion(shell: str) -> None:
    """Print the script that makes a SHELL complete commands, options and names.

    bash: `muster completion bash > ~/.local/share/bash-completion/completions/muster`;
    zsh: into a file `_muster` in a directory of `fpath`; fish: into `~/.config/fish/completions/muster.fish`.
    """
    click.echo(script("muster", shell), nl=False)


class Names(NamedTuple):
    """Where the names are that an argument may have."""

    path: str
    name: str
    """Field of an item that is the name."""
    help: str = ""
    """Field that tells what it is."""
    params: Params = MappingProxyType({})
    search: str = ""
    """Query parameter by which the server finds it, where there may be very many."""


_SERIALS = Names("/api/devices", "serial", "label", search="q")
_GROUPS = Names("/api/groups", "name", "description")
_RELEASES = Names("/api/releases", "version", "status")
_SITES = Names("/api/sites", "site")
_ENROLMENTS = Names("/api/enrolments", "serial", "state")
#: Name of a parameter -> what it may be. A command in front of it is more particular.
_VALUES: Mapping[str, Names] = {
    "serial": _SERIALS,
    "serials": _SERIALS,
    "device": _SERIALS,
    "devices": _SERIALS,
    "members": _SERIALS,
    "group": _GROUPS,
    "groups": _GROUPS,
    "groups add name": _GROUPS,
    "groups delete name": _GROUPS,
    "groups remove name": _GROUPS,
    "groups show name": _GROUPS,
    "site": _SITES,
    "release": _RELEASES,
    "release delete version": _RELEASES,
    "release revoke version": _RELEASES,
    "rollout_id": Names("/api/rollouts", "id", "version"),
    "token_id": Names("/api/tokens", "id", "name"),
    "alarm": Names("/api/alarms", "id", "summary", {"state": "open"}),
    "rule": Names("/api/alarm-rules", "name", "kind"),
    "command_id": Names("/api/commands", "id", "name"),
    "letter": Names("/api/dead-letters", "id", "reason", {"limit": 100}),
    "letters": Names("/api/dead-letters", "id", "reason", {"limit": 100}),
    "enrolment approve serial": _ENROLMENTS,
    "enrolment deny serial": _ENROLMENTS,
    "enrolment revoke serial": _ENROLMENTS,
}
_TO_OTHERS = ("group", "everybody", "topic")
"""Options that say to whom; without them the first of several words is a device."""
Complete = Callable[[click.Context, str], Iterable[CompletionItem[str]]]


class _Known(click.ParamType[Any]):
    """A type that knows which values there are, and converts none: it is there to complete."""

    name = "text"

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """Return the values that begin so."""
        return list(self._complete(ctx, incomplete))


class _Completing(LazyGroup):
    """The commands, with what the server knows for their arguments."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command that is there to be completed, not to be run."""
        command = super().get_command(ctx, cmd_name)
        return command and _equip(command, cmd_name)


def _equip(command: click.Command, path: str) -> click.Command:
    """Return a copy of a command, and of those below it, whose parameters know their values."""
    equipped = copy.copy(command)
    equipped.params = [_equip_parameter(parameter, path) for parameter in command.params]
    if isinstance(equipped, click.Group):
        equipped.commands = {name: _equip(below, f"{path} {name}") for name, below in equipped.commands.items()}
    return equipped


def _equip_parameter(parameter: click.Parameter, path: str) -> click.Parameter:
    names = _VALUES.get(f"{path} {parameter.name}") or _VALUES.get(str(parameter.name))
    complete: Complete | None = None if names is None else _from(names)
    complete = _BY_NAME.get(str(parameter.name), complete)
    if complete is None or isinstance(parameter.type, click.Choice) or getattr(parameter, "is_flag", False):
        return parameter
    equipped = copy.copy(parameter)
    equipped.type = _Known(complete)
    return equipped


def _from(names: Names) -> Complete:
    return lambda ctx, incomplete: find(names, ctx, incomplete)


def _first_device(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    if not ctx.params.get("words") and not any(ctx.params.get(name) for name in _TO_OTHERS):
        yield from find(_SERIALS, ctx, incomplete)


def _kinds(_: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    """Yield kinds of events behind the last comma."""
    given, comma, last = incomplete.rpartition(",")
    for kind in KINDS:
        if kind.startswith(last) and kind not in given.split(","):
            yield CompletionItem(f"{given}{comma}{kind}")


#: Name of a parameter -> what completes it in a way of its own.
_BY_NAME: Mapping[str, Complete] = {"words": _first_device, "kinds": _kinds}


def find(names: Names, ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    """Yield the names that a server knows and that begin so; none where there is no server, or where it refuses."""
    search = {names.search: incomplete or None} if names.search else {}
    given = ctx.params
    with connect(given.get("url"), given.get("token_file"), os.environ, timeout=_PATIENCE) as client:
        for item in _page(client, names.path, {"limit": _MOST, **names.params, **search}):
            value = str(item.get(names.name) or "")
            if value and value.startswith(incomplete):
                yield CompletionItem(value, help=str(item.get(names.help) or ""))


def _page(client: ApiClient, path: str, params: Params) -> list[Any]:
    try:
        return list(client.get(path, params)["items"])
    except ApiError as error:
        if error.status != 400:
            raise
        return list(client.get(path)["items"])  # a list that has no pages


def complete(words: Sequence[str], word: str) -> Iterator[Choice]:
    """Yield the ways to go on behind the words of a command line."""
    cli = _Completing("muster", context_settings={"help_option_names": ["-h", "--help"]})
    for item in ShellComplete(cli, {}, "muster", "").get_completions(list(words), word):
        yield Choice(str(item.value), item.help or "", item.type)
