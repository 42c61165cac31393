"""What Mosquitto is told: its configuration and its password file; who may do what is in `supervisor.server.access`.

See mosquitto.conf(5). Pure functions, apart from the salts of passwords.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

SERVER, DEVICES = "muster", "devices"
"""Names of the users that are no devices: the server, and the one that all devices of releases before share."""

#: No bound: the bytes are. Not 0, which means the same, but with which Mosquitto 2.0.11 breaks the connection of a
#: client that publishes what it may not, where it should answer `Not authorized`.
_QUEUED_MESSAGES = 10**9
#: Bytes that mosquitto may queue for one client that is away.
_QUEUED_BYTES = 512 * 2**20
#: Messages under way to one client. Packet ids have 16 bits: with fewer, none is used twice at a time.
_IN_FLIGHT = 30_000
#: What `mosquitto_passwd` of 2.0 takes; our passwords are random, and no number of rounds makes them safer.
_ROUNDS = 101
_SALT_BYTES, _HASH_BYTES = 12, 64

DEVICES_CA, DEVICES_CRL = "devices-ca.pem", "devices-crl.pem"
"""Whose certificates a broker that is not our child takes, and which of them are revoked: beside its users' files."""


class BrokerUser(NamedTuple):
    """A user of the broker."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"BrokerUser({self.name!r})"


class TlsFiles(NamedTuple):
    """Absolute paths of PEM files, as the broker sees them."""

    ca: str
    cert: str
    key: str


class ClientTrust(NamedTuple):
    """Whose certificates a listener asks its clients for; absolute paths of PEM files."""

    ca: str
    """The authority."""
    crl: str
    """What it has revoked; read anew on SIGHUP, as certificates are."""


class Listener(NamedTuple):
    """Where the broker listens."""

    port: int
    host: str = ""
    """Empty: on every address, of both families."""
    tls: TlsFiles | None = None
    clients: ClientTrust | None = None
    """Lets in nobody without a certificate, whose name is user and client id at the same time."""

    @property
    def lines(self) -> list[str]:
        """Return its part of the configuration."""
        lines = [f"listener {self.port} {self.host}".rstrip()]
        if self.tls is not None:
            trusted = self.clients.ca if self.clients is not None else self.tls.ca
            lines += [f"cafile {trusted}", f"certfile {self.tls.cert}", f"keyfile {self.tls.key}"]
        if self.clients is not None:
            lines += [f"crlfile {self.clients.crl}", "require_certificate true"]
            lines += ["use_identity_as_username true", "use_username_as_clientid true"]
        return lines


class Access(NamedTuple):
    """Files that say who may use the broker, and for what; absolute paths."""

    password_file: str
    acl_file: str
    plugin: str = ""
    """Mosquitto's plugin for dynamic security; empty: the files alone say who may do what."""
    plugin_file: str = ""
    """Where that keeps its users."""
    anonymous: bool = False
    """Whether who shows nothing is let in, too, to what the ACL file says."""

    @property
    def lines(self) -> list[str]:
        """Return their part of the configuration."""
        lines = [f"allow_anonymous {'true' if self.anonymous else 'false'}"]
        lines += [f"password_file {self.password_file}", f"acl_file {self.acl_file}"]
        if self.plugin:
            lines += [f"plugin {self.plugin}", f"plugin_opt_config_file {self.plugin_file}"]
        return lines


def keeping_lines() -> list[str]:
    """Return how the broker keeps what it has queued: by bytes, on disk, and without dropping any in silence."""
    return [
        "persistence true",
        "autosave_interval 5",
        "persistent_client_expiration 14d",
        # By default a client that is away gets 1,000 messages and the newer ones are dropped without a word.
        f"max_queued_messages {_QUEUED_MESSAGES}",
        f"max_queued_bytes {_QUEUED_BYTES}",
        f"max_inflight_messages {_IN_FLIGHT}",
        "sys_interval 5",
        "set_tcp_nodelay true",
    ]


def drop_in(listeners: Sequence[Listener], access: Access) -> str:
    """Return a file for /etc/mosquitto/conf.d: Debian's own configuration has the rest."""
    lines = ["# Written by `muster install server`; changes are lost when it runs again."]
    lines += ["per_listener_settings false", *access.lines, *keeping_lines()]
    for listener in listeners:
        lines += ["", *listener.lines]
    return "\n".join(lines) + "\n"


def password_file(users: Sequence[BrokerUser], existing: str = "") -> str:
    """Return a password file.

    Args:
        users: who may connect.
        existing: the file that stands now; a line of it that is right stays as it is.

    """
    known = dict(line.split(":", 1) for line in existing.splitlines() if ":" in line)
    lines = []
    for user in users:
        hashed = known.get(user.name, "")
        lines.append(f"{user.name}:{hashed if verify(user.password, hashed) else hash_password(user.password)}\n")
    return "".join(lines)


def hash_password(password: str, salt: bytes | None = None, rounds: int = _ROUNDS) -> str:
    """Return `$7$rounds$salt$hash`: PBKDF2 with SHA-512, as `mosquitto_passwd` writes it."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _HASH_BYTES)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


@lru_cache(maxsize=2**17)  # every line is looked at with each device that enrols: a second with 10,000 of them
def verify(password: str, hashed: str) -> bool:
    """Return whether a hash of a password file is that of this password; False for anything malformed."""
    try:
        empty, kind, rounds, salt, _ = hashed.split("$")
        made = hash_password(password, base64.b64decode(salt, validate=True), int(rounds))
    except (ValueError, OverflowError):
        return False
    return not empty and kind == "7" and hmac.compare_digest(made.encode(), hashed.encode())
