"""The edge's link to its broker: a session id and a will of its own for each connection, and a goodbye at the end."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from paho.mqtt.properties import Properties

from actors.link.client import BufferedClient
from actors.link.messages import Announcement, Publish, Reconnect
from actors.link.status import LinkState
from actors.link.wire import Publication
from actors.runtime import compute_backoff
from edge.inbox.link import InboxLink
from edge.payload_keys.keys import PayloadKeys, Refused

logger = logging.getLogger(__name__)

TWIN_DESIRED = "/twin/desired"
RIVAL_FLOOR, RIVAL_CAP = 30.0, 300.0
"""Seconds until we connect again after another client has taken our connection over: nobody sits beside an edge."""
RIVAL_GONE = 600.0
"""Seconds without a takeover after which the next one counts as the first."""


class Goodbye(msgspec.Struct, frozen=True):
    """The process is about to end: say so, and nothing after it."""


@dataclass(kw_only=True, slots=True)
class Line:
    """What others have to know of the connection; outlives the incarnations of the link, written by its thread."""

    session: str = field(default_factory=lambda: secrets.token_hex(8))
    """Drawn for each CONNECT: who hears our will knows which connection it speaks of."""
    local_ip: str = ""
    """Our end of the connection; empty while there is none."""


class EdgeLink(InboxLink):
    """The link of an edge: what it has to tell, what it is told, and its presence.

    A connection that breaks and is made again is the same session to the broker (MQTT 5, 3.1.2.11.2): its will waits
    for a second, and who is back by then has never been away.
    """

    def __init__(
        self,
        *,
        line: Line,
        offline: Callable[[str], Announcement],
        on_connected: Callable[[], None],
        keys: PayloadKeys,
        **settings: Any,
    ) -> None:
        """Assign.

        Args:
            line: where session and address are left.
            offline: returns the message that we are gone, given its reason: `will` or `goodbye`.
            on_connected: called whenever the subscriptions stand.
            keys: seal what we say, and open what we are told.
            settings: see `InboxLink`.

        """
        super().__init__(
            will=self._last_will, greet=self._greet, farewell=self._leave_broker, seal=keys.seal, **settings
        )
        self._keys = keys
        self._line = line
        self._offline = offline
        self._on_connected = on_connected
        self._has_left = False
        self._takeovers = 0
        self._taken_at = float("-inf")
        self._return_at: float | None = None
        """When we connect again after a takeover; None while there is none."""

    def on_receive(self, message: Any) -> None:
        """Say goodbye when asked to; what would be said after it is not said, for it would call us back to life."""
        if isinstance(message, Goodbye):
            topic, payload, qos, retain = self._offline("goodbye")
            self._publisher.publish(Publish(topic, payload, qos, retain))
            self._has_left = True
        elif not (self._has_left and isinstance(message, Publish)):
            super().on_receive(message)

    def each_round(self, now: float) -> None:
        """Come back after a takeover, whose cause may be a copied card or an old connection of our own."""
        super().each_round(now)
        if self._connection.state is not LinkState.TAKEN_OVER:
            self._return_at = None
        elif self._return_at is None:
            self._yield(now)
        elif now >= self._return_at:
            super().on_receive(Reconnect())

    def take(self, client: BufferedClient) -> None:
        """Open what is sealed; what is not the server's ends here, acknowledged, or it would come again for ever."""
        if self._keys.encrypt and client.received:
            client.received[:] = [opened for one in client.received if (opened := self._opened(client, one))]
        super().take(client)

    def _opened(self, client: BufferedClient, publication: Publication) -> Publication | None:
        topic, payload, qos, retain, dup, mid, correlation = publication
        try:
            opened = self._keys.open(topic, payload)
        except Refused as refused:
            self._keys.refuse(topic, str(refused))
            opened = None
        if opened is None:
            if mid:
                client.acknowledge([mid])
            return None
        # That it is retained is the broker's word, which must not make an older twin count as the newest again.
        is_retained = retain and (opened is payload or not topic.endswith(TWIN_DESIRED))
        return topic, opened, qos, is_retained, dup, mid, correlation

    def connection_up(self, properties: Properties | None) -> None:
        """Learn which of our addresses the connection has."""
        super().connection_up(properties)
        client = self._connection.client
        sock = client.socket() if client is not None else None
        self._line.local_ip = ""
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):  # it has been closed already
                self._line.local_ip = sock.getsockname()[0]

    def connection_lost(self) -> None:
        """Forget our end of the connection."""
        self._line.local_ip = ""
        super().connection_lost()

    def _yield(self, now: float) -> None:
        self._takeovers = self._takeovers + 1 if now - self._taken_at < RIVAL_GONE + RIVAL_CAP else 0
        self._taken_at = now
        delay = compute_backoff(self._takeovers, base=2 * RIVAL_FLOOR, cap=RIVAL_CAP, floor=RIVAL_FLOOR)
        self._return_at = now + delay
        self._connection.last_error = (
            f"another client is connected with our client id {self._client_id}: is there a second device with a copy of"
            f" this one's card, or with the same `device_id`? Trying again in {delay:.0f} s."
        )
        logger.warning("%s: %s", self._name, self._connection.last_error)

    def _last_will(self) -> Announcement:
        self._line.session = secrets.token_hex(8)
        return self._offline("will")

    def _greet(self, _first: bool) -> list[Announcement]:
        self._on_connected()
        return []

    def _leave_broker(self) -> list[Announcement]:
        """Return what is said before a stop: a goodbye where we move to another broker, or nothing.

        Who ends the process has sent a `Goodbye`; else the next incarnation is back before anybody could miss us.
        """
        return [self._offline("goodbye")] if self._has_moved() and not self._has_left else []
