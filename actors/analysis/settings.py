"""The section `[soil]` of the server's configuration: crops, sites, weights and plausible limits."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from actors.analysis.crops import CROPS, WEIGHTS, Crop, Range
from actors.analysis.measures import KNOWN, MEASURES, find_measure

DEFAULT_CROP = "general"
Limits = tuple[float, float]


class SiteSoil(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for the stations of one site."""

    crop: str = ""
    """Empty: the crop of the section."""
    range: dict[str, Any] = {}
    """`[low, high]` by measure: values outside are reported as `out_of_range`. Measures that
    are not named have the range that the crop tolerates."""


class SoilSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the built-in analyser goes by; every field has a sound default.

    Names of measures may be written in any case and by any alias that a station may use.

    Raises:
        ValueError: naming the key and what is wrong with it.

    """

    crop: str = DEFAULT_CROP
    """Of all sites that do not say otherwise."""
    crops: dict[str, dict[str, Any]] = {}
    """`[low, optimum_low, optimum_high, high]` by measure, by crop. A crop of a known name changes that crop, a new one
    starts from `general`."""
    sites: dict[str, SiteSoil] = {}
    """By the name of the site."""
    weights: dict[str, Any] = {}
    """By measure; 0 takes a measure out of the index."""
    plausible: dict[str, Any] = {}
    """`[low, high]` by measure: values outside are reported as `implausible`."""

    def __post_init__(self) -> None:
        crops = self.crops_by_name()
        _check_crop("crop", self.crop, crops)
        for name, site in self.sites.items():
            _check_crop(f"sites.{name}.crop", site.crop or self.crop, crops)
            _limits_by_measure(f"sites.{name}.range", site.range)
        self.weight_by_measure()
        self.plausible_by_measure()

    def crop_of(self, site: str) -> str:
        """Return the name of the crop that grows at a site."""
        found = self.sites.get(site)
        return found.crop if found is not None and found.crop else self.crop

    def range_of(self, site: str) -> dict[str, Limits]:
        """Return the site's own limits by measure."""
        found = self.sites.get(site)
        return {} if found is None else _limits_by_measure(f"sites.{site}.range", found.range)

    def crops_by_name(self) -> dict[str, Crop]:
        """Return all crops, ours and those of the settings."""
        crops = dict(CROPS)
        for name, ranges in self.crops.items():
            own = {
                _measure(f"crops.{name}", key): _range(f"crops.{name}.{key}", value) for key, value in ranges.items()
            }
            crops[name] = {**CROPS.get(name, CROPS[DEFAULT_CROP]), **own}
        return crops

    def weight_by_measure(self) -> dict[str, float]:
        """Return the weight of every measure that has one."""
        weights = dict(WEIGHTS)
        for key, value in self.weights.items():
            number = _number(f"weights.{key}", value)
            if number < 0:
                raise ValueError(f"`weights.{key}` is negative")
            weights[_measure("weights", key)] = number
        if not any(weights.values()):
            raise ValueError("`weights` leaves no measure with a weight")
        return {name: weight for name, weight in weights.items() if weight > 0}

    def plausible_by_measure(self) -> dict[str, Limits]:
        """Return the plausible limits of every measure."""
        ours = {measure.name: measure.plausible for measure in MEASURES}
        return {**ours, **_limits_by_measure("plausible", self.plausible)}


def _check_crop(key: str, name: str, crops: Iterable[str]) -> None:
    if name in crops:
        return
    near = difflib.get_close_matches(name, crops, n=1)
    meant = f"; `{near[0]}` is known" if near else f"; known are {', '.join(crops)}"
    raise ValueError(f"`{key}`: there is no crop `{name}`{meant}")


def _limits_by_measure(key: str, given: Mapping[str, Any]) -> dict[str, Limits]:
    found: dict[str, Limits] = {}
    for name, value in given.items():
        low, high = _numbers(f"{key}.{name}", value, 2)
        if low >= high:
            raise ValueError(f"`{key}.{name}`: the lower limit {low:g} is not below the upper one {high:g}")
        found[_measure(key, name)] = (low, high)
    return found


def _measure(key: str, name: str) -> str:
    measure = find_measure(name)
    if measure is None:
        raise ValueError(f"`{key}.{name}`: there is no measure `{name}`; known are {', '.join(KNOWN)}")
    return measure.name


def _range(key: str, value: Any) -> Range:
    low, optimum_low, optimum_high, high = _numbers(key, value, 4)
    if not low < optimum_low <= optimum_high < high:
        raise ValueError(f"`{key}`: the four numbers must ascend (low < optimum_low <= optimum_high < high)")
    return low, optimum_low, optimum_high, high


def _numbers(key: str, value: Any, count: int) -> list[float]:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ValueError(f"`{key}` is not a list of {count} numbers")
    return [_number(key, item) for item in value]


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"`{key}`: {value!r} is not a finite number")
    return float(value)
