"""Who belongs to a group by its rule, and by its labels."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.groups.labels import (
    MOST_LABELS,
    TooManyLabelsError,
    decode_labels,
    encode_labels,
    has_label,
    merge_labels,
)
from actors.groups.rules import Rule, compile_pattern
from actors.messages import DeviceSnapshot

PUMP = DeviceSnapshot(
    serial="plc-07",
    kind="controller",
    family="pi",
    type="industrial_controller",
    site="plant-1",
    label="Pump 7 (north)",
    labels=encode_labels({"zone": "north", "row": "12"}),
)


@pytest.mark.parametrize(
    ("rule", "belongs"),
    [
        ({"site": "plant-1"}, True),
        ({"site": "plant-10"}, False),
        ({"site": "plant-?"}, True),
        ({"type": "industrial_*"}, True),
        ({"kind": "controller"}, True),
        ({"kind": "sensor"}, False),
        ({"serial": "plc-*"}, True),
        ({"serial": "plc-"}, False),
        ({"serial": "*7"}, True),
        ({"label": "pump*"}, False),
        ({"label": "Pump * (north)"}, True),
        ({"labels": {"zone": "north"}}, True),
        ({"labels": {"zone": "nor"}}, False),
        ({"labels": {"zone": "*"}}, True),
        ({"labels": {"zon": "*"}}, False),
        ({"labels": {"zone": "north", "row": "13"}}, False),
        ({"site": "plant-1", "serial": "plc-*", "labels": {"row": "12"}}, True),
        ({"site": "plant-1", "serial": "pi-*"}, False),
    ],
)
def test_a_device_belongs_if_all_that_the_rule_gives_is_true_of_it(rule, belongs):
    assert msgspec.convert(rule, Rule).belongs()(PUMP) is belongs


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"site": ""},
        {"labels": {}},
        {"sites": "plant-1"},
        {"kind": "toaster"},
        {"serial": "a\nb"},
        {"serial": "x" * 129},
        {"labels": {"a=b": "c"}},
        {"labels": {"zone": ""}},
    ],
)
def test_a_rule_that_restricts_nothing_or_cannot_be_meant_is_refused(rule):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rule, Rule)


def test_a_rule_is_told_without_what_it_does_not_give():
    assert msgspec.to_builtins(Rule(site="plant-1")) == {"site": "plant-1"}


def naive(pattern, text):
    """What a pattern means, by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(st.text("ab*?[.\\", max_size=8), st.text("ab[.\\\n", max_size=8))
def test_a_pattern_means_what_it_says(pattern, text):
    assert bool(compile_pattern(pattern).match(text)) is naive(pattern, text)


def test_no_pattern_is_slow():
    started = time.process_time()
    assert not compile_pattern("*a" * 60 + "b").match("a" * 10_000)
    assert time.process_time() - started < 5  # tried in every way it would take for ever


# Labels


def test_labels_are_lines_by_key_and_come_back():
    labels = {"zone": "north", "a/b": "x=y"}
    assert encode_labels(labels) == "a/b=x=y\nzone=north"
    assert decode_labels(encode_labels(labels)) == labels
    assert decode_labels("") == {}


def test_a_change_of_labels_leaves_those_that_it_does_not_name():
    text = encode_labels({"zone": "north", "row": "12"})
    assert decode_labels(merge_labels(text, {"row": None, "crop": "oats", "gone": None})) == {
        "crop": "oats",
        "zone": "north",
    }


def test_a_device_has_a_bounded_number_of_labels():
    full = encode_labels({f"k{number}": "v" for number in range(MOST_LABELS)})
    assert merge_labels(full, {"k0": None, "other": "v"})
    with pytest.raises(TooManyLabelsError, match="at most 64 labels, these would be 65"):
        merge_labels(full, {"other": "v"})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("zone", True),
        ("zone=north", True),
        ("zone=nor", False),
        ("one=north", False),
        ("north", False),
        ("row=12", True),
    ],
)
def test_a_device_is_found_by_a_label_or_by_its_key(wanted, found):
    assert has_label(PUMP.labels, wanted) is found
    assert not has_label("", wanted)
