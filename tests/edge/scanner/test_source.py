"""What opens and reads a device."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from edge.scanner.source import GoneError, Source
from tests.edge.scanner.machine import Machine
from tests.edge.scanner.recording import Recording


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path) as machine:
        yield machine


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_readable(source):
    assert select.select([source], [], [], 20)[0]


def test_events_come_as_the_kernel_wrote_them(machine):
    recording = Recording("honeywell-xenon-gs1")
    device = machine.plug()
    source = Source(device.path, grab=True)
    got = []

    device.send(recording.events)
    while len(got) < len(recording.events):
        wait_readable(source)
        got += source.read()

    assert [event[:3] for event in got] == [event[:3] for event in recording.events]
    assert [event[3] for event in got] == pytest.approx([event[3] for event in recording.events])
    assert source.read() == []
    source.close()


def test_an_unplugged_device_is_gone(machine):
    device = machine.plug()
    source = Source(device.path, grab=True)

    device.unplug()

    wait_readable(source)
    with pytest.raises(GoneError):
        source.read()
    source.close()
    source.close()


def test_a_device_that_is_not_there_is_gone(tmp_path):
    with pytest.raises(GoneError):
        Source(tmp_path / "event0", grab=True)


def test_a_device_without_permission_may_come_later(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may open everything

    with pytest.raises(PermissionError):
        Source(tmp_path, grab=True)


def test_a_character_device_that_knows_no_grab_is_refused_and_closed():
    before = open_files()

    with pytest.raises(OSError, match="ioctl"):
        Source("/dev/null", grab=True)

    assert open_files() == before
