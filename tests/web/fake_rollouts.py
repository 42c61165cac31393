"""In-memory twin of the rollouts."""

from __future__ import annotations

import msgspec

from actors.updates.plan import Plan
from tests.web.fake_soil import NOON
from web.rollouts import RolloutsRefusedError


def rollout(rollout_id="r1", **fields):
    """A rollout, as the server shows it."""
    plan = msgspec.to_builtins(Plan())
    waves = plan.pop("waves")
    counts = fields.get("counts", {"offered": 1, "pending": 19})
    return {
        "id": rollout_id,
        "release": "0" * 32,
        "version": "2.0",
        "target": "all devices",
        "status": "running",
        "reason": "",
        "wave": 1,
        "waves": [wave | {"devices": 0, "counts": {}} for wave in waves],
        "devices": sum(counts.values()),
        "counts": counts,
        "plan": plan,
        "windows": [],
        "created_us": NOON,
        "changed_us": NOON,
        "reached_us": None,
        "by": "admin",
    } | fields


def device(serial, state="offered", **fields):
    """A device of a rollout."""
    row = {"device": serial, "wave": 1, "state": state, "since_us": NOON, "attempts": 1, "reason": "", "progress": None}
    return row | fields


class FakeRollouts:
    """Takes any release but `9.9`; a device `pi-9` is in another rollout."""

    def __init__(self):
        self.rows = {}
        self.of = {}
        """Devices by rollout."""
        self.sites = {}
        self.asked = None

    def start(self, target, **order):
        self.asked = {"target": target} | order
        if order["release"] == "9.9":
            raise RolloutsRefusedError(404, "not_found", "there is no release 9.9", {"release": "9.9"})
        if target.device == "pi-9":
            details = {"device": "pi-9", "rollout": "r0"}
            raise RolloutsRefusedError(409, "in_rollout", "pi-9 is in the rollout r0 of 1.9, which is running", details)
        row = rollout(f"r{len(self.rows) + 1}", version=order["release"], target=str(target), by=order["by"])
        self.rows[row["id"]] = row
        return row

    def items(self, *, status, limit, cursor):
        found = [row for row in reversed(self.rows.values()) if status in (None, row["status"])]
        return self._page(found, limit, cursor)

    def get(self, rollout_id):
        if rollout_id not in self.rows:
            raise RolloutsRefusedError(404, "not_found", "there is no rollout of this id", {"id": rollout_id})
        return self.rows[rollout_id]

    def devices(self, rollout_id, *, state, limit, cursor):
        self.get(rollout_id)
        found = [row for row in self.of.get(rollout_id, []) if state in (None, row["state"])]
        return self._page(found, limit, cursor)

    def _page(self, found, limit, cursor):
        start = int(cursor or 0)
        return found[start : start + limit], str(start + limit) if start + limit < len(found) else None

    def command(self, rollout_id, order, by, address):
        self.asked = {"order": order, "by": by, "address": address}
        row = self.get(rollout_id)
        if row["status"] in ("completed", "cancelled"):
            raise RolloutsRefusedError(409, "ended", f"the rollout is {row['status']} already", {"id": rollout_id})
        row["status"] = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[order]
        return row

    def retry(self, rollout_id, serials, by, address):
        self.asked = {"serials": serials, "by": by, "address": address}
        return self.get(rollout_id)

    def windows(self):
        return list(self.sites.values())

    def put_windows(self, site, windows, by, address):
        row = {"site": site, "source": "api", "open": True, "windows": msgspec.to_builtins(windows)}
        self.sites[site] = row
        return row
