"""Where a follower stands, in a small file that is replaced as a whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

logger = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True):
    """A place in the table of readings."""

    written: int | None
    """Id of the last reading that the sink was given; None if it has been given none."""
    position: int
    """Everything that the sink is to have up to this id is in place."""


class ProgressFile:
    """Keeps one `Place`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Place | None:
        """Return what was saved last; None if that is nothing, or not readable."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Place)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            logger.warning("%s is not readable and counts as missing: %s", self._path, error)
            return None

    def save(self, place: Place) -> None:
        """Replace the file; after the return it survives a power cut.

        Raises:
            OSError: the file is as it was.

        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(place))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Make new and renamed entries of a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
