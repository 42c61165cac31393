"""Ask the local network by name (multicast DNS, RFC 6762): a short browse, then everything is closed again.

Answers are not authenticated: any machine of the subnet may claim a name. They are used only for a device that is not
in the roll call, and dropped when the neighbour table shows another MAC at that address (see `steps`).
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.resolver.addresses import is_checkable
from actors.resolver.budget import Budget
from actors.resolver.chain import Found, Wanted

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

SERVICE_TYPES = ("_muster-edge._tcp.local.", "_ssh._tcp.local.")
#: Keys of a service's TXT record that bear the serial.
SERIAL_KEYS = (b"serial", b"serial_number", b"device_id")
#: Seconds of one question for the host name; between two of them the services found meanwhile are looked at.
QUESTION = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network told of one service or host."""

    host: str
    """Host name with its domain, for example `raspberrypi.local.`."""
    addresses: tuple[str, ...]
    port: int | None = None
    serial: str = ""


Browse = Callable[[str, Sequence[str], Budget], Generator[Answer, None, None]]
"""(host name with domain or empty, own addresses to ask from, budget) to answers, as they come in."""


def look_up(
    wanted: Wanted, own: Sequence[str], budget: Budget, *, browse: Browse, accept: Callable[[Found], bool]
) -> Found | None:
    """Return the first acceptable place that answers to the device's serial or host name.

    Args:
        wanted: The device.
        own: Our addresses on the interfaces to ask on.
        budget: Bounds the browse.
        browse: Asks the network.
        accept: Has the last word on each place.

    """
    with closing(browse(local_name(wanted.hostname), own, budget)) as answers:
        matching = (answer for answer in answers if matches(wanted, answer))
        found = (Found(address, answer.port) for answer in matching for address in usable(answer))
        return next((place for place in found if accept(place)), None)


def matches(wanted: Wanted, answer: Answer) -> bool:
    """Tell whether an answer is about the device: by the serial if the service tells one, else by the host name."""
    if answer.serial:
        return answer.serial == wanted.serial
    name = local_name(wanted.hostname)
    return bool(name) and answer.host.lower() == name


def usable(answer: Answer) -> list[str]:
    """Return the addresses of an answer that are not public, multicast or nonsense."""
    return [address for address in answer.addresses if is_checkable(address)]


def local_name(hostname: str) -> str:
    """Return the mDNS name of a host (`pi.lan` is `pi.local.`), or empty text for what cannot be one."""
    label = hostname.strip().lower().partition(".")[0]
    usable_label = 0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum()
    return f"{label}.local." if usable_label and label != "localhost" else ""


def browse_network(name: str, own: Sequence[str], budget: Budget) -> Generator[Answer, None, None]:
    """Browse for services and ask for the host name until the budget is spent; closing it closes the sockets.

    Raises:
        OSError: the multicast sockets could not be opened.

    """
    from zeroconf import IPVersion, ServiceBrowser, Zeroconf

    if not own:
        return
    found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def on_change(*, service_type: str, name: str, **_: Any) -> None:
        found.put((service_type, name))

    with Zeroconf(interfaces=list(own), ip_version=IPVersion.V4Only) as network:
        ServiceBrowser(network, list(SERVICE_TYPES), handlers=[on_change])
        while not budget.spent():
            yield from _host(network, name, budget)
            yield from _services(network, found, budget, patience=0.0 if name else QUESTION)


def answer_of(info: ServiceInfo) -> Answer:
    """Read a resolved service."""
    serials = [value for key in SERIAL_KEYS if (value := info.properties.get(key))]
    return Answer(
        host=info.server or "",
        addresses=tuple(info.parsed_addresses()),
        port=info.port or None,
        serial=serials[0].decode("utf-8", errors="replace") if serials else "",
    )


def _host(network: Zeroconf, name: str, budget: Budget) -> Iterator[Answer]:
    # Exported since zeroconf 0.132, but not listed in its `__all__`.
    from zeroconf import AddressResolverIPv4  # type: ignore[attr-defined]

    if not name:
        return
    resolver = AddressResolverIPv4(name)
    if resolver.request(network, _milliseconds(budget)):
        yield Answer(host=name, addresses=tuple(resolver.parsed_addresses()))


def _services(
    network: Zeroconf, found: queue.SimpleQueue[tuple[str, str]], budget: Budget, *, patience: float
) -> Iterator[Answer]:
    """Yield the services found so far; wait `patience` seconds, within the budget, for the first one."""
    timeout = min(patience, budget.left())
    with suppress(queue.Empty):
        while not budget.spent():
            service_type, name = found.get(timeout=timeout)
            timeout = 0.0
            info = network.get_service_info(service_type, name, timeout=_milliseconds(budget))
            if info is not None:
                yield answer_of(info)


def _milliseconds(budget: Budget) -> int:
    return max(1, int(1000.0 * min(QUESTION, budget.left())))
