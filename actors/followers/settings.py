"""The sections `[audit]` and `[sinks.*]` of the server's configuration."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

#: Begins at the start of the table instead of its present end; the only key of `[sinks.NAME]` that Muster itself reads.
FROM_START = "from_start"

SinkName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
SinkSettings = dict[SinkName, dict[str, Any]]
"""`[sinks.NAME]`: what is in it is handed to the plug-in of that name."""


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to files in the data directory."""

    enabled: bool = True
    """Write `mqtt_sensor_received.csv`."""
    analysed: bool = False
    """Write `sensor_readings.csv`, too."""
    max_bytes: Annotated[int, msgspec.Meta(ge=65_536, le=2**40)] = 64 * 2**20
    """A file is put away before it grows beyond this."""
    days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 90
    """How long files are kept that were put away; 0 is for ever."""
