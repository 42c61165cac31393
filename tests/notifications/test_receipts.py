"""Receipts of devices: what is in them, and whose they are."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from actors.messages import Delivery
from actors.notifications.receipts import Receipt, decode_receipt, is_own
from actors.payloads import RefusedError

RX_US = 1_785_000_000_000_000


def delivery(body):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery("local.data", 7, "devices/pi-1/receipts", payload, 1, False, False, True, RX_US, 1.0)


def decode(body):
    return decode_receipt(delivery(body), bound_id="pi-1", zone=UTC)


def test_a_full_receipt():
    body = {"notification_id": "n1", "state": "failed", "reason": "no screen", "id": "r1", "more": 1}
    assert decode(body | {"timestamp": "2026-01-31T12:00:00Z"}) == Receipt(
        "n1", "failed", "no screen", 1_769_860_800_000_000, "r1"
    )


def test_a_short_one_has_the_time_of_its_receipt():
    assert decode({"notification_id": "n1", "state": "received"}) == Receipt("n1", "received", "", RX_US, "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"notification_id": "\xff", "state": "received"}', "not_utf8"),
        (b"{", "not_json"),
        (b"[]", "not_an_object"),
        ({"state": "received"}, "missing_field"),
        ({"notification_id": "n1"}, "missing_field"),
        ({"notification_id": "n1", "state": "seen"}, "wrong_type"),
        ({"notification_id": 7, "state": "received"}, "wrong_type"),
        ({"notification_id": "x" * 65, "state": "received"}, "too_long"),
        ({"notification_id": "n\0", "state": "received"}, "nul"),
        ({"notification_id": "n1", "state": "received", "id": "\0"}, "nul"),
        ({"notification_id": "n1", "state": "received", "timestamp": "noon"}, "bad_timestamp"),
        ({"notification_id": "n1", "state": "received", "device_id": "pi-2"}, "unbound"),
        ({"notification_id": "n1", "state": "received", "reason": "x" * 70_000}, "too_large"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(body, reason):
    with pytest.raises(RefusedError) as refused:
        decode(body)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("body", "own"),
    [
        ({"stored": ["r1"], "refused": {}, "timestamp": "t"}, True),
        ({"refused": {"r1": "x"}}, True),
        ({"notification_id": "n1", "state": "failed", "reason": '"stored"'}, False),
        ({"notification_id": "stored", "state": "received"}, False),
        ({"state": "received"}, False),
    ],
)
def test_what_the_server_itself_has_said_there_is_known(body, own):
    assert is_own(json.dumps(body).encode()) is own
