"""Documents of twins: patched, compared, kept within bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.payloads import RefusedError
from actors.twins.documents import (
    LONGEST_KEY,
    MOST_BYTES,
    decode_document,
    difference,
    encode_document,
    is_same,
    merge,
)

KEYS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
VALUES = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text("abc", max_size=3)
TREES = st.recursive(VALUES, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3))
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=4)


# The examples of RFC 7396, appendix A, as far as both sides are objects.
@pytest.mark.parametrize(
    ("document", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_a_patch_is_merged_as_the_standard_says(document, patch, merged):
    before = json.dumps(document)
    assert merge(document, patch) == merged
    assert json.dumps(document) == before


@pytest.mark.parametrize(
    ("desired", "reported", "missing"),
    [
        ({}, {"a": 1}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 1, "b": 2}, {}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": True}, {"a": 1}),
        ({"a": False}, {"a": 0}, {"a": False}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": 7}, {"a": {"b": 1}}),
        ({"a": [1, {"b": 2}]}, {"a": [1.0, {"b": 2}]}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"a": [1, 2]}),
        ({"a": [{"b": 1}]}, {"a": [{"b": True}]}, {"a": [{"b": 1}]}),
        ({"a": {}}, {}, {"a": {}}),
    ],
)
def test_the_difference_is_what_is_desired_and_not_reported_so(desired, reported, missing):
    assert difference(desired, reported) == missing


@given(DOCUMENTS, DOCUMENTS)
def test_a_device_that_takes_over_the_difference_has_none_left(desired, reported):
    assert difference(desired, merge(reported, difference(desired, reported))) == {}


@given(DOCUMENTS)
def test_a_document_comes_back_from_the_database_as_it_was(document):
    kept = decode_document(encode_document(document, "desired"))
    assert is_same(kept, document)
    assert difference(document, kept) == {}


@given(DOCUMENTS, DOCUMENTS)
def test_a_patch_that_comes_twice_changes_nothing_more(document, patch):
    once = merge(document, patch)
    assert is_same(merge(once, patch), once)


def nested(levels):
    document: dict = {}
    for _ in range(levels):
        document = {"a": document}
    return document


@pytest.mark.parametrize(
    ("reason", "document", "named"),
    [
        ("too_large", {"a": "x" * MOST_BYTES}, "`desired`"),
        ("too_deep", nested(40), "desired.a"),
        ("nul", {"a": {"b": "\0"}}, "`desired.a.b`"),
        ("nul", {"a\0": 1}, "`desired`"),
        ("out_of_range", {"a": [2**70]}, "`desired.a.0`"),
        ("too_long", {"a": {"k" * (LONGEST_KEY + 1): 1}}, "`desired.a`"),
        ("bad_id", {"a": [{"": 1}]}, "`desired.a`"),
        ("bad_id", {"a\n": 1}, "`desired`"),
        ("not_utf8", {"a": "\ud800"}, "`desired`"),
        ("bad_id", {"\ud800": 1}, "`desired`"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_the_name_of_its_place(reason, document, named):
    with pytest.raises(RefusedError) as refused:
        encode_document(document, "desired")
    assert refused.value.reason == reason
    assert named in refused.value.detail
