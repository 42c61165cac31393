"""`KeyExchanger`: gives the server our public key for its own: at a start, each hour, after an enrolment, in doubt."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec

from actors.payload_keys.envelope import BadKeyError
from actors.runtime import Runtime, ThreadedActor
from actors.uplink.poster import ServerAddress
from edge.bearings import Bearings
from edge.finding.exchange import ExchangeError, post_as_device
from edge.payload_keys.keys import ChangedKeyError, PayloadKeys

logger = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between two looks at whether there is a server that has not got our key."""
AGAIN = 60.0
"""Seconds after an exchange that was in vain, half more or less: the whole fleet may have asked."""
DOUBT = 600.0
"""Seconds between two exchanges because of messages that were refused: whoever sends such may send many."""
AFRESH = 3_600.0
"""Seconds, half more or less, after which the key is given again for no reason: a server that was restored from an
older backup does not know it, and may have nothing to say that would tell us."""
ASK_SECONDS = 20.0
HANG_AFTER = 120.0
"""For the specification of this child: longer than an exchange."""


class Look(NamedTuple):
    """To itself: look."""

    of: str
    """Which incarnation has set it: that of a predecessor is not continued."""


class Renew(NamedTuple):
    """Make another key and give it to the server; from `muster-edge payload-key --renew`."""


class _Answer(msgspec.Struct, frozen=True):
    server_key: Annotated[str, msgspec.Meta(min_length=44, max_length=44)]


class KeyExchanger(ThreadedActor):
    """Has a thread because an exchange blocks."""

    def __init__(
        self,
        *,
        keys: PayloadKeys,
        bearings: Bearings,
        device_id: str,
        runtime: Runtime,
        on_changed: Callable[[], None],
        prove: Callable[[], ServerAddress | None] | None = None,
    ) -> None:
        """Assign.

        Args:
            keys: ours.
            bearings: where the server is.
            device_id: ours.
            runtime: clock and timers.
            on_changed: called on our thread when the link may connect, or has to connect anew.
            prove: returns the server once it has proved itself anew; None: it is taken as it was found.

        """
        super().__init__()
        self._keys, self._bearings, self._device_id = keys, bearings, device_id
        self._runtime, self._on_changed = runtime, on_changed
        self._prove = prove or bearings.server
        self._given_to: tuple[str, str] | None = None
        """Server and token of the last exchange: after an enrolment there is another token."""
        self._not_before = self._doubted_at = self._stale_at = float("-inf")

    def on_start(self) -> None:
        """Begin at once."""
        self.actor_ref.tell(Look(self.actor_urn))

    def on_receive(self, message: object) -> None:
        """Look, and set the time of the next look."""
        try:
            if isinstance(message, Renew):
                self._keys.load()
                self._keys.renew()
                self._given_to, self._not_before = None, float("-inf")
                self._on_changed()
            elif message != Look(self.actor_urn):
                return
            self._look()
        except OSError as error:
            self._keys.detail = f"The payload key cannot be kept: {error.strerror}; tried again soon."
            logger.warning("%s", self._keys.detail)
            self._not_before = self._after(AGAIN)
        if isinstance(message, Look):
            self._runtime.timers.after(TICK, self.actor_ref, message)

    def _look(self) -> None:
        self._keys.load()
        server, credentials = self._bearings.server(), self._bearings.credentials
        now = self._runtime.clock.monotonic()
        if self._keys.distrust.is_set() and now >= self._doubted_at + DOUBT:
            self._doubted_at, self._given_to = now, None
            self._keys.distrust.clear()
        is_given = server is not None and self._given_to == (server.url, server.token) and now < self._stale_at
        if server is None or now < self._not_before or is_given:
            return
        server_id = credentials.server_id if credentials is not None else ""
        proved = self._prove()
        if proved is not None and self._give(proved, server_id):
            self._given_to = (server.url, server.token)
            self._stale_at = self._after(AFRESH)
        else:
            self._not_before = self._after(AGAIN)

    def _give(self, server: ServerAddress, server_id: str) -> bool:
        """Exchange keys; return whether that is done."""
        body = {"key": self._keys.public()}
        try:
            answer = post_as_device(server, self._device_id, "payload_key", body, seconds=ASK_SECONDS)
            told = msgspec.json.decode(answer.body, type=_Answer) if answer.status == 200 else None
        except (ExchangeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._failed(f"The server has not taken our payload key yet: {error}.")
        if told is None:
            return self._failed(f"The server does not take our payload key: it answers {answer.status}.")
        try:
            is_new = self._keys.adopt(told.server_key, server_id)
        except (ChangedKeyError, BadKeyError) as error:
            return self._failed(str(error))
        self._keys.detail = f"Payloads are sealed with the key {self._keys.key_id}."
        if is_new:
            logger.info("%s", self._keys.detail)
            self._on_changed()
        return True

    def _failed(self, detail: str) -> bool:
        if detail != self._keys.detail:
            logger.warning("%s", detail)
        self._keys.detail = detail
        return False

    def _after(self, seconds: float) -> float:
        return self._runtime.clock.monotonic() + seconds * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
