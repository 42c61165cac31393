"""The scanners' tree from plug to outbox, on FIFOs that evdev reads as it reads devices."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import msgspec
import pytest

from actors.outbox import Outbox, OutboxBoard, Take
from actors.runtime import Directory, Runtime
from edge.scanner import reader as reader_module
from edge.scanner import watcher as watcher_module
from edge.scanner.layouts import make_layout
from edge.scanner.tree import READERS, SAVER, WATCHER, ScannerParts, scanners_spec
from supervisor import ChildSpec, Root, Supervisor, describe, quarantine, restart
from supervisor.status import table_of
from tests.edge.scanner.machine import Machine
from tests.edge.scanner.recording import Recording, Typist
from tests.support.wait import eventually, throughout

SCANNER = "symbol-technologies-inc-2008-symbol-bar-code-scanner-1.2.0"


class Rig:
    """Outbox and scanners, as they hang in the edge's tree."""

    def __init__(self, path, **settings):
        self.machine = Machine(path)
        self.outbox = path / "outbox.db"
        self.settings = self.machine.settings(**settings)
        self.start()

    def start(self):
        self.runtime, self.directory = Runtime.system(), Directory()
        self.parts = ScannerParts(self.runtime, self.directory, self.settings, "pi-1")
        self.runtime.start()
        tree = Supervisor(
            runtime=self.runtime,
            name="edge",
            directory=self.directory,
            children=(
                ChildSpec("outbox", lambda: Outbox(self.outbox, self.runtime.clock, OutboxBoard())),
                scanners_spec(self.parts),
            ),
        )
        self.root = Root(self.runtime, tree)
        self.root.wait_ready(timeout=20)

    def stop(self):
        self.root.stop(timeout=20)
        self.runtime.stop()

    @property
    def board(self):
        return self.parts.board

    def plug(self, number=0, **facts):
        device = self.machine.plug(number, **facts)
        eventually(lambda: any(s.open and s.device.path == device.path for s in list(self.board.scanners.values())))
        return device

    def scans(self):
        items = self.directory.get("outbox").ask(Take("server", limit=1000), timeout=20)
        assert all((item.kind, item.topic) == ("scan", "devices/pi-1/scans") for item in items)
        return [msgspec.json.decode(item.payload) for item in items]

    def codes(self):
        return [scan["code"] for scan in self.scans()]

    def expect(self, codes):
        eventually(lambda: self.codes() == codes, what=f"the codes {codes}")

    def tree(self):
        """Path of each child below the scanners, to its state."""
        found = {}
        todo = [describe(self.root.ref)]
        while todo:
            node = todo.pop()
            found[node["path"].removeprefix("edge/scanners/")] = node["state"]
            todo += node.get("children", [])
        return found


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setattr(watcher_module, "LOOK_EVERY", 0.05)
    rigs = []

    def make(**settings):
        rigs.append(Rig(tmp_path / f"rig{len(rigs)}", **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        with rig.machine:
            rig.stop()


def typed(text, **how):
    return Typist(make_layout("us"), **how).type(text)


def test_a_scanner_that_was_there_before_us_is_read(tmp_path):
    machine = Machine(tmp_path)
    with machine:
        device = machine.plug()
        runtime, directory = Runtime.system(), Directory()
        parts = ScannerParts(runtime, directory, machine.settings(), "pi-1")
        runtime.start()
        root = Root(runtime, Supervisor(runtime=runtime, directory=directory, children=(scanners_spec(parts),)))

        eventually(lambda: parts.board.connected == 1)
        assert parts.board.scanners[SCANNER].describe()["path"] == str(device.path)

        root.stop(timeout=20)
        runtime.stop()
        assert parts.board.connected == 0


@pytest.mark.parametrize(
    ("name", "layout"),
    [("symbol-ls2208-us", "us"), ("datalogic-gryphon-alt", "us"), ("newland-fr", "fr"), ("opticon-de", "de")],
)
def test_a_recorded_scanner_is_read_into_the_outbox(start, name, layout):
    rig = start(layout=layout)
    recording = Recording(name)

    rig.plug().send(recording.events)

    rig.expect(recording.expects)


def test_a_scan_says_what_was_read_where_and_by_what(start):
    rig = start()
    rig.plug().send(typed("4006381333932"))
    rig.expect(["4006381333932"])

    (scan,) = rig.scans()

    assert (scan["device_id"], scan["scanner"], scan["symbology"], scan["valid"]) == ("pi-1", SCANNER, "EAN-13", False)
    assert scan["clock"] in ("ntp", "unsynced")
    eventually(lambda: rig.board.saved == 1 and not rig.board.unsaved)


def test_without_an_end_key_a_pause_ends_the_code(start):
    rig = start()
    scanner = rig.plug()

    scanner.send(typed("96385074", end=None))

    rig.expect(["96385074"])


def test_a_scanner_plugged_in_later_is_read_and_its_unplugging_is_a_clean_end(start):
    rig = start()
    scanner = rig.plug()
    scanner.send(typed("one"))
    rig.expect(["one"])

    scanner.unplug()

    eventually(lambda: not rig.board.scanners)
    eventually(lambda: f"{READERS}/{SCANNER}" not in rig.tree())
    assert describe(rig.root.ref)["restarts"] == 0
    assert rig.tree()[READERS] == "running"


def test_the_next_plug_in_starts_it_again_under_the_same_name(start):
    rig = start()
    rig.plug(0).unplug()
    scanner = rig.plug(3)

    scanner.send(typed("again"))

    rig.expect(["again"])
    assert list(rig.board.scanners) == [SCANNER]


def test_a_scanner_that_comes_back_at_once_under_the_same_number_is_read(start):
    rig = start()
    scanner = rig.plug()
    node = rig.board.scanners[SCANNER].device.node

    scanner.unplug()
    scanner = rig.machine.plug()
    eventually(lambda: SCANNER in rig.board.scanners and rig.board.scanners[SCANNER].device.node != node)
    eventually(lambda: rig.board.scanners[SCANNER].open)
    scanner.send(typed("back"))

    rig.expect(["back"])


def test_half_a_code_of_an_unplugged_scanner_is_no_scan(start):
    rig = start(pause=0)
    scanner = rig.plug()
    status = rig.board.scanners[SCANNER]
    scanner.send(typed("1234", end=None))

    scanner.unplug()

    eventually(lambda: not rig.board.scanners)
    assert status.tally.lost == 1
    assert rig.codes() == []


def test_several_scanners_are_read_side_by_side(start):
    rig = start()
    scanners = [rig.plug(number, phys=f"usb-1.{number}/input0") for number in range(4)]

    for number, scanner in enumerate(scanners):
        scanner.send(typed(f"code {number}"))

    eventually(lambda: sorted(rig.codes()) == [f"code {number}" for number in range(4)])
    assert rig.board.connected == 4


def test_a_keyboard_is_not_touched(start):
    rig = start()
    keyboard = rig.machine.plug(0, name="Logitech USB Keyboard", usb="046d:c31c")
    scanner = rig.plug(1)

    keyboard.send(typed("secret"))
    scanner.send(typed("public"))

    rig.expect(["public"])
    assert list(rig.board.scanners) == [SCANNER]


def test_the_same_code_again_at_once_counts_once_where_that_is_wanted(start):
    rig = start(debounce=3600)
    scanner = rig.plug()
    status = rig.board.scanners[SCANNER]

    scanner.send(typed("a") + typed("a") + typed("b") + typed("a"))

    rig.expect(["a", "b", "a"])
    assert (status.codes, status.repeated) == (4, 1)


def test_a_device_that_cannot_be_opened_yet_is_opened_as_soon_as_it_can(start, monkeypatch):
    real, may_open = reader_module.Source, threading.Event()

    def source(path, *, grab):
        if not may_open.is_set():
            raise PermissionError(13, "Permission denied")
        return real(path, grab=grab)

    monkeypatch.setattr(reader_module, "Source", source)
    monkeypatch.setattr(reader_module, "OPEN_AGAIN", 0.02)
    rig = start()
    scanner = rig.machine.plug()
    eventually(lambda: SCANNER in rig.board.scanners and rig.board.scanners[SCANNER].error)
    assert "event0 cannot be opened: Permission denied" in rig.board.scanners[SCANNER].error
    assert rig.board.connected == 0

    may_open.set()
    eventually(lambda: rig.board.connected == 1)
    scanner.send(typed("at last"))

    rig.expect(["at last"])
    assert rig.board.scanners[SCANNER].error == ""


def test_a_reader_that_crashes_is_started_again_and_the_others_go_on(start, monkeypatch):
    real = reader_module.make_scan

    def make_scan(device_id, code, **rest):
        if code == "crash":
            raise RuntimeError("made to crash")
        return real(device_id, code, **rest)

    monkeypatch.setattr(reader_module, "make_scan", make_scan)
    rig = start()
    bad, good = rig.plug(0), rig.plug(1, phys="usb-1.9/input0")
    status = rig.board.scanners[SCANNER]
    before = status.codes

    bad.send(typed("crash"))
    eventually(lambda: status.codes > before and rig.tree().get(f"{READERS}/{SCANNER}") == "running" and status.open)
    good.send(typed("fine"))
    bad.send(typed("healed"))

    eventually(lambda: sorted(rig.codes()) == ["fine", "healed"])
    assert rig.tree()["edge"] == "running"


def test_a_reader_that_is_killed_lets_its_device_go(start):
    rig = start()
    scanner = rig.plug()
    status, holders = rig.board.scanners[SCANNER], open_files(scanner.path)
    readers = table_of(rig.directory.get(READERS))

    old = readers.children[SCANNER].ref
    rig.runtime.kill(old)
    eventually(lambda: (ref := readers.children[SCANNER].ref) and ref is not old and status.open)
    scanner.send(typed("still here"))

    rig.expect(["still here"])
    eventually(lambda: open_files(scanner.path) == holders)


def open_files(path):
    """How many descriptors of ours are of this file."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in between
            found += link.readlink() == path
    return found


@pytest.mark.parametrize("child", [WATCHER, SAVER, READERS])
def test_after_a_restart_of_any_part_scanners_are_read(start, child):
    rig = start()
    scanner = rig.plug()
    scanner.send(typed("before"))
    rig.expect(["before"])

    restart(rig.root.ref, f"edge/scanners/{child}", timeout=20)
    eventually(lambda: SCANNER in rig.board.scanners and rig.board.scanners[SCANNER].open)
    scanner.send(typed("after"))

    rig.expect(["before", "after"])


def test_a_scanner_in_quarantine_is_forgotten_when_it_is_unplugged(start):
    rig = start()
    scanner = rig.plug()
    quarantine(rig.root.ref, f"edge/scanners/{READERS}/{SCANNER}", timeout=20)

    scanner.unplug()
    eventually(lambda: f"{READERS}/{SCANNER}" not in rig.tree())
    rig.plug(1).send(typed("new"))

    rig.expect(["new"])


def test_switched_off_there_are_no_actors_and_evdev_stays_out_of_memory(start):
    rig = start(enabled=False)
    rig.machine.plug()

    throughout(0.1, lambda: not rig.board.scanners)
    assert not [path for path in rig.tree() if path.startswith("scanner.")]


def test_what_was_read_before_a_stop_is_in_the_outbox_after_it(start):
    rig = start()
    rig.plug().send([event for number in range(200) for event in typed(f"{number}", start=100.0 + number)])
    eventually(lambda: rig.board.scanners[SCANNER].codes == 200)

    rig.stop()
    rig.settings = msgspec.structs.replace(rig.settings, enabled=False)
    rig.start()

    assert rig.codes() == [str(number) for number in range(200)]
