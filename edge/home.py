"""The data directory of an edge, and the lock on all of it: one process uses it at a time.

    {data directory}/edge/  lock  identity.json  enrolment.json  outbox.db  inbox.db  state.json  control.sock
                              subscriptions.json  stations/{id}.json  device.pem  ca.pem  payload-key.json

The directory may be entered by its group, so that `muster-edge scan` works for whoever is in it; what is secret in it
is 0600. The lock is the kernel's (`flock`): it ends with the process, however that ends.
"""

from __future__ import annotations

import os
from pathlib import Path

from supervisor.process.lock import LockedDirectory, is_locked

PATIENCE = 5.0
"""Seconds to wait for the lock: a restart overlaps its predecessor, and a command holds it while it queues a scan."""
DIRECTORY, LOCK = "edge", "lock"


class EdgeRunsError(Exception):
    """Another process holds the data directory, or it cannot be used; the message is one sentence."""


class Places:
    """Where everything is; holds nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity = path / "identity.json"
        """Who this board is, as it was found out at first."""
        self.enrolment = path / "enrolment.json"
        """What the server has given: credentials, 0600."""
        self.certificate = path / "device.pem"
        """Key and certificate by which the broker knows this device, 0600."""
        self.payload_key = path / "payload-key.json"
        """Our key for sealed payloads and the server's, 0600."""
        self.ca = path / "ca.pem"
        """The authority of server and broker, as the server has named it."""
        self.outbox = path / "outbox.db"
        self.inbox = path / "inbox.db"
        """What has reached this device, and what became of it."""
        self.subscriptions = path / "subscriptions.json"
        """The filters of our session at the broker."""
        self.state = path / "state.json"
        """What `muster-edge status` shows."""
        self.control = path / "control.sock"
        """Where the commands reach the running edge."""
        self.stations = path / "stations"
        """The last values of the sensors."""

    @property
    def is_running(self) -> bool:
        """Whether some process holds the directory."""
        return is_locked(self.path / LOCK)


def home_of(data_dir: Path) -> Places:
    """Return the places of the edge in a data directory, without touching any."""
    return Places(data_dir / DIRECTORY)


def become_owner(data_dir: Path) -> None:
    """As root, become the user to whom the edge in a data directory belongs, for good; others stay who they are.

    What root would make there, its service could not use. Where nothing is there yet, it will be root's.

    Raises:
        OSError: the directory cannot be looked at.

    """
    if os.geteuid() != 0:
        return
    for path in (home_of(data_dir).path, data_dir):
        if path.exists():
            owner = path.stat()
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)
            return


class Home(Places, LockedDirectory):
    """The directory of the edge, held exclusively until `close`."""

    refusal = EdgeRunsError
    taken = "An edge runs already (process {holder}) on {path}; stop it first, or give this one another --data-dir."

    def __init__(self, path: Path, *, patience: float = PATIENCE) -> None:
        """Make the directory where it is missing, and take its lock.

        Raises:
            EdgeRunsError: another process holds it, or it cannot be used.

        """
        Places.__init__(self, path)
        LockedDirectory.__init__(self, path, LOCK, mode=0o750, patience=patience)
