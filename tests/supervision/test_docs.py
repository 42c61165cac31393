"""What `docs/supervision.md` says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TEXT = (HERE.parent.parent / "docs" / "supervision.md").read_text(encoding="utf-8")


def test_the_example_runs_and_prints_what_its_comments_say():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.split("\n")[:3] == ["hello WORLD", "running", "shutdown"]


def test_every_test_that_the_table_names_exists():
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    sources = [path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")]
    written = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}
    assert named - written == set()
    assert len(named) > 40
