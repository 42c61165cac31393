"""`SECURITY.md` names the test of every promise: each is there, and no promise is without one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and "shown by" not in line]
THREATS = ("stolen Pi", "leaked fleet key", "hostile device", "hostile network", "hostile operator")


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_test_that_is_named_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:60] for row in ROWS])
def test_every_promise_names_a_test(row):
    claim, tests = (cell.strip() for cell in row.strip("| ").split(" | "))
    assert claim
    assert re.fullmatch(r"`tests/[\w/]+\.py::\w+`(, `tests/[\w/]+\.py::\w+`)*", tests)


@pytest.mark.parametrize("threat", THREATS)
def test_every_threat_has_a_section(threat):
    assert re.search(rf"^## .*{threat}", TEXT, re.MULTILINE)
