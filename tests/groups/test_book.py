"""Who is in a group, who is on a roster, and who is picked; on a fleet in virtual time."""

from __future__ import annotations

import json

import pytest

from actors.groups.book import GroupBook
from actors.groups.labels import encode_labels
from actors.groups.messages import Group
from actors.groups.pick import FADES, Picker, load_of
from actors.groups.roster import STATES, call_roll, count_rolls, judge
from actors.groups.rules import Rule
from actors.targets import UnknownTargetError
from tests.test_fleet import known, make


def present(fleet, *serials):
    """Let devices be heard now."""
    for pair in fleet.sights.values():
        pair.control.regained(fleet.clock.monotonic())
    for serial in serials:
        record = fleet.record(serial)
        fleet.heard(record, fleet.sight(record).epoch)


@pytest.fixture
def fleet():
    fleet = make(
        known("a1", site="plant-1", presence="online", broker="here"),
        known("a2", site="plant-1", presence="online", broker="here", group="spares"),
        known("b1", site="plant-2", presence="online", broker="here", labels=encode_labels({"zone": "north"})),
        known("c1", presence="offline", broker="here"),
    )
    present(fleet, "a1", "a2", "b1")
    return fleet


@pytest.fixture
def book(fleet):
    book = GroupBook(fleet, {"plant-1": ["a1", "lost"]})
    book.groups = {
        "hand": Group(name="hand", members=frozenset({"c1", "a1", "deleted"})),
        "rule": Group(name="rule", rule=Rule(serial="a*"), members=frozenset({"c1"})),
        "spares": Group(name="spares", rule=Rule(labels={"zone": "*"})),
        "empty": Group(name="empty"),
    }
    return book


# Groups


@pytest.mark.parametrize(
    ("name", "serials"),
    [("hand", ["a1", "c1"]), ("rule", ["a1", "a2", "c1"]), ("spares", ["a2", "b1"]), ("empty", [])],
)
def test_a_group_is_who_is_named_who_fits_and_who_names_it(book, name, serials):
    assert book.members(name) == serials


def test_a_group_that_only_devices_name_is_one_too_and_any_other_is_unknown(book):
    book.groups = {}
    assert book.members("spares") == ["a2"]
    assert book.used() == {"spares"}
    with pytest.raises(UnknownTargetError, match="there is no group hand"):
        book.members("hand")


def test_a_device_knows_its_groups(book, fleet):
    assert book.groups_of(fleet.record("a2").snapshot) == ["rule", "spares"]
    assert book.groups_of(fleet.record("b1").snapshot) == ["spares"]


def test_a_group_is_who_belongs_to_it_now(book, fleet):
    fleet.add(known("a3"))
    fleet.remove("a1")
    assert book.members("rule") == ["a2", "a3", "c1"]


def test_the_roster_of_the_configuration_counts_alone(book):
    book.stored_rosters = {"plant-1": frozenset({"other"}), "plant-2": frozenset({"b1"})}
    assert book.rosters() == {"plant-1": {"a1", "lost"}, "plant-2": {"b1"}}


# Rosters


@pytest.mark.parametrize(
    ("is_declared", "seen_at", "presence", "state"),
    [
        (False, "plant-1", "online", "undeclared"),
        (False, "plant-1", "offline", "undeclared"),
        (True, None, None, "silent"),
        (True, "plant-1", "online", "healthy"),
        (True, "", "online", "healthy"),
        (True, "plant-1", "offline", "silent"),
        (True, "", "unknown", "unknown"),
        (True, "plant-2", "online", "elsewhere"),
    ],
)
def test_the_roster_says_of_each_device_what_is_known(is_declared, seen_at, presence, state):
    assert judge("plant-1", is_declared=is_declared, seen_at=seen_at, presence=presence) == state


def test_the_roll_is_called_by_serial(fleet):
    roll = call_roll("plant-1", frozenset({"a1", "b1", "c1", "lost"}), fleet)
    assert [(entry.serial, entry.state) for entry in roll] == [
        ("a1", "healthy"),
        ("a2", "undeclared"),
        ("b1", "elsewhere"),
        ("c1", "silent"),
        ("lost", "silent"),
    ]
    assert roll[-1].view is None


