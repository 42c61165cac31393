"""A soil station that exists only in arithmetic: seven measures that move together as they do in a field.

The model is small on purpose. Temperature follows the sun (coolest at 05:00 UTC, warmest at 17:00, because soil lags
the air). Rain comes as a Poisson process; it raises moisture, drains away above field capacity and takes nitrate along.
Evaporation grows with temperature. Soil respiration (CO2) doubles for ten degrees (the Q10 rule, Lloyd and Taylor 1994)
and falls off in soil that is dry or soaked. Nutrients and pH drift slowly about a level of their own. The probe adds
noise on top of the soil, never to the soil.
"""

import math
import random
from collections.abc import Mapping
from typing import Final

from actors.drivers.base import Driver

#: The names of a reading, in the order in which it is published.
MEASURES: Final = ("N", "P", "K", "CO2", "Temperature", "Moisture", "pH")
#: What the probe can show: lowest, highest, noise (one standard deviation), decimals. N, P, K in mg/kg, CO2 in ppm,
#: temperature in degrees Celsius, moisture in per cent by volume.
PROBE: Final[Mapping[str, tuple[float, float, float, int]]] = {
    "N": (0.0, 300.0, 0.5, 1),
    "P": (0.0, 200.0, 0.4, 1),
    "K": (0.0, 800.0, 2.0, 1),
    "CO2": (300.0, 5000.0, 6.0, 0),
    "Temperature": (-10.0, 45.0, 0.08, 2),
    "Moisture": (6.0, 60.0, 0.2, 1),
    "pH": (4.5, 9.0, 0.02, 2),
}

_HOUR = 3600.0
_DAY = 24 * _HOUR
#: The soil is stepped at most this far at once, so that a long interval sees the same weather as a short one. Seconds.
_STEP = 600.0
#: A gap longer than this is not simulated in full: after a month away the soil has forgotten anyway. Seconds.
_LONGEST = 7 * _DAY
#: Moisture above which water drains, and below which plants and evaporation get none. Per cent by volume.
_FIELD_CAPACITY, _WILTING_POINT = 34.0, 8.0
_Q10 = 2.0


