"""Commands in the database: pages, retention, and the end of a device."""

from __future__ import annotations

import pytest

from actors.commands.rules import Command
from actors.messages import DeleteDevice
from actors.storage.commands import FindCommands, find_open, insert_commands
from actors.storage.queries import BadCursor
from actors.storage.retention import RetentionRules
from tests.storage.build import NOON, ask_all, device
from tests.storage.conftest import look, make_store, readers, runtime, store  # noqa: F401 - fixtures
from tests.storage.test_retention import DAYS, expire


def rows(number, serial="A1", state="queued", **fields):
    return [
        Command(
            id=f"{at:032x}", serial=serial, name="ping", state=state,
            **({"created_us": NOON, "deadline_us": NOON, "changed_us": NOON, "batch": "b" * 32} | fields),
        )
        for at in range(number)
    ]  # fmt: skip


def test_pages_are_newest_first_and_restricted(store, readers):  # noqa: F811
    store.run(lambda database: insert_commands(database, [*rows(5), *_of("B1", 5, 3, state="failed")]))
    newest = [item["id"] for item in ask_all(readers, FindCommands(limit=3))]
    assert newest == sorted(newest, reverse=True)
    assert len(newest) == 8
    for wanted, number in (({"serial": "B1"}, 3), ({"batch": "b" * 32}, 8), ({"state": "queued"}, 5)):
        assert len(ask_all(readers, FindCommands(limit=2, **wanted))) == number
    with pytest.raises(BadCursor):
        readers.ask(FindCommands(after="made up"))


def _of(serial, first, number, **fields):
    return rows(first + number, serial, **fields)[first:]


def test_those_that_are_not_over_are_found_in_order(store):  # noqa: F811
    store.run(lambda database: insert_commands(database, [*rows(3), *_of("A1", 3, 2, state="succeeded")]))
    found = store.run(lambda database: find_open(database, f"{0:032x}", 10))
    assert [row.id for row in found] == [f"{1:032x}", f"{2:032x}"]


def test_only_what_is_over_goes_with_time(make_store, look):  # noqa: F811
    store = make_store(rules=RetentionRules(commands_days=1))  # noqa: F811
    old = NOON - 2 * DAYS
    kept = [*rows(3, changed_us=old), *_of("A1", 3, 2, state="failed")]
    store.run(lambda database: insert_commands(database, [*kept, *_of("A1", 5, 4, state="timed_out", changed_us=old)]))
    assert expire(store) == [("command", 4)]
    assert sorted(look.column("SELECT id FROM command")) == [row.id for row in kept]


def test_a_deleted_device_leaves_no_commands(store, look):  # noqa: F811
    store.commit([device("A1"), device("B1")])
    store.run(lambda database: insert_commands(database, [*rows(2), *_of("B1", 2, 1)]))
    store.commit([DeleteDevice("A1")])
    assert look.column("SELECT serial FROM command") == ["B1"]
