"""One fault in many children is a fault of the code, not of the children."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.errors import InvalidSpecError

Signature = tuple[str, str]


@dataclass(slots=True)
class Fault:
    """One code path on which children crash: an exception's type and the innermost line that raised it."""

    signature: Signature
    children: dict[str, float] = field(default_factory=dict)
    """Id to the time of its latest crash, monotonic seconds, in that order; kept until the breaker trips."""
    open: bool = False
    crashes: int = 0
    since: float = 0.0
    """When the breaker tripped, monotonic seconds."""
    last: float = 0.0


class Breaker:
    """Counts the children that the same fault hits; trips when they are too many within a while.

    A fault that is open is charged to the code path: its children are not quarantined for it. It closes when it has not
    been seen for as long as the while.
    """

    def __init__(self, children: int = 20, within: float = 60.0, faults: int = 200) -> None:
        if children < 1 or within <= 0 or faults < 1:
            raise InvalidSpecError("breaker: children, within and faults must be above 0")
        self.children = children
        self.within = within
        self._most = faults
        self._faults: dict[Signature, Fault] = {}

    def record(self, signature: Signature, child_id: str, now: float) -> Fault:
        """Note a crash; the fault's `open` tells whether it is charged to the code path."""
        self._forget(now)
        fault = self._faults.get(signature)
        if fault is None:
            while len(self._faults) >= self._most:
                self._faults.pop(next(iter(self._faults)))
            fault = self._faults[signature] = Fault(signature)
        fault.crashes += 1
        fault.last = now
        if not fault.open:
            self._count(fault, child_id, now)
        return fault

    def is_open(self, signature: Signature) -> bool:
        """Return whether this fault is charged to the code path at present."""
        fault = self._faults.get(signature)
        return fault is not None and fault.open

    def _count(self, fault: Fault, child_id: str, now: float) -> None:
        fault.children.pop(child_id, None)
        fault.children[child_id] = now
        while now - fault.children[next(iter(fault.children))] > self.within:
            fault.children.pop(next(iter(fault.children)))
        if len(fault.children) > self.children:
            fault.open = True
            fault.since = now

    def _forget(self, now: float) -> None:
        quiet = [signature for signature, fault in self._faults.items() if now - fault.last > self.within]
        for signature in quiet:
            del self._faults[signature]

    def open_faults(self, now: float) -> tuple[Fault, ...]:
        """Return the faults whose breaker is open; safe from any thread."""
        faults = tuple(self._faults.values())
        return tuple(fault for fault in faults if fault.open and now - fault.last <= self.within)
