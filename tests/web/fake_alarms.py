"""In-memory twin of the alarms."""

from __future__ import annotations

import msgspec

from web.alarms import AlarmRefusedError

NOON = "2026-01-31T12:00:00.000Z"


def alarm(number=1, **fields):
    """An alarm as the server tells it."""
    return {
        "id": number,
        "rule": "offline",
        "kind": "offline_for",
        "severity": "warning",
        "state": "open",
        "subject": "gateway:gw-7",
        "device": "gw-7",
        "site": "harbour",
        "summary": "gateway gw-7 at site harbour is offline with 40 devices behind it",
        "value": None,
        "count": 41,
        "raised": NOON,
        "updated": NOON,
        "cleared": None,
        "cleared_why": None,
        "acknowledged": None,
        "acknowledged_by": None,
        "silenced_until": None,
        "silenced_by": None,
        "members": ["gw-7"],
    } | fields


class FakeAlarms:
    """Keeps alarms, newest first, and rules."""

    def __init__(self):
        self.rows = []
        self.rule_rows = {}
        self.asked = None

    def items(self, *, limit, cursor, **wanted):
        self.asked = wanted
        start = int(cursor or 0)
        asked = {"state": wanted["state"], "severity": wanted["severity"], "device": wanted["serial"]}
        rows = [row for row in self.rows if all(value in (None, row[name]) for name, value in asked.items())]
        return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None

    def find(self, alarm_id):
        row = next((row for row in self.rows if row["id"] == alarm_id), None)
        notice = {"event": "raised", "channel": "ops", "attempts": 1, "made_us": 1, "due_us": None, "ended_us": 2}
        return row and row | {"notices": [notice | {"error": ""}]}

    def acknowledge(self, alarm_id, by, address):
        return self._change(alarm_id, acknowledged=NOON, acknowledged_by=by)

    def silence(self, alarm_id, until_us, by, address):
        self.asked = {"until_us": until_us, "address": address}
        return self._change(alarm_id, silenced_until=NOON, silenced_by=by)

    def rules(self):
        return [self.rule_rows[name] for name in sorted(self.rule_rows)]

    def make_rule(self, rule, by, address):
        if rule.name in self.rule_rows:
            raise AlarmRefusedError(409, "conflict", f"there is a rule {rule.name} already", {"name": rule.name})
        row = msgspec.structs.asdict(rule) | {"origin": "api", "changed_us": 1, "changed_by": by}
        self.rule_rows[rule.name] = row
        return row

    def change_rule(self, name, changes, by, address):
        if name not in self.rule_rows:
            raise AlarmRefusedError(404, "not_found", "there is no rule of this name", {"name": name})
        self.rule_rows[name] = self.rule_rows[name] | changes | {"changed_by": by}
        return self.rule_rows[name]

    def drop_rule(self, name, by, address):
        if self.rule_rows.pop(name, None) is None:
            raise AlarmRefusedError(404, "not_found", "there is no rule of this name", {"name": name})

    def _change(self, alarm_id, **fields):
        for row in self.rows:
            if row["id"] == alarm_id:
                row.update(fields)
                return row
        raise AlarmRefusedError(404, "not_found", "there is no alarm of this id", {"id": alarm_id})
