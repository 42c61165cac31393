"""What is done with a server that was found: keep what it has given before, or enrol there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from actors.runtime import Clock
from edge.bearings import Bearings, Credentials, MqttAccess
from edge.certificate.files import CertificateFiles, Request
from edge.enrol import (
    EnrolmentError,
    Granted,
    Introduction,
    KeyRefusedError,
    NotApprovedError,
    Server,
    register,
)
from edge.finding.places import SPOKEN, Place
from edge.finding.search import Found

logger = logging.getLogger(__name__)

RENEW_EVERY = 3_600.0
"""Seconds between two enrolments because the broker has refused what the last one gave."""

DENIED = "an operator has denied it"

Renewal = Literal["", "refused", "asked"]
"""The broker refuses what the last enrolment gave; or the server has asked us to enrol anew."""
Outcome = Literal["found", "waiting", "refused", "failed"]


class Entry:
    """Changes the bearings; blocks while a server is asked."""

    def __init__(
        self,
        bearings: Bearings,
        *,
        device_id: str,
        trust: Callable[[str], str],
        introduce: Callable[[], Introduction],
        clock: Clock,
        certificate: CertificateFiles | None = None,
    ) -> None:
        """Assign.

        Args:
            bearings: where everything is left.
            device_id: ours.
            trust: returns the PEM file with the authorities to trust for a URL; empty for those of the system.
            introduce: returns what we say of ourselves.
            clock: for the time of an enrolment.
            certificate: where a certificate is kept; None asks for none.

        """
        self._bearings, self._device_id, self._trust = bearings, device_id, trust
        self._certificate = certificate
        self._introduce, self._clock = introduce, clock
        self._applied_at = ""
        self._renewed_at = float("-inf")

    def enter(self, found: Found, *, renew: Renewal) -> Outcome:
        """Use a server.

        Args:
            found: the server, proved as far as we could check it.
            renew: why we should ask for another password of the broker; empty: there is no need to.

        """
        place, server = found.place, found.server
        if server is None:
            return self._use(place)
        if server.verdict.by_token and not (renew == "asked" or (renew and self._may_renew())):
            self._move(place, server)
            return self._use(place)
        if not server.verdict.by_token and self._applied_at == server.server_id:
            # We have asked there. Until an operator decides, asking with the key again would tell nobody anything.
            if server.state == "pending":
                return self._waiting(place, server)
            if server.state == "denied":
                return self._refused(place, server, DENIED)
        return self._enrol(found, server)

    def _enrol(self, found: Found, server: Server) -> Outcome:
        place = found.place
        self._bearings.lost()  # the token that we have is not for this server
        self._bearings.show("enrolling", f"Enrolling at the server at {place.url}, found {SPOKEN[place.source]}.")
        try:
            self._bearings.adopt(self._register(found, server))
        except NotApprovedError as error:
            if error.denied:
                return self._refused(place, server, DENIED)
            return self._waiting(place, server)
        except KeyRefusedError as error:
            return self._refused(place, server, str(error))
        except EnrolmentError as error:
            self._bearings.show("enrolling", f"The server at {place.url} does not enrol this device now: {error}.")
            return "failed"
        return self._use(place)

    def _register(self, found: Found, server: Server) -> Credentials:
        # A token that does not open this server proves nothing there.
        own = found.own if server.verdict.by_token else found.own._replace(token="")
        if not server.verdict.by_key:
            own = own._replace(enrolment_key="")  # the server has another one by now, and knows our token
        url, claim = found.place.url, self._bearings.claim()
        request = self._certificate.request() if self._certificate is not None else None
        granted = register(
            url,
            self._device_id,
            self._introduce(),
            own,
            claim=claim,
            ca_file=self._trust(url),
            csr=request.csr if request is not None else "",
        )
        certified = self._keep_certificate(granted, request)
        return Credentials(
            device_id=self._device_id,
            server_id=granted.server_id,
            connection_string=granted.connection_string,
            mqtt=granted.mqtt,
            token=granted.http.token,
            server_url=url,
            enrolled_at=round(self._clock.time(), 3),
            certified=certified,
        )

    def _keep_certificate(self, granted: Granted, request: Request | None) -> bool:
        """Keep what broker and server are trusted by, and our certificate; tell whether we have one."""
        if self._certificate is None:
            return False
        try:
            if request is None or not granted.certificate:
                self._certificate.keep_authority(granted.ca)
                return False
            return self._certificate.keep(request.key, granted.certificate, granted.ca)
        except OSError as error:
            raise EnrolmentError(f"its certificate cannot be kept: {error.strerror}") from None

    def _use(self, place: Place) -> Outcome:
        self._bearings.verified(place.url)
        self._bearings.show("found", f"The server is at {place.url}, found {SPOKEN[place.source]}.")
        return "found"

    def _waiting(self, place: Place, server: Server) -> Outcome:
        self._applied_at = server.server_id
        self._bearings.show(
            "waiting_for_approval",
            f"An operator has to approve this device at the server at {place.url}.",
        )
        self._bearings.verified(place.url)
        return "waiting"

    def _refused(self, place: Place, server: Server, reason: str) -> Outcome:
        self._applied_at = server.server_id
        self._bearings.show("refused", f"The server at {place.url} refuses this device: {reason}.")
        self._bearings.verified(place.url)
        return "refused"

    def _may_renew(self) -> bool:
        now = self._clock.monotonic()
        if now < self._renewed_at + RENEW_EVERY:
            return False
        self._renewed_at = now
        return True

    def _move(self, place: Place, server: Server) -> None:
        """Keep where server and broker are now."""
        kept = self._bearings.credentials
        if kept is None:
            return
        mqtt = kept.mqtt
        told = server.mqtt
        if kept.certified and mqtt.tls:
            # What is told here is the listener for passwords; that for certificates is told with a certificate alone.
            mqtt = _moved_along(mqtt, kept.server_url, place.url)
        elif told is not None and (told.tls or place.is_tls or not mqtt.tls):
            # Encryption is not given up because of an answer that was not encrypted itself.
            mqtt = msgspec.structs.replace(mqtt, host=told.host, port=told.port, tls=told.tls)
        elif told is not None and (told.host, told.port) != (mqtt.host, mqtt.port):
            logger.warning("server: %s names a broker without TLS over plain HTTP; the one with TLS is kept", place.url)
        moved = msgspec.structs.replace(kept, server_url=place.url, mqtt=mqtt)
        self._bearings.adopt(moved)


def _moved_along(mqtt: MqttAccess, before: str, now: str) -> MqttAccess:
    """Return the broker at the server's new host if it was at the server's host before."""
    host = urlsplit(now).hostname
    is_beside = mqtt.host == urlsplit(before).hostname
    return msgspec.structs.replace(mqtt, host=host) if host and is_beside else mqtt
