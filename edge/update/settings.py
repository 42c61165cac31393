"""How an edge updates itself; `[edge.updates]`."""

from __future__ import annotations

from typing import Annotated

import msgspec

DAY = 86_400.0


class UpdateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is configured; without the launcher of an installation nothing of it matters."""

    enabled: bool = True
    """Whether this device updates itself at all."""
    interval: Annotated[float, msgspec.Meta(ge=1, le=7 * DAY)] = 3_600.0
    """Seconds between two questions, a tenth more or less."""
    rate: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 1_000_000
    """Bytes of a download in a second; 0 takes what comes."""
    keys: str = "/etc/muster/release-keys"
    """Directory with the keys (`*.pub`) of those whose releases are installed."""
    longest_hold: Annotated[float, msgspec.Meta(ge=0, le=30 * DAY)] = DAY
    """Seconds that whoever holds updates back may do so; a restart of the edge begins them anew."""
