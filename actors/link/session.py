"""What a CONNECT says of the session it begins or resumes, in MQTT 5."""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

#: Seconds that the broker keeps the data link's session without us (MQTT 5, 3.1.2.11.2).
SESSION_EXPIRY = 7 * 24 * 3600

#: Seconds between the end of a connection that can be resumed and its will.
WILL_DELAY = 1


def connect_properties(expiry: int) -> Properties:
    """Return the properties of a CONNECT; `expiry` are the seconds that the broker keeps the session without us."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = 65535
    properties.SessionExpiryInterval = expiry
    return properties


def will_properties(expiry: int) -> Properties | None:
    """Delay the will where the session can be resumed: whoever takes it up in time has never been away.

    MQTT 5, 3.1.3.2.2: the will is published when the delay has passed or the session ends, whichever comes first.
    """
    if not expiry:
        return None
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = WILL_DELAY
    return properties
