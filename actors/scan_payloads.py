"""Decoding scans: what a barcode scanner has read, over MQTT or HTTP, and what tells one scan from another.

A scan is the sender's `scan_id`. Without one the server derives it from what else names the scan: an `Idempotency-Key`,
else the code and its timestamp, else the message itself. A wrong check digit is told, never refused.
"""

from __future__ import annotations

import re
import secrets
from datetime import tzinfo
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from actors.barcodes import identify
from actors.identity import DIGEST_SIZE, BadTimestampError, timestamp_us
from actors.messages import Delivery, Source, StoreScan
from actors.payloads import LARGEST_ANNOUNCEMENT, RefusedError, Timestamp, check_size, serial_of, to_refusal

LONGEST_CODE = 4096
"""Characters."""
SERIAL_NAMES = ("device_id", "serial_number")
CLOCKS = ("ntp", "rtc", "unsynced")
_SCAN_ID = re.compile(r"[!-~]{1,128}")

Short = Annotated[str, Meta(max_length=64)]


class ScanBody(msgspec.Struct, gc=False):
    """A scan as it is sent; unknown fields pass."""

    code: Annotated[str, Meta(max_length=LONGEST_CODE)]
    scan_id: str | None = None
    symbology: Short | None = None
    valid: bool | UnsetType | None = UNSET
    timestamp: Timestamp | None = None
    device_id: str | None = None
    serial_number: str | None = None
    scanner: Annotated[str, Meta(max_length=255)] | None = None
    clock: Any = None


_decode = msgspec.json.Decoder(ScanBody).decode


def decode_scan(
    delivery: Delivery, *, bound_id: str, zone: tzinfo, source: Source = "mqtt", idempotency_key: str = ""
) -> StoreScan:
    """Decode the scan in a delivery.

    Args:
        delivery: what a link received, or a request in that form.
        bound_id: the only device that may be meant, of the topic or of a token; empty for any.
        zone: of timestamps that name none.
        source: how it came.
        idempotency_key: HTTP only, names a scan that has no `scan_id`; empty without one.

    Raises:
        RefusedError: with a reason of `actors.payloads.REASONS` and the field at fault in backticks.

    """
    body = _decode_body(delivery.payload)
    told = {name: getattr(body, name) for name in SERIAL_NAMES}
    serial = serial_of(told, bound_id=bound_id, names=SERIAL_NAMES)
    symbology, valid = _symbology(body)
    return StoreScan(
        serial=serial,
        scan_id=body.scan_id or _derive_id(body, delivery, zone, source, idempotency_key),
        code=body.code,
        ts_us=delivery.rx_us if body.timestamp is None else _timestamp(body.timestamp, zone),
        rx_us=delivery.rx_us,
        source=source,
        clock=body.clock if type(body.clock) is str and body.clock in CLOCKS else "",
        symbology=symbology,
        valid=valid,
        scanner=body.scanner or "",
        named=bool(body.scan_id),
        digest=_digest("code", body.code),
        stamped=not body.scan_id and body.timestamp is None,
        link=delivery.link,
        token=delivery.token,
        dup=delivery.dup,
        topic=delivery.topic,
        payload=delivery.payload,
    )


def _decode_body(payload: bytes) -> ScanBody:
    check_size(payload, LARGEST_ANNOUNCEMENT)
    try:
        body = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise to_refusal(error) from None
    if not body.code:
        raise RefusedError("missing_field", "`code` is empty")
    for name in ("code", "symbology", "scanner"):
        if "\0" in (getattr(body, name) or ""):
            raise RefusedError("nul", f"`{name}` contains NUL")
    if body.scan_id and not _SCAN_ID.fullmatch(body.scan_id):
        if len(body.scan_id) > 128:  # as in the pattern
            raise RefusedError("too_long", f"`scan_id` has {len(body.scan_id)} characters, at most 128 are taken")
        raise RefusedError("bad_id", "`scan_id` has a character that is not printable ASCII, or a space")
    return body


def _symbology(body: ScanBody) -> tuple[str, bool | None]:
    """Return what the sender says the code is, and what its text tells where the sender does not."""
    if body.symbology and body.valid is not UNSET:
        return body.symbology, body.valid
    found = identify(body.code)
    symbology = body.symbology or found.symbology
    if body.valid is not UNSET:
        return symbology, body.valid
    return symbology, found.valid if symbology == found.symbology else None


def _derive_id(body: ScanBody, delivery: Delivery, zone: tzinfo, source: Source, idempotency_key: str) -> str:
    """Return an id for a scan that has none; the same for the same scan as far as that can be told."""
    if idempotency_key:
        name = ("key", idempotency_key)
    elif body.timestamp is not None:
        name = ("time", str(_timestamp(body.timestamp, zone)))
    elif source == "http":
        return secrets.token_hex(DIGEST_SIZE)
    else:  # the time of receipt is that of one message on its link; a redelivery is known by its packet id
        name = ("received", f"{delivery.link} {delivery.rx_us}")
    return _digest(*name, body.code).hex()


def _timestamp(told: Timestamp, zone: tzinfo) -> int:
    try:
        return timestamp_us(told, zone)
    except BadTimestampError as error:
        raise RefusedError("bad_timestamp", str(error)) from None


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(("scan", *parts)).encode(errors="surrogatepass"), digest_size=DIGEST_SIZE).digest()
