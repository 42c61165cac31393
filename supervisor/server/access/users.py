"""The users of the broker that are no devices, and what the broker is told before it starts.

Their passwords lie in a file of mode 0600, since the broker has to be reached before the database is. While the
server's password changes, the file names the user of before too, and until when it is good.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from supervisor.process.private_file import write_private
from supervisor.server.access.accounts import SERVERS, Account, Everyone
from supervisor.server.access.dynsec_file import prepare
from supervisor.server.access.files import PASSWORDS, RIGHTS, access_list, password_names, write_files
from supervisor.server.access.settings import ProgramUser
from supervisor.server.child import ChildError
from supervisor.server.mosquitto import DEVICES, SERVER, BrokerUser, password_file

USERS = "users.json"
DYNSEC = "dynsec.json"


class Users(NamedTuple):
    """Who may use a broker that we manage, beside the devices that have a user of their own."""

    server: BrokerUser
    devices: BrokerUser | None
    """The one that all devices of releases before share; None once it is retired."""
    prefixes: Sequence[str] = ()
    """First levels of the topics on which sensors publish."""
    ending: BrokerUser | None = None
    """The server's user of before, while its password changes."""
    programs: Sequence[ProgramUser] = ()
    """Those that are configured for others than devices."""

    @property
    def servers(self) -> list[BrokerUser]:
        """Return all users with which the server may connect now."""
        return [self.server, *([self.ending] if self.ending is not None else [])]

    def with_devices(self, devices: Sequence[Account], *, anonymous: bool) -> Everyone:
        """Return all who may use the broker; `anonymous`: whether who shows nothing may be a device without a user."""
        return Everyone(self.servers, devices, self.devices, anonymous, self.prefixes, self.programs)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    server: str
    """The server's password."""
    devices: str = ""
    """The shared user's; empty once it is retired."""
    server_name: str = SERVER
    ending_name: str = ""
    ending: str = ""
    """Name and password of the user of before."""
    ends_us: int = 0
    """Until when that is good."""
    instead_of: str = ""
    """Digest of the password in the configuration that this one replaces; another one there counts again."""

    def __repr__(self) -> str:
        return f"Kept(server_name={self.server_name!r})"

    def users(self, prefixes: Sequence[str], programs: Sequence[ProgramUser] = ()) -> Users:
        """Return the users that the file tells of."""
        return Users(
            BrokerUser(self.server_name, self.server),
            BrokerUser(DEVICES, self.devices) if self.devices else None,
            prefixes,
            BrokerUser(self.ending_name, self.ending) if self.ending_name else None,
            programs,
        )

    def rotated(self, ends_us: int) -> Kept:
        """Return the same with another user for the server, the one of now being good until `ends_us`."""
        following = SERVERS[1] if self.server_name == SERVERS[0] else SERVERS[0]
        return msgspec.structs.replace(
            self,
            server=secrets.token_urlsafe(24),
            server_name=following,
            ending_name=self.server_name,
            ending=self.server,
            ends_us=ends_us,
        )

    def ended(self) -> Kept:
        """Return the same without the user of before."""
        return msgspec.structs.replace(self, ending_name="", ending="", ends_us=0)

    def retired(self) -> Kept:
        """Return the same without the shared user."""
        return msgspec.structs.replace(self, devices="")


def keep_users(directory: Path, prefixes: Sequence[str], programs: Sequence[ProgramUser] = ()) -> Users:
    """Return the users of the broker of this directory, made up at the first time.

    Raises:
        ChildError: the file cannot be read or written.

    """
    path = directory / USERS
    kept = load_kept(path)
    if kept is None:
        kept = Kept(server=secrets.token_urlsafe(24), devices=secrets.token_urlsafe(24))
        save_kept(path, kept)
    return kept.users(prefixes, programs)


def load_kept(path: Path) -> Kept | None:
    """Return what the file holds; None where there is none.

    Raises:
        ChildError: it cannot be read.

    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise _unusable(path, error) from None


def save_kept(path: Path, kept: Kept) -> None:
    """Write the file; raises as `load_kept`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, msgspec.json.encode(kept), durable=True)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> ChildError:
    return ChildError(
        f"The broker's users in {path} cannot be used ({error}); remove the file, and devices enrol anew."
    )


def digest(password: str) -> str:
    """Return what tells one configured password from another without telling it."""
    return hashlib.sha256(f"muster-configured\n{password}".encode()).hexdigest()


def write_start(directory: Path, users: Users, *, dynsec: bool, anonymous: bool) -> None:
    """Write what Mosquitto reads when it starts, see `start_files`; raises OSError if the directory is not ours."""
    write_files(directory, start_files(directory, users, dynsec=dynsec, anonymous=anonymous))


def start_files(directory: Path, users: Users, *, dynsec: bool, anonymous: bool) -> dict[str, str]:
    """Return by name what Mosquitto reads when it starts; devices that it knew it knows still.

    Args:
        directory: where its files lie.
        users: who there is beside the devices.
        dynsec: whether there is the plugin, too.
        anonymous: whether who shows nothing may be a device that has no user.

    """
    before = _read(directory / PASSWORDS)
    names = password_names(before)
    others = [*users.servers, *([users.devices] if users.devices is not None else [])]
    others += [BrokerUser(user.name, user.password) for user in users.programs]
    kept = "".join(f"{name}:{hashed}\n" for name, hashed in names.items())
    everyone = users.with_devices([Account(name, "") for name in names], anonymous=anonymous)
    texts = {PASSWORDS: password_file(others, before) + kept, RIGHTS: access_list(everyone)}
    if dynsec:
        texts[DYNSEC] = prepare(directory / DYNSEC, users.servers, users.prefixes).decode()
    return texts


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
