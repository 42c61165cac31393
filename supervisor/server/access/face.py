"""The broker's users as the HTTP face sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from supervisor.server.access.actor import EVENTS
from supervisor.server.access.messages import UnknownDeviceError
from supervisor.server.child import ChildError
from supervisor.server.parts import Parts
from web.access import AccessRefusedError
from web.face import Item


class AccessFace:
    """Status and rotation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def status(self) -> Item:
        """Return how the broker is told of its users, and how far that is."""
        access, now_us = self._parts.access, self._now_us()
        users, board = access.users, access.board
        return {
            "mechanism": access.mechanism,
            "devices": board.devices,
            "waiting": board.waiting,
            "renewing": board.renewing,
            "reason": board.reason,
            "anonymous": users is not None and users.anonymous,
            "shared_user": users is not None and users.now.devices is not None,
            "server_user": users.now.server.name if users is not None else self._parts.config.brokers[0].username,
            "server_user_ends_us": (users.ends_us or None) if users is not None else None,
            "fleet_key_ends_us": self._parts.fleet_keys.ends_us(now_us) or None,
        }

    def rotate_fleet_key(self, grace: float | None) -> Item:
        """Make another fleet's key."""
        ends_us = self._end_of(grace)
        if not self._parts.config.enrolment_key:
            raise AccessRefusedError(409, "not_managed", "the fleet's key is made anew at each start: configure one")
        try:
            return {"key": self._parts.fleet_keys.rotate(ends_us), "ends_us": ends_us}
        except ChildError as error:
            raise AccessRefusedError(503, "not_ready", f"{error}".rstrip(".")) from error

    def rotate_server(self, grace: float | None) -> Item:
        """Give the server another user of the broker."""
        self._refuse_unmanaged()
        users = self._parts.access.users
        if users is not None and users.ends_us:
            raise AccessRefusedError(409, "not_ready", "the server's user of before has not ended yet; wait for it")
        seconds = self._grace(grace)
        return {"username": self._parts.access.rotate_server(seconds), "ends_us": self._end_of(seconds)}

    def renew_devices(self, serials: Sequence[str], grace: float | None) -> Item:
        """Have devices fetch new passwords."""
        self._refuse_unmanaged()
        seconds = self._grace(grace)
        try:
            due = self._parts.access.renew(serials, seconds)
        except UnknownDeviceError as error:
            raise AccessRefusedError(404, "not_found", f"{error} has no user of its own at the broker") from error
        return {"devices": due, "ends_us": self._end_of(seconds)}

    def retire_shared(self) -> bool:
        """End the shared user."""
        self._refuse_unmanaged()
        return self._parts.access.retire_shared()

    def _refuse_unmanaged(self) -> None:
        if not self._parts.access.manages:
            message = "the broker is not Muster's to manage: set `broker_access.mechanism`, see docs/broker-access.md"
            raise AccessRefusedError(409, "not_managed", message)

    def _grace(self, grace: float | None) -> float:
        return self._parts.config.broker_access.grace if grace is None else grace

    def _end_of(self, grace: float | None) -> int:
        return self._now_us() + int(self._grace(grace) * 1_000_000)

    def _now_us(self) -> int:
        return int(self._parts.runtime.clock.time() * 1_000_000)


def access_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield what is known of the broker's users."""
    board = parts.access.board
    total = CounterMetricFamily("muster_broker_access", "Changes of the broker's users.", labels=["event"])
    for event in EVENTS:
        total.add_metric([event], board.counts[event])
    yield total
    users = GaugeMetricFamily("muster_broker_users", "Users of the broker that are devices.", labels=["state"])
    for state, number in (("known", board.devices), ("waiting", board.waiting), ("renewing", board.renewing)):
        users.add_metric([state], number)
    yield users
