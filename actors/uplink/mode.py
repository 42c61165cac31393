"""Which way is taken, MQTT or HTTP: a pure decision over what is known of the link. No clock, no socket."""

from __future__ import annotations

from typing import Literal, NamedTuple

Mode = Literal["mqtt", "api"]
Configured = Literal["auto", "mqtt", "api"]

ATTEMPTS = 3
"""Failed attempts in a row after which a broker counts as away."""
BLIND = 60.0
"""Seconds without a working connection after which it counts as away however it fails (it may refuse to subscribe)."""
PATIENCE = 120.0
"""Seconds without any receipt, though items are out, after which the other way is tried."""
DETOUR = 600.0
"""Seconds until MQTT has another chance after such a silence."""


class Facts(NamedTuple):
    """What the decision rests on, at one moment."""

    link_up: bool
    failed_attempts: int
    """Attempts to connect that failed since the last connection."""
    blind_for: float
    """Seconds since the link was last up, or began."""
    silent_for: float
    """Seconds for which items have been out on MQTT without any receipt; 0 when none are out."""


class ModeSwitch:
    """Holds the mode and changes it. `auto` prefers MQTT; the two other settings never change."""

    def __init__(self, configured: Configured, *, can_publish: bool = True) -> None:
        self.mode: Mode = "api" if configured == "api" or not can_publish else "mqtt"
        self.reason = ""
        """Why the mode is what it is; empty at the beginning."""
        self._fixed = configured != "auto" or not can_publish
        self._silence_until: float | None = None

    @property
    def on_detour(self) -> bool:
        """Whether HTTP is used although the broker is there, because no receipts come."""
        return self._silence_until is not None

    def judge(self, now: float, facts: Facts) -> bool:
        """Decide at `now` (monotonic seconds); return whether the mode has changed."""
        if self._fixed:
            return False
        if self.mode == "mqtt":
            return self._judge_mqtt(now, facts)
        if not facts.link_up:
            self._silence_until = None  # what was a silence is now a broker that is away
            return False
        if self._silence_until is not None and now < self._silence_until:
            return False
        return self._enter("mqtt", "the broker is there")

    def end_detour(self, reason: str) -> bool:
        """Return to MQTT: a receipt has come after all, or HTTP does not answer either."""
        return self.on_detour and self._enter("mqtt", reason)

    def _judge_mqtt(self, now: float, facts: Facts) -> bool:
        if facts.link_up:
            if facts.silent_for < PATIENCE:
                return False
            self._silence_until = now + DETOUR
            return self._enter("api", f"no receipt for {facts.silent_for:.0f} s")
        if facts.failed_attempts >= ATTEMPTS:
            return self._enter("api", f"the broker could not be reached {facts.failed_attempts} times in a row")
        if facts.blind_for >= BLIND:
            return self._enter("api", f"no working connection to the broker for {facts.blind_for:.0f} s")
        return False

    def _enter(self, mode: Mode, reason: str) -> bool:
        self.mode, self.reason = mode, reason
        if mode == "mqtt":
            self._silence_until = None
        return True
