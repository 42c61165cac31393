"""The edge's tree runs on the runtime and the supervisor alone."""

import json
import subprocess
import sys

from actors.runtime import SystemClock
from edge.vitals import VitalsActor


def test_the_edge_starts_its_tree_shows_it_and_stops():
    done = subprocess.run(
        [sys.executable, "-m", "edge", "tree"], capture_output=True, text=True, timeout=30, check=True
    )

    tree = json.loads(done.stdout)
    assert tree["path"] == "edge"
    assert {child["id"]: child["state"] for child in tree["children"]} == {"vitals": "running"}


def test_a_wrong_command_is_wrong_usage():
    done = subprocess.run(
        [sys.executable, "-m", "edge", "dance"], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert "dance" in done.stderr


def test_the_edge_loads_neither_the_web_face_nor_a_database():
    code = "import sys, edge.cli; print([m for m in ('bottle', 'cheroot', 'peewee', 'click') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.strip() == "[]"


def test_vitals_are_shaped_like_the_system_info_of_an_announcement():
    vitals = VitalsActor(SystemClock()).on_receive(None)

    assert vitals["uptime_hours"] > 0
    assert len(vitals["load_average"]) == 3
    assert vitals["memory"].keys() == {"total", "available", "used_percent"}
