"""In-memory twin of the twins."""

from __future__ import annotations

import msgspec

from actors.targets import UnknownTargetError
from actors.twins.documents import merge
from actors.twins.messages import Changed, Twin, TwinError
from tests.web.fake_soil import NOON


class FakeTwins:
    """Keeps what is desired; the versions of all are counted from 1."""

    def __init__(self):
        self.twins = {}
        self.changed_by = []

    def read(self, serial):
        return self.twins.get(serial, Twin(serial=serial))

    def report(self, serial, version, **reported):
        twin = self.read(serial)
        self.twins[serial] = msgspec.structs.replace(
            twin, reported=reported, reported_version=version, reported_us=NOON + 1_000_000
        )

    def change(self, serial, patch, version, *, by, address):
        twin = self.read(serial)
        at = twin.desired_version
        if version != at:
            raise TwinError("conflict", f"the twin of {serial} is at version {at}", serial=serial, desired_version=at)
        return self._change(serial, patch, by, address)

    def change_many(self, target, patch, *, by, address):
        if target.group and target.group != "pumps":
            raise UnknownTargetError("group", target.group)
        serials = target.devices or (target.device or "a",)
        return [(serial, self._outcome(serial, patch, by, address)) for serial in serials]

    def _outcome(self, serial, patch, by, address):
        try:
            return self._change(serial, patch, by, address)
        except TwinError as error:
            return error

    def _change(self, serial, patch, by, address):
        twin = self.read(serial)
        desired = merge(twin.desired, patch)
        if len(str(desired)) > 40_000:
            raise TwinError("too_large", "`desired` is too large", field="desired")
        if desired == twin.desired:
            return Changed(twin, is_new=False)
        self.changed_by.append((serial, by, address))
        self.twins[serial] = msgspec.structs.replace(
            twin, desired=desired, desired_version=twin.desired_version + 1, desired_us=NOON, changed_by=by
        )
        return Changed(self.twins[serial], is_new=True)
