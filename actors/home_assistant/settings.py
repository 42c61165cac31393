"""The section `[home_assistant]` of the server's configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

Topic = Annotated[str, msgspec.Meta(pattern=r"^[^+#$/\x00][^+#\x00]{0,62}[^+#/\x00]\Z")]


class HomeAssistantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether there is a bridge, and where to."""

    enabled: bool = False
    prefix: Topic = "homeassistant"
    """The discovery prefix that Home Assistant is set to."""
    status_topic: Topic = "homeassistant/status"
    """Where Home Assistant says `online` when it has started: its birth message."""
    broker: Annotated[str, msgspec.Meta(max_length=32)] = ""
    """Name of the broker that Home Assistant is at; empty: the first."""
    interval: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 5.0
    """Seconds between two states of one device; of what it sends in between the newest values count."""
    forget_after: Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400)] = 7 * 86_400.0
    """Seconds after which a measure that a device sends no more is taken back, while it sends others; 0: never."""
    rate: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    """Messages that are published in a second at most."""
