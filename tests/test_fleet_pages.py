"""Pages of the fleet: chosen, sorted, and right while devices change."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.fleet import Fleet
from actors.fleet_pages import KEYS, NUMBERED, Cut, Sort, Wanted, find_devices
from actors.presence import FLAP_LIMIT, OfflineAfter
from actors.runtime import ManualClock
from actors.sight import BrokerSight
from tests.support.world import known

SORTS = get_args(Sort)
DEVICES = st.fixed_dictionaries({
    "serial": st.sampled_from([f"{number:02}" for number in range(30)]),
    "presence": st.sampled_from(["online", "offline"]),
    "site": st.sampled_from(["", "North", "south"]),
    "label": st.sampled_from(["", "Gate", "gate", "Pump"]),
    "hostname": st.sampled_from(["", "alpha", "omega"]),
    "kind": st.sampled_from(["sensor", "gateway", "other"]),
    "since_us": st.integers(0, 3),
    "last_seen_us": st.integers(0, 3),
    "broker": st.sampled_from(["here", "there"]),
})  # fmt: skip


def make(*snapshots):
    clock = ManualClock()
    sights = {name: BrokerSight(name, clock.monotonic()) for name in ("here", "there")}
    fleet = Fleet(clock, sights, OfflineAfter())
    fleet.load(list(snapshots))
    return fleet


def serials(page):
    return [view.snapshot.serial for view in page.devices]


def all_pages(fleet, wanted, cut):
    """Turn pages to the end."""
    found, matches = [], set()
    while True:
        page = find_devices(fleet, wanted, cut)
        found += serials(page)
        matches.add(page.matches)
        if page.following is None:
            assert len(matches) == 1
            return found, matches.pop()
        cut = cut._replace(after=page.following)


def as_people_would(fleet, sort, descending):
    """Sort by what each view says."""
    keys = {
        "serial": lambda view: view.snapshot.serial,
        "label": lambda view: (view.snapshot.label or view.snapshot.hostname or view.snapshot.serial).lower(),
        "presence": lambda view: ["offline", "unknown", "online"].index(view.presence),
        "since": lambda view: view.since_us,
        "last_seen": lambda view: view.last_seen_us,
        "kind": lambda view: view.snapshot.kind,
        "site": lambda view: (view.snapshot.site == "", view.snapshot.site.lower()),
    }
    views = [fleet.view(record) for record in fleet]
    views.sort(key=lambda view: (keys[sort](view), view.snapshot.serial), reverse=descending)
    return [view.snapshot.serial for view in views]


@settings(max_examples=60, deadline=None)
@given(
    devices=st.lists(DEVICES, max_size=20, unique_by=lambda device: device["serial"]),
    heard=st.sets(st.integers(0, 29)),
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
    limit=st.integers(1, 7),
)
def test_pages_in_any_order_have_every_device_once_and_sorted_as_it_looks(devices, heard, sort, descending, limit):
    fleet = make(*(known(device.pop("serial"), **device) for device in map(dict, devices)))
    fleet.sights["here"].control.regained(1.0)
    for record in fleet:
        if int(record.snapshot.serial) in heard:
            fleet.heard(record, fleet.sight(record).epoch)
    expected = as_people_would(fleet, sort, descending)
    assert all_pages(fleet, Wanted(), Cut(sort, descending, None, limit)) == (expected, len(expected))


@pytest.mark.parametrize("sort", SORTS)
def test_the_keys_of_an_order_are_numbers_or_texts_as_a_cursor_has_to_know(sort):
    fleet = make(known("a"))
    assert isinstance(KEYS[sort](fleet, list(fleet))[0], int) == (sort in NUMBERED)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["serial", "since"])
def test_a_page_goes_on_from_a_device_that_was_removed_meanwhile(sort, descending):
    fleet = make(*(known(name, since_us=ord(name)) for name in "abcd"))
    first = find_devices(fleet, cut=Cut(sort, descending, None, 2))
    fleet.remove(serials(first)[-1])
    second = find_devices(fleet, cut=Cut(sort, descending, first.following, 2))
    assert sorted(serials(first) + serials(second)) == list("abcd")
    assert second.matches == 3


def test_a_device_that_changes_hides_and_repeats_none_that_stays():
    fleet = make(*(known(f"{number}", since_us=number) for number in range(6)))
    first = find_devices(fleet, cut=Cut("since", limit=3))
    record = fleet.record("0")
    fleet.update(record, msgspec.structs.replace(record.snapshot, since_us=99))
    second = find_devices(fleet, cut=Cut("since", after=first.following, limit=9))
    assert (serials(first), serials(second)) == (["0", "1", "2"], ["3", "4", "5", "0"])


def test_devices_that_come_while_a_page_is_made_put_none_on_it_twice():
    fleet = make(*(known(f"m{number}") for number in range(5)))

    def grows(_known):
        if len(fleet) < 50:
            fleet.add(known(f"a{len(fleet):03}"))
        return True

    assert serials(find_devices(fleet, Wanted((grows,)))) == [f"m{number}" for number in range(5)]


def test_behind_the_last_device_there_is_none():
    fleet = make(known("a"))
    assert find_devices(fleet, cut=Cut(after=("z", "z"))) == ([], None, 1)
    assert find_devices(make()) == ([], None, 0)


def test_checks_restrict_and_are_counted_over_all_pages():
    fleet = make(*(known(f"{number:02}", site="plant" if number % 3 == 0 else "field") for number in range(30)))
    wanted = Wanted((lambda device: device.site == "plant", lambda device: device.serial > "05"))
    page = find_devices(fleet, wanted, Cut(limit=3))
    assert (serials(page), page.matches) == (["06", "09", "12"], 8)


def test_a_presence_is_wanted_as_it_is_shown_now():
    fleet = make(
        known("a", presence="online", broker="here"), known("b", presence="online", broker="there"), known("c")
    )
    for name in ("here", "there"):
        fleet.sights[name].control.regained(1.0)
    for record in fleet:
        fleet.heard(record, 1)
    fleet.sights["there"].control.lost(2.0)
    assert [serials(find_devices(fleet, Wanted(presence=name))) for name in ("online", "unknown", "offline")] == [
        ["a"],
        ["b"],
        ["c"],
    ]


def test_devices_that_flap_are_found_as_long_as_they_do():
    fleet = make(known("a"), known("b"))
    fleet.record("a").transitions_at = (fleet.clock.monotonic(),) * FLAP_LIMIT
    assert serials(find_devices(fleet, Wanted(flapping=True))) == ["a"]
    assert serials(find_devices(fleet, Wanted(flapping=False))) == ["b"]
    fleet.clock.advance(3600)
    assert serials(find_devices(fleet, Wanted(flapping=True))) == []


def test_a_search_finds_what_a_device_is_called_now_and_not_what_it_was():
    fleet = make(known("a", label="Gate"), known("b"))
    assert serials(find_devices(fleet, Wanted(q="GATE"))) == ["a"]
    record = fleet.record("a")
    fleet.update(record, msgspec.structs.replace(record.snapshot, label="Pump", site="plant"))
    assert serials(find_devices(fleet, Wanted(q="gate"))) == []
    assert serials(find_devices(fleet, Wanted(q="plant"))) == ["a"]


def test_words_read_while_a_device_changes_are_not_kept(monkeypatch):
    fleet = make(known("a", label="Gate"))
    record = fleet.record("a")

    def changes_meanwhile(snapshot):
        monkeypatch.undo()
        fleet.update(record, msgspec.structs.replace(snapshot, label="Pump"))
        return "gate"

    monkeypatch.setattr("actors.fleet_pages.words_of", changes_meanwhile)
    find_devices(fleet, Wanted(q="gate"))
    assert serials(find_devices(fleet, Wanted(q="gate"))) == []


def test_one_pass_is_made_at_a_time_so_that_many_who_ask_leave_something_to_the_devices():
    fleet = make(known("01"))
    together = threading.Barrier(2)

    def meets_another(_):
        try:
            together.wait(timeout=2)
        except threading.BrokenBarrierError:
            return False
        return True

    with ThreadPoolExecutor(2) as askers:
        pages = list(askers.map(lambda _: find_devices(fleet, Wanted((meets_another,))), range(2)))
    assert [page.matches for page in pages] == [0, 0]


def test_whoever_gets_no_turn_is_told_so_and_holds_no_thread_for_long(monkeypatch):
    monkeypatch.setattr("actors.fleet.TURN_WITHIN", 0.01)
    fleet = make(known("01"))
    with fleet.turn(), pytest.raises(TimeoutError, match="too many"):
        find_devices(fleet, Wanted(q="0"))
    assert serials(find_devices(fleet, Wanted(q="0"))) == ["01"]
