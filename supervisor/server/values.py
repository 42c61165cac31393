"""Checks of single values: URLs, addresses to listen on, time zones. Errors never show a password."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Default port of each scheme that a broker's URL may have.
BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883}
DATABASE_SCHEMES = ("sqlite", "postgresql", "postgres", "mysql")
#: Stands for a secret.
HIDDEN = "***"


def redact_url(url: str) -> str:
    """Return `url` with the password replaced, fit for logs and error messages."""
    return re.sub(r"(://[^:/@]*:).*@", rf"\1{HIDDEN}@", url)


def broker_url(host: str, port: int | None, *, tls: bool, username: str = "", password: str = "") -> str:
    """Compose a broker's URL from its parts, quoting what needs it."""
    user = quote(username, safe="") + (f":{quote(password, safe='')}" if password else "")
    at = f"{user}@" if user else ""
    address = f"[{host}]" if ":" in host else host
    return f"{'mqtts' if tls else 'mqtt'}://{at}{address}" + (f":{port}" if port else "")


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL; raise ValueError for an impossible port."""
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("its port is not a number between 0 and 65535") from None
    return parts


def check_broker_url(url: str) -> None:
    """Raise ValueError with the reason if `url` is no broker's."""
    parts = split_url(url)
    if parts.scheme not in BROKER_PORTS:
        raise ValueError(f"`{redact_url(url)}` does not begin with mqtt:// or mqtts://")
    if not parts.hostname:
        raise ValueError(f"`{redact_url(url)}` names no host")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"`{redact_url(url)}` has something after the port (quote `/`, `?` and `#` in a password)")


def check_database_url(url: str) -> None:
    """Raise ValueError with the reason if `url` is no database's."""
    scheme = url.partition("://")[0]
    if scheme not in DATABASE_SCHEMES or "://" not in url:
        raise ValueError(f"`{redact_url(url)}` does not begin with sqlite:///, postgresql:// or mysql://")
    parts = split_url(url)
    if scheme == "sqlite":
        if parts.netloc or not parts.path.strip("/"):
            raise ValueError(f"`{url}` names no file (write sqlite:////absolute/path or sqlite:///relative/path)")
    elif not parts.hostname or not parts.path.strip("/"):
        raise ValueError(f"`{redact_url(url)}` needs a host and the name of a database")


def check_host(host: str) -> None:
    """Raise ValueError for what is neither a name nor an address alone."""
    with suppress(ValueError):
        ip_address(host)
        return
    if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise ValueError(f"`hosts`: `{host[:80]}` is neither a name nor an address; leave scheme and port out")


def check_network(network: str) -> None:
    """Raise ValueError for what is neither an address nor a network, or for one that everybody is in."""
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        raise ValueError(f"`proxies`: `{network}` is neither an address nor a network such as 10.0.0.0/8") from None
    if found.prefixlen == 0:
        raise ValueError(f"`proxies`: `{network}` is everybody; then anybody could say who he is")


def check_timezone(name: str) -> None:
    """Raise ValueError if there is no time zone of this IANA name."""
    if name == "UTC":
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"`timezone` `{name}` is not a known time zone (an IANA name such as Europe/Berlin)") from None


def parse_listen(text: str) -> dict[str, Any]:
    """Split `host:port`, `[v6]:port`, `:port` or `port` into the fields of `Http`.

    Raises:
        ValueError: with the reason, if it is none of these.

    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"`{text}` is not host:port (write an IPv6 address in brackets)")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"`{text}` is not host:port with a port between 0 and 65535")
    return {"host": host, "port": int(port)} if colon and host else {"port": int(port)}
