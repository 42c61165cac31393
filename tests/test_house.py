"""The house: what import-linter cannot see, because it happens when a program runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVER_ONLY = {"bottle", "cheroot", "peewee", "playhouse", "prometheus_client", "click", "rich", "cryptography"}


def ask_python(code: str, cwd: Path) -> object:
    """What a fresh interpreter prints as JSON, started where no package of ours lies about."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", ["actors", "actors.runtime", "supervisor", "edge"])
def test_what_a_pi_imports_loads_nothing_of_the_server(package, tmp_path):
    code = f"import json, sys, {package}; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    assert SERVER_ONLY & set(ask_python(code, tmp_path)) == set()


@pytest.mark.parametrize("package", ["actors", "supervisor", "web", "edge"])
def test_a_package_resolves_inside_the_project(package, tmp_path):
    """`supervisor` and `web` are names on PyPI too."""
    code = f"import json, {package}; print(json.dumps({package}.__file__))"
    assert Path(ask_python(code, tmp_path)).is_relative_to(ROOT)
