"""`ScannerWatcher`: every scanner that is plugged in has a reader, every reader its scanner.

It compares what there is with what should be and acts on the difference, again and again until there is none: nothing
that gets lost on the way between udev, the supervisor and a reader can leave a scanner unread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from actors.runtime import Directory, PooledActor, Runtime
from edge.scanner.board import ScannerBoard
from edge.scanner.devices import Device, Stamp, Verdict, list_devices, stamp
from edge.scanner.messages import Look
from edge.scanner.settings import ScannerSettings
from supervisor import StartTemplated, TerminateChild

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks; one costs a listing of a dozen names while nothing has changed."""


class ScannerWatcher(PooledActor):
    """Looks for devices. Pooled, because what it reads are files of the kernel, which are in memory."""

    def __init__(
        self,
        *,
        settings: ScannerSettings,
        choose: Callable[[Device], Verdict],
        readers: str,
        directory: Directory,
        runtime: Runtime,
        board: ScannerBoard,
    ) -> None:
        """Assign.

        Args:
            settings: where devices are.
            choose: which of them are read.
            readers: name of the dynamic supervisor of the readers.
            directory: where it is found.
            runtime: timers.
            board: who is read.

        """
        super().__init__()
        self._settings, self._choose = settings, choose
        self._readers, self._directory = readers, directory
        self._runtime, self._board = runtime, board
        self._next_at = 0.0
        self._stamp: Stamp = ()
        self._wanted: dict[str, Device] = {}
        self._passed: set[Stamp] = set()
        """Nodes of which has been said why they are not read."""

    def on_start(self) -> None:
        """Look at once."""
        self._look()

    def on_receive(self, message: Any) -> None:
        """Look again."""
        match message:
            case Look():
                if message.due_at == self._next_at:
                    self._look()
            case _:
                logger.warning("the watcher of scanners does not know %.200r", message)

    def _look(self) -> None:
        self._next_at = self._runtime.clock.monotonic() + LOOK_EVERY
        self._runtime.timers.at(self._next_at, self.actor_ref, Look(self._next_at))
        now = stamp(self._settings)
        if now != self._stamp:
            self._stamp = now
            self._wanted = self._find()
        self._end_the_gone()
        self._start_the_new()

    def _find(self) -> dict[str, Device]:
        found: dict[str, Device] = {}
        for device in list_devices(self._settings):
            verdict = self._choose(device)
            if verdict.is_scanner:
                found[device.id] = device
            elif device.types_digits and device.node not in self._passed:
                self._passed.add(device.node)
                logger.info("%s (%s, %s) is not read: %s", device.path, device.name, device.usb_id, verdict.why)
        return found

    def _end_the_gone(self) -> None:
        """Forget readers whose device is gone; most have ended by themselves, one in quarantine has not."""
        for device_id, status in tuple(self._board.scanners.items()):
            wanted = self._wanted.get(device_id)
            if wanted is None or wanted.node != status.device.node:
                self._board.scanners.pop(device_id, None)
                self._directory.tell(self._readers, TerminateChild(child_id=device_id))

    def _start_the_new(self) -> None:
        """Start who has no reader; refused while the one before is still about to end, and done at the next look."""
        for device_id, device in self._wanted.items():
            if device_id not in self._board.scanners:
                self._directory.tell(self._readers, StartTemplated(child_id=device_id, args=(device,)))
