"""A scanner that the kernel itself plays, from /dev/uinput to the outbox: the only test that needs real devices."""

from __future__ import annotations

import os
from pathlib import Path

import evdev
import pytest

from actors.outbox import Put
from actors.runtime import Directory, PooledActor, Runtime
from edge.scanner import keys
from edge.scanner.devices import Verdict
from edge.scanner.layouts import make_layout
from edge.scanner.settings import ScannerSettings
from edge.scanner.source import Source
from edge.scanner.tree import ScannerParts, scanners_spec
from supervisor import ChildSpec, Root, Supervisor
from tests.edge.scanner.recording import Typist
from tests.support.wait import eventually

UINPUT = "/dev/uinput"
NAME = "Muster test barcode scanner"


@pytest.fixture
def virtual():
    """A virtual scanner, and its node."""
    if not os.access(UINPUT, os.W_OK):
        pytest.skip(f"needs {UINPUT}, which is not here or may not be written (modprobe uinput, as root)")
    capabilities = {evdev.ecodes.EV_KEY: sorted(keys.KEYS.values())}
    with evdev.UInput(capabilities, name=NAME, bustype=evdev.ecodes.BUS_USB) as device:
        eventually(lambda: device.device is not None and Path(device.device.path).exists(), what="a node in /dev/input")
        yield device


class Kept(PooledActor):
    def __init__(self, payloads):
        super().__init__()
        self._payloads = payloads

    def on_receive(self, message):
        if isinstance(message, Put):
            self._payloads += [item.payload for item in message.items]
            message.reply_to.set(len(message.items))


def test_what_the_kernel_types_is_read_and_grabbed_and_its_end_is_clean(virtual):
    runtime, directory, payloads = Runtime.system(), Directory(), []
    choose = lambda device: Verdict(is_scanner=device.name == NAME, why="the test")  # noqa: E731 - one line of policy
    parts = ScannerParts(runtime, directory, ScannerSettings(), "pi-1", outbox="kept", choose=choose)
    children = (ChildSpec("kept", lambda: Kept(payloads)), scanners_spec(parts))
    runtime.start()
    root = Root(runtime, Supervisor(runtime=runtime, directory=directory, children=children))
    eventually(lambda: parts.board.connected == 1)
    (status,) = parts.board.scanners.values()

    with pytest.raises(OSError, match="busy"):
        Source(status.device.path, grab=True)
    for kind, code, value, _ in Typist(make_layout("us")).type("4006381333931"):
        virtual.write(kind, code, value)
    eventually(lambda: any(b'"code":"4006381333931"' in payload for payload in payloads))

    virtual.close()
    eventually(lambda: not parts.board.scanners)

    root.stop(timeout=20)
    runtime.stop()
