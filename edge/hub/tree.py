"""The hub's part of the edge's tree."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from actors.hub.connection_string import ConnectionString, ConnectionStringError, parse_connection_string
from edge.hub.board import HubState
from edge.hub.parts import HubParts
from supervisor import ChildSpec

if TYPE_CHECKING:
    from edge.hub.actor import HubActor

logger = logging.getLogger(__name__)


def hub_specs(parts: HubParts) -> tuple[ChildSpec, ...]:
    """Return the children that speak with the hub; without a usable connection string they start as nothing."""
    return (ChildSpec("hub", lambda: hub(parts), shutdown=5.0, hang_after=60.0),)


def hub(parts: HubParts) -> HubActor | None:
    """Return the hub's actor, or None with the reason on the board."""
    text = parts.connection_string()
    if not text:
        _show_none(parts, HubState.OFF, "")
        return None
    try:
        identity = _read(text)
    except ConnectionStringError as error:
        logger.error("hub: %s", error)  # noqa: TRY400 - the sentence says it all; a traceback would show the string
        _show_none(parts, HubState.MISCONFIGURED, str(error))
        return None
    from edge.hub.actor import HubActor  # an edge without a hub has no use for it

    return HubActor(parts, identity)


def _read(text: str) -> ConnectionString:
    """Return who we are at the hub.

    Raises:
        ConnectionStringError: it cannot be read, or is none that a device can connect with.

    """
    identity = parse_connection_string(text)
    if not identity.device_id:
        raise ConnectionStringError("connection string: it is one of a service, the edge needs one with a DeviceId")
    if set(identity.device_id + identity.module_id) & set("+#"):
        raise ConnectionStringError("connection string: DeviceId with + or #, which no MQTT topic can bear")
    if identity.x509:
        raise ConnectionStringError("connection string: x509=true is not supported, use one with a SharedAccessKey")
    return identity


def _show_none(parts: HubParts, state: HubState, error: str) -> None:
    now_us = int(parts.runtime.clock.time() * 1e6)
    parts.board.show(state=state, since_us=now_us, host="", last_error=error, in_flight=0)