def test_a_device_that_we_cannot_see_is_not_called_silent(fleet):
    for pair in fleet.sights.values():
        pair.control.lost(fleet.clock.monotonic())
    (entry,) = call_roll("plant-2", frozenset({"b1"}), fleet)
    assert entry.state == "unknown"


def test_all_rosters_are_counted_in_one_walk(fleet):
    rosters = {"plant-1": frozenset({"a1", "lost"}), "plant-9": frozenset()}
    counts = {(site, state): count for site, state, count in count_rolls(rosters, fleet)}
    assert {key: count for key, count in counts.items() if count} == {
        ("plant-1", "healthy"): 1,
        ("plant-1", "silent"): 1,
        ("plant-1", "undeclared"): 1,
    }
    assert len(counts) == 2 * len(STATES)


# Picks


def loads(serials, **fields):
    system = {name: json.dumps({"load_average": load}).encode() for name, load in fields.items()}
    fleet = make(
        *(known(name, presence="online", broker="here", system_info=system.get(name, b"")) for name in serials)
    )
    present(fleet, *serials)
    return fleet


def picks(picker, times):
    return "".join(picker.pick(lambda _: True).view.snapshot.serial for _ in range(times))


def test_equals_are_picked_in_turn():
    assert picks(Picker(loads("abc"), lambda _: 0), 7) == "abcabca"


def test_a_device_with_commands_under_way_comes_after_those_without():
    under_way = {"a": 2, "b": 1, "c": 1}
    assert picks(Picker(loads("abc"), lambda serial: under_way[serial]), 3) == "bcb"


def test_of_those_with_as_many_commands_the_one_with_the_least_load_comes_first():
    fleet = loads("abcd", a=[1.9, 0, 0], b=[0.3, 0, 0], c=[0.45, 9, 9])
    assert picks(Picker(fleet, lambda _: 0), 1) == "d"
    fleet.remove("d")
    assert picks(Picker(fleet, lambda _: 0), 4) == "bcbc"  # the same step of load


def test_the_idlest_is_not_given_everything_until_its_next_status():
    fleet = loads("ab", a=[0.1, 0, 0], b=[0.6, 0, 0])
    picker = Picker(fleet, lambda _: 0)
    assert picks(picker, 6) == "aababa"  # each pick counts as a step of load
    fleet.clock.advance(10 * FADES)  # by then the device's own figures tell of it
    assert picks(picker, 6) == "aababa"


def test_a_device_that_tells_nonsense_of_its_load_hinders_no_pick():
    assert picks(Picker(loads("ab", a=1e308), lambda _: 0), 2) == "bb"


def test_only_a_present_device_that_is_wanted_is_picked():
    fleet = make(known("a", presence="offline", broker="here"), known("b", presence="online", broker="here"))
    present(fleet, "b")
    picker = Picker(fleet, lambda _: 0)
    assert picks(picker, 2) == "bb"
    assert picker.pick(lambda view: view.snapshot.serial == "a") is None


def test_a_quarantined_device_is_not_picked():
    fleet = make(known("a", presence="online", broker="here", quarantined=True))
    present(fleet, "a")
    assert Picker(fleet, lambda _: 0).pick(lambda _: True) is None


def test_what_is_remembered_of_deleted_devices_is_dropped():
    fleet = loads("abc")
    picker = Picker(fleet, lambda _: 0)
    picks(picker, 3)
    fleet.remove("a")
    fleet.remove("b")
    picks(picker, 1)
    assert list(picker._picked) == ["c"]


@pytest.mark.parametrize(
    ("told", "load"),
    [
        (b"", 0),
        (b'{"load_average": [0.5, 1, 2]}', 0.5),
        (b'{"load_average": 1.5}', 1.5),
        (b'{"load_average": []}', 0),
        (b'{"load_average": "high"}', 0),
        (b'{"load_average": {"1m": 3}}', 0),
        (b'{"load_average": -1}', 0),
        (b'{"load_average": [null]}', 0),
        (b'{"cpu": 3}', 0),
    ],
)
def test_a_load_is_read_where_one_is_told(told, load):
    assert load_of(told) == load
