"""The code in `docs/add-a-sink.md` is run as it stands there, and the documents say what is so."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from pathlib import Path

import msgspec

from actors.followers import AuditSettings, Sink
from actors.followers.lines import BASE
from tests.followers.support import soil, station
from tests.support.wait import eventually

DOCS = Path(__file__).parents[2] / "docs"
RECIPE = (DOCS / "add-a-sink.md").read_text(encoding="utf-8")
AUDIT = (DOCS / "audit.md").read_text(encoding="utf-8")


def block(page: str, language: str) -> str:
    (found,) = re.findall(rf"^ *```{language}\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(found)


def test_the_example_sink_gets_the_readings(store, follow, tmp_path):
    names = {}
    exec(compile(block(RECIPE, "python"), "add-a-sink.md", "exec"), names)
    target = tmp_path / "readings.jsonl"
    sink = names["JsonLines"]({"file": str(target)})
    assert isinstance(sink, Sink)
    store.commit([station(), soil(1), soil(2)])
    follower = follow(sink)
    eventually(lambda: follower.board.status.cursor == 2)
    assert [json.loads(line)["N"] for line in target.read_text().splitlines()] == [1, 2]


def test_the_recipe_has_at_most_forty_lines():
    assert len(RECIPE.splitlines()) <= 40


def test_the_section_in_the_document_shows_the_defaults():
    section = tomllib.loads(block(AUDIT, "toml"))["audit"]
    assert msgspec.convert(section, AuditSettings) == AuditSettings()
    assert set(section) == {field.name for field in msgspec.structs.fields(AuditSettings)}


def test_every_column_is_described():
    described = set(re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (.*?) \|", AUDIT, re.MULTILINE))))
    assert described | set(BASE) == set(BASE)
    assert described >= set(BASE) - {"P", "K", "CO2", "Temperature", "Moisture"}
