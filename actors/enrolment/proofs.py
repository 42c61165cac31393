"""How the server shows a device that it is the right one, before the device sends it any secret."""

from __future__ import annotations

import hashlib
import hmac


def prove_server(key: str, *, server_id: str, device_id: str, nonce: str, address: str) -> str:
    """Return the proof that this server knows `key`, as hexadecimal digits.

    Args:
        key: the fleet's key, or the digest of a device's token that the database keeps.
        server_id: who speaks; a proof of one server is none of another.
        device_id: who asked.
        nonce: what the device chose, so that an old proof is worth nothing.
        address: `host:port` that the device has dialled, so that the proof is worth nothing where somebody passes the
            question on: host in lower case, an IPv6 address in brackets.

    """
    message = f"muster-server\n{server_id}\n{device_id}\n{nonce}\n{address}"
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def is_fleet_key(key: str, given: str) -> bool:
    """Compare a key that was given with the fleet's, in a time that tells nothing."""
    return hmac.compare_digest(key.encode(), given.encode("utf-8", "surrogatepass"))
