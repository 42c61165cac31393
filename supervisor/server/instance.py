"""One server process per data directory: the instance id and the lock that guards it.

The id names the server's persistent MQTT session, so two processes with the same id would throw each other off the
broker for ever. The lock is the kernel's (`flock`): it ends with the process, however that ends.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path

from supervisor.process.lock import LockedDirectory
from supervisor.process.private_file import write_private

RESTORING = "restoring"
"""File in a data directory that is being replaced by a backup (`supervisor.backup.restore`): half of each, maybe."""
_ID = re.compile(r"[0-9a-f]{8,32}")


class InstanceError(Exception):
    """The data directory cannot be used; the message is one sentence."""


class Instance(LockedDirectory):
    """The identity of this server, held exclusively until `close`."""

    refusal = InstanceError
    taken = (
        "Another Muster server (pid {holder}) is using the data directory {path}; stop it first"
        " or give this one a directory of its own with --data-dir."
    )

    def __init__(self, data_dir: Path) -> None:
        """Take the lock of `data_dir`, making the directory and the id where they are missing.

        Raises:
            InstanceError: if another process holds it, or the directory cannot be used.

        """
        super().__init__(data_dir, "instance.lock")
        try:
            self.id = read_id(data_dir) or _create_id(data_dir / "instance")
        except OSError as error:
            self.close()
            raise InstanceError(f"The instance id in {data_dir} cannot be used: {error.strerror}.") from None
        except InstanceError:
            self.close()
            raise

    @property
    def server_id(self) -> str:
        """Return the name that the world may know this server by."""
        return public_name(self.id)


def public_name(instance_id: str) -> str:
    """Return a name that does not give the id away.

    The id is part of our MQTT client ids, and whoever connects with one of those takes the session over, with all that
    waits in it: it stays between us and the broker.
    """
    return hashlib.sha256(f"muster-server\n{instance_id}".encode()).hexdigest()[:12]


def read_id(data_dir: Path) -> str:
    """Return the instance id of a data directory, empty where there is none yet; changes nothing.

    Raises:
        InstanceError: no server may start on it.
        OSError: it cannot be read.

    """
    if (data_dir / RESTORING).exists():
        raise InstanceError(
            f"A restore of the data directory {data_dir} was interrupted; repeat it: `muster restore FILE --force`."
        )
    path = data_dir / "instance"
    try:
        found = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
    if not _ID.fullmatch(found):
        # A new id would abandon what the broker queued under the old one: that is for the operator to decide.
        raise InstanceError(f"The file {path} does not hold an instance id; restore it, or delete it to get a new one.")
    return found


def _create_id(path: Path) -> str:
    """Write a new id so that a power cut leaves either no file or a whole one."""
    new = secrets.token_hex(8)
    write_private(path, f"{new}\n".encode(), durable=True)
    return new
