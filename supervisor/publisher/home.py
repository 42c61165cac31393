"""The data directory of one publisher: outbox, last values of its stations, state, and the lock on all of it.

    {data directory}/publisher/{id}/  lock  state.json  outbox.db  stations/{id}.json

The lock is the kernel's (`flock`): it ends with the process, however that ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from supervisor.process.lock import LockedDirectory, is_locked
from supervisor.server.instance import InstanceError

_LOCK, _STATE = "lock", "state.json"


class PublisherRunsError(InstanceError):
    """Another process holds this directory, or it cannot be used; the message is one sentence."""


class Home(LockedDirectory):
    """The directory of one publisher, held exclusively until `close`."""

    refusal = PublisherRunsError
    taken = (
        "A publisher `{path.name}` runs already (pid {holder}) on {path}; stop it first, or give this one"
        " another --id or --data-dir."
    )

    def __init__(self, path: Path) -> None:
        """Make the directory where it is missing, and take its lock.

        Raises:
            PublisherRunsError: another publisher holds it, or it cannot be used.

        """
        super().__init__(path, _LOCK)

    @property
    def outbox(self) -> Path:
        """The file of the outbox."""
        return self.path / "outbox.db"

    @property
    def state(self) -> Path:
        """The file that `muster sensor-publisher status` shows."""
        return self.path / _STATE


def read_states(base: Path) -> Iterator[dict[str, Any]]:
    """Yield the state of each publisher below `base`, by id; `running` says whether its process lives.

    The files are what the publishers left: one that was killed is not running, and its state is the last it wrote.
    """
    for path in sorted(base.glob(f"*/{_STATE}")):
        try:
            state = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            continue
        if isinstance(state, dict):
            yield {**state, "running": is_locked(path.with_name(_LOCK))}
