"""Shell completion: in a real bash with a real Tab, and what the commands answer it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import COMMANDS, COMPLETING
from supervisor.cli.completion import _VALUES, complete
from supervisor.cli.main import _COMMANDS
from supervisor.cli.main import muster as root
from supervisor.process.completion import SCRIPTS, answer, script, split, variable
from tests.cli.conftest import TOKEN, error
from tests.support.terminal import Terminal

PROGRAMS = Path(sys.executable).parent
TAB = "\t"


def devices(*serials):
    def answer(call):
        items = [{"serial": serial, "label": "Gate"} for serial in serials if call.query.get("q", "") in serial]
        return 200, {"items": items, "cursor": None}

    return answer


@pytest.fixture
def at_server(server, monkeypatch):
    monkeypatch.setenv("MUSTER_SERVER_URL", server.url)
    monkeypatch.setenv("MUSTER_API_TOKEN", TOKEN)
    server.answers["GET", "/api/devices"] = devices("pi-7", "pi-8", "aa:bb", "aa:cc")
    return server


def offered(line, command=complete):
    words, word = split(line)
    return [choice.value for choice in command(words[1:], word)]


# -- in a shell -------------------------------------------------------------------------------------------------------


@pytest.fixture
def bash(at_server, tmp_path):
    """An interactive bash that has read both scripts."""
    env = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PS1": "$ ", "HOME": str(tmp_path), "INPUTRC": os.devnull}
    command = (shutil.which("bash"), "--norc", "--noprofile", "-i")
    with Terminal(*command, env=env, columns=200, cwd=str(tmp_path)) as terminal:
        terminal.type('for p in muster muster-edge; do eval "$($p completion bash)"; done; echo rea""dy\n')
        terminal.wait_for("ready\n")
        yield terminal


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("muster devi", "muster devices "),
        ("muster dead-letters sh", "muster dead-letters show "),
        ("muster devices --pres", "muster devices --presence "),
        ("muster devices --presence of", "muster devices --presence offline "),
        ("muster devices --presence=of", "muster devices --presence=offline "),
        ("muster twin get pi-7", "muster twin get pi-7 "),
        ("muster twin get aa:b", "muster twin get aa:bb "),
        ("muster notify pi-8", "muster notify pi-8 "),
        ("muster restore --pass", "muster restore --passphrase-file "),
        ("muster restore one-fi", "muster restore one-file "),
        ("muster-edge sta", "muster-edge status "),
        ("muster-edge status --js", "muster-edge status --json "),
        ("muster-edge run --log js", "muster-edge run --log json "),
    ],
)
def test_tab_completes(bash, tmp_path, typed, completed):
    (tmp_path / "one-file").touch()
    bash.type(f"{typed}{TAB}")
    bash.wait_for(completed)
    bash.type("\x15")


def test_two_tabs_show_what_there_is(bash):
    bash.type(f"muster twin get pi-{TAB}{TAB}")
    bash.wait_for("pi-7  pi-8")


def test_without_a_server_nothing_is_said(bash):
    bash.type('export MUSTER_SERVER_URL=http://127.0.0.1:1; clear; echo go""ne\n')
    bash.wait_for("gone\n")
    bash.type(f"muster twin get pi{TAB}{TAB}X")
    bash.wait_for("muster twin get piX")
    assert "Traceback" not in bash.text
    assert "cannot be reached" not in bash.text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["muster", "muster-edge"])
def test_the_script_is_one_that_its_shell_can_read(shell, program):
    text = script(program, shell)
    assert "__" not in text.replace("__fish", "")
    found = shutil.which(shell)
    if found is None:
        return  # the other two are there only on machines of people who use them
    subprocess.run([found, "-n"], input=text, text=True, check=True)


def test_both_commands_print_the_scripts(muster, capsys):
    from edge.completion import main

    for shell in SCRIPTS:
        assert muster("completion", shell).out == script("muster", shell)
        main([shell])
        assert capsys.readouterr().out == script("muster-edge", shell)
    assert muster("completion", "tcsh").code == 2
    assert variable("muster-edge") == COMPLETING


# -- what is offered --------------------------------------------------------------------------------------------------


def test_every_command_is_offered():
    assert offered("muster ") == list(_COMMANDS)


@pytest.mark.parametrize(
    ("line", "path", "item", "value"),
    [
        ("muster devices --group n", "/api/groups", {"name": "north"}, "north"),
        ("muster groups show n", "/api/groups", {"name": "north"}, "north"),
        ("muster devices --site p", "/api/sites", {"site": "plant-1"}, "plant-1"),
        ("muster roster show p", "/api/sites", {"site": "plant-1"}, "plant-1"),
        ("muster rollout start 1", "/api/releases", {"version": "1.2"}, "1.2"),
        ("muster release revoke 1", "/api/releases", {"version": "1.2"}, "1.2"),
        ("muster rollout show 0", "/api/rollouts", {"id": "0a", "version": "1.2"}, "0a"),
        ("muster token revoke ", "/api/tokens", {"id": 3, "name": "ci"}, "3"),
        ("muster alarms silence ", "/api/alarms", {"id": 9, "summary": "hot"}, "9"),
        ("muster commands cancel ", "/api/commands", {"id": "0b", "name": "ping"}, "0b"),
        ("muster dead-letters show ", "/api/dead-letters", {"id": 4, "reason": "not_json"}, "4"),
        ("muster enrolment approve ", "/api/enrolments", {"serial": "new-1", "state": "waits"}, "new-1"),
    ],
)
def test_names_come_from_the_server(at_server, line, path, item, value):
    at_server.answers["GET", path] = (200, {"items": [item], "cursor": None})
    assert [choice for choice in offered(line) if not choice.startswith("-")] == [value]


def test_a_device_is_searched_for_by_the_server(at_server):
    assert offered("muster twin get pi") == ["pi-7", "pi-8"]
    assert at_server.calls[-1].query["q"] == "pi"


def test_only_the_first_word_of_several_is_a_device(at_server):
    assert offered("muster command pi") == ["pi-7", "pi-8"]
    assert offered("muster command pi-7 pi") == []
    assert offered("muster command --group north pi") == []


def test_the_server_that_the_line_names_is_asked(server, monkeypatch):
    monkeypatch.setenv("MUSTER_API_TOKEN", TOKEN)
    server.answers["GET", "/api/devices"] = devices("pi-7")
    assert offered(f"muster twin get --url {server.url} p") == ["pi-7"]


def test_kinds_are_offered_behind_a_comma():
    assert offered("muster tail --kinds alarm,de") == ["alarm,device", "alarm,dead_letter", "alarm,delivery"]
    assert offered("muster tail --kinds presence,presen") == []


def test_a_group_that_lists_by_default_offers_its_commands_and_the_options_of_the_list(at_server):
    assert {"list", "show", "replay"} <= set(offered("muster dead-letters "))
    assert offered("muster dead-letters --rea") == ["--reason"]


@pytest.mark.parametrize("refusal", [error(401, "no"), error(500, "no"), (200, b"<html>"), (200, {"items": [{}]})])
@pytest.mark.parametrize("line", ["muster twin get pi", "muster fly ", "muster twin get 'pi", "muster ' ", ""])
def test_whatever_goes_wrong_nothing_is_said_and_nothing_fails(at_server, capsys, refusal, line):
    at_server.answers["GET", "/api/devices"] = refusal
    assert answer(complete, {"COMP_LINE": line}) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "pi" not in said.out.split()


def test_each_name_of_the_table_is_a_parameter_of_a_command():
    import click

    seen = set()

    def walk(command, path):
        for parameter in command.params:
            seen.update((parameter.name, f"{path} {parameter.name}".strip()))
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                walk(command.get_command(click.Context(command), name), f"{path} {name}".strip())

    walk(root, "")
    assert set(_VALUES) <= seen


def test_a_command_that_was_completed_still_converts_what_it_is_given(at_server, muster):
    at_server.answers["GET", "/api/dead-letters"] = (200, {"items": [{"id": 4}], "cursor": None})
    assert offered("muster dead-letters show ") == ["4"]
    assert muster("dead-letters", "show", "no-number").code == 2


@pytest.mark.parametrize(
    ("line", "words", "word"),
    [
        ("", [], ""),
        ("muster", [], "muster"),
        ("muster ", ["muster"], ""),
        ("muster a b", ["muster", "a"], "b"),
        ("muster 'a b' c", ["muster", "a b"], "c"),
        ("muster 'a b", ["muster"], "a b"),
        ("muster a\\ b", ["muster"], "a b"),
        ("muster a\\", ["muster"], "a"),
    ],
)
def test_a_line_is_split_as_the_shell_does_it(line, words, word):
    assert split(line) == (words, word)


# -- the edge ---------------------------------------------------------------------------------------------------------


def edge(words, word):
    from edge.cli import _complete

    return _complete(words, word)


def test_every_command_of_the_edge_is_offered_with_its_options():
    assert offered("muster-edge ", edge) == [*COMMANDS, "--help", "--version"]
    for command in COMMANDS:
        assert "--help" in offered(f"muster-edge {command} --", edge)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("muster-edge update --h", "--hold"),
        ("muster-edge install --dry", "--dry-run"),
        ("muster-edge completion z", "zsh"),
        ("muster-edge scan-test --st", "--stdin"),
    ],
)
def test_the_options_of_the_edge_are_those_of_its_help(line, value):
    assert value in offered(line, edge)


def test_files_are_left_to_the_shell(capsys):
    assert answer(edge, {"COMP_LINE": "muster-edge status --config "}) == 0
    assert capsys.readouterr().out == "file\t\t\n"
    answer(complete, {"COMP_LINE": "muster backup "})
    assert capsys.readouterr().out.startswith("file\t")
