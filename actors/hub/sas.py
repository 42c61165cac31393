"""Shared access signatures: the passwords of an IoT Hub, made of a key and good until a time.

`sig` is HMAC-SHA256 over the encoded resource, a line feed and the time of expiry ("Control access to IoT Hub by using
shared access signatures", Microsoft; `sastoken.py` of its device SDK).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote


def sign(resource: str, key: bytes, expiry: int, *, policy: str = "") -> str:
    """Return a token.

    Args:
        resource: what it opens: `{host}/devices/{id}` for a device, `{host}` for a service.
        key: the decoded shared access key.
        expiry: until when, seconds since 1970 UTC.
        policy: name of the policy that the key belongs to; empty for a device's own key.

    """
    encoded = quote(resource, safe="")
    digest = hmac.new(key, f"{encoded}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest).decode(), safe="")
    token = f"SharedAccessSignature sr={encoded}&sig={signature}&se={expiry}"
    return f"{token}&skn={quote(policy, safe='')}" if policy else token
