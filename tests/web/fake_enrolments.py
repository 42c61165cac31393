"""In-memory twin of the enrolment."""

from __future__ import annotations

from tests.web.fake_soil import NOON
from web.enrolments import EnrolmentRefusedError


def asker(serial, state="pending", **fields):
    """Who asked to enrol, as the database tells it."""
    return {
        "serial": serial,
        "state": state,
        "hostname": "raspberrypi",
        "mac_address": "",
        "device_type": "raspberry_pi",
        "address": "192.168.1.9",
        "requested_us": NOON,
        "enrolled_us": None,
        "approved_until_us": None,
        "changed_by": "device",
        "request": "seen-first" if state == "pending" else "",
    } | fields


class FakeEnrolments:
    """Lets in who knows the key `the-fleet-key-1234` and is not known yet, shows `the-device-token`, or is approved."""

    def __init__(self):
        self.rows = {}
        self.decided = []
        self.asked = None

    def inspect(self, device_id, nonce, *, address, host):
        self.asked = {"device_id": device_id, "nonce": nonce, "address": address, "host": host}
        if not nonce:
            raise EnrolmentRefusedError(400, "bad_field", "nonce: 16 to 64 hex digits are needed", {"field": "nonce"})
        return {
            "server_id": "muster-1",
            "version": "9.9",
            "device_id": device_id,
            "state": self.rows.get(device_id, {"state": "unknown"})["state"],
            "mqtt": {"host": "192.168.1.2", "port": 1883, "tls": False},
            "proofs": {"enrolment_key": "ab" * 32, "device": "", "enrolment_key_new": ""},
            "detail": "",
            "timestamp": "2025-10-09T08:53:20.000Z",
        }

    def certify(self, serial, request, *, host):
        self.asked = {"serial": serial, "request": request, "host": host}
        if "BEGIN CERTIFICATE REQUEST" not in request:
            raise EnrolmentRefusedError(400, "bad_field", "`csr`: it is no request", {"field": "csr"})
        mqtt = {"host": "192.168.1.2", "port": 8884, "username": serial, "password": "", "tls": True}
        return {"certificate": "a certificate", "ca": "an authority", "mqtt": mqtt}

    def register(self, request, *, proof, address, host):
        self.asked = {"request": request, "proof": proof, "address": address, "host": host}
        if request.get("enrolment_key") != "the-fleet-key-1234":
            raise EnrolmentRefusedError(401, "bad_key", "the enrolment key is not that of this fleet")
        serial = request["device_id"]
        known = self.rows.get(serial, {"state": "approved"})["state"]
        if known != "approved" and proof != "the-device-token":
            self.rows[serial] = asker(serial)
            details = {"device_id": serial, "state": "pending"}
            raise EnrolmentRefusedError(409, "pending", f"{serial} is enrolled already and waits for approval", details)
        self.rows[serial] = asker(serial, "enrolled", enrolled_us=NOON)
        return {
            "device_id": serial,
            "server_id": "muster-1",
            "connection_string": "mqtt://device:secret@192.168.1.2:1883",
            "mqtt": {
                "host": "192.168.1.2",
                "port": 1883,
                "username": "device",
                "password": "secret",
                "tls": False,
            },
            "http": {"token": "muster_new"},
            "certificate": "a certificate" if request.get("csr") else "",
            "ca": "",
        }

    def items(self, limit, cursor):
        rows = sorted(self.rows.values(), key=lambda row: (row["state"] != "pending", row["serial"]))
        start = int(cursor or 0)
        return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None

    def approve(self, serial, by, address, request=""):
        if request and request != self.rows[serial]["request"]:
            raise EnrolmentRefusedError(409, "changed", "that request does not wait any more", {"serial": serial})
        return self._decide("approve", serial, by, address)

    def deny(self, serial, by, address):
        return self._decide("deny", serial, by, address)

    def revoke(self, serial, by, address):
        return self._decide("revoke", serial, by, address)

    def _decide(self, decision, serial, by, address):
        if serial not in self.rows:
            raise EnrolmentRefusedError(404, "not_found", "no device of this serial has asked", {"device_id": serial})
        self.decided.append((decision, serial, by, address))
        is_approved = decision == "approve"
        until_us = NOON + 86_400_000_000 if is_approved else None
        state = "approved" if is_approved else "denied"
        self.rows[serial] |= {"state": state, "approved_until_us": until_us, "changed_by": by}
        return self.rows[serial]
