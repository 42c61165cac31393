"""The section `[soil]`: what it takes, and how it refuses."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from actors.analysis import SoilAnalyser, SoilSettings


def read(text):
    return msgspec.convert(tomllib.loads(text), SoilSettings)


EXAMPLE = """
crop = "maize"

[crops.vineyard]
pH = [5.0, 5.5, 7.5, 8.5]
Moisture = [8, 14, 30, 45]

[crops.potato]
Temperature = [5, 12, 22, 28]

[sites.field-7]
crop = "vineyard"
range = { Moisture = [12, 35], ph = [5.5, 7.5] }

[sites.field-8]
range = { soil_temperature = [8, 32] }

[weights]
CO2 = 0
pH = 30

[plausible]
moisture = [3, 80]
"""


def test_an_example_decodes():
    settings = read(EXAMPLE)
    crops = settings.crops_by_name()

    assert (settings.crop_of("field-7"), settings.crop_of("field-8"), settings.crop_of("")) == (
        "vineyard",
        "maize",
        "maize",
    )
    assert settings.range_of("field-7") == {"Moisture": (12, 35), "pH": (5.5, 7.5)}
    assert settings.range_of("field-8") == {"Temperature": (8, 32)}
    assert settings.range_of("elsewhere") == {}
    assert crops["vineyard"]["Moisture"] == (8, 14, 30, 45)
    assert crops["vineyard"]["N"] == crops["general"]["N"]
    assert crops["potato"]["Temperature"] == (5, 12, 22, 28)
    assert crops["potato"]["pH"] == (4.2, 5.0, 6.2, 8.5)
    assert "CO2" not in settings.weight_by_measure()
    assert settings.plausible_by_measure()["Moisture"] == (3, 80)


def test_a_site_is_judged_by_its_own_crop():
    analyser = SoilAnalyser(read(EXAMPLE))

    assert analyser.analyse({"Moisture": 15}, None, "field-7").health_index == 100
    assert analyser.analyse({"Moisture": 15}, None, "field-8").health_index < 50
    assert analyser.explain({"Moisture": 15}, None, "field-7")["crop"] == "vineyard"


def test_an_empty_section_is_the_default():
    assert read("") == SoilSettings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('crop = "maiz"', "`crop`: there is no crop `maiz`; `maize` is known"),
        ('crop = "?"', "`crop`: there is no crop `?`; known are general, maize"),
        ("[crops.x]\npH = [5, 4, 6, 7]", "`crops.x.pH`: the four numbers must ascend"),
        ("[crops.x]\npH = [5, 5, 6, 7]", "`crops.x.pH`: the four numbers must ascend"),
        ("[crops.x]\npH = [5, 6, 7]", "`crops.x.pH` is not a list of 4 numbers"),
        ("[crops.x]\npH = 5", "`crops.x.pH` is not a list of 4 numbers"),
        ('[crops.x]\npH = [1, 2, 3, "4"]', "`crops.x.pH`: '4' is not a finite number"),
        ("[crops.x]\npH = [1, 2, 3, true]", "`crops.x.pH`: True is not a finite number"),
        ("[crops.x]\npH = [1, 2, 3, inf]", "`crops.x.pH`: inf is not a finite number"),
        ("[crops.x]\nXY = [1, 2, 3, 4]", "`crops.x.XY`: there is no measure `XY`; known are N, P, K"),
        ('[sites.a]\ncrop = "hops"', "`sites.a.crop`: there is no crop `hops`"),
        ("[sites.a]\nrange = { pH = [7, 6] }", "`sites.a.range.pH`: the lower limit 7 is not below the upper one 6"),
        ("[sites.a]\nrange = { pH = [6] }", "`sites.a.range.pH` is not a list of 2 numbers"),
        ("[sites.a]\ncorp = 1", "unknown field `corp`"),
        ("[weights]\npH = -1", "`weights.pH` is negative"),
        ('[weights]\npH = "much"', "`weights.pH`: 'much' is not a finite number"),
        ("[weights]\nN=0\nP=0\nK=0\nCO2=0\nTemperature=0\nMoisture=0\npH=0", "`weights` leaves no measure"),
        ("[plausible]\nq = [1, 2]", "`plausible.q`: there is no measure `q`"),
        ("colour = 1", "unknown field `colour`"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(text, says):
    with pytest.raises(msgspec.ValidationError) as refused:
        read(text)

    assert says in str(refused.value)
