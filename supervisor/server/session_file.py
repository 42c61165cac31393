"""The sessions of the page over a restart of the server: digests in a file of ours."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from actors.runtime import Clock
from supervisor.process.private_file import write_private
from web.sessions import SessionStore

logger = logging.getLogger(__name__)

FILE = "sessions.json"
"""In the data directory."""


def open_sessions(path: Path, clock: Clock) -> SessionStore:
    """Return the sessions that are kept in a file, and keep them there from now on.

    A file that cannot be read or written costs a login and nothing else: the log tells.
    """

    def save(kept: bytes) -> None:
        try:
            write_private(path, kept)
        except OSError as error:
            logger.warning("sessions of the page are not kept over a restart: %s", error)

    store = SessionStore(save=save, wall=clock.time)
    try:
        store.restore(path.read_bytes(), clock.monotonic())
    except FileNotFoundError:
        pass
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("sessions of the page begin anew: %s: %s", path.name, error)
    return store
