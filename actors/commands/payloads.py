"""What goes to a device and what comes back: a command in JSON, and the answer to it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from actors.messages import Delivery
from actors.payloads import LARGEST_PAYLOAD, RefusedError, Timestamp, check_size, to_refusal
from actors.timestamps import rfc3339

LONGEST_REASON = 500
"""Characters that are kept of a device's reason."""
LARGEST_RESULT = 65_536
"""Bytes that are kept of a result in JSON; of a larger one only its size is told."""
LARGEST_ARGS = 65_536
"""Bytes of the arguments in JSON."""
_ID = r"^[A-Za-z0-9._:-]{1,64}\Z"
_CORRELATION = re.compile(_ID.encode())

ResponseState = Literal["running", "succeeded", "failed"]


class ResponseBody(msgspec.Struct, gc=False):
    """The answer of a device as it is sent; unknown fields pass."""

    state: ResponseState
    id: Annotated[str, Meta(pattern=_ID)] = ""
    """Of the command; with MQTT 5 the correlation data may tell it instead."""
    result: Any = None
    """Whatever the command gives; any JSON."""
    reason: str | None = None
    response_id: Annotated[str, Meta(max_length=128)] | None = None
    """The sender's own name for this answer: it is told on `devices/{serial}/receipts` that this is stored."""
    timestamp: Timestamp | None = None


class Response(msgspec.Struct, frozen=True, gc=False):
    """The answer of a device, decoded."""

    command_id: str
    state: ResponseState
    result: str = ""
    """JSON, or empty without one."""
    reason: str = ""
    response_id: str = ""


_decode = msgspec.json.Decoder(ResponseBody).decode


def decode_response(delivery: Delivery) -> Response:
    """Decode the answer in a delivery; with MQTT 5, an empty one to a command says that it is done.

    Raises:
        RefusedError: with a reason of `actors.payloads.REASONS` and the field at fault in backticks.

    """
    check_size(delivery.payload, LARGEST_PAYLOAD)
    correlated = _CORRELATION.match(delivery.correlation)
    named = delivery.correlation.decode() if correlated else ""
    if named and not delivery.payload:
        return Response(named, "succeeded")
    try:
        body = _decode(delivery.payload)
        result = b"" if body.result is None else msgspec.json.encode(body.result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise to_refusal(error) from None
    reason = (body.reason or "").replace("\0", "")[:LONGEST_REASON]
    if len(result) > LARGEST_RESULT:
        size = f"of the result, {len(result)} bytes, nothing is kept: at most {LARGEST_RESULT} are"
        reason, result = f"{reason} ({size})" if reason else size, b""
    if body.response_id is not None and not body.response_id.isprintable():
        raise RefusedError("bad_id", "`response_id` has a character that cannot be printed")
    return Response(_command_of(body.id, named), body.state, result.decode(), reason, body.response_id or "")


def _command_of(told: str, correlated: str) -> str:
    """Return the id of the command that the payload, the correlation data, or both tell."""
    if not told and not correlated:
        raise RefusedError("missing_field", "`id` is missing, and there are no correlation data that tell it")
    if told and correlated and told != correlated:
        raise RefusedError("bad_id", "`id` is not the one that the correlation data tell")
    return told or correlated


def encode_command(serial: str, command_id: str, name: str, args: str, *, deadline_us: int, now_us: int) -> bytes:
    """Return what a device is sent: all that MQTT 5 has properties for, too; `args` is a JSON object."""
    body = {
        "id": command_id,
        "name": name,
        "args": msgspec.Raw(args.encode()),
        "response_topic": responses_topic(serial),
        "deadline": rfc3339(deadline_us),
        "timestamp": rfc3339(now_us),
    }
    return msgspec.json.encode(body)


def encode_cancellation(command_id: str, now_us: int) -> bytes:
    """Return what a device is sent that may have a command which nobody wants any more."""
    return msgspec.json.encode({"id": command_id, "cancel": True, "timestamp": rfc3339(now_us)})


def commands_topic(serial: str) -> str:
    """Return where a device is told commands."""
    return f"devices/{serial}/commands"


def responses_topic(serial: str) -> str:
    """Return where a device answers them."""
    return f"devices/{serial}/responses"
