"""Decoding what devices report of themselves on `devices/{id}/twin/reported`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from actors.messages import Delivery, StoreTwinReport
from actors.payloads import RefusedError, check_size, serial_of, to_refusal
from actors.twins.documents import MOST_BYTES, encode_document

LARGEST_REPORT = MOST_BYTES + 4096
"""Bytes of the whole message."""
LARGEST_VERSION = 2**53 - 1
"""Of a report: what every JSON parser reads exactly."""
LONGEST_ID = 128
SERIAL_NAMES = ("device_id", "serial_number")


class ReportBody(msgspec.Struct, gc=False):
    """A report as it is sent; unknown fields pass."""

    reported: dict[str, Any]
    version: Annotated[int, Meta(ge=0)] = 0
    id: Annotated[str, Meta(max_length=LONGEST_ID)] | int | None = None
    device_id: str | None = None
    serial_number: str | None = None


_decode = msgspec.json.Decoder(ReportBody).decode


def decode_report(delivery: Delivery, *, bound_id: str) -> StoreTwinReport:
    """Decode the report in a delivery of the device `bound_id`.

    Raises:
        RefusedError: with a reason of `actors.payloads.REASONS` and the field at fault in backticks.

    """
    check_size(delivery.payload, LARGEST_REPORT)
    try:
        body = _decode(delivery.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise to_refusal(error) from None
    if body.version > LARGEST_VERSION:
        raise RefusedError("out_of_range", f"`version` is {body.version}, at most {LARGEST_VERSION} is taken")
    told = {name: getattr(body, name) for name in SERIAL_NAMES}
    return StoreTwinReport(
        serial=serial_of(told, bound_id=bound_id, names=SERIAL_NAMES),
        version=body.version,
        reported=encode_document(body.reported, "reported"),
        rx_us=delivery.rx_us,
        sender_id="" if body.id is None else str(body.id)[:LONGEST_ID],
        link=delivery.link,
        token=delivery.token,
        topic=delivery.topic,
        payload=delivery.payload,
    )
