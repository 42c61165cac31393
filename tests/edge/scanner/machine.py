"""A machine with input devices: nodes that are FIFOs, and the files in which the kernel describes them."""

from __future__ import annotations

import os
import select
import struct
from pathlib import Path
from typing import Self

from edge.scanner import keys
from edge.scanner.settings import ScannerSettings
from tests.edge.scanner.recording import INPUT_EVENT, packed

_WORD = 8 * struct.calcsize("L")
_ATOMIC = select.PIPE_BUF // INPUT_EVENT.size * INPUT_EVENT.size
"""Bytes that are written to a FIFO as a whole or not at all."""
KEYBOARD = keys.DIGITS | keys.LETTERS | {keys.KEYS["enter"], keys.KEYS["space"]} | keys.MODIFIERS
MOUSE = {0x110, 0x111}


class Plugged:
    """A device that is plugged in; the test plays its part."""

    def __init__(self, path: Path, sys: Path) -> None:
        self.path = path
        self._sys = sys
        # Also open for reading: a FIFO that only a writer has cannot be opened, and must not block.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def send(self, events) -> None:
        """Events, as the kernel gives them to who has opened the device: never a part of one."""
        os.set_blocking(self._fd, True)
        data = packed(events)
        for start in range(0, len(data), _ATOMIC):
            os.write(self._fd, data[start : start + _ATOMIC])

    def unplug(self) -> None:
        """The node goes first, then whoever reads is told."""
        self.path.unlink()
        for path in sorted(self._sys.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        self._sys.rmdir()
        self.close()

    def close(self) -> None:
        """Let go of the FIFO; its reader sees the end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Machine:
    """`/dev/input` and `/sys/class/input`; use it as a context manager."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sys = root / "dev" / "input", root / "sys" / "class" / "input"
        self.dev.mkdir(parents=True)
        self.sys.mkdir(parents=True)
        self._plugged: list[Plugged] = []

    def settings(self, **changes) -> ScannerSettings:
        return ScannerSettings(device_dir=str(self.dev), sys_dir=str(self.sys), **changes)

    def describe(
        self,
        number: int = 0,
        *,
        name: str = "Symbol Technologies, Inc, 2008 Symbol Bar Code Scanner",
        usb: str = "05e0:1200",
        bus: int = 3,
        phys: str = "usb-3f980000.usb-1.2/input0",
        uniq: str = "",
        can=KEYBOARD,
    ) -> Path:
        """What the kernel says of a device."""
        base = self.sys / f"event{number}" / "device"
        vendor, _, product = usb.partition(":")
        bits = sum(1 << code for code in can)
        words = [f"{bits >> shift & (1 << _WORD) - 1:x}" for shift in range(0, 0x300, _WORD)]
        files = {
            "name": name,
            "phys": phys,
            "uniq": uniq,
            "id/bustype": f"{bus:04x}",
            "id/vendor": vendor,
            "id/product": product,
            "capabilities/key": " ".join(reversed(words)),
        }
        for file, text in files.items():
            (base / file).parent.mkdir(parents=True, exist_ok=True)
            (base / file).write_text(f"{text}\n")
        return base.parent

    def plug(self, number: int = 0, **facts) -> Plugged:
        """A device appears."""
        sys = self.describe(number, **facts)
        path = self.dev / f"event{number}"
        os.mkfifo(path)
        device = Plugged(path, sys)
        self._plugged.append(device)
        return device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for device in self._plugged:
            device.close()
