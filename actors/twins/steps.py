"""What a change does to the database, in one transaction with its audit record; all run in the writer."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.payloads import RefusedError
from actors.storage.twins import find_floor, find_twin, put_desired, put_record
from actors.twins.documents import Document, encode_document, is_same, merge
from actors.twins.messages import Changed, Twin, TwinError

MOST_NAMED = 20
"""Names of changed properties in an audit record."""
BELIEVED = 2**31
"""Versions below this that a device reports may be ours, from before its record was lost; a higher one is invented."""


def change_desired(
    database: Any, serial: str, patch: Document, version: int | None, *, by: str, address: str, now_us: int
) -> Changed | TwinError:
    """Apply a patch to what is desired of a device, unless somebody else has changed it since `version`."""
    known = find_twin(database, serial)
    if version is not None and version != known.desired_version:
        return _conflict(serial, f"is at version {known.desired_version}, not {version}", known.desired_version)
    wanted = merge(known.desired, patch)
    try:
        text = encode_document(wanted, "desired")
    except RefusedError as refused:
        return TwinError("too_large" if refused.reason == "too_large" else "bad_field", refused.detail, field="desired")
    if is_same(wanted, known.desired) and known.desired_version:
        return Changed(known, is_new=False)
    changed = msgspec.structs.replace(
        known,
        desired=wanted,
        desired_version=_next_version(database, known),
        desired_us=now_us,
        changed_by=by[:255],
        to_clear=False,
    )
    if not put_desired(database, known, changed, text):
        return _conflict(serial, "was changed by somebody else at this moment", known.desired_version)
    names = sorted(name for name in patch if not is_same(wanted.get(name), known.desired.get(name)))
    record = {"action": "desired", "by": by, "from": address, "version": changed.desired_version}
    put_record(database, serial, now_us, record | {"changed": names[:MOST_NAMED]})
    return Changed(changed, is_new=True)


def _next_version(database: Any, known: Twin) -> int:
    """Return a version that this device has never seen, be it from before it was deleted: it would pass it over."""
    floor = 0 if known.desired_version else find_floor(database)
    seen = known.reported_version if known.reported_version < BELIEVED else 0
    return max(known.desired_version, seen, floor) + 1


def _conflict(serial: str, what: str, version: int) -> TwinError:
    message = f"the twin of {serial} {what}: read it and try again"
    return TwinError("conflict", message, serial=serial, desired_version=version)
