"""`InboxLink`: an uplink's link that is also told what is meant for this device, and acknowledges it when it is kept.

Those subscriptions have QoS 1 and the broker keeps the session for a week: what is sent meanwhile waits for us there.
A delivery is acknowledged when the inbox has it on its disk; what was not is sent again on the next connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.link.session import SESSION_EXPIRY
from actors.link.settling import SettlingLink
from actors.messages import Delivery
from actors.uplink.link import UplinkLink


class InboxLink(SettlingLink, UplinkLink):
    """A control link with a few subscriptions of QoS 1 in a session that the broker keeps."""

    resume_within = SESSION_EXPIRY

    def __init__(self, *, durable: Sequence[str], **settings: Any) -> None:
        """Assign.

        Args:
            durable: the filters of QoS 1; routes of the link want them, too.
            settings: see `SettlingLink` and `UplinkLink`.

        """
        super().__init__(**settings)
        self._durable = tuple(durable)

    def durable_filters(self) -> tuple[str, ...]:
        """Return what is meant for this device."""
        return self._durable

    def end_unrouted(self, deliveries: list[Delivery]) -> None:
        """Acknowledge them: their sender is told of nothing that we have not kept."""
        self._settle([delivery.token for delivery in deliveries])
