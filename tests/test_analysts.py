"""Analysers as plug-ins: the first that takes a reading, and no harm from one that fails."""

from __future__ import annotations

import pytest

from actors.analysis import Analysis, BeyondPhysicsError
from actors.analysts import MOST_KINDS, Analysts
from actors.messages import StoreReading

READING = StoreReading("s", "data", 1, b"x" * 16, 1, "", "mqtt", '{"a":1}')
NAMES = frozenset({"a"})


class Plugin:
    name = "plugin"

    def __init__(self, *, takes=True, checked=None, analysis=None, explained=None):
        self.asked = 0
        self._takes, self._checked, self._analysis, self._explained = takes, checked, analysis, explained

    def takes(self, channel, kind, names):
        self.asked += 1
        return self._or_raise(self._takes)

    def check(self, measures):
        self._or_raise(self._checked)

    def analyse(self, measures, baseline, site):
        return self._or_raise(self._analysis)

    def explain(self, measures, baseline, site):
        return self._or_raise(self._explained)

    def _or_raise(self, value):
        if isinstance(value, Exception):
            raise value
        return value


def test_the_first_that_takes_a_reading_has_it_and_is_asked_once():
    no, yes, late = Plugin(takes=False), Plugin(), Plugin()
    analysts = Analysts([no, yes, late])
    for _ in range(3):
        assert analysts.of("data", "sensor", NAMES) is yes
    assert (no.asked, yes.asked, late.asked) == (1, 1, 0)


def test_a_sender_that_invents_names_does_not_fill_the_memory():
    analysts = Analysts([Plugin()])
    for number in range(2 * MOST_KINDS):
        analysts.of("data", "sensor", frozenset({str(number)}))
    assert len(analysts._known) <= MOST_KINDS


def test_an_analysis_is_part_of_the_reading():
    analysts = Analysts()
    analysed = analysts.analyse(Plugin(analysis=Analysis(50.0, "Fair")), READING, {"a": 1}, None, "")
    assert (analysed.health_index, analysed.status, analysed.anomalies) == (50.0, "Fair", "")


def test_an_analyser_that_raises_costs_the_analysis_and_not_the_reading():
    analysts = Analysts()
    faulty = Plugin(analysis=ZeroDivisionError())
    assert analysts.analyse(faulty, READING, {"a": 1}, None, "") is READING
    assert analysts.failures["plugin"] == 1


def test_one_that_raises_when_it_is_asked_takes_nothing():
    analysts = Analysts([Plugin(takes=RuntimeError())])
    assert analysts.of("data", "sensor", NAMES) is None


@pytest.mark.parametrize("explained", [KeyError("x"), {"a": object()}, {"b": {1, 2}.__iter__()}])
def test_an_explanation_that_is_no_json_is_left_out(explained):
    analysts = Analysts()
    assert analysts.explain(Plugin(explained=explained), {"a": 1}, None, "") == {}
    assert analysts.failures["plugin"] == 1


@pytest.mark.parametrize(
    "analysis",
    [
        Analysis(50.0, "Good", (object(),)),
        Analysis(float("nan"), "Good"),
        Analysis(101.0, "Good"),
        Analysis(50.0, "x" * 17),
        None,
    ],
)
def test_an_analysis_that_cannot_be_stored_costs_no_reading(analysis):
    analysts = Analysts()
    assert analysts.analyse(Plugin(analysis=analysis), READING, {"a": 1}, None, "") is READING
    assert analysts.failures["plugin"] == 1


def test_a_check_refuses_by_physics_alone():
    analysts = Analysts()
    with pytest.raises(BeyondPhysicsError):
        analysts.check(Plugin(checked=BeyondPhysicsError("a", "`a` is too large")), {"a": 1})
    analysts.check(Plugin(checked=KeyError("a")), {"a": 1})
    assert analysts.failures["plugin"] == 1
