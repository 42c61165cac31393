"""What the package shows, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import supervisor


def test_every_exported_name_is_there_and_in_order():
    assert supervisor.__all__ == sorted(supervisor.__all__)
    for name in supervisor.__all__:
        assert getattr(supervisor, name) is not None


def test_the_library_part_loads_nothing_of_the_server():
    code = (
        "import sys, supervisor;"
        "heavy = {'bottle', 'peewee', 'click', 'cheroot', 'paho', 'web', 'supervisor.server', 'supervisor.cli'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert loaded.stdout.strip() == "[]"
