"""What systemd is told of this process (sd_notify(3)): that it is up, that it lives, how it is in a sentence."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

LONGEST_STATUS = 200


class Notifier:
    """Sends datagrams to `NOTIFY_SOCKET`; without one it does nothing. Never blocks and never raises."""

    def __init__(self, environ: Mapping[str, str], *, pid: int) -> None:
        """Assign.

        Args:
            environ: the environment variables that systemd has set.
            pid: ours; a watchdog that is meant for another process is none of ours.

        """
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in the abstract namespace, whose names begin with NUL (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        microseconds = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.watchdog = int(microseconds) / 1e6 if is_ours and microseconds.isdecimal() else 0.0
        """Seconds within which systemd wants to hear that we live; 0 when it does not."""

    def ready(self) -> None:
        """Say that everything is up."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that we are about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Say that we live and that all is well."""
        if self.watchdog:
            self._send("WATCHDOG=1")

    def status(self, sentence: str) -> None:
        """Show a sentence in `systemctl status`, if it is another than before."""
        if sentence != self._status:
            self._status = sentence
            self._send(f"STATUS={sentence.replace(chr(10), ' ')[:LONGEST_STATUS]}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
