"""`ScannerReader`: reads one scanner. It has a thread because it sleeps in a selector until a key comes.

Unplugging ends it cleanly; the watcher starts it again when the device is back. A device that cannot be opened yet
(udev has not given it to us, or another program has grabbed it) is tried again until it can.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from actors.link.poller import Poller
from actors.runtime import Directory, Runtime, ThreadedActor
from edge.scanner.board import ScannerBoard, ScannerStatus
from edge.scanner.decoder import Decoder
from edge.scanner.messages import Keep
from edge.scanner.settings import ScannerSettings
from edge.scanner.source import GoneError, Source
from edge.scans import make_scan

logger = logging.getLogger(__name__)

OPEN_AGAIN = 1.0
"""Seconds until a device that could not be opened is tried again."""
NO_TIMEOUT = 3_600.0
"""Seconds to sleep where only a key or a message ends the sleep."""


class ScannerReader(ThreadedActor):
    """Reads a scanner from plug to unplug."""

    def __init__(
        self,
        status: ScannerStatus,
        *,
        settings: ScannerSettings,
        device_id: str,
        saver: str,
        directory: Directory,
        runtime: Runtime,
        board: ScannerBoard,
    ) -> None:
        """Assign.

        Args:
            status: what the scanner shows; ours as long as the board holds it.
            settings: how it is read.
            device_id: who we are: scans bear it.
            saver: name of the actor that is told `Keep`.
            directory: where it is found.
            runtime: the clock.
            board: where scanners are shown.

        """
        super().__init__()
        self._status, self._settings, self._device_id = status, settings, device_id
        self._saver, self._directory, self._runtime, self._board = saver, directory, runtime, board
        self._source: Source | None = None
        self._last: tuple[str, float] = ("", float("-inf"))
        """The last code and when it was read, monotonic seconds."""
        self._pause_over_at = 0.0
        """When a pause will have ended the code that has begun, monotonic seconds."""

    def on_start(self) -> None:
        """Begin to read."""
        settings = self._settings
        self._decoder = Decoder(
            settings.make_layout(), end_keys=settings.end_keys, pause=settings.pause, tally=self._status.tally
        )
        self._poller = Poller()
        self.actor_inbox.on_put = self._poller.wake

    def on_receive(self, message: Any) -> None:
        """Go on reading: nobody has anything to tell us but to stop."""
        logger.warning("%s: unexpected message %.200r", self._status.device.id, message)
        self._read_until_mail()

    def on_stop(self) -> None:
        """Forget what was begun: half a code is no scan. The device is let go by the loop, which ends now."""
        self._decoder.discard()

    def sever(self) -> None:
        """End the sleep; nothing else here can hang."""
        if hasattr(self, "_poller"):
            self._poller.wake()

    def _actor_loop_running(self) -> None:
        try:
            self._read_until_mail()
            super()._actor_loop_running()
        except Exception:  # noqa: BLE001 - a crash outside a message is a crash of the actor like any other
            self._handle_failure(*sys.exc_info())
        finally:  # however we end, also when we are given up: our successor wants to grab the device
            self._release()

    def _read_until_mail(self) -> None:
        try:
            while self.actor_inbox.empty() and not self.actor_stopped.is_set() and not self.given_up:
                self._round()
        except GoneError:
            status, scanners = self._status, self._board.scanners
            logger.info("the scanner %s is gone", status.device.id)
            if scanners.get(status.device.id) is status:
                del scanners[status.device.id]
            self.stop()

    def _round(self) -> None:
        """Sleep until there is something to read; read it.

        Raises:
            GoneError: the device was unplugged.

        """
        source = self._source or self._open()
        if source is None:
            self._sleep(OPEN_AGAIN)
            return
        may_pause = self._settings.pause > 0 and self._decoder.pending
        if self._sleep(max(0.0, self._pause_over_at - self._now()) if may_pause else NO_TIMEOUT):
            for event in source.read():
                self._take(self._decoder.feed(*event))
            self._pause_over_at = self._now() + self._settings.pause
        elif may_pause and self._now() >= self._pause_over_at:  # else a message has woken us
            self._take(self._decoder.flush())

    def _sleep(self, seconds: float) -> bool:
        """Return whether there is something to read; the watchdog knows that we are at rest."""
        inbox = self.actor_inbox
        envelope = inbox.current
        inbox.rest()
        readable, _ = self._poller.wait(seconds)
        inbox.begin(envelope)
        return readable

    def _open(self) -> Source | None:
        """Open the device; None if that is not possible now.

        Raises:
            GoneError: it was unplugged.

        """
        status = self._status
        try:
            self._source = source = Source(status.device.path, grab=self._settings.grab)
        except OSError as error:
            self._cannot_open(error)
            return None
        self._poller.watch(source, read=True, write=False)  # type: ignore[arg-type]  # anything with a `fileno` does
        status.open, status.error = True, ""
        logger.info("reading the scanner %s (%s) at %s", status.device.id, status.device.name, status.device.path)
        return source

    def _cannot_open(self, error: OSError) -> None:
        why = f"{self._status.device.path} cannot be opened: {error.strerror or error}"
        if why != self._status.error:
            logger.warning("the scanner %s: %s; trying again", self._status.device.id, why)
        self._status.error = why

    def _take(self, codes: list[str]) -> None:
        """Make scans of codes and hand them on."""
        status = self._status
        for code in codes:
            status.codes += 1
            if self._is_repeated(code):
                status.repeated += 1
                continue
            now_us = int(self._runtime.clock.time() * 1e6)
            status.last_code_us = now_us
            scan = make_scan(self._device_id, code, scanner=status.device.id, now_us=now_us)
            self._directory.tell(self._saver, Keep(scan))

    def _is_repeated(self, code: str) -> bool:
        """Return whether the same code was read a moment ago; each repetition makes that moment anew."""
        now = self._now()
        before, at = self._last
        self._last = (code, now)
        return code == before and now - at < self._settings.debounce

    def _now(self) -> float:
        return self._runtime.clock.monotonic()

    def _release(self) -> None:
        if not self.given_up:
            self._status.open = False
        self.actor_inbox.on_put = None
        if hasattr(self, "_poller"):
            self._poller.close()
        if self._source is not None:
            self._source.close()
            self._source = None
