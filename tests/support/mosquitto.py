"""A real Mosquitto on a free loopback port."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.need import need
from tests.support.server import Server

# MQTT 3.1.1 CONNECT without a will or a session, keep-alive 10 s, client id `ready`; and DISCONNECT.
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05ready"
_DISCONNECT = b"\xe0\x00"
_CONNACK = 0x20


class Mosquitto(Server):
    """The broker, generous to a fault: no limit on what is queued or in flight for a client.

    `users` (name -> password) closes it to everybody else. `tls=True` makes it speak TLS only, with a certificate
    that `authority.ca_file` vouches for. `config` is appended to the generated configuration. What is persistent is
    saved by `stop`, and every second by itself; a `kill` may lose what is younger.
    """

    def __init__(
        self, *, config: Sequence[str] = (), users: Mapping[str, str] | None = None, tls: bool = False
    ) -> None:
        self._binary = need("mosquitto")
        super().__init__()
        self._config = config
        self._users = users or {}
        self.authority = Authority(self.directory) if tls else None

    @property
    def url(self) -> str:
        """`mqtt://` or `mqtts://`, without credentials."""
        return f"mqtt{'s' if self.authority else ''}://{self.host}:{self.port}"

    def prepare(self) -> None:
        lines = [
            "per_listener_settings false",
            "persistence true",
            f"persistence_location {self.directory}/",
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            "set_tcp_nodelay true",
            "sys_interval 1",
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if self._users else 'true'}",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it becomes `mosquitto`, who may not write here
        if self._users:
            lines.append(f"password_file {self._write_passwords()}")
        if self.authority:
            cert_file, key_file = self.authority.issue("broker")
            lines += [f"cafile {self.authority.ca_file}", f"certfile {cert_file}", f"keyfile {key_file}"]
        (self.directory / "mosquitto.conf").write_text("\n".join([*lines, *self._config]) + "\n")

    def command(self) -> list[str | Path]:
        return [self._binary, "-c", self.directory / "mosquitto.conf"]

    def is_ready(self) -> bool:
        """It answers a CONNECT; a refusal for lack of credentials is an answer too."""
        with socket.create_connection((self.host, self.port), timeout=1) as plain:
            connection = plain
            if self.authority:
                trust = ssl.create_default_context(cafile=str(self.authority.ca_file))
                connection = trust.wrap_socket(plain, server_hostname=self.host)
            with connection:
                connection.sendall(_CONNECT)
                answer = connection.recv(4)
                if len(answer) == 4 and answer[3] == 0:
                    connection.sendall(_DISCONNECT)
        return answer[:1] == bytes([_CONNACK])

    def _write_passwords(self) -> Path:
        path = self.directory / "passwords"
        path.touch(mode=0o600)
        for name, password in self._users.items():
            self.run(need("mosquitto_passwd"), "-b", path, name, password)
        return path
