"""Asks a broker the only question that proves it serves: an MQTT CONNECT, answered by a CONNACK."""

from __future__ import annotations

import secrets
import socket

from actors.link.options import BrokerOptions
from supervisor.server.mosquitto import BrokerUser

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


def is_let_in(
    options: BrokerOptions, user: BrokerUser | None, *, client_id: str = "", timeout: float = 2.0
) -> bool | None:
    """Return whether a broker lets a user in, None for whoever shows nothing; None when it does not answer.

    Without a client id it takes one that nobody has: a pinned one would not do then.
    """
    client_id = client_id or f"muster-probe-{secrets.token_hex(4)}"
    flags, fields = 0x02, [client_id]
    if user is not None:
        flags, fields = 0xC2, [client_id, user.name, user.password]
    body = b"\x00\x04MQTT\x04" + bytes((flags,)) + b"\x00\x0a"
    body += b"".join(len(raw).to_bytes(2, "big") + raw for raw in (field.encode() for field in fields))
    try:
        context = options.tls_context()
        with socket.create_connection((options.host, options.port), timeout=timeout) as plain:
            connection = plain if context is None else context.wrap_socket(plain, server_hostname=options.host)
            with connection:
                connection.sendall(b"\x10" + _remaining(len(body)) + body)
                answer = connection.recv(4)
                connection.sendall(_DISCONNECT)
    except OSError:
        return None
    return answer[3] == 0 if len(answer) == 4 and answer[0] == _CONNACK else None


def _remaining(length: int) -> bytes:
    """Return a length as MQTT 3.1.1, 2.2.3 writes it."""
    return bytes((length,)) if length < 128 else bytes((length % 128 | 0x80, length // 128))
