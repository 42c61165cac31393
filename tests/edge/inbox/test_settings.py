"""What the configuration may say of handlers, commands and programs."""

from __future__ import annotations

import pytest

from edge.config import load_settings
from edge.settings import EdgeConfigError

GOOD = """
[edge.inbox]
topics = ["factory/plc-01/alerts"]

[[edge.handlers]]
kind = "program"
command = ["/usr/local/bin/show", "--loud"]

[[edge.handlers]]
kind = "program"
command = ["/usr/local/bin/siren"]
min_priority = "urgent"
timeout = 30

[[edge.handlers]]
kind = "http"
name = "display"
url = "http://localhost:8080/show"

[edge.commands]
allow = ["ping", "run"]
reboot = ["/sbin/reboot"]

[edge.programs.backup]
command = ["/usr/local/bin/backup"]
arguments = 1
timeout = 600
"""


def load(tmp_path, text):
    (tmp_path / "muster.toml").write_text(text)
    return load_settings({"data_dir": str(tmp_path)}, {}, cwd=tmp_path)


def test_everything_can_be_said(tmp_path):
    from edge.inbox.settings import name_handlers

    settings = load(tmp_path, GOOD)
    assert list(name_handlers(settings.handlers)) == ["program", "program-2", "display"]
    assert settings.commands.allow == ("ping", "run")
    assert settings.programs["backup"].timeout == settings.longest_program == 600
    assert settings.inbox.topics == ("factory/plc-01/alerts",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[edge.handlers]]\nkind = "program"', "a handler of kind `program` needs `command`"),
        ('[[edge.handlers]]\nkind = "file"\npath = "/x"\nurl = "http://localhost"', "kind `file` has no `url`"),
        ('[[edge.handlers]]\nkind = "file"\npath = "x"', "`path` `x` is not absolute"),
        ('[[edge.handlers]]\nkind = "program"\ncommand = ["show"]', "`command` has to begin with the absolute path"),
        ('[[edge.handlers]]\nkind = "http"\nurl = "http://10.0.0.1/"', "`url` has to begin with http://"),
        ('[[edge.handlers]]\nkind = "http"\nurl = "http://localhost:99999/"', "`url` `http://localhost:99999/` cannot"),
        ('[[edge.handlers]]\nkind = "smoke"', "invalid enum value"),
        (
            '[[edge.handlers]]\nname="a"\nkind="file"\npath="/x"\n[[edge.handlers]]\nname="a"\nkind="file"\npath="/y"',
            "two handlers are called `a`",
        ),
        ('[edge.commands]\nallow = ["format"]', "invalid enum value"),
        ("[edge.commands]\nreboot = []", "`reboot` has to begin with the absolute path"),
        ('[edge.programs."a b"]\ncommand = ["/x"]', "edge.programs|programs"),
        ('[edge.programs.a]\ncommand = ["/x", "a\\u0000b"]', "`command` has a NUL"),
        ('[edge.programs.a]\ncommand = ["/x"]\nshell = true', "shell"),
        ('[edge.inbox]\ntopics = ["devices/pi-8/commands"]', "is no topic of notifications"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, text, reason):
    with pytest.raises(EdgeConfigError, match=reason):
        load(tmp_path, text)
