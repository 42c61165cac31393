"""Enrolment as the HTTP face sees it: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from web.face import Item


class EnrolmentRefusedError(Exception):
    """An enrolment, or what an operator asked of one, was refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Assign.

        Args:
            status: the HTTP status: 400, 401, 404, 409, 429 or 503.
            code: one word for programs: `bad_field`, `bad_key`, `pending`, `denied`, `fleet_full`, `not_found`,
                `changed`, `too_many`, `hub_unavailable`, `busy`.
            message: one sentence for people.
            details: `field` with 400; `device_id` and `state` with 409.

        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Enrolments(Protocol):
    """The exchange of the fleet's key for credentials of a device's own, and its operators.

    A row has `serial`, `state`, `hostname`, `mac_address`, `device_type`, `address`, `requested_us`, `enrolled_us`
    (None before the first), `approved_until_us` (None without an approval), `changed_by` and `request` (a name of the
    request that waits or was approved, empty without one). A state is one of `pending`, `approved`, `enrolled` and
    `denied`.
    """

    def inspect(self, device_id: str, nonce: str, *, address: str, host: str) -> Item:
        """Return what a device may know before it trusts this server, and the proofs that it may.

        Args:
            device_id: who asks.
            nonce: 16 to 64 lower-case hex digits of the asker's choice.
            address: the client's address.
            host: the request's Host header with the port written out, empty without one.

        Returns:
            `server_id`, `version`, `device_id`, `state` (`unknown` for who has never asked), `mqtt` (`host`, `port`,
            `tls`), `proofs` (`enrolment_key`, `device`), `detail` (why both are empty, where the host is not this
            server's) and `timestamp`, an RFC 3339 time.

        Raises:
            EnrolmentRefusedError: 400 for a bad device id or nonce.

        """
        ...

    def register(self, request: Item, *, proof: str, address: str, host: str) -> Item:
        """Enrol a device; the answer is for 201. It may take some seconds where an IoT hub is configured.

        Args:
            request: the body as it was decoded from JSON; it is checked here, see `actors.enrolment.messages`.
            proof: the bearer token of the request, empty without one; it need not be a valid one.
            address: the client's address.
            host: the request's Host header, empty without one.

        Returns:
            `device_id`, `server_id`, `connection_string`, `mqtt` (`host`, `port`, `username`, `password`, `tls`),
            `http` (`token`), `certificate` and `ca` (PEM, empty where there is none).

        Raises:
            EnrolmentRefusedError: 400 for a bad field, 401 for a wrong key, 409 for one that waits for an operator or
                was denied, 503 when the hub does not answer or too many enrol at once.

        """
        ...

    def certify(self, serial: str, request: str, *, host: str) -> Item:
        """Give a device that is enrolled a certificate, its first one or another.

        Args:
            serial: the device, which has shown its token.
            request: a certificate signing request in PEM.
            host: the request's Host header, empty without one.

        Returns:
            `certificate`, `ca`, `mqtt` as `register`.

        Raises:
            EnrolmentRefusedError: 400 for a bad request, 404 where the server gives none, 409 for a device that was
                denied, 429 for one that asks without end, 503 when it cannot now.

        """
        ...

    def items(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return rows: those that wait first, then by serial. Cursors as in `History`."""
        ...

    def approve(self, serial: str, by: str, address: str, request: str = "") -> Item:
        """Let the device enrol again within a day, and return its row.

        Args:
            serial: the device.
            by: who decided, for the record.
            address: from where.
            request: the `request` of the row that was looked at; empty for whatever waits now.

        Raises:
            EnrolmentRefusedError: 404 when this serial has never asked, 409 when that request does not wait any more.

        """
        ...

    def deny(self, serial: str, by: str, address: str) -> Item:
        """Refuse the device until somebody approves it; its tokens stay valid. Raises as `approve`."""
        ...

    def revoke(self, serial: str, by: str, address: str) -> Item:
        """End the device's credentials and refuse it until somebody approves it. Raises as `approve`."""
        ...
