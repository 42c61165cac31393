"""Settings that change while the edge runs."""

from __future__ import annotations

import msgspec
import pytest

from edge.inbox.settings import HandlerSettings
from edge.inbox.twin import EdgeTwin, Kept

HANDLERS = {"file": HandlerSettings(kind="file", path="/x"), "siren": HandlerSettings(kind="file", path="/y")}


@pytest.fixture
def twin():
    return EdgeTwin(30.0, HANDLERS)


def test_at_first_all_is_as_configured(twin):
    assert twin.reported() == {
        "heartbeat": 30.0,
        "handlers": {
            "file": {"enabled": True, "min_priority": "low"},
            "siren": {"enabled": True, "min_priority": "low"},
        },
    }


def test_what_is_desired_holds_and_what_is_not_is_as_configured(twin):
    twin.kept = twin.desire(4, {"heartbeat": 10, "handlers": {"siren": {"enabled": False}}})
    assert (twin.heartbeat, twin.handler("siren").enabled, twin.handler("file").enabled) == (10, False, True)
    twin.kept = twin.desire(5, {"handlers": {"file": {"min_priority": "urgent"}}})
    assert (twin.heartbeat, twin.handler("siren").enabled, twin.handler("file").min_priority) == (30, True, "urgent")
    assert twin.kept.version == 5


@pytest.mark.parametrize(
    ("desired", "error"),
    [
        ({"heartbeat": "often"}, "heartbeat"),
        ({"heartbeat": True}, "heartbeat"),
        ({"heartbeat": 1}, "heartbeat"),
        ({"color": "red"}, "color"),
        ({"handlers": 3}, "handlers"),
        ({"handlers": {"gone": {"enabled": True}}}, "handlers.gone"),
        ({"handlers": {"file": True}}, "handlers.file"),
        ({"handlers": {"file": {"enabled": "yes"}}}, "handlers.file"),
        ({"handlers": {"file": {"min_priority": "top"}}}, "handlers.file"),
        ({"handlers": {"file": {"path": "/etc/passwd"}}}, "handlers.file"),
    ],
)
def test_what_cannot_be_taken_is_told_and_changes_nothing_else(twin, desired, error):
    twin.kept = twin.desire(1, {**desired, "handlers": desired.get("handlers", {"siren": {"enabled": False}})})
    assert list(twin.reported()["errors"]) == [error]
    kept, errors = twin.change(desired)
    assert list(errors) == [error]
    assert kept == twin.kept


def test_a_change_leaves_the_rest_and_null_takes_it_back(twin):
    twin.kept, _ = twin.change({"handlers": {"siren": {"enabled": False, "min_priority": "high"}}, "heartbeat": 8})
    twin.kept, _ = twin.change({"handlers": {"siren": {"enabled": None}}, "heartbeat": None})
    assert (twin.heartbeat, twin.handler("siren").enabled, twin.handler("siren").min_priority) == (30.0, True, "high")
    twin.kept, _ = twin.change({"handlers": {"siren": None}})
    assert twin.handler("siren").min_priority == "low"
    twin.kept, _ = twin.change({"handlers": {"siren": {"enabled": False}}})
    twin.kept, _ = twin.change({"handlers": None})
    assert twin.handler("siren").enabled


def test_it_survives_a_restart_and_handlers_that_are_gone(twin):
    twin.kept = twin.desire(4, {"heartbeat": 10, "handlers": {"siren": {"enabled": False}}})
    value = msgspec.json.encode(twin.kept)
    other = EdgeTwin(30.0, {"file": HANDLERS["file"]})
    other.restore(value)
    assert (other.kept.version, other.heartbeat, list(other.reported()["handlers"])) == (4, 10, ["file"])
    other.restore(b"nonsense")
    assert other.kept == Kept()
