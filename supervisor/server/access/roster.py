"""`ServerUsers`: the users of the broker that are no devices, while the server runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from supervisor.process.redaction import hide_secrets
from supervisor.server.access.settings import ProgramUser
from supervisor.server.access.users import Kept, Users, digest, load_kept, save_kept
from supervisor.server.mosquitto import SERVER

OUTSIDE = "broker-users.json"
"""File in the data directory for a broker that is not our child."""


class ServerUsers:
    """Read by everybody, changed by the access actor alone: each change is on the disk before it counts.

    Args:
        path: of the file that keeps them.
        server: name and password that are configured for the server; they count unless the file replaces just these.
        devices: password of the shared user that is configured; empty for none.
        prefixes: first levels of the sensors' topics.
        anonymous: whether who shows nothing may be a device without a user of its own.
        programs: users that are configured for others than devices.

    """

    def __init__(
        self,
        path: Path,
        *,
        server: tuple[str, str],
        devices: str,
        prefixes: Sequence[str],
        anonymous: bool = False,
        programs: Sequence[ProgramUser] = (),
    ) -> None:
        self._path, self._prefixes, self._programs, self.anonymous = path, prefixes, programs, anonymous
        name, password = server
        configured = Kept(server=password, server_name=name or SERVER, devices=devices, instead_of=digest(password))
        kept = load_kept(path)
        # A file without that mark is the only source: what is configured was taken from it.
        counts = kept is not None and kept.instead_of in ("", configured.instead_of)
        self._kept = kept if counts and kept is not None else configured
        if self._kept.instead_of and self._kept.devices:
            self._kept = msgspec.structs.replace(self._kept, devices=devices)
        self._hide()

    @property
    def now(self) -> Users:
        """Return who there is now; the shared user only where devices have to show something."""
        users = self._kept.users(self._prefixes, self._programs)
        return users._replace(devices=None) if self.anonymous else users

    @property
    def ends_us(self) -> int:
        """Return when the server's user of before ends; 0 where there is none."""
        return self._kept.ends_us

    def rotate(self, ends_us: int) -> None:
        """Make another user for the server; the one of now is good until `ends_us`."""
        self._keep(self._kept.rotated(ends_us))

    def end(self, now_us: int) -> bool:
        """Forget the server's user of before when its time is over; return whether that was now."""
        if not self._kept.ends_us or now_us < self._kept.ends_us:
            return False
        self._keep(self._kept.ended())
        return True

    def retire(self) -> bool:
        """Forget the shared user; return whether there was one."""
        if not self._kept.devices:
            return False
        self._keep(self._kept.retired())
        return True

    def _keep(self, kept: Kept) -> None:
        save_kept(self._path, kept)
        self._kept = kept
        self._hide()

    def _hide(self) -> None:
        hide_secrets(*filter(None, (self._kept.server, self._kept.devices, self._kept.ending)))
