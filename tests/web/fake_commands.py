"""In-memory twin of the commands."""

from __future__ import annotations

from tests.web.fake_soil import NOON
from web.commands import CommandRefusedError


def command(command_id="c1", device="pi-1", **fields):
    """A row, as the database tells it."""
    return {
        "id": command_id,
        "device": device,
        "name": "ping",
        "args": {},
        "state": "queued",
        "result": None,
        "reason": "",
        "batch": "",
        "by": "operate",
        "created_us": NOON,
        "deadline_us": NOON + 60_000_000,
        "sent_us": None,
        "accepted_us": None,
        "changed_us": NOON,
    } | fields


class FakeCommands:
    """Takes all but a command called `refused`, for all but `pi-9`; a group `shed` has `pi-1` and `pi-2`."""

    def __init__(self):
        self.rows = {}
        self.asked = None

    def issue(self, serial, **told):
        self.asked = told | {"serial": serial}
        if serial == "pi-9":
            raise CommandRefusedError(404, "not_found", "there is no device pi-9", {"device": "pi-9"})
        return {"id": self._add(serial, told, "")}

    def issue_many(self, target, **told):
        self.asked = told | {"target": target}
        if target.group and target.group != "shed":
            raise CommandRefusedError(404, "not_found", f"there is no group {target.group}", {"group": target.group})
        serials = ["pi-1", "pi-2"] if target.group or target.all else list(target.devices or (target.device,))
        made = [{"device": serial, "id": self._add(serial, told, "b1")} for serial in serials]
        return {"id": "b1", "commands": made}

    def _add(self, serial, told, batch):
        if told["name"] == "refused":
            raise CommandRefusedError(409, "too_many", f"{serial} has too many", {"device": serial})
        made = command(f"c{len(self.rows) + 1}", serial, name=told["name"], args=told["args"], batch=batch)
        self.rows[made["id"]] = made
        return made["id"]

    def get(self, command_id):
        return self.rows.get(command_id)

    def find(self, *, serial, batch, state, limit, cursor):
        wanted = {"device": serial, "batch": batch, "state": state}
        found = [
            row
            for row in reversed(self.rows.values())
            if all(value is None or row[name] == value for name, value in wanted.items())
        ]
        start = int(cursor or 0)
        return found[start : start + limit], str(start + limit) if start + limit < len(found) else None

    def cancel(self, command_id, by, address):
        self.asked = {"by": by, "address": address}
        if command_id not in self.rows:
            raise CommandRefusedError(404, "not_found", "there is no command of this id", {"id": command_id})
        self.rows[command_id] |= {"state": "cancelled", "reason": f"cancelled by {by}"}
        return self.rows[command_id]
