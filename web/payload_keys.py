"""Keys for sealed payloads as the HTTP face sees them: part of `web.face`, in a module of its own for its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from web.face import Item


class PayloadKeyRefusedError(Exception):
    """What was asked of a key is refused; whoever asked is told why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Assign.

        Args:
            status: the HTTP status: 400, 404, 409 or 503.
            code: one word for programs: `bad_field`, `not_found`, `not_primary`, `unavailable`.
            message: one sentence for people.

        """
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class PayloadKeys(Protocol):
    """Who speaks sealed. An item has the fields of `web.answers_payload_keys.DevicePayloadKey`.

    Every method may raise `PayloadKeyRefusedError`.
    """

    def items(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return those who are believed only sealed, by serial, and the cursor of the next page.

        Raises:
            ValueError: the cursor was made up.

        """
        ...

    def show(self, serial: str) -> Item:
        """Return a device's public key and the server's."""
        ...

    def exchange(self, serial: str, key: str) -> tuple[bool, Item]:
        """Take a device's public key, in base64: from now on it is believed only sealed.

        Return whether it is another one than before, and both keys.
        """
        ...

    def require(self, serial: str) -> Item:
        """Believe a device only sealed, though it may have given no key yet."""
        ...

    def drop(self, serial: str) -> None:
        """Believe a device unsealed again."""
        ...
