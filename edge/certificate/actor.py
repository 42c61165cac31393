"""`Certifier`: has the certificate of this device renewed, and fetches the first one where the server gives some."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec

from actors.runtime import Runtime, ThreadedActor
from actors.uplink.poster import ServerAddress
from edge.bearings import Bearings, MqttAccess
from edge.certificate.files import CertificateFiles
from edge.finding.exchange import ExchangeError, post_as_device

logger = logging.getLogger(__name__)

TICK = 60.0
"""Seconds between two looks at how long the certificate is good; the first comes when the server is known."""
UNKNOWN = 2.0
"""Seconds between two looks for a server that is not known yet."""
AGAIN = 600.0
"""Seconds after a request that was in vain, half more or less: the whole fleet may have asked."""
NOT_OFFERED = 86_400.0
"""Seconds after which a server that gives no certificates is asked again; an update or its owner may change that."""
SOONEST = 21_600.0
"""Seconds between two certificates, though the new one be due already: our clock is wrong, or the authority ends."""
ASK_SECONDS = 20.0
HANG_AFTER = 180.0
"""For the specification of this child: longer than a key and a request take together."""


class Look(NamedTuple):
    """To itself: look."""

    of: str
    """Which incarnation has set it: that of a predecessor is not continued."""


class _Answer(msgspec.Struct, frozen=True):
    certificate: Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]
    mqtt: MqttAccess
    ca: Annotated[str, msgspec.Meta(max_length=16_384)] = ""


class Certifier(ThreadedActor):
    """Has a thread because all that it does blocks for a moment."""

    def __init__(
        self,
        *,
        bearings: Bearings,
        files: CertificateFiles,
        device_id: str,
        runtime: Runtime,
        on_changed: Callable[[], None],
        prove: Callable[[], ServerAddress | None] | None = None,
    ) -> None:
        """Assign.

        Args:
            bearings: where server and broker are.
            files: of the certificate.
            device_id: ours.
            runtime: clock and timers.
            on_changed: called on our thread when the broker is to be reached in another way.
            prove: returns the server once it has proved itself anew; None: it is taken as it was found.

        """
        super().__init__()
        self._bearings, self._files, self._device_id = bearings, files, device_id
        self._runtime, self._on_changed = runtime, on_changed
        self._prove = prove or bearings.server
        self._not_before = float("-inf")

    def on_start(self) -> None:
        """Begin at once."""
        self.actor_ref.tell(Look(self.actor_urn))

    def on_receive(self, message: Any) -> None:
        """Look, and set the time of the next look."""
        if not isinstance(message, Look) or message.of != self.actor_urn:
            return
        try:
            delay = self._look()
        except OSError as error:
            logger.warning("The certificate cannot be kept: %s; tried again later.", error.strerror)
            delay = AGAIN
        self._runtime.timers.after(delay, self.actor_ref, Look(self.actor_urn))

    def _look(self) -> float:
        server, credentials = self._bearings.server(), self._bearings.credentials
        now = self._runtime.clock.monotonic()
        if server is None or credentials is None:
            return UNKNOWN
        dates = self._files.dates()
        if now < self._not_before or (dates is not None and not dates.is_due(self._runtime.clock.time())):
            return TICK
        proved = self._prove()
        self._not_before = now + (AGAIN if proved is None else self._renew(proved))
        return TICK

    def _renew(self, server: ServerAddress) -> float:
        """Ask for a certificate; return for how many seconds not to ask again."""
        request = self._files.request()
        if request is None:
            return NOT_OFFERED
        again = AGAIN * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        try:
            body = {"csr": request.csr}
            answer = post_as_device(server, self._device_id, "certificate", body, seconds=ASK_SECONDS)
        except ExchangeError as error:
            logger.info("The certificate is not renewed yet: %s.", error)
            return again
        if answer.status == 404:
            return NOT_OFFERED
        try:
            told = msgspec.json.decode(answer.body, type=_Answer) if answer.status == 201 else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = None
        if told is None or not self._files.keep(request.key, told.certificate, told.ca):
            logger.warning("The server gives no certificate: it answers %d; asked again later.", answer.status)
            return again
        before = self._bearings.broker()
        self._bearings.certified(told.mqtt)
        logger.info("This device has a new certificate.")
        if self._bearings.broker() != before:
            self._on_changed()
        return SOONEST
