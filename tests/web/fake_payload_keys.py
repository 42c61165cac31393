"""Stand-in for the keys of sealed payloads."""

from __future__ import annotations

from web.payload_keys import PayloadKeyRefusedError


class FakePayloadKeys:
    """Knows `pi-1`."""

    def __init__(self):
        self.keys = {"pi-1": "A" * 43 + "="}

    def items(self, limit, cursor):
        if cursor == "rubbish":
            raise ValueError(cursor)
        return [self.show(serial) for serial in sorted(self.keys) if serial > cursor][:limit], None

    def show(self, serial):
        if serial not in self.keys:
            raise PayloadKeyRefusedError(404, "not_found", f"{serial} has given no key")
        return {"serial": serial, "key": self.keys[serial], "server_key": "B" * 43 + "=", "key_id": "0" * 16}

    def exchange(self, serial, key):
        if not key.endswith("="):
            raise PayloadKeyRefusedError(400, "bad_field", "`key`: a key has 32 bytes in base64")
        is_new = self.keys.get(serial) != key
        self.keys[serial] = key
        return is_new, self.show(serial)

    def require(self, serial):
        self.keys.setdefault(serial, "")
        return self.show(serial)

    def drop(self, serial):
        self.show(serial)
        del self.keys[serial]
