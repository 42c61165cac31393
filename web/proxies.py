"""Who is behind a reverse proxy: what a request says of its way here, believed from configured proxies alone.

Every proxy appends the address that it was called from, so the list is read from its end: the last address that is none
of our proxies is the client. What stands before it the client may have made up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Dialect = Literal["x-forwarded", "forwarded"]
"""Which headers the proxies write: `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded` (RFC 7239). Never both: a
proxy that writes one of them lets the other pass as the client has sent it."""

HEADERS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")
MOST_HOPS = 32
"""Addresses of the list that are looked at, from its end."""
_PAIR = re.compile(r'\s*(?P<name>[A-Za-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s;,"]*))\s*(?P<end>[;,]|$)')
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::[0-9]{1,5})?")


class Hop(NamedTuple):
    """What one proxy says of the request that it was sent."""

    client: str
    scheme: str = ""
    host: str = ""


class Proxies:
    """The reverse proxies in front of this server."""

    def __init__(self, networks: Iterable[str] = (), dialect: Dialect = "x-forwarded") -> None:
        """Assign; raises ValueError for what is neither an address nor a network."""
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]
        self._read = _read_forwarded if dialect == "forwarded" else _read_x_forwarded

    def reveal(self, environ: dict[str, Any]) -> None:
        """Let a request from a proxy look as the proxy has received it, and forget what others say of their way."""
        if self._networks and self._trust(environ.get("REMOTE_ADDR", "")):
            self._go_back(environ, self._read(environ))
        for header in HEADERS:
            environ.pop(header, None)

    def _go_back(self, environ: dict[str, Any], hops: list[Hop]) -> None:
        for hop in reversed(hops[-MOST_HOPS:]):
            address = _address(hop.client)
            if address is None:
                return
            environ["REMOTE_ADDR"] = str(address)
            if hop.scheme.lower() in ("http", "https"):
                environ["wsgi.url_scheme"] = hop.scheme.lower()
            if _HOST.fullmatch(hop.host):
                environ["HTTP_HOST"] = hop.host
            if not self._trust(str(address)):
                return

    def _trust(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _read_x_forwarded(environ: Mapping[str, Any]) -> list[Hop]:
    """Return what each proxy says. Scheme and host are often told by the last one alone, for the whole way."""
    clients, schemes, hosts = (_split(environ.get(header, "")) for header in HEADERS[1:])
    schemes, hosts = (_stretch(values, len(clients)) for values in (schemes, hosts))
    return [Hop(*each) for each in zip(clients, schemes, hosts, strict=True)]


def _stretch(values: list[str], count: int) -> list[str]:
    """Return one value for each address: the last one for all where they are not as many."""
    return values if len(values) == count else [values[-1] if values else ""] * count


def _split(header: str) -> list[str]:
    return [value.strip() for value in header.split(",")] if header.strip() else []


def _read_forwarded(environ: Mapping[str, Any]) -> list[Hop]:
    """Return what each proxy says; nothing at all of a header that cannot be read."""
    try:
        return [
            Hop(pairs.get("for", ""), pairs.get("proto", ""), pairs.get("host", ""))
            for pairs in _elements(environ.get("HTTP_FORWARDED", ""))
        ]
    except ValueError:
        return []


def _elements(header: str) -> Iterator[dict[str, str]]:
    pairs: dict[str, str] = {}
    at = 0
    while at < len(header):
        found = _PAIR.match(header, at)
        if found is None:
            raise ValueError("this is no Forwarded header")
        value = found["plain"] if found["quoted"] is None else re.sub(r"\\(.)", r"\1", found["quoted"])
        pairs[found["name"].lower()] = value
        at = found.end()
        if found["end"] != ";":
            yield pairs
            pairs = {}


def _address(text: str) -> Address | None:
    """Return an address, which may have a port; None for a name that hides one."""
    try:
        plain = ipaddress.ip_address(text)
    except ValueError:
        found = _PORT.fullmatch(text)
        try:
            plain = ipaddress.ip_address(found["host"].strip("[]") if found else "")
        except ValueError:
            return None
    # A socket for both kinds names IPv4 clients so (RFC 4291, 2.5.5.2).
    return getattr(plain, "ipv4_mapped", None) or plain
