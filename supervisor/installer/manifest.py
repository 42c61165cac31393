"""What an installation has made, in the order in which it was made; kept in the installation, for root's eyes only.

Every record is written before its step is tried, so that an installation that was broken off can be removed, too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from supervisor.installer.step import Record
from supervisor.installer.target import InstallError
from supervisor.process.private_file import write_private

_FORMAT = 1


class Manifest:
    """The records of an installation and what it remembers of its choices and secrets."""

    def __init__(self, path: Path) -> None:
        """Read what is there; an installation that never was has no records.

        Raises:
            InstallError: the file cannot be read or is none of ours.

        """
        self.path = path
        self._records: dict[tuple[str, str], Record] = {}
        self.remembered: dict[str, str] = {}
        """Choices of earlier runs, which a run without flags repeats; saved with the next record."""
        try:
            self._take(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InstallError(
                f"The manifest {path} cannot be used ({error}); without it nothing can be removed or changed safely."
            ) from None

    @property
    def records(self) -> list[Record]:
        """Return the records, the first made first."""
        return list(self._records.values())

    def get(self, kind: str, path: str) -> Record | None:
        """Return what is kept of a step."""
        return self._records.get((kind, path))

    def put(self, record: Record) -> None:
        """Keep a record, in the place of an earlier one of the same thing, and save."""
        self._records[record["kind"], record["path"]] = record
        self.save()

    def drop(self, record: Record) -> None:
        """Forget a record and save."""
        self._records.pop((record["kind"], record["path"]), None)
        self.save()

    def save(self) -> None:
        """Have it on the disk."""
        content = {"format": _FORMAT, "remembered": self.remembered, "records": self.records}
        write_private(self.path, json.dumps(content, indent=1).encode(), durable=True)

    def _take(self, content: Any) -> None:
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r} is not known to this version")
        self.remembered = {str(name): str(value) for name, value in content["remembered"].items()}
        self._records = {(record["kind"], record["path"]): dict(record) for record in content["records"]}
