"""Analysers of others, and the example in the documents."""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.analysis import Analyser, Analysis, Baseline, BeyondPhysicsError, SoilAnalyser, load_analysers, plugins
from tests.analysis.support import MINUTE_US, START_US

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "air_quality.py"


class Plain:
    name = "plain"

    def takes(self, channel, kind, names):
        return False

    def check(self, measures):
        pass

    def analyse(self, measures, baseline, site):
        return Analysis(None, "")

    def explain(self, measures, baseline, site):
        return {}


class Namesake(Plain):
    name = "soil"


class NoAnalyser:
    name = "nothing"


class Broken(Plain):
    def __init__(self):
        raise RuntimeError("no licence")


@pytest.fixture
def installed(monkeypatch):
    """Return a function that installs entry points of this module's classes."""

    def install(**found):
        points = [EntryPoint(name, f"{__name__}:{value}", plugins.GROUP) for name, value in found.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])

    return install


@pytest.fixture
def air():
    spec = importlib.util.spec_from_file_location("air_quality", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Loading


def test_the_built_in_analyser_comes_first(installed):
    installed(a_plain="Plain")
    soil = SoilAnalyser()

    assert [analyser.name for analyser in load_analysers(soil)] == ["soil", "plain"]
    assert load_analysers(soil)[0] is soil


def test_nothing_installed_is_no_error():
    assert load_analysers(SoilAnalyser())[0].name == "soil"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("Missing", "could not be loaded"),
        ("Broken", "could not be loaded"),
        ("NoAnalyser", "is not an analyser"),
        ("Namesake", "there is one of that name"),
    ],
)
def test_a_broken_analyser_is_logged_and_left_out_and_the_others_are_loaded(installed, caplog, value, says):
    installed(bad=value, good="Plain")

    assert [analyser.name for analyser in load_analysers(SoilAnalyser())] == ["soil", "plain"]
    assert says in caplog.text
    assert value in caplog.text


def test_the_built_in_analyser_is_an_analyser():
    assert isinstance(SoilAnalyser(), Analyser)


# The example


def test_the_example_is_an_analyser_and_takes_what_the_soil_leaves(air):
    analyser, names = air.AirAnalyser(), frozenset({"PM2.5", "PM10", "CO2", "NO2", "O3"})

    assert isinstance(analyser, Analyser)
    assert analyser.takes("data", "sensor", names)
    assert not SoilAnalyser().takes("data", "sensor", names)
    assert not analyser.takes("data", "sensor", frozenset({"pH", "CO2"}))


@pytest.mark.parametrize(
    ("reading", "index", "status"),
    [
        ({"PM2.5": 0.0}, 100, "Excellent"),
        ({"PM2.5": 9.0}, 80, "Excellent"),
        ({"PM2.5": 35.4}, 65, "Good"),
        ({"PM10": 254}, 50, "Fair"),
        ({"O3": 105}, 30, "Poor"),
        ({"NO2": 1249}, 15, "Critical"),
        ({"NO2": 9999}, 0, "Critical"),
        ({"PM2.5": 9.0, "O3": 105}, 30, "Poor"),
        ({"CO2": 420}, None, ""),
    ],
)
def test_the_worst_pollutant_decides_the_index_of_the_air(air, reading, index, status):
    analysis = air.AirAnalyser().analyse(reading, None, "")

    assert (analysis.health_index, analysis.status) == (index, status)


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_dirtier_air_never_has_a_better_index(one, other):
    spec = importlib.util.spec_from_file_location("air_quality", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clean, dirty = sorted((one, other))
    for limits in module.BREAKPOINTS.values():
        assert module.between(clean, limits, module.INDEX) >= module.between(dirty, limits, module.INDEX)


def test_the_example_flags_guideline_levels_and_what_is_unusual(air):
    baseline = Baseline.from_history((START_US + n * MINUTE_US, {"PM2.5": 5.0 + n % 3}) for n in range(60))
    found = air.AirAnalyser().analyse({"PM2.5": 60.0, "CO2": 20.0}, baseline, "")

    assert [(each.kind, each.measure) for each in found.anomalies] == [
        ("implausible", "CO2"),
        ("out_of_range", "PM2.5"),
        ("unusual", "PM2.5"),
    ]
    assert "guideline level of the WHO, 15 ug/m3" in found.anomalies[1].message


def test_the_example_refuses_what_cannot_be(air):
    with pytest.raises(BeyondPhysicsError, match="`O3` is -1, but can only be"):
        air.AirAnalyser().check({"PM2.5": 1.0, "O3": -1})


def test_the_example_explains_itself_in_json(air):
    rising = Baseline.from_history((START_US + n * MINUTE_US, {"PM2.5": 5.0 + 0.1 * n}) for n in range(60))
    explained = air.AirAnalyser().explain({"PM2.5": 10.9, "O3": 20.0}, rising, "")

    assert explained["worst"] == "PM2.5"
    assert json.loads(json.dumps(explained))["forecast"][0]["limit"] == 15.0
