"""In-memory twins of the releases and of what the rollouts answer to devices."""

from __future__ import annotations

import io
import threading
from collections import Counter

from tests.web.fake_soil import NOON
from web.releases import OpenRelease, ReleasesRefusedError

RELEASE = {
    "id": "0" * 32,
    "version": "1.2",
    "name": "muster-fleet",
    "size": 10,
    "sha256": "a" * 64,
    "key_id": "b" * 16,
    "created": "2026-01-01T00:00:00.000Z",
    "requires_python": "",
    "platforms": ["cp311-linux_x86_64"],
    "replaces_from": "",
    "wheels": 3,
    "uploaded_us": NOON,
    "uploaded_by": "admin ops",
    "revoked_us": None,
    "revoked_by": "",
    "reason": "",
    "here": True,
}


class FakeReleases:
    """One release, of ten bytes unless `content` says otherwise."""

    def __init__(self):
        self.content = b"0123456789"
        self.rows = {"1.2": RELEASE}
        self.revoked = set()
        self.told = []
        self.outcomes = Counter()
        self.ended = threading.Event()

    def items(self, limit, cursor):
        if cursor:
            raise ValueError(cursor)
        return list(self.rows.values())[:limit], None

    def get(self, version):
        if version not in self.rows:
            raise ReleasesRefusedError(404, "not_found", f"there is no release of version {version}")
        return self.rows[version]

    def begin(self, *, size, sha256, name, by):
        if size > 1000:
            raise ReleasesRefusedError(507, "full", "there is no room")
        self.told.append(("begin", size, sha256, name, by))
        return {"id": sha256[:32], "offset": 0, "release": None}

    def append(self, upload, offset, chunk, by):
        if offset != 3:
            raise ReleasesRefusedError(409, "wrong_offset", "the next byte is 3", {"offset": 3})
        self.told.append(("append", upload, offset, chunk, by))
        return {"offset": offset + len(chunk), "release": RELEASE["version"] if chunk == b"the end" else None}

    def revoke(self, version, reason, by):
        self.told.append(("revoke", version, reason, by))
        self.rows[version] = self.get(version) | {"revoked_us": NOON, "revoked_by": by, "reason": reason}
        return self.rows[version]

    def delete(self, version, by):
        self.get(version)
        self.told.append(("delete", version, by))

    def open(self, release_id):
        if release_id in self.revoked:
            raise ReleasesRefusedError(410, "revoked", "1.2 was revoked")
        if release_id != RELEASE["id"]:
            raise ReleasesRefusedError(404, "not_found", f"there is no release {release_id}")
        return OpenRelease(io.BytesIO(self.content), len(self.content), RELEASE["sha256"])

    def may_go(self, release_id):
        return release_id not in self.revoked

    def count_download(self, outcome, sent):
        self.outcomes[outcome] += 1
        self.sent = sent
        self.ended.set()


class FakeOta:
    """Offers `offered`, or says why there is nothing."""

    def __init__(self):
        self.offered = None
        self.asked = []
        self.reports = []
        self.commit = False

    def check(self, serial, version, platform, python, *, asks):
        self.asked.append((serial, version, platform, python, asks))
        if self.offered is None:
            return {"update": False, "reason": "up_to_date"}
        told = {"version": "1.2", "release": RELEASE["id"], "size": 10, "sha256": RELEASE["sha256"]}
        return {"update": True, "rollout": "r1", "force": False, "deadline": 600.0} | told

    def report(self, report):
        self.reports.append(report)
        return self.commit
