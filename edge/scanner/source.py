"""Where key events come from: a device of the kernel, or a recording of one that is played through a FIFO.

Both are read by evdev, on the same way. The file is opened here rather than by `evdev.InputDevice`, which asks a device
for much that is not needed and, where it has no answer to one of these questions, fails without an exception
(`SystemError`); it also asks for write access first.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import Any

_EVIOCGRAB = 0x40044590
"""ioctl: from now on the events go to this reader alone (`linux/input.h`)."""
_EVIOCSCLOCKID = 0x400445A0
"""ioctl: the clock that stamps the events."""
_CLOCK_MONOTONIC = 1

GONE = frozenset({2, 6, 19})
"""Errors that mean an unplugged device: ENOENT, ENXIO, ENODEV."""

Event = tuple[int, int, int, float]
"""Type, code, value, time in seconds: as `Decoder.feed` takes them."""


class GoneError(Exception):
    """The device is no longer there."""


class Source:
    """One open device. Only `close` may be called twice."""

    def __init__(self, path: Path, *, grab: bool) -> None:
        """Open the device.

        Args:
            path: of the node, or of a FIFO.
            grab: take it for ourselves.

        Raises:
            GoneError: there is no such device any more.
            OSError: it cannot be opened now: no permission, or another program has grabbed it.

        """
        self._io = _make_io()
        try:
            self._io.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _translate(error) from None
        try:
            if stat.S_ISCHR(os.fstat(self._io.fd).st_mode):
                self._prepare(grab=grab)
        except OSError as error:
            self.close()
            raise _translate(error) from None

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        fd: int = self._io.fd
        return fd

    def read(self) -> list[Event]:
        """Return the events that wait, perhaps none; never blocks.

        Raises:
            GoneError: the device was unplugged, or the recording has ended.

        """
        try:
            events = [(event.type, event.code, event.value, event.timestamp()) for event in self._io.read()]
        except BlockingIOError:
            return []
        except OSError as error:
            raise _translate(error) from None
        if not events:  # only a FIFO has an end; a device fails
            raise GoneError
        return events

    def close(self) -> None:
        """Let the device go; the kernel ends the grab."""
        fd, self._io.fd = self._io.fd, -1
        if fd >= 0:
            os.close(fd)

    def _prepare(self, *, grab: bool) -> None:
        # The wall clock may be set while a code is typed, and a pause would appear that was none.
        fcntl.ioctl(self._io.fd, _EVIOCSCLOCKID, struct.pack("i", _CLOCK_MONOTONIC))
        if grab:
            fcntl.ioctl(self._io.fd, _EVIOCGRAB, 1)


def _make_io() -> Any:
    """Return evdev's reader, which wants nothing but a descriptor in `fd`."""
    from evdev.eventio import EventIO  # loads evdev; only now, because most edges have no scanner

    return EventIO()


def _translate(error: OSError) -> Exception:
    return GoneError() if error.errno in GONE else error
