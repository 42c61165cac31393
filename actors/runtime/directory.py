"""Names instead of refs: a restarted actor has a new ref, so peers hold its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pykka import ActorRef
from pykka._envelope import Envelope


class Directory:
    """Name (of a service) or serial (of a device) to the ref of today.

    Written by the supervisor that owns the actors, read by everyone; a dict under the GIL needs no lock for that.
    """

    def __init__(self) -> None:
        self._refs: dict[str, ActorRef[Any]] = {}
        self.fallback: Callable[[str, Any], None] | None = None
        """Takes messages for a name that is unknown, restarting or gone; set by the supervisor that owns the names."""
        self.undelivered = 0
        """Messages that neither an actor nor a fallback took."""

    def publish(self, name: str, ref: ActorRef[Any]) -> None:
        """Make an actor reachable by its name."""
        self._refs[name] = ref

    def withdraw(self, name: str, ref: ActorRef[Any] | None = None) -> None:
        """Forget a name; with `ref`, only if it still means that incarnation."""
        if ref is None or self._refs.get(name) is ref:
            self._refs.pop(name, None)

    def get(self, name: str) -> ActorRef[Any] | None:
        """Return the ref of today, or None."""
        return self._refs.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._refs

    def __len__(self) -> int:
        return len(self._refs)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._refs))

    def tell(self, name: str, message: Any) -> None:
        """Tell the actor of that name; if it is not there, its supervisor. Never raises in the sender."""
        ref = self._refs.get(name)
        # `ref.tell` without its raise: this is the busiest line of a server. An actor that ends in between hands
        # the message to its monitor.
        if ref is not None and not ref.actor_stopped.is_set():
            ref.actor_inbox.put(Envelope(message))
            return
        if self.fallback is not None:
            self.fallback(name, message)
        else:
            self.undelivered += 1
