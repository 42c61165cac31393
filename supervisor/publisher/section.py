"""The section `[publisher]` of `muster.toml`. It imports nothing of the server, whose configuration names it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from actors.topics import SERIAL
from actors.uplink.mode import Configured

MOST_STATIONS = 1_000
"""Stations in one process: each has a thread."""
LONGEST_ID = 64

_PREFIX = r"^([^+#$\x00][^+#\x00]{0,127})?$"


class Publisher(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `[publisher]`; the flags bear the same names."""

    id: str = ""
    """The publisher's serial number; empty takes `soil-` and the host's name."""
    prefix: Annotated[str, msgspec.Meta(pattern=_PREFIX)] = ""
    """First levels of the topic; empty takes the first prefix of the server's configuration."""
    interval: Annotated[float, msgspec.Meta(ge=0.01, le=86_400)] = 60.0
    """Seconds between two readings."""
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_STATIONS)] = 1
    """Stations in this process; more than one are called `ID-1`, `ID-2`, ..."""
    driver: str = "simulator"
    """`simulator`, `replay`, or the name of an entry point of the group `muster.drivers`."""
    file: str = ""
    """The file of a replay, or whatever another driver makes of it."""
    speed: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    """Replay at so many times the recorded pace; 0 plays one row per interval."""
    loop: bool = False
    """Replay the file again and again."""
    seed: int | None = None
    """Of the simulator; None draws one from the publisher's id, the same in each run."""
    mode: Configured = "auto"
    """`auto` goes over HTTP while the broker is away; `mqtt` and `api` never change."""
    server: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/?#]+(/[^?#]*)?)?$")] = ""
    """Base URL of the server's API."""
    token_file: str = ""
    """File with a token for that API."""

    def __post_init__(self) -> None:
        if self.id and (not SERIAL.fullmatch(self.id) or self.id.strip(".") == ""):
            raise ValueError(f"`id` `{self.id[:80]}` is not a serial number ({SERIAL.pattern}, and not only dots)")
        if self.count > 1 and len(self.id) + 1 + len(str(self.count)) > LONGEST_ID:
            raise ValueError(f"`id` is too long for {self.count} stations: `ID-{self.count}` has to fit {LONGEST_ID}")

    def stations(self) -> list[str]:
        """Return the ids of the stations."""
        return [self.id] if self.count == 1 else [f"{self.id}-{number}" for number in range(1, self.count + 1)]
