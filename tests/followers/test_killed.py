"""SIGKILL of the process that writes the audit trail, again and again: each accepted reading has exactly one line."""

from __future__ import annotations

import random

import pytest

from tests.followers.support import files, ids, lines, soil, station
from tests.storage.build import device, reading
from tests.support.processes import Process
from tests.support.wait import eventually

SENSOR_IDS = "SELECT r.id FROM reading r JOIN device d ON d.id = r.device_id WHERE d.family = 'sensor' ORDER BY r.id"


def size(folder) -> int:
    """Bytes in all files; 0 if one was put away while we looked."""
    try:
        return sum(path.stat().st_size for path in folder.glob("*.csv"))
    except FileNotFoundError:
        return 0


def last_id(folder) -> int:
    """The id in the last line; 0 if the file was put away while we looked."""
    try:
        return ids(folder)[-1]
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("kills", [6, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_killed_at_any_moment_the_audit_trail_has_each_reading_once_and_in_order(store, url, tmp_path, kills):
    chance = random.Random(kills)
    folder = tmp_path / "data"
    folder.mkdir()
    store.commit([station(), device("log-1")])
    number = 0

    def commit(count) -> None:
        nonlocal number
        for _ in range(count):
            serial = "soil-1" if chance.random() < 0.8 else "log-1"
            writes = (
                [soil(number + extra) for extra in range(9)] if serial == "soil-1" else [reading(serial, at=number)]
            )
            store.commit(writes)
            number += len(writes)

    for _ in range(kills):
        commit(60)
        before = size(folder)
        with Process.module("tests.followers.child", url, folder) as child:
            eventually(lambda before=before: size(folder) > before, 60, "the first line of this life")
            commit(chance.randrange(40))  # takes a while: the moment is a matter of chance
            child.kill()
            assert child.output == ""
    with Process.module("tests.followers.child", url, folder) as child:
        wanted = [row[0] for row in store.run(lambda database: database.execute_sql(SENSOR_IDS).fetchall())]
        eventually(lambda: last_id(folder) == wanted[-1], 60, "the last line")
        child.kill()
    assert ids(folder) == wanted
    assert len(files(folder)) > 3
    assert {line["publisher_id"] for line in lines(folder)} == {"soil-1"}
