"""Twins as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from actors.targets import Target
from actors.twins.documents import Document
from actors.twins.messages import Changed, Twin, TwinError


class Twins(Protocol):
    """What operators desire of devices and what these report; whoever asks has looked whether the device is known."""

    def read(self, serial: str) -> Twin:
        """Return the twin of a device; a blank one where nothing is desired and nothing was reported."""
        ...

    def change(self, serial: str, patch: Document, version: int, *, by: str, address: str) -> Changed:
        """Apply a merge patch to what is desired, and publish it.

        Args:
            serial: the device.
            patch: null deletes, objects merge.
            version: the version that the caller has seen.
            by: who changes it, for the record.
            address: from where.

        Raises:
            TwinError: `not_found`, `conflict` when it is at another version, `bad_field`, `too_large`.

        """
        ...

    def change_many(
        self, target: Target, patch: Document, *, by: str, address: str
    ) -> Sequence[tuple[str, Changed | TwinError]]:
        """Apply a merge patch to every device that is meant, whatever its version; return what became of each.

        Raises:
            LookupError: there is no such device or group.

        """
        ...
