"""`--json` everywhere: every command of `muster` and `muster-edge` has it, or stands here with the reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from edge.cli import COMMANDS, _run
from edge.completion import _usage
from supervisor.cli.main import muster as root
from web.app import ROUTES

#: Commands that have nothing to tell a program.
WITHOUT = {
    "up": "it runs until it is stopped; what it says is its log, `--log json`",
    "server": "it runs until it is stopped; what it says is its log, `--log json`",
    "export readings": "it writes data: `--format jsonl`",
    "payload-key make": "it writes a file, and says to a person what is left to do",
    "sealing rotate": "it writes a file, and says to a person what is left to do",
    "install server": "it changes this machine, and says each step to a person",
    "uninstall server": "it changes this machine, and says each step to a person",
    "completion": "it prints a script for a shell",
}
EDGE_WITHOUT = {
    "run": "it runs until it is stopped; what it says is its log, `--log json`",
    "announce": "it has the edge do something, and says nothing",
    "install": "it changes this machine, and says each step to a person",
    "uninstall": "it changes this machine, and says each step to a person",
    "completion": "it prints a script for a shell",
}


def walk(command, path=()):
    """Each command that can be run, by its words."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), (*path, name))
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield " ".join(path), command


ALL = dict(walk(root))
#: Groups that can be run, but whose own options are those of one command below.
GROUPS = {name for name, command in ALL.items() if isinstance(command, click.Group)}


@pytest.mark.parametrize("name", sorted(set(ALL) - set(WITHOUT) - GROUPS))
def test_a_command_has_json(name):
    option = next((option for option in ALL[name].params if "--json" in option.opts), None)
    assert option is not None, f"`muster {name}` has no --json; give it one, or a reason above"
    assert option.help


def test_the_reasons_are_of_commands_that_are_there_and_have_none():
    assert set(WITHOUT) <= set(ALL)
    assert not [name for name in WITHOUT if any("--json" in option.opts for option in ALL[name].params)]


def test_groups_that_can_be_run_are_known():
    assert sorted(GROUPS) == ["rotate", "sensor-publisher"]  # they do something, and have nothing to read


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_edge_has_json(command):
    has = bool(re.search(r"\[--json\]", _usage(command, _run)))
    assert has == (command not in EDGE_WITHOUT), f"`muster-edge {command}`: give it --json, or a reason above"


# -- the page ---------------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()
ROWS = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]


def test_the_page_tells_what_each_command_prints():
    told = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[0])}
    assert set(ALL) - set(WITHOUT) - GROUPS <= told


def test_the_routes_that_the_page_names_exist():
    routes = {f"{route.method} {re.sub('<[^>]+>', '{}', route.path)}" for route in ROUTES}
    named = {re.sub(r"\{[^}]+\}", "{}", route) for route in re.findall(r"`((?:GET|POST) /[^` ]+)`", PAGE)}
    assert len(named) > 20
    assert named <= routes


def test_the_page_and_the_table_name_the_same_exceptions():
    without = PAGE[PAGE.index("Without it are those") :].partition("\n\n")[0]
    for name in WITHOUT:
        assert f"`{name}`" in without or f"`{name.split()[0]}`" in without, name
    for name in set(COMMANDS) - set(EDGE_WITHOUT):
        assert f"`{name}`" in without or f"`muster-edge {name}`" in without, name
