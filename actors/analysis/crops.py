"""What crops ask of a soil: for each measure the range it tolerates and the range in which nothing is wanting.

A range is four numbers, `[low, optimum_low, optimum_high, high]`: outside `low` to `high` a value scores 0, from
`optimum_low` to `optimum_high` it scores 1, and between them the score is linear. Linear scoring and the weighted mean
are those of soil quality assessment (Andrews, Karlen and Cambardella, The Soil Management Assessment Framework, Soil
Science Society of America Journal 68, 2004; Liebig, Varvel and Doran, A simple performance-based index for assessing
multiple agroecosystem functions, Agronomy Journal 93, 2001).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Range = tuple[float, float, float, float]
Crop = Mapping[str, Range]
"""Ranges by measure."""

GENERAL: Crop = MappingProxyType(
    {
        "N": (5.0, 20.0, 50.0, 125.0),
        "P": (5.0, 20.0, 100.0, 250.0),
        "K": (40.0, 150.0, 800.0, 2000.0),
        "CO2": (250.0, 400.0, 10_000.0, 50_000.0),
        "Temperature": (0.0, 15.0, 30.0, 40.0),
        "Moisture": (12.0, 21.0, 38.0, 50.0),
        "pH": (4.5, 6.0, 7.5, 9.0),
    }
)
"""Field crops in general, on a loam.

N, P, K (mg/kg plant-available): Oregon State University Extension, Soil Test Interpretation Guide, EC 1478 (2011); Iowa
State University Extension, PM 1688 (2013). The optimum begins where fertiliser stops paying (nitrate 20 to 25, the
critical level of the pre-sidedress nitrate test; P 20, Bray and Mehlich-3; K 150) and ends where EC 1478 calls the
level excessive (P 100, K 800; nitrate alone 30, here 50 because probes see ammonium too). It scores 0 at a quarter of
the beginning and at two and a half times the end.

pH: USDA NRCS, Soil Quality Kit, Guides for Educators: Soil pH; 6 to 7.5 suits most crops. Below 4.5 aluminium is toxic,
above 9 the soil is sodic (USDA Soil Survey Manual, chapter 3).

Temperature (degrees C): microbes and nitrification rest at 0, work well from 15, best near 30, and fade above 40 (Paul,
Soil Microbiology, Ecology and Biochemistry, 2015).

Moisture (% by volume): FAO Irrigation and Drainage Paper 56 (Allen and others, 1998), table 19, for loam and silt loam:
wilting point about 12, field capacity about 30; the optimum begins where half of the water between them is used (table
22: p = 0.5 for most field crops) and ends where a tenth of the volume is still air, which roots need (Grable and
Siemer, Soil Science Society of America Proceedings 32, 1968); at 50 the pores are full.

CO2 (ppm in soil air): from that of the atmosphere to 1 %, as in well aerated topsoil; at 5 % aeration is poor (Hillel,
Environmental Soil Physics, 1998). A probe at the surface reads little more than the atmosphere, which is no fault.
"""

_BY_CROP: Mapping[str, Crop] = {
    "maize": {
        "pH": (4.5, 5.0, 7.0, 8.5),
        "Temperature": (10.0, 18.0, 33.0, 47.0),
        "Moisture": (12.0, 20.0, 38.0, 50.0),
    },
    "wheat": {"pH": (5.5, 6.0, 7.0, 8.5), "Temperature": (5.0, 15.0, 23.0, 27.0), "Moisture": (12.0, 20.0, 38.0, 50.0)},
    "rice": {"pH": (4.5, 5.5, 7.0, 9.0), "Temperature": (10.0, 20.0, 30.0, 36.0), "Moisture": (20.0, 40.0, 60.0, 80.0)},
    "potato": {
        "pH": (4.2, 5.0, 6.2, 8.5),
        "Temperature": (7.0, 15.0, 25.0, 30.0),
        "Moisture": (12.0, 24.0, 38.0, 50.0),
    },
    "tomato": {
        "pH": (5.0, 5.5, 6.8, 7.5),
        "Temperature": (7.0, 20.0, 27.0, 35.0),
        "Moisture": (12.0, 23.0, 38.0, 50.0),
    },
}

CROPS: Mapping[str, Crop] = MappingProxyType(
    {"general": GENERAL, **{name: MappingProxyType({**GENERAL, **own}) for name, own in _BY_CROP.items()}}
)
"""Crops by name; what a crop does not say for itself is that of `GENERAL`.

pH and temperature: FAO, ECOCROP database of crop requirements: absolute and optimal limits (PHMIN, PHOPMN, PHOPMX,
PHMAX; TMIN, TOPMN, TOPMX, TMAX) of Zea mays, Triticum aestivum, Oryza sativa, Solanum tuberosum and Lycopersicon
esculentum. The temperatures are those of the air; topsoil follows them.

Moisture: as for `GENERAL`, with the crop's own share p of usable water (FAO Irrigation and Drainage Paper 56, table
22): maize and wheat 0.55, tomato 0.40, potato 0.35. Rice stands in saturated soil and suffers from drying (the same:
0.20 of saturation).
"""

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"pH": 20.0, "Moisture": 20.0, "N": 15.0, "P": 15.0, "K": 15.0, "Temperature": 10.0, "CO2": 5.0}
)
"""How much each measure counts; only their proportions matter.

No publication fixes them. Ours follow the order of the literature above: reaction and water decide whether nutrients
can be taken up at all, the three nutrients count alike, and temperature and CO2 change within hours and say least of
the soil.
"""


def score(value: float, limits: Range) -> float:
    """Return 0 to 1: how near a value is to the optimum."""
    low, optimum_low, optimum_high, high = limits
    if value < optimum_low:
        return max((value - low) / (optimum_low - low), 0.0)
    if value > optimum_high:
        return max((high - value) / (high - optimum_high), 0.0)
    return 1.0