class SoilSimulator(Driver):
    """One station: deterministic for its seed and the series of times at which it is read."""

    def __init__(
        self,
        seed: int,
        *,
        start: Mapping[str, float] | None = None,
        rain_every_h: float = 36.0,
        noise: float = 1.0,
    ) -> None:
        """Make a station.

        Args:
            seed: decides the character of the site, its weather and its noise.
            start: values to continue from, as last published; a measure that is missing begins at the site's own level.
            rain_every_h: mean time between two rains in hours.
            noise: factor on the noise of the probe; 0 shows the soil itself.

        """
        self._random = random.Random(seed)  # noqa: S311 - weather, not a secret
        self._start = {
            name: float(value) for name, value in (start or {}).items() if name in PROBE and math.isfinite(value)
        }
        self._rain_every_s, self._noise = rain_every_h * _HOUR, noise
        draw = self._random.uniform
        self._level = {"N": draw(35, 70), "P": draw(18, 40), "K": draw(140, 240), "pH": draw(6.1, 7.1)}
        self._mean_temperature, self._swing = draw(17, 23), draw(3, 6)
        self._respiration = draw(480, 640)
        self._moisture = draw(24, 34)
        self._warmth = 0.0
        self._soil = dict(self._level)
        self._rain_mm_h, self._rain_ends, self._next_rain = 0.0, 0.0, 0.0
        self._at: float | None = None

    @property
    def raining(self) -> bool:
        """Whether it rained when the station was last read."""
        return self._rain_mm_h > 0

    def read(self, now: float) -> dict[str, float]:
        """Show every measure at `now` (seconds since 1970, UTC). While the clock goes back the soil stands still."""
        if self._at is None:
            self._begin(now)
        else:
            self._advance(now)
        return self._sense(now)

    def _begin(self, now: float) -> None:
        self._at = now
        self._next_rain = now + self._random.expovariate(1 / self._rain_every_s)
        start = self._start
        self._soil.update({name: _within(name, start[name]) for name in self._soil if name in start})
        self._moisture = _within("Moisture", start.get("Moisture", self._moisture))
        if "Temperature" in start:
            self._warmth = _within("Temperature", start["Temperature"]) - self._temperature(now)
        if "CO2" in start:
            self._respiration *= _within("CO2", start["CO2"]) / self._carbon_dioxide(now)

    def _advance(self, now: float) -> None:
        assert self._at is not None
        at = max(self._at, now - _LONGEST)
        while at < now:
            step = min(_STEP, now - at)
            at += step
            self._weather(at)
            self._water(at, step / _HOUR)
            self._nutrients(step / _HOUR)
        self._at = max(self._at, now)

    def _weather(self, at: float) -> None:
        if self._rain_mm_h and at >= self._rain_ends:
            self._rain_mm_h = 0.0
            self._next_rain = at + self._random.expovariate(1 / self._rain_every_s)
        elif not self._rain_mm_h and at >= self._next_rain:
            self._rain_mm_h = self._random.uniform(1.5, 9.0)
            self._rain_ends = at + self._random.uniform(0.5, 4.0) * _HOUR

    def _water(self, at: float, hours: float) -> None:
        """Move moisture: a millimetre of rain on a decimetre of soil is one per cent; sun and drainage take it away."""
        free = max(0.0, self._moisture - _WILTING_POINT) / (_FIELD_CAPACITY - _WILTING_POINT)
        evaporation = 0.006 * max(0.0, self._temperature(at)) * free
        drainage = 0.25 * max(0.0, self._moisture - _FIELD_CAPACITY)
        self._moisture = _within("Moisture", self._moisture + (self._rain_mm_h - evaporation - drainage) * hours)

    def _nutrients(self, hours: float) -> None:
        """Let nutrients, pH and warmth wander and return within a week (Ornstein-Uhlenbeck).

        Rain cools the soil, and leaches nitrate where it is wet.
        """
        pull, gauss = hours / (7 * 24), self._random.gauss
        for name, spread in (("N", 0.010), ("P", 0.006), ("K", 0.006), ("pH", 0.0015)):
            level, value = self._level[name], self._soil[name]
            value += (level - value) * pull + gauss(0, spread * level) * math.sqrt(hours)
            self._soil[name] = _within(name, value)
        self._warmth += -self._warmth * pull + gauss(0, 0.12) * math.sqrt(hours)
        if self._rain_mm_h:
            self._warmth -= 0.6 * hours
        if self._rain_mm_h and self._moisture > _FIELD_CAPACITY - 6:
            self._soil["N"] *= math.exp(-0.006 * self._rain_mm_h * hours)

    def _temperature(self, at: float) -> float:
        sun = -math.cos(2 * math.pi * ((at % _DAY) - 5 * _HOUR) / _DAY)
        return self._mean_temperature + self._warmth + self._swing * sun

    def _carbon_dioxide(self, at: float) -> float:
        wetness = math.exp(-(((self._moisture - 28) / 22) ** 2))
        warmth = math.pow(_Q10, (self._temperature(at) - 20) / 10)
        return max(350.0, self._respiration * warmth * (0.6 + 0.4 * wetness))

    def _sense(self, at: float) -> dict[str, float]:
        soil = {
            **self._soil,
            "CO2": self._carbon_dioxide(at),
            "Temperature": self._temperature(at),
            "Moisture": self._moisture,
        }
        gauss = self._random.gauss
        return {
            name: round(_within(name, soil[name] + gauss(0, PROBE[name][2]) * self._noise), PROBE[name][3])
            for name in MEASURES
        }


def _within(name: str, value: float) -> float:
    low, high, _, _ = PROBE[name]
    return min(high, max(low, value))
