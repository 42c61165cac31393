"""The state that a process leaves in a file."""

from __future__ import annotations

import json
import logging

import pytest

from actors.runtime import ManualClock
from supervisor.process.state_file import StateFile


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def file(tmp_path, clock):
    return StateFile(tmp_path / "state.json", clock, at_least_every=10.0)


@pytest.fixture
def read(tmp_path):
    return lambda: json.loads((tmp_path / "state.json").read_text())


def test_a_state_without_news_is_written_only_now_and_then(file, clock, read):
    file.write({"beat": 1}, "up")
    file.write({"beat": 2}, "up")
    assert read() == {"beat": 1}
    clock.advance(10.0)
    file.write({"beat": 3}, "up")
    assert read() == {"beat": 3}


def test_news_is_written_at_once(file, read):
    file.write({"beat": 1}, "up")
    file.write({"beat": 2}, "down")
    assert read() == {"beat": 2}


def test_a_disk_that_refuses_is_told_of_once_each_time_and_tried_again(file, tmp_path, read, caplog):
    caplog.set_level(logging.WARNING)
    in_the_way = tmp_path / ".state.json.new"
    for number in range(2):
        in_the_way.mkdir()
        file.write({}, number)
        file.write({}, number)
        in_the_way.rmdir()
        file.write({"number": number}, number)
        assert read() == {"number": number}
    assert [record.getMessage() for record in caplog.records] == ["the state cannot be written: Is a directory"] * 2
