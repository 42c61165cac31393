"""Asks the network for servers through a short-lived child, `edge.finding.browse`, and reads what it prints."""

from __future__ import annotations

import ipaddress
import logging
import os
import selectors
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from actors.resolver.budget import SLICE, Budget
from edge.finding.places import PORT, base_url, url_of

logger = logging.getLogger(__name__)

SECONDS = 3.0
"""For which the child listens; it takes about one more to start on a small device."""
START_UP = 5.0
MOST_OUTPUT = 64 * 1024
"""Bytes that are read of the child; what strangers announce is not bounded otherwise."""


class Announced(msgspec.Struct, frozen=True):
    """One line of the child: a server, as whoever announced it describes it."""

    url: str = ""
    server_id: str = ""
    addresses: tuple[str, ...] = ()
    port: int = PORT

    def urls(self) -> list[str]:
        """Return where it may be: where it says, and at its addresses, of which not every one reaches us."""
        said = base_url(self.url)
        is_tls = said.startswith("https://")
        if said and not is_tls and not _is_address(said):
            # Who announces a name can answer for it as well, and so stand at an address that a server calls its own.
            said = ""
        at_addresses = [url_of(address, self.port, tls=is_tls) for address in self.addresses]
        return list(dict.fromkeys(url for url in (said, *map(base_url, at_addresses)) if url))


def _is_address(url: str) -> bool:
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return True


def ask_network(budget: Budget, own: Sequence[str] = ()) -> Generator[Announced, None, None]:
    """Yield servers as they are heard of; closing it ends the child.

    Args:
        budget: bounds it.
        own: our addresses to ask from; empty takes those of all interfaces worth asking on.

    """
    # -P: the working directory may hold a file with the name of one of our modules.
    command = [sys.executable, "-P", "-m", "edge.finding.browse", "--seconds", str(SECONDS)]
    command += [part for address in own for part in ("--interface", address)]
    try:
        child = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        logger.warning("mDNS: the child cannot be started: %s", error.strerror)
        return
    with child:
        try:
            for line in _lines(child, budget.part(SECONDS + START_UP)):
                yield from _read(line)
        finally:
            child.kill()
        if child.returncode and child.stderr is not None:  # it has ended by itself, and not well
            said = child.stderr.read(MOST_OUTPUT).decode(errors="replace").strip()
            logger.info("mDNS is of no help: %s", said.rpartition("\n")[2])


def _lines(child: subprocess.Popen[bytes], budget: Budget) -> Iterator[bytes]:
    """Yield what the child prints until it ends or the budget is spent."""
    assert child.stdout is not None
    descriptor, kept, seen = child.stdout.fileno(), b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not budget.spent() and seen < MOST_OUTPUT:
            if not selector.select(min(SLICE, budget.left())):
                continue
            piece = os.read(descriptor, 4096)
            if not piece:
                child.wait()
                return
            seen += len(piece)
            *complete, kept = (kept + piece).split(b"\n")
            yield from complete


def _read(line: bytes) -> Iterator[Announced]:
    try:
        yield msgspec.json.decode(line, type=Announced)
    except (msgspec.DecodeError, UnicodeDecodeError):
        logger.debug("mDNS: a line cannot be read: %.200r", line)
