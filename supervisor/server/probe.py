"""Asks a broker the only question that proves it serves: an MQTT CONNECT, answered by a CONNACK."""

from __future__ import annotations

import secrets
import socket

_CONNACK = 0x20
_DISCONNECT = b"\xe0\x00"


def probe_broker(host: str, port: int, *, timeout: float) -> bool:
    """Return whether an MQTT broker at `host`:`port` answered a connection attempt within `timeout` seconds."""
    client_id = f"muster-probe-{secrets.token_hex(4)}".encode()
    # MQTT 3.1.1 section 3.1: protocol name, level 4, clean session, keepalive 10 s, client id.
    body = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(client_id).to_bytes(2, "big") + client_id
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(bytes((0x10, len(body))) + body)
            answer = connection.recv(4)
            connection.sendall(_DISCONNECT)
    except OSError:
        return False
    return len(answer) == 4 and answer[0] == _CONNACK
