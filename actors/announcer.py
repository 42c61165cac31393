"""`AnnouncerActor`: the server makes itself known in the local network by multicast DNS (DNS-SD, RFC 6763).

The service is `_muster._tcp.local.`; its TXT record has `url`, `server_id` and `version`. Whoever finds it must not
believe it: any machine of the subnet can say the same. The proofs of `actors.enrolment.proofs` are what counts.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from actors.resolver.addresses import InterfaceAddress, InterfaceState
from actors.runtime import Runtime, ThreadedActor, ToSelf

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

logger = logging.getLogger(__name__)

SERVICE_TYPE = "_muster._tcp.local."
EVERY = 5.0
"""Seconds between two looks at the addresses of this machine."""
RETRY_AFTER = 30.0
"""Seconds after a failure, such as a network that takes no multicast."""
BRIDGES = ("docker", "br-", "virbr")
"""Beginnings of the names of interfaces behind which there are only containers and virtual machines of this one."""


class Card(NamedTuple):
    """What the network is told."""

    addresses: tuple[str, ...]
    """IPv4, the one of the default route first."""
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Return the server's URL."""
        return f"{self.scheme}://{self.addresses[0]}:{self.port}"


class Look(ToSelf):
    """To itself: see whether what was announced is still so."""


class AnnouncerActor(ThreadedActor):
    """Announces the server, anew when its addresses change, and takes it back at the end.

    Args:
        server_id: names the server; unique, so nobody has to be asked whether the name is free (RFC 6762, 8.1).
        version: Muster's.
        port: returns where the page listens, 0 as long as it does not.
        addresses: returns our addresses to announce.
        runtime: its timers are used.
        every: seconds between two looks.
        tls: whether the page speaks https.

    """

    def __init__(
        self,
        *,
        server_id: str,
        version: str,
        port: Callable[[], int],
        addresses: Callable[[], tuple[str, ...]],
        runtime: Runtime,
        every: float = EVERY,
        tls: bool = False,
    ) -> None:
        super().__init__()
        self._server_id = server_id
        self._version = version
        self._port = port
        self._addresses = addresses
        self._runtime = runtime
        self._every = every
        self._scheme = "https" if tls else "http"
        self._card: Card | None = None
        self._network: Zeroconf | None = None

    def on_start(self) -> None:
        """Begin when the whole tree need not wait for it."""
        self.actor_ref.tell(Look())

    def on_receive(self, message: Any) -> None:
        """Look, and set the time of the next look."""
        assert isinstance(message, Look), message
        delay = self._every if self._is_up_to_date() else RETRY_AFTER
        self._runtime.timers.after(delay, self.actor_ref, Look())

    def on_stop(self) -> None:
        """Take the announcement back: browsers forget the server at once."""
        self._withdraw()

    def on_failure(self, *_: Any) -> None:
        """Close the sockets of a crashed announcer."""
        self._withdraw()

    def _is_up_to_date(self) -> bool:
        """Announce what has changed; return False if the network does not take it."""
        from zeroconf import Error

        addresses, port = self._addresses(), self._port()
        card = Card(addresses, port, self._scheme) if addresses and port else None
        if card == self._card:
            return True
        self._withdraw()
        if card is None:
            return True
        try:
            self._announce(card)
        except (OSError, Error) as error:
            logger.warning("the local network cannot be told of this server: %s", error or type(error).__name__)
            self._withdraw()
            return False
        self._card = card
        logger.info("announced as %s in the local network", card.url)
        return True

    def _announce(self, card: Card) -> None:
        from zeroconf import IPVersion, Zeroconf

        self._network = Zeroconf(interfaces=list(card.addresses), ip_version=IPVersion.V4Only)
        self._network.register_service(describe(card, self._server_id, self._version), cooperating_responders=True)

    def _withdraw(self) -> None:
        from zeroconf import Error

        network, self._network, self._card = self._network, None, None
        if network is None:
            return
        try:
            network.close()  # which says goodbye first
        except (OSError, Error) as error:
            logger.warning("the announcement could not be taken back: %s", error or type(error).__name__)


def describe(card: Card, server_id: str, version: str) -> ServiceInfo:
    """Return the service as DNS-SD has it."""
    from zeroconf import ServiceInfo

    return ServiceInfo(
        SERVICE_TYPE,
        f"Muster {server_id}.{SERVICE_TYPE}",
        port=card.port,
        parsed_addresses=list(card.addresses),
        properties={"url": card.url, "server_id": server_id, "version": version},
        server=f"muster-{server_id}.local.",
    )


def own_addresses(host: str, interfaces: Sequence[str]) -> tuple[str, ...]:
    """Return the IPv4 addresses under which others may reach a server of this machine.

    Args:
        host: where the server listens: an address of ours, or a wildcard for all of them.
        interfaces: names of the only interfaces that count; empty means all but the bridges to virtual machines.

    """
    ours = usable(psutil.net_if_addrs(), psutil.net_if_stats(), interfaces)
    if not is_wildcard(host):
        return (host,) if host in ours else ()
    primary = default_address()
    return tuple(sorted(ours, key=lambda address: address != primary))


def usable(
    addresses: Mapping[str, Sequence[InterfaceAddress]],
    states: Mapping[str, InterfaceState],
    interfaces: Sequence[str],
) -> list[str]:
    """Return the IPv4 addresses of the interfaces that count, without loopback."""
    return [
        entry.address
        for name, entries in addresses.items()
        if (name in interfaces if interfaces else not name.startswith(BRIDGES))
        if name in states and states[name].isup
        for entry in entries
        if entry.family == socket.AF_INET and not ipaddress.IPv4Address(entry.address).is_loopback
    ]


def is_wildcard(host: str) -> bool:
    """Tell whether a server that listens at `host` listens at all addresses."""
    return host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def default_address() -> str:
    """Return our address on the way to the world, empty without such a way; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: an address for documentation, so nobody's
        except OSError:
            return ""
        return str(probe.getsockname()[0])
