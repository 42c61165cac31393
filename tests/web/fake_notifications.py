"""Notifications for tests of the face: kept in a list, refused by topic."""

from __future__ import annotations

from collections import Counter

from actors.notifications.rules import status_of
from web.notifications import NotificationRefusedError

NOON = 1_785_000_000_000_000


def delivery(device="", state="accepted", reason="no_subscribers", topic="a/b"):
    """A row of the ledger, as the database tells it."""
    told = {"id": 7, "notification_id": "n1", "device": device, "topic": topic, "state": state, "reason": reason}
    return told | {"updated_us": NOON}


def notification(name="n1", *deliveries, **fields):
    """A notification, as the database tells it, with its deliveries."""
    found = list(deliveries) or [delivery()]
    counts = dict(Counter(one["state"] for one in found))
    return {
        "id": name,
        "batch": name,
        "title": "Hot",
        "priority": "high",
        "qos": 1,
        "retain": False,
        "created_us": NOON,
        "expires_us": None,
        "recipients": len(found),
        "sent_by": "admin",
        "status": status_of(counts),
        "counts": counts,
        "deliveries": found,
    } | fields


class FakeNotifications:
    def __init__(self):
        self.sent = []
        """(message, target, topic, by, address, key)"""
        self.rows = [notification()]
        """Newest first, each with the deliveries that it has."""

    def send(self, wanted, *, by, address, key):
        message, target, topic = wanted
        self._check(topic)
        if target is not None and target.device == "nobody":
            raise NotificationRefusedError(404, "unknown_device", "there is no device nobody", {"field": "device"})
        is_known = bool(key) and any(known[5] == key for known in self.sent)
        self.sent.append((message, target, topic, by, address, key))
        return {"id": f"n{len(self.sent)}", "recipients": 1, "warnings": [], "duplicate": is_known}

    def send_all(self, wanted, *, by, address, key):
        results = []
        for one in wanted:
            try:
                results.append({"id": self.send(one, by=by, address=address, key="")["id"], "error": None})
            except NotificationRefusedError as error:
                results.append({"id": None, "error": error})
        taken = sum(result["id"] is not None for result in results)
        if not taken:
            raise results[0]["error"]
        return {"id": "b1", "recipients": taken, "warnings": ["large"], "duplicate": False, "notifications": results}

    def get(self, notification, *, limit, cursor):
        if cursor == "made-up":
            raise ValueError(cursor)
        row = next((row for row in self.rows if row["id"] == notification), None)
        if row is None:
            return None
        deliveries = row["deliveries"]
        page = {"deliveries": deliveries[:limit], "cursor": str(limit) if len(deliveries) > limit else None}
        return row | page | {"payload": {"title": row["title"]}, "notifications": 1, "waiting": 0}

    def find(self, *, serial, limit, cursor):
        if cursor == "made-up":
            raise ValueError(cursor)
        rows = [row for row in self.rows if serial is None or any(serial == one["device"] for one in row["deliveries"])]
        start = int(cursor or 0)
        return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None

    def statistics(self):
        tally = {"sent": 2, "success": 1, "failed": 1}
        return {
            "total_sent": 2,
            "total_success": 1,
            "total_failed": 1,
            "last_sent_us": NOON,
            "connection_count": 1,
            "waiting": 0,
            "by_state": {"accepted": 1, "failed": 1},
            "by_priority": {"normal": tally},
            "by_qos": {"1": tally},
            "refused": {"bad_topic": 3},
            "platform": "mqtt",
            "broker": "127.0.0.1:1883",
            "broker_host": "127.0.0.1",
            "broker_port": 1883,
            "connected": True,
            "qos": 1,
        }

    def _check(self, topic):
        if "+" in topic:
            raise NotificationRefusedError(400, "bad_topic", "topic: has a wildcard", {"field": "topic"})
