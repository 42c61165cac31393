"""Pykka's own test suite, run against our runtime: a `PooledActor` is a pykka actor in every respect it tests.

The suite is in pykka's source distribution only. It is fetched from the package index once, and kept in `.cache`.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support.need import unavailable
from tests.support.processes import Process

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "pykka-suite"
VERSION = importlib.metadata.version("pykka")

# One more entry for the table that pykka's conftest parametrises every test over.
POOLED = """

from actors.runtime import PooledActor

RUNTIMES["pooled"] = pytest.param(
    Runtime(
        name="pooled",
        actor_class=PooledActor,
        event_class=threading.Event,
        future_class=type(PooledActor._create_future()),
        sleep_func=time.sleep,
    ),
    id="pooled",
)
"""


def fetch() -> tuple[Path, Path]:
    """Pykka's source distribution, and the wheel of pytest-mock, which its tests need and ours do not."""
    found = cached()
    if found is None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pykka"]
        wanted = ["-c", ROOT / "constraints.txt", f"pykka=={VERSION}", "pytest-mock"]
        done = subprocess.run([*pip, "-d", CACHE, *wanted], capture_output=True, text=True, timeout=120, check=False)
        found = cached()
        if done.returncode or not found:
            unavailable(f"needs pykka's source from the package index: {done.stderr[-500:]}")
    return found


def cached() -> tuple[Path, Path] | None:
    found = *CACHE.glob(f"pykka-{VERSION}.tar.gz"), *CACHE.glob("pytest_mock-*.whl")
    return found if len(found) == 2 else None


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The unpacked distribution, with our runtime in its table."""
    with tarfile.open(fetch()[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    home = tmp_path / f"pykka-{VERSION}"
    conftest = home / "tests" / "conftest.py"
    before, table_end, after = conftest.read_text().partition("\n}\n")
    assert "RUNTIMES = {" in before
    assert "params=RUNTIMES.values()" in after
    conftest.write_text(before + table_end + POOLED + after)
    return home


@pytest.mark.slow
@pytest.mark.timeout(300)  # it may have to be fetched
def test_pykkas_own_suite_passes_on_the_pooled_runtime(suite, tmp_path):
    report = tmp_path / "report.xml"
    pytest_options = ("-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "30", f"--junitxml={report}")
    environment = {"PYTHONPATH": str(fetch()[1]), "PYTEST_ADDOPTS": ""}  # a wheel can be imported as it is
    with Process.module("pytest", "-q", *pytest_options, cwd=suite, env=environment) as run:
        exit_code = run.wait(timeout=120)
        assert exit_code == 0, run.describe()
    assert len(passed_on_the_pooled_runtime(report)) > 100


def passed_on_the_pooled_runtime(report: Path) -> list[str]:
    # A case that failed or was skipped has a child element that says so.
    cases = ET.parse(report).iter("testcase")
    return [case.get("name") for case in cases if "[pooled" in case.get("name") and len(case) == 0]
