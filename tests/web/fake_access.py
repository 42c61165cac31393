"""In-memory twin of the broker's users."""

from __future__ import annotations

from tests.web.fake_soil import NOON
from web.access import AccessRefusedError


class FakeAccess:
    def __init__(self):
        self.asked = []
        self.refusal = None

    def status(self):
        return {
            "mechanism": "dynsec",
            "devices": 2,
            "waiting": 0,
            "renewing": 0,
            "reason": "",
            "anonymous": False,
            "shared_user": True,
            "server_user": "muster",
            "server_user_ends_us": None,
            "fleet_key_ends_us": NOON,
        }

    def rotate_fleet_key(self, grace):
        return self._note("fleet_key", grace, {"key": "the next key of the fleet"})

    def rotate_server(self, grace):
        return self._note("server", grace, {"username": "muster~2"})

    def renew_devices(self, serials, grace):
        return self._note(("devices", *serials), grace, {"devices": list(serials) or ["pi-1", "pi-2"]})

    def retire_shared(self):
        self._note("retire", None, {})
        return True

    def _note(self, what, grace, told):
        if self.refusal:
            raise AccessRefusedError(409, "not_managed", self.refusal)
        self.asked.append((what, grace))
        return told | {"ends_us": NOON}
