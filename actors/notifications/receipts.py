"""What devices answer to notifications, on `devices/{id}/receipts`, where the server gives receipts too.

`{"notification_id", "state": "received" | "displayed" | "failed", "reason"?, "timestamp"?, "id"?}`; with an `id` the
server answers there that it is stored.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.identity import BadTimestampError, timestamp_us
from actors.messages import Delivery
from actors.payloads import LARGEST_ANNOUNCEMENT, RefusedError, Timestamp, check_size, serial_of, to_refusal

HEAD = 4096
"""Bytes of a payload among which the words are looked for that tell whose it is."""
SERIAL_NAMES = ("device_id", "serial_number")

State = Literal["received", "displayed", "failed"]


class ReceiptBody(msgspec.Struct, gc=False):
    """A receipt as it is sent; unknown fields pass."""

    notification_id: Annotated[str, Meta(min_length=1, max_length=64)]
    state: State
    reason: Annotated[str, Meta(max_length=1024)] | None = None
    timestamp: Timestamp | None = None
    id: Annotated[str, Meta(max_length=128)] | None = None
    device_id: str | None = None
    serial_number: str | None = None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a device says has become of a notification."""

    notification_id: str
    state: State
    reason: str
    ts_us: int
    """When, by the device's clock; the time of receipt where it did not tell."""
    sender_id: str
    """The device's own id of this receipt, for the answer; empty for none."""


_decode = msgspec.json.Decoder(ReceiptBody).decode


def is_own(payload: bytes) -> bool:
    """Return whether a payload on the topic of receipts was given by a server."""
    head = payload[:HEAD]
    return (b'"stored"' in head or b'"refused"' in head) and b'"notification_id"' not in head


def decode_receipt(delivery: Delivery, *, bound_id: str, zone: tzinfo) -> Receipt:
    """Decode the receipt in a delivery of the device `bound_id`; `zone` is that of timestamps that name none.

    Raises:
        RefusedError: with a reason of `actors.payloads.REASONS` and the field at fault in backticks.

    """
    check_size(delivery.payload, LARGEST_ANNOUNCEMENT)
    try:
        body = _decode(delivery.payload)
        told_us = delivery.rx_us if body.timestamp is None else timestamp_us(body.timestamp, zone)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise to_refusal(error) from None
    except BadTimestampError as error:
        raise RefusedError("bad_timestamp", str(error)) from None
    serial_of({name: getattr(body, name) for name in SERIAL_NAMES}, bound_id=bound_id, names=SERIAL_NAMES)
    for name in ("notification_id", "reason", "id"):
        if "\0" in (getattr(body, name) or ""):
            raise RefusedError("nul", f"`{name}` contains NUL")
    return Receipt(body.notification_id, body.state, body.reason or "", told_us, body.id or "")
