"""`FleetKeys`: the fleet's key, and for a time the one of before: devices with either may enrol."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from actors.enrolment.proofs import is_fleet_key
from supervisor.process.private_file import write_private
from supervisor.process.redaction import hide_secrets
from supervisor.server.access.users import digest
from supervisor.server.child import ChildError

logger = logging.getLogger(__name__)

FILE = "fleet-key.json"


class _Kept(msgspec.Struct, frozen=True):
    key: str
    before: str
    ends_us: int
    instead_of: str
    """Digest of the key in the configuration that this one replaces; another one there counts again."""


class FleetKeys:
    """Read by any thread.

    Args:
        path: of the file that keeps what a rotation has made.
        configured: the key that is configured; empty: one is made for this run.

    """

    def __init__(self, path: Path, configured: str) -> None:
        self._path = path
        self._instead_of = digest(configured) if configured else ""
        kept = self._load()
        counts = kept is not None and kept.instead_of == self._instead_of and bool(configured)
        self._kept = (
            kept
            if counts and kept is not None
            else _Kept(configured or secrets.token_urlsafe(24), "", 0, self._instead_of)
        )
        hide_secrets(*filter(None, (self._kept.key, self._kept.before)))
        self.on_change: Callable[[], None] = lambda: None
        """Called after a rotation."""

    @property
    def now(self) -> str:
        """Return the key that devices are to have."""
        return self._kept.key

    def before(self, now_us: int) -> str:
        """Return the key of before, as long as it is good; else nothing."""
        kept = self._kept
        return kept.before if now_us < kept.ends_us else ""

    def ends_us(self, now_us: int) -> int:
        """Return when the key of before ends; 0 where there is none."""
        return self._kept.ends_us if now_us < self._kept.ends_us else 0

    def fits(self, given: str, now_us: int) -> bool:
        """Return whether this is the fleet's key, or the one of before as long as that is good."""
        before = self.before(now_us)
        return is_fleet_key(self.now, given) or (bool(before) and is_fleet_key(before, given))

    def rotate(self, ends_us: int) -> str:
        """Make another key and return it; the one of now is good until `ends_us`.

        Raises:
            ChildError: it cannot be kept.

        """
        kept = _Kept(secrets.token_urlsafe(24), self.now, ends_us, self._instead_of)
        try:
            write_private(self._path, msgspec.json.encode(kept), durable=True)
        except OSError as error:
            raise ChildError(f"The fleet's key cannot be kept in {self._path}: {error.strerror}.") from None
        self._kept = kept
        hide_secrets(kept.key)
        self.on_change()
        return kept.key

    def _load(self) -> _Kept | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise ChildError(
                f"The fleet's key in {self._path} cannot be read ({error}); restore or remove it."
            ) from None
