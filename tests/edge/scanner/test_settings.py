"""What can be configured, and how a mistake is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from edge.scanner import keys
from edge.scanner.settings import ScannerSettings

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = """
layout = "ours"
end_keys = ["enter"]
pause = 0
debounce = 1.5
include = ["Acme*", "1234:5678"]

[layouts.ours]
base = "de"
gs = ["f9", "ctrl+102nd"]
[layouts.ours.keys]
q = ["q", "Q", "@"]
"""


def load(text):
    return msgspec.convert(tomllib.loads(text), ScannerSettings)


def test_the_defaults_need_no_configuration():
    settings = ScannerSettings()

    assert (settings.enabled, settings.layout, settings.end_keys, settings.grab) == (True, "us", ("enter", "tab"), True)
    assert (settings.pause, settings.debounce, settings.device_dir) == (0.25, 0.0, "/dev/input")


def test_a_layout_of_ones_own_changes_the_keys_it_names():
    layout = load(EXAMPLE).make_layout()

    assert layout.keys[keys.KEYS["q"]] == ("q", "Q", "@")
    assert layout.keys[keys.KEYS["y"]][0] == "z"
    assert layout.gs == {(False, keys.KEYS["f9"]), (True, keys.KEYS["102nd"])}


def test_ones_own_layout_keeps_the_separators_of_its_base():
    settings = load('layout = "x"\n[layouts.x]\nbase = "fr"')

    assert settings.make_layout() == load('layout = "fr"').make_layout()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('layout = "dvorak"', "`layout` `dvorak` is not known; there are de, fr, it, uk, us"),
        ("end_keys = []\npause = 0", "no code would ever end"),
        ('end_keys = ["space"]', "space"),
        ("pause = -1", "pause"),
        ("[layouts.x]\nbase = 'klingon'", "`base` `klingon`"),
        ("[layouts.x.keys]\nqq = ['a']", "`qq`, which is no key"),
        ("[layouts.x.keys]\nq = ['ab']", "length"),
        ("[layouts.x]\ngs = ['strg+x']", "`strg+x`, which is no key"),
        ("debounced = 1", "debounced"),
        ('device_dir = "dev"', "device_dir"),
    ],
)
def test_a_mistake_is_refused_with_its_reason(text, reason):
    with pytest.raises(msgspec.ValidationError) as refused:
        load(text)

    assert reason in str(refused.value)


def test_the_examples_in_the_documents_are_right():
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / "scanners.md").read_text(), re.DOTALL)

    assert len(examples) == 2
    for example in examples:
        msgspec.convert(tomllib.loads(example)["edge"]["scanner"], ScannerSettings).make_layout()


def test_every_key_is_in_the_reference_with_its_default():
    rows = [
        line for line in (DOCS / "configuration.md").read_text().splitlines() if line.startswith("| `edge.scanner.")
    ]
    told = {row.split("`")[1].removeprefix("edge.scanner."): row.split("|")[2].strip(" `") for row in rows}

    assert told.keys() == set(ScannerSettings.__struct_fields__)
    for name, default in told.items():
        value = getattr(ScannerSettings(), name)
        assert default == "none" or tomllib.loads(f"x = {default}")["x"] == (
            list(value) if isinstance(value, tuple) else value
        ), name
