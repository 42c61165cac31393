"""The places where a server may be, and what is asked of a server found there. Pure: nothing here opens a socket."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

PORT = 5000
"""Of a server unless somebody says otherwise."""

Source = Literal["configured", "last_known", "runtime_directory", "mdns", "candidate", "scan"]

FOREIGN: frozenset[Source] = frozenset({"mdns", "candidate", "scan"})
"""Where anybody may answer: a server from there has to prove itself, and to be the one that enrolled us if one did."""

_PLAIN = re.compile(r"[!-~]{1,1024}")
"""What may stand in a URL at all: a stranger may announce any."""
_HOST = re.compile(r"[a-z0-9._:-]{1,255}")

SPOKEN: dict[Source, str] = {
    "configured": "as configured",
    "last_known": "where it was last time",
    "runtime_directory": "on this machine",
    "mdns": "by mDNS",
    "candidate": "in the list of candidates",
    "scan": "by looking through the network",
}
"""How each source reads in a sentence."""


class Place(NamedTuple):
    """A place to look at."""

    source: Source
    url: str
    """Base URL without a slash at its end."""

    @property
    def is_tls(self) -> bool:
        """Whether a certificate vouches for whoever answers."""
        return self.url.startswith("https://")

    @property
    def needs_proof(self) -> bool:
        """Whether a server there is nothing without a proof, even when we could not check one."""
        return self.source in FOREIGN and not self.is_tls


def base_url(text: str) -> str:
    """Return a URL as one spelling: host in lower case, no slash at the end; empty for what is none."""
    if not _PLAIN.fullmatch(text):
        return ""
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if (
        parts.query
        or parts.fragment
        or parts.scheme not in ("http", "https")
        or not _HOST.fullmatch(host)
        or port == 0
        or "@" in parts.netloc
    ):
        return ""
    return f"{parts.scheme}://{_bracketed(host)}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def url_of(host: str, port: int = PORT, *, tls: bool = False) -> str:
    """Return the base URL of a host."""
    return f"{'https' if tls else 'http'}://{_bracketed(host)}:{port}"


def authority(url: str) -> str:
    """Return `host:port` of a URL as its Host header and the server's proof have it: the port is always written out."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{_bracketed((parts.hostname or '').lower())}:{port}"


def read_candidate(text: str, *, tls: bool = False) -> str | ipaddress.IPv4Network:
    """Read one entry of `candidates`: a URL, a subnet (`10.20.0.0/24`), or a name or address with or without a port.

    Args:
        text: as configured.
        tls: whether a name without a scheme means https.

    Returns:
        A base URL, or a subnet to look through.

    Raises:
        ValueError: it is none of these; the message is a part of a sentence.

    """
    if "://" in text:
        url = base_url(text)
        if not url:
            raise ValueError(f"`{text[:80]}` is not a URL of a server, write http://host:{PORT}")
        return url
    if "/" in text:
        return _read_subnet(text)
    scheme = "https" if tls else "http"
    named = base_url(f"{scheme}://{_bracketed(text) if text.count(':') > 1 else text}")
    if not named:
        raise ValueError(f"`{text[:80]}` is neither a URL nor a name nor a subnet")
    return named if urlsplit(named).port else f"{named}:{PORT}"


def split_candidates(
    candidates: Iterable[str], *, tls: bool = False
) -> tuple[list[str], list[ipaddress.IPv4Network], list[str]]:
    """Return URLs, subnets, and what is wrong with the others, each in the order given."""
    urls: list[str] = []
    subnets: list[ipaddress.IPv4Network] = []
    wrong: list[str] = []
    for text in candidates:
        try:
            read = read_candidate(text, tls=tls)
        except ValueError as error:
            wrong.append(str(error))
            continue
        if isinstance(read, str):
            urls.append(read)
        else:
            subnets.append(read)
    return urls, subnets, wrong


def _read_subnet(text: str) -> ipaddress.IPv4Network:
    from actors.resolver.addresses import LARGEST_PREFIX, is_scannable

    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"`{text[:80]}` is not a subnet, write 10.20.0.0/24") from None
    if not is_scannable(network):
        raise ValueError(
            f"`{text[:80]}` is not looked through: a subnet must be private and at most a /{LARGEST_PREFIX}"
        )
    return network


def _bracketed(host: str) -> str:
    """Return a host as URLs write it: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
