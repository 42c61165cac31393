"""What rollouts do to the database, each step in one transaction with its audit record; all run in the writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from actors.storage.updates import (
    StoredEntry,
    find_rolled_back,
    forget_rolled_back,
    insert_entries,
    insert_rollout,
    put_record,
    put_rolled_back,
    put_windows,
    update_entries,
    update_rollout,
)
from actors.updates.header import Header
from actors.updates.messages import Origin, Windows

Record = dict[str, Any]

NEWS: Final = frozenset({"succeeded", "failed", "refused", "rolled_back", "silent"})
"""States that stand in a device's timeline."""

__all__ = ["NEWS", "Record", "begin", "find_rolled_back", "insert_entries", "save", "save_more", "set_windows", "trace"]


def trace(action: str, origin: Origin | None, **data: Any) -> Record:
    """Return an audit record; without an origin the server itself has acted."""
    who = {"by": origin.by, "from": origin.address} if origin is not None else {"by": "muster"}
    return {"action": action, **who, **data}


def begin(database: Any, header: Header, record: Record) -> None:
    """Add a rollout whose devices are there already."""
    insert_rollout(database, header)
    put_record(database, "", header.created_us, record)


def save(database: Any, header: Header, entries: Sequence[StoredEntry], records: Sequence[Record]) -> None:
    """Write what a step has changed: of the rollout itself, and the first slice of its devices."""
    update_rollout(database, header)
    for record in records:
        put_record(database, "", header.changed_us, record)
    save_more(database, header, entries)


def save_more(database: Any, header: Header, entries: Sequence[StoredEntry]) -> None:
    """Write another slice of a step."""
    update_entries(database, header.id, entries)
    now_us = header.changed_us
    for entry in entries:
        if entry.state == "rolled_back":
            put_rolled_back(database, entry.serial, header.version, now_us, entry.reason)
        elif entry.state == "succeeded":
            forget_rolled_back(database, entry.serial, header.version)
        if entry.state in NEWS:
            record = {"action": entry.state, "rollout": header.id, "version": header.version, "reason": entry.reason}
            put_record(database, entry.serial, now_us, record)


def set_windows(database: Any, site: str, windows: Windows, now_us: int, origin: Origin) -> None:
    """Set the maintenance windows of a site."""
    put_windows(database, site, windows, now_us, origin.by)
    put_record(database, "", now_us, trace("windows", origin, site=site, windows=len(windows)))
