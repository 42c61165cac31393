"""What the inbox answers, as items of the outbox. The same answer has the same id, however often it is given."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.outbox_file import Item
from actors.timestamps import rfc3339

RECEIPT, RESPONSE = "receipt", "response"
"""Kinds of our items in the outbox."""
ANSWERS = (RECEIPT, RESPONSE)
LONGEST_REASON = 400


def receipt_item(device_id: str, notification_id: str, state: str, reason: str, now_us: int) -> Item:
    """Return the receipt of a notification: `received`, `displayed` or `failed`."""
    item_id = f"{notification_id}.{state}"
    body: dict[str, Any] = {
        "notification_id": notification_id,
        "state": state,
        "timestamp": rfc3339(now_us),
        "id": item_id,
    }
    if reason:
        body["reason"] = reason[:LONGEST_REASON]
    return Item(item_id, RECEIPT, f"devices/{device_id}/receipts", msgspec.json.encode(body), now_us)


def response_item(device_id: str, command_id: str, answer: dict[str, Any], now_us: int) -> Item:
    """Return the answer to a command; `answer` has its `state`, and perhaps `result` and `reason`."""
    item_id = f"{command_id}.{answer['state']}"  # `correlation_of` reads it
    body = {"id": command_id, **answer, "timestamp": rfc3339(now_us), "response_id": item_id}
    return Item(item_id, RESPONSE, f"devices/{device_id}/responses", msgspec.json.encode(body), now_us)


def correlation_of(item: Item) -> bytes:
    """Return the correlation data of an answer, which are the id of its command; empty for any other item."""
    return item.id.rpartition(".")[0].encode() if item.kind == RESPONSE else b""
