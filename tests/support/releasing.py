"""Releases for a running server, without the command: a key that it trusts, and uploads in one piece."""

from __future__ import annotations

import hashlib
import http.client
from pathlib import Path
from typing import Any

from supervisor.release.keys import PrivateKey
from tests.support.muster import Api


def trust(data: Path, key: PrivateKey) -> None:
    """Let the server of this data directory take what the key has signed."""
    keys = data / "release-keys"
    keys.mkdir(parents=True, exist_ok=True)
    (keys / f"{key.public.key_id}.pub").write_text(key.public.line)


def upload(server: Api, path: Path) -> dict[str, Any]:
    """Upload a small release; how it is shown then."""
    raw = path.read_bytes()
    body = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), "name": path.name}
    made = server.post("/api/releases/uploads", body, expect=201)
    connection = http.client.HTTPConnection(server.address, timeout=15)
    headers = {"Authorization": f"Bearer {server.token}", "Upload-Offset": str(made["offset"])}
    try:
        connection.request("PATCH", f"/api/releases/uploads/{made['id']}", raw, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    finally:
        connection.close()
    return next(item for item in server.items("/api/releases") if item["id"] == made["id"])
