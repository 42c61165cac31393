"""Settings that change while the edge runs."""

from __future__ import annotations

import msgspec
import pytest

from actors.twins.documents import MOST_BYTES
from edge.inbox.settings import HandlerSettings
from edge.inbox.twin import MOST_ERRORS, EdgeTwin, Kept

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


def test_an_empty_change_of_a_handler_changes_nothing(twin):
    twin.kept, _ = twin.change({"handlers": {"siren": {"enabled": False}}})
    twin.kept, errors = twin.change({"handlers": {"siren": {}}})
    assert (twin.handler("siren").enabled, errors) == (False, {})


def test_of_many_things_that_cannot_be_taken_a_few_are_told(twin):
    twin.kept = twin.desire(1, {"heartbeat": 8} | {f"no-{number}": 1 for number in range(3_000)})
    errors = twin.reported()["errors"]
    assert twin.heartbeat == 8
    assert len(errors) == MOST_ERRORS + 1
    assert errors["..."] == f"and {3_000 - MOST_ERRORS} more"
    assert len(msgspec.json.encode(twin.reported())) < MOST_BYTES
    _, errors = twin.change({"handlers": {f"no-{number}": {} for number in range(3_000)}})
    assert len(errors) == MOST_ERRORS + 1


@pytest.mark.parametrize(
    ("version", "desired", "retained", "news"),
    [
        (5, {"heartbeat": 9}, False, True),
        (4, {"heartbeat": 8}, False, False),
        (4, {"heartbeat": 8}, True, False),  # what `set` has changed since holds
        (3, {"heartbeat": 9}, False, False),  # an old one that was sent again
        (3, {"heartbeat": 9}, True, True),  # the server's database was restored from a backup
        (4, {"heartbeat": 9}, True, True),  # and has come to the same version by another way
        (4, {"heartbeat": 9}, False, True),
    ],
)
def test_what_is_desired_is_news_by_its_version_its_content_and_whether_the_broker_retains_it(
    twin, version, desired, retained, news
):
    twin.kept = twin.desire(4, {"heartbeat": 8})
    twin.kept, _ = twin.change({"heartbeat": 7})
    assert twin.is_news(version, desired, retained=retained) is news


def test_what_an_earlier_release_has_kept_is_no_reason_to_apply_the_same_version_again(twin):
    twin.restore(b'{"version":4,"heartbeat":7}')
    assert not twin.is_news(4, {"heartbeat": 8}, retained=True)


def test_it_survives_a_restart_and_handlers_that_are_gone(twin):
    twin.kept = twin.desire(4, {"heartbeat": 10, "handlers": {"siren": {"enabled": False}}})
    value = msgspec.json.encode(twin.kept)
    other = EdgeTwin(30.0, {"file": HANDLERS["file"]})
    other.restore(value)
    assert (other.kept.version, other.heartbeat, list(other.reported()["handlers"])) == (4, 10, ["file"])
    other.restore(b"nonsense")
    assert other.kept == Kept()
