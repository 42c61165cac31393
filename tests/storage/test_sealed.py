"""What is sent to devices is sealed in the database, whichever it is; rows of a release before are read as they are."""

from __future__ import annotations

import pytest

from actors.commands.rules import Command
from actors.storage import resealing
from actors.storage.commands import find_commands, insert_commands, update_command
from actors.storage.models import Setting
from actors.storage.resealing import COLUMNS, Place, is_done, reseal
from actors.storage.sealed import BEGINNING, Keyring, SealedError, keyring, use_keyring
from actors.storage.twins import find_twin, put_desired
from actors.twins.messages import Twin

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _own_keys():
    before = keyring()
    use_keyring(Keyring({"old": OLD}, "old", "the test's file"))
    yield
    use_keyring(before)


def command(number=1, **fields):
    told = {"id": f"{number:032x}", "batch": "", "serial": "A1", "name": "wifi", "args": f'{{"psk":"{SECRET}"}}'}
    told |= {"state": "queued", "result": "", "reason": "", "created_us": 1, "deadline_us": 2, "sent_us": None}
    return Command(**(told | {"accepted_us": None, "changed_us": 1, "by": "ada"} | fields))


def stored(look, column="args", table="command"):
    return [text for (text,) in look.run(f"SELECT {column} FROM {table}")]


def test_arguments_and_result_of_a_command_are_not_to_be_seen_in_the_database(store, look):
    asked = command(result=f'"{SECRET}"')
    store.run(lambda database: insert_commands(database, [asked, command(2)]))
    store.run(lambda database: update_command(database, command(2, result=f'"{SECRET}"', state="done")))
    everything = str(look.run("SELECT * FROM command"))
    assert SECRET not in everything
    assert everything.count(BEGINNING) == 4
    assert store.run(lambda database: find_commands(database, [asked.id]))[asked.id] == asked


def test_what_is_desired_of_a_device_is_sealed_too(store, look):
    store.run(lambda d: put_desired(d, Twin(serial="A1"), Twin(serial="A1", desired_version=1), f'{{"k":"{SECRET}"}}'))
    assert SECRET not in str(look.run("SELECT * FROM twin"))
    assert store.run(lambda database: find_twin(database, "A1")).desired == {"k": SECRET}


def test_rows_of_the_release_before_are_read_and_then_sealed(store, look, monkeypatch):
    monkeypatch.setattr(resealing, "SLICE", 3)
    use_keyring(Keyring())
    store.run(lambda database: insert_commands(database, [command(number) for number in range(10)]))
    assert SECRET in stored(look)[0]
    use_keyring(Keyring({"old": OLD}, "old"))
    assert store.run(lambda database: find_commands(database, [command().id]))[command().id] == command()

    reseal_all(store)

    assert all(text.startswith(f"{BEGINNING}old:") for text in stored(look))
    assert store.run(lambda database: find_commands(database, [command().id]))[command().id] == command()
    assert store.run(is_done)


def test_after_a_rotation_every_row_is_sealed_with_the_new_key_and_the_old_one_opens_nothing(store, look):
    store.run(lambda database: insert_commands(database, [command(number) for number in range(10)]))
    reseal_all(store)
    use_keyring(Keyring({"old": OLD, "new": NEW}, "new"))
    assert not store.run(is_done)
    assert store.run(lambda database: find_commands(database, [command().id]))[command().id] == command()

    reseal_all(store)

    use_keyring(Keyring({"new": NEW}, "new"))
    assert store.run(lambda database: find_commands(database, [command().id]))[command().id] == command()
    use_keyring(Keyring({"old": OLD}, "old", "/the/file"))
    with pytest.raises(SealedError, match=r"command.args is sealed with the key 'new', which is not in /the/file"):
        store.run(lambda database: find_commands(database, [command().id]))


def test_a_value_that_was_moved_or_changed_in_the_database_is_noticed(store, look):
    asked = command(result='"x"')
    store.run(lambda database: insert_commands(database, [asked]))
    look.run("UPDATE command SET args = result")
    with pytest.raises(SealedError, match="was changed"):
        store.run(lambda database: find_commands(database, [asked.id]))


def test_a_value_that_was_changed_holds_up_no_other(store, look):
    """Else the rows behind it would never be sealed with the new key."""
    store.run(lambda database: insert_commands(database, [command(number) for number in range(10)]))
    look.run(f"UPDATE command SET args = '{BEGINNING}old:AAAA' WHERE id = '{command(3).id}'")
    use_keyring(Keyring({"old": OLD, "new": NEW}, "new"))
    place = reseal_all(store)
    assert (place.sealed, place.lost) == (9, 1)
    assert [text.startswith(f"{BEGINNING}new:") for text in stored(look)].count(True) == 9
    assert store.run(is_done)


def test_every_table_with_sealed_values_has_a_text_as_its_key():
    assert {field.place for field in COLUMNS} == {
        "command.args",
        "command.result",
        "notification.payload",
        "twin.desired",
    }
    assert all(field.model._meta.primary_key.field_type == "VARCHAR" for field in COLUMNS)


def reseal_all(store):
    place = Place()
    for _ in range(100):
        before, place = place, store.run(lambda database, at=place: reseal(database, at))
        if place is None:
            assert (
                store.run(lambda database: Setting.select().where(Setting.key == resealing.SETTING).count(database))
                == 1
            )
            return before
    raise AssertionError("it does not come to an end")
