"""What the broker is told of its users; pure, apart from the key.

The password of a device is derived, HMAC-SHA256 of its name and a nonce with a key that lies in a file of its own
(0600): the database holds nothing that opens the broker, and yet a broker that has lost everything gets all of it back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple, Protocol

from actors.topics import SHARED_VERBS, sensor_data, site_control, site_data
from supervisor.process.private_file import write_private
from supervisor.server.access.settings import ProgramUser
from supervisor.server.child import ChildError
from supervisor.server.mosquitto import DEVICES, SERVER, BrokerUser

SERVERS = (SERVER, f"{SERVER}~2")
"""Names of the server's user, by turns: while its password changes both are good. No serial number has a `~`."""
RESERVED = frozenset({SERVER, DEVICES}) | SHARED_VERBS
"""No device may have such a serial number here: users that are no devices, and `devices/announce` is everybody's."""
_KEY_BYTES = 32


class BrokerAwayError(Exception):
    """The broker did not take what it was told; it is told again. The message is one sentence without its full stop."""


class Account(NamedTuple):
    """A device as the broker has to know it."""

    serial: str
    """Its user name, and its client id where the mechanism can pin that."""
    password: str
    publishes: bool = False
    """Whether it may publish for a site or as a sensor: their topics bear no serial numbers."""
    topics: tuple[str, ...] = ()
    """Further topics that it may read: its `device_token`."""

    def __repr__(self) -> str:
        return f"Account({self.serial!r})"


class Everyone(NamedTuple):
    """All who may use the broker: what the mechanisms bring it to."""

    servers: Sequence[BrokerUser]
    """The server; while its password changes under its old name and its new one."""
    devices: Sequence[Account]
    shared: BrokerUser | None = None
    """The user of all devices of releases before; None once it is retired."""
    anonymous: bool = False
    """Whether who shows nothing may be a device that has no user: on loopback alone."""
    prefixes: Sequence[str] = ()
    programs: Sequence[ProgramUser] = ()
    """Users that are configured for others than devices."""


class Mechanism(Protocol):
    """How a broker is told; every method blocks for a few seconds at most and may raise `BrokerAwayError`."""

    def known(self) -> set[str]:
        """Return the devices that have a user there."""
        ...

    def lacking(self, serials: AbstractSet[str]) -> set[str]:
        """Return those of these devices that the broker has to be told of, as far as was known last."""
        ...

    def apply(
        self, everyone: Everyone, put: Sequence[Account], remove: Iterable[str], rights: Sequence[Account] = ()
    ) -> list[str]:
        """Bring the broker to `everyone`; return which of `put` it has taken: the others have to come again.

        Args:
            everyone: all that there is.
            put: of these devices, those that are new or have another password.
            remove: those that are no more; who is connected as one of them is disconnected.
            rights: those that may read other topics than before; they stay connected.

        """
        ...


def keep_key(path: Path) -> bytes:
    """Return the key of a server, made at the first time.

    Raises:
        ChildError: the file cannot be read or written.

    """
    try:
        if path.exists():
            return _read_key(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = secrets.token_bytes(_KEY_BYTES)
        write_private(path, f"{key.hex()}\n".encode(), durable=True)
    except (OSError, ValueError) as error:
        raise ChildError(
            f"The key of the broker's passwords in {path} cannot be used ({error}); restore it from a backup, or remove"
            " it: then every device enrols anew."
        ) from None
    return key


def _read_key(path: Path) -> bytes:
    key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    if len(key) != _KEY_BYTES:
        raise ValueError("it has another length")
    return key


def derive_password(key: bytes, serial: str, nonce: str) -> str:
    """Return the password of a device: 43 characters that need no quoting."""
    digest = hmac.new(key, f"muster-broker\n{serial}\n{nonce}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def own_topics(name: str, client_id: str) -> list[str]:
    """Return the filters of what bears a user's name, and of where its link finds its own place in what comes."""
    return [f"devices/{name}/#", f"server/markers/{client_id}"]


def site_topics(prefixes: Sequence[str]) -> list[str]:
    """Return the filters of what sites and sensors publish."""
    return [*site_control(None), *site_data(None), *sensor_data(prefixes)]


def told_topics(prefixes: Sequence[str]) -> list[str]:
    """Return the topics that every device may read."""
    analyses = [f"{prefix}/{told}" for prefix in prefixes for told in ("soil-health/analysis", "status")]
    return ["server/discovery", "server/requests", *analyses]
