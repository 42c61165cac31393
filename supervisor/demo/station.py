"""What a simulated soil station measures: the simulator's soil at a livelier pace, and the trouble of its habit."""

from __future__ import annotations

import json
import random
import secrets
from typing import Final

from actors.drivers import stable_seed
from actors.drivers.simulator import SoilSimulator

from .fleet import Spec
from .payloads import Payload, timestamp

#: A minute of the demo is an hour of its soil: sun and rain can be watched.
_PACE: Final = 60.0
#: Moisture of the dry station in per cent by volume: where it begins, what it loses from one reading to the next (at
#: least and at most), below which it is watered, what it has then. Under 5 is not plausible; a minute leads there.
_DRY_FROM, _DRY_STEP, _WATERED_BELOW, _WATERED = 15.0, (0.5, 0.9), 3.0, 34.0
#: The loose contact of the glitching station: every so many readings, which measure shows what.
_GLITCH_EVERY: Final = 9
_GLITCHES: Final = (("pH", 2.9), ("Temperature", 61.0))


class StationState:
    """One station; the same one for the same name, whatever the run."""

    def __init__(self, spec: Spec) -> None:
        seed = stable_seed(spec.serial)
        self._spec = spec
        self._soil = SoilSimulator(seed)
        self._drawn = random.Random(seed)  # noqa: S311 - a simulation
        self._moisture = _DRY_FROM
        self._session = secrets.token_hex(4)
        self._count = 0

    def reading(self, now: float, speed: float = 1.0) -> Payload:
        """Return the message of `now` (seconds since 1970 UTC); its id lets the server tell it from all others."""
        self._count += 1
        measures = self._soil.read(now * _PACE * speed)
        if self._spec.habit == "drying":
            measures["Moisture"] = self._dry()
        elif self._spec.habit == "glitching" and self._count % _GLITCH_EVERY == 0:
            measures.update([self._drawn.choice(_GLITCHES)])
        return {
            "timestamp": timestamp(),
            "publisher_id": self._spec.serial,
            "id": f"{self._session}-{self._count}",
            "sensor_readings": measures,
        }

    def broken(self) -> tuple[bytes, ...]:
        """Return messages that a station should not send: a word, nothing, what JSON and what physics do not know."""
        return tuple(
            json.dumps({"publisher_id": self._spec.serial, "sensor_readings": measures}).encode()
            for measures in ({"N": "forty", "pH": 6.5}, {}, {"Moisture": float("nan")}, {"pH": 21.0})
        )

    def _dry(self) -> float:
        moisture = self._moisture
        left = moisture - self._drawn.uniform(*_DRY_STEP)
        self._moisture = _WATERED if left < _WATERED_BELOW else left
        return round(moisture, 1)
