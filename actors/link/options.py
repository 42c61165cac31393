"""Where a broker is and how to talk to it, read from one URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

#: Scheme -> (TLS, default port), as the common MQTT tools read them.
_SCHEMES = {"mqtt": (False, 1883), "tcp": (False, 1883), "mqtts": (True, 8883), "ssl": (True, 8883)}

#: Query parameter -> field.
_FILES = {"ca": "ca_file", "cert": "cert_file", "key": "key_file"}


class BrokerURLError(ValueError):
    """A broker URL that cannot be used; the sentence names the part and never shows the password."""


@dataclass(frozen=True, kw_only=True)
class BrokerOptions:
    """One broker. Built by `parse_broker_url`, or directly."""

    name: str = "local"
    """Short name: the first half of a link's name, a label of metrics."""
    host: str = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: str = ""
    """PEM file with the authorities to trust; empty trusts those of the system."""
    cert_file: str = ""
    """PEM file with our certificate, for a broker that asks for one."""
    key_file: str = ""
    keepalive: int = 20
    """Seconds, for the control link; the data link uses TCP keepalive."""

    def __post_init__(self) -> None:
        if not self.host:
            raise BrokerURLError("the host is missing")
        if not 1 <= self.port <= 65535:
            raise BrokerURLError(f"the port must be 1 to 65535, not {self.port}")
        if not 5 <= self.keepalive <= 3600:
            raise BrokerURLError(f"keepalive must be 5 to 3600 seconds, not {self.keepalive}")
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise BrokerURLError("ca, cert and key need TLS: use mqtts://")
        if bool(self.cert_file) != bool(self.key_file):
            raise BrokerURLError("cert and key belong together: give both or none")

    @property
    def address(self) -> str:
        """`host:port`, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context of a TLS connection (certificate and host name are verified), or None without TLS.

        Raises:
            OSError: a file cannot be read, or holds no certificate (`ssl.SSLError`).

        """
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


def parse_broker_url(url: str, *, name: str = "local") -> BrokerOptions:
    """Read `mqtt://user:password@host:1883` or `mqtts://host:8883?ca=/path&cert=/path&key=/path&keepalive=20`.

    User and password are percent-decoded.

    Raises:
        BrokerURLError: naming the part that is wrong.

    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its sentence may quote half of a password
        raise BrokerURLError(
            "broker URL: host and port cannot be read; write mqtt://user:password@host:1883, "
            "with special characters of user and password percent-encoded"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise BrokerURLError(f"broker URL: the scheme must be mqtt or mqtts, not {parts.scheme!r}")
    if parts.path not in ("", "/") or parts.fragment:
        raise BrokerURLError("broker URL: nothing may follow the port but ?ca=, cert=, key=, keepalive=")
    tls, default_port = _SCHEMES[parts.scheme]
    try:
        options = BrokerOptions(
            name=name,
            host=parts.hostname or "",
            port=default_port if port is None else port,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=tls,
        )
        return replace(options, **_read_query(parts))  # type: ignore[arg-type]  # keys and types come from _read_query
    except BrokerURLError as error:
        raise BrokerURLError(f"broker URL: {error}") from None


def _read_query(parts: SplitResult) -> dict[str, str | int]:
    """Return the fields that the query sets."""
    fields: dict[str, str | int] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key in _FILES:
            if not Path(value).is_file():
                raise BrokerURLError(f"{key}: there is no file {value!r}")
            fields[_FILES[key]] = value
        elif key == "keepalive":
            if not value.isdecimal():
                raise BrokerURLError(f"keepalive must be a number of seconds, not {value!r}")
            fields[key] = int(value)
        else:
            raise BrokerURLError(f"unknown parameter {key!r}")
    return fields
