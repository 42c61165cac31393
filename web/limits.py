"""Rate limits: token buckets, one per client or token, in a bounded table."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass

MAX_BUCKETS = 10_000
"""Buckets kept; the one untouched for longest is forgotten, which at worst is generous to its owner."""


def client_key(address: str) -> str:
    """Return what a client is counted by: his address, of IPv6 the network of 64 bits that each client has whole."""
    try:
        plain = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if plain.ipv4_mapped is not None:
        return str(plain.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(plain) >> 64 << 64))


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is allowed: `burst` at once, refilled at `per_second`."""

    per_second: float
    burst: float


class RateLimiter:
    """Token buckets by key; thread-safe."""

    def __init__(self, rate: Rate, capacity: int = MAX_BUCKETS) -> None:
        self._rate = rate
        self._capacity = capacity
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Use one of `key`'s requests; return 0, or the seconds until the next one is free (monotonic `now`)."""
        with self._lock:
            level, at = self._buckets.pop(key, (self._rate.burst, now))
            level = min(self._rate.burst, level + (now - at) * self._rate.per_second)
            allowed = level >= 1.0
            self._buckets[key] = (level - 1.0 if allowed else level, now)
            if len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - level) / self._rate.per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The limits of the face. Generous where a token was shown, tight where one is guessed. Clients: `client_key`."""

    token: Rate = Rate(1000, 2000)
    """Per token or session."""
    client: Rate = Rate(500, 1000)
    """Per client address, for requests without a token."""
    login: Rate = Rate(0.2, 10)
    """Per client address: attempts to log in."""
    refused: Rate = Rate(1, 30)
    """Per client address: tokens that were none of ours."""
    inspect: Rate = Rate(50, 500)
    """Per client address: questions for the server's proofs. A whole fleet may ask from behind one router, at once when
    its power comes back, and each that waits for an operator asks every 15 s."""
    enrol: Rate = Rate(1, 30)
    """Per client address: attempts to enrol, each of which may be a guess at the fleet's key."""


class Limits:
    """One limiter for each kind of key."""

    def __init__(self, rates: Rates) -> None:
        self.token = RateLimiter(rates.token)
        self.client = RateLimiter(rates.client)
        self.login = RateLimiter(rates.login)
        self.refused = RateLimiter(rates.refused)
        self.inspect = RateLimiter(rates.inspect)
        self.enrol = RateLimiter(rates.enrol)
