"""Child specs, settings and the pure parts (OTP's `child_specs`, `sup_flags`)."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import Runtime
from supervisor import BackoffPolicy, Breaker, ChildSpec, DynamicSupervisor, Intensity, InvalidSpecError, Supervisor
from tests.supervision.support import Lab


def start():
    return None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "a/b"}, "id"),
        ({"start": "mfa"}, "start"),
        ({"start": None}, "start"),
        ({"restart": "prmanent"}, "restart"),
        ({"restart": None}, "restart"),
        ({"shutdown": -10}, "shutdown"),
        ({"shutdown": "soon"}, "shutdown"),
        ({"shutdown": math.nan}, "shutdown"),
        ({"shutdown": math.inf}, "shutdown"),
        ({"shutdown": True}, "shutdown"),
        ({"hang_after": 0}, "hang_after"),
        ({"hang_after": "1"}, "hang_after"),
        ({"start_timeout": -1}, "start_timeout"),
        ({"backoff": 3}, "backoff"),
    ],
)
def test_a_spec_that_makes_no_sense_cannot_be_made(fields: dict, named: str):
    with pytest.raises(InvalidSpecError, match=named):
        ChildSpec(**({"id": "child", "start": start} | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"shutdown": "infinity"},
        {"shutdown": "brutal"},
        {"shutdown": 0},
        {"shutdown": 1.5, "restart": "temporary"},
        {"restart": "transient", "hang_after": 0.5, "start_timeout": 2},
        {"backoff": BackoffPolicy()},
    ],
)
def test_a_spec_that_makes_sense_can_be_made(fields: dict):
    assert ChildSpec("child", start, **fields).id == "child"


def test_a_spec_cannot_be_changed():
    spec = ChildSpec("child", start)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.restart = "temporary"


def test_the_error_says_which_spec_and_which_value():
    with pytest.raises(InvalidSpecError, match=r"'link'.*permanent, transient or temporary.*'always'"):
        ChildSpec("link", start, restart="always")


@pytest.mark.parametrize("restarts", [-1, 1.5, "infinity", None, True])
def test_an_intensity_counts_in_whole_numbers(restarts):
    with pytest.raises(InvalidSpecError, match="restarts"):
        Intensity(restarts=restarts)


@pytest.mark.parametrize("within", [0, -1, math.inf, math.nan, "infinity", None])
def test_an_intensity_has_a_period(within):
    with pytest.raises(InvalidSpecError, match="within"):
        Intensity(within=within)


@pytest.mark.parametrize("strategy", ["none_for_one", "", None, 1])
def test_an_unknown_strategy_is_refused(strategy):
    with pytest.raises(InvalidSpecError, match="one_for_one"):
        Supervisor(runtime=Runtime.manual(), strategy=strategy)


@pytest.mark.parametrize("name", ["", "a/b", None])
def test_a_supervisor_needs_a_name_that_can_be_part_of_a_path(name):
    with pytest.raises(InvalidSpecError, match="name"):
        Supervisor(runtime=Runtime.manual(), name=name)


@pytest.mark.parametrize("template", ["child", 7])
def test_a_template_is_a_spec(template):
    with pytest.raises(InvalidSpecError, match="template"):
        DynamicSupervisor(runtime=Runtime.manual(), template=template)


@pytest.mark.parametrize("fields", [{"base": -1}, {"cap": math.inf}, {"reset_after": "x"}])
def test_a_back_off_is_in_seconds(fields: dict):
    with pytest.raises(InvalidSpecError, match="backoff"):
        BackoffPolicy(**fields)


@pytest.mark.parametrize("fields", [{"children": 0}, {"within": 0}, {"faults": 0}])
def test_a_breaker_has_limits(fields: dict):
    with pytest.raises(InvalidSpecError, match="breaker"):
        Breaker(**fields)


def test_an_intensity_of_none_is_exceeded_by_the_first_restart():
    assert Intensity(0, 5.0).add([], 0.0) == ([0.0], True)


@given(
    st.integers(0, 5),
    st.floats(0.1, 100.0),
    st.lists(st.floats(0.0, 50.0), max_size=40),
)
def test_an_intensity_is_exceeded_exactly_when_too_many_restarts_lie_within_the_period(restarts, within, gaps):
    intensity, stamps, now, history = Intensity(restarts, within), [], 0.0, []
    for gap in gaps:
        now += gap
        history.append(now)
        stamps, exceeded = intensity.add(stamps, now)
        assert exceeded is (sum(now - then <= within for then in history) > restarts)


@given(st.integers(-5, 10_000), st.floats(0.0, 1.0, exclude_max=True))
def test_a_wait_is_never_longer_than_the_cap(attempt, draw):
    assert 0.0 <= BackoffPolicy(0.1, 10.0).delay(attempt, lambda: draw) <= 10.0


def test_the_record_of_a_child_at_rest_is_small(lab: Lab):
    import sys

    lab.supervise_dynamic()
    lab.sup.adopt("a")
    lab.run()
    child = lab.sup.table.children["a"]
    assert not hasattr(child, "__dict__")
    assert child.trouble is None
    assert child.spec is lab.sup.template
    assert sys.getsizeof(child) <= 160
