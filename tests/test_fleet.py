"""The fleet: records, counts that are never wrong, pages."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors import fleet as fleet_module
from actors.fleet import NEVER, Fleet
from actors.fleet_counts import SiteCounts
from actors.fleet_pages import find_devices
from actors.presence import FLAP_LIMIT, OfflineAfter
from actors.runtime import ManualClock
from actors.sight import BrokerSight
from tests.support.world import known

BROKERS = ("here", "there")
SERIALS = st.sampled_from("abc")


def make(*snapshots, policy=None):
    clock = ManualClock()
    sights = {name: BrokerSight(name, clock.monotonic()) for name in BROKERS}
    fleet = Fleet(clock, sights, policy or OfflineAfter())
    fleet.load(list(snapshots))
    return fleet


def recount(fleet):
    """Count by looking at every device, as nobody should have to."""
    shown = [fleet.view(record).presence for record in fleet]
    return {"total": len(shown)} | {name: shown.count(name) for name in ("online", "offline", "unknown")}


def recount_sites(fleet):
    sites = {}
    for view in (fleet.view(record) for record in fleet):
        counts = sites.setdefault(view.snapshot.site, dict.fromkeys(SiteCounts._fields, 0))
        counts["site"] = view.snapshot.site
        for name in ("total", view.presence):
            counts[name] += 1
        counts["flapping"] += view.flapping
        counts["quarantined"] += view.snapshot.quarantined
    return sites


class Counting(RuleBasedStateMachine):
    """Anything that can happen to a fleet, in any order."""

    def __init__(self):
        super().__init__()
        self.fleet = make(known("a", presence="online", broker="here"), known("b", broker="there"))
        for pair in self.fleet.sights.values():
            pair.control.regained(self.fleet.clock.monotonic())

    def change(self, record, **changes):
        self.fleet.update(record, msgspec.structs.replace(record.snapshot, **changes))

    @rule(serial=SERIALS, presence=st.sampled_from(["online", "offline"]), broker=st.sampled_from([*BROKERS, ""]))
    def discover(self, serial, presence, broker):
        if serial not in self.fleet:
            self.fleet.add(known(serial, presence=presence, broker=broker))

    @rule(serial=SERIALS)
    def remove(self, serial):
        self.fleet.remove(serial)

    @rule(serial=SERIALS, presence=st.sampled_from(["online", "offline"]), label=st.sampled_from("pq"))
    def turn(self, serial, presence, label):
        record = self.fleet.record(serial)
        if record is not None:
            self.change(record, presence=presence, label=label)

    @rule(serial=SERIALS)
    def hear(self, serial):
        record = self.fleet.record(serial)
        if record is not None:
            self.fleet.heard(record, self.fleet.sight(record).epoch)
            self.change(record, presence="online")

    @rule(serial=SERIALS)
    def hear_what_was_said_before_the_blink(self, serial):
        record = self.fleet.record(serial)
        epoch = self.fleet.sight(record).epoch if record is not None else 0
        if record is not None and record.heard_epoch != epoch:
            self.fleet.heard(record, epoch - 1)

    @rule(serial=SERIALS, broker=st.sampled_from(BROKERS))
    def move(self, serial, broker):
        record = self.fleet.record(serial)
        if record is not None:
            self.change(record, broker=broker)

    @rule(serial=SERIALS, data_only=st.booleans())
    def be_judged_by_another_link(self, serial, data_only):
        record = self.fleet.record(serial)
        if record is not None:
            self.fleet.update(record, record.snapshot, data_only=data_only)

    @rule(serial=SERIALS, site=st.sampled_from(["north", "south", ""]))
    def be_carried_to_another_site(self, serial, site):
        record = self.fleet.record(serial)
        if record is not None:
            self.change(record, site=site)

    @rule(serial=SERIALS, quarantined=st.booleans())
    def be_parked(self, serial, quarantined):
        record = self.fleet.record(serial)
        if record is not None:
            self.change(record, quarantined=quarantined)
            if quarantined:
                self.fleet.unheard(record)

    @rule(serial=SERIALS)
    def flap(self, serial):
        record = self.fleet.record(serial)
        if record is not None:
            record.transitions_at = (self.fleet.clock.monotonic(),) * FLAP_LIMIT

    @rule(broker=st.sampled_from(BROKERS), link=st.sampled_from(["control", "data"]), sees=st.booleans())
    def blink(self, broker, link, sees):
        sight = getattr(self.fleet.sights[broker], link)
        self.fleet.clock.advance(1.0)
        (sight.regained if sees else sight.lost)(self.fleet.clock.monotonic())

    @invariant()
    def counts_are_what_a_recount_says(self):
        assert self.fleet.counts() == recount(self.fleet)

    @invariant()
    def so_are_those_of_the_sites(self):
        assert {counts.site: counts._asdict() for counts in self.fleet.sites()} == recount_sites(self.fleet)

    @invariant()
    def presences_are_what_each_view_says(self):
        assert self.fleet.presences(self.fleet) == [self.fleet.view(record).presence for record in self.fleet]


Counting.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCountsAreAlwaysRight = Counting.TestCase


def test_a_fleet_is_loaded_in_the_order_of_serials():
    fleet = make(known("b"), known("c", presence="online"), known("a"))

    assert [view.snapshot.serial for view in find_devices(fleet).devices] == ["a", "b", "c"]
    assert fleet.counts() == {"total": 3, "online": 0, "offline": 2, "unknown": 1}
    assert len(fleet) == 3
    assert "b" in fleet
    assert "d" not in fleet


def test_a_device_of_a_broker_that_is_not_configured_any_more_is_judged_by_the_first():
    fleet = make(known("a", broker="gone"))

    assert fleet.sight(fleet.record("a")) is fleet.sights["here"].control


@pytest.mark.parametrize(("heard", "reason"), [(NEVER, "startup"), (5.0, "link_lost")])
def test_an_unknown_presence_says_why(heard, reason):
    fleet = make(known("a", presence="online", reason="heartbeat"))
    fleet.record("a").heard_at = heard

    assert (fleet.get("a").presence, fleet.get("a").reason) == ("unknown", reason)


def test_a_view_tells_whether_the_device_flaps_and_how_patient_we_are():
    fleet = make(known("a"), policy=OfflineAfter(everywhere=7.0))
    assert not fleet.get("a").flapping
    fleet.record("a").transitions_at = (fleet.clock.monotonic(),) * FLAP_LIMIT

    assert fleet.get("a").flapping
    assert fleet.get("a").offline_after == 7.0


def test_nobody_is_no_device():
    fleet = make()

    assert fleet.get("a") is None
    assert fleet.record("a") is None
    fleet.remove("a")
    assert fleet.counts() == {"total": 0, "online": 0, "offline": 0, "unknown": 0}


def test_devices_that_send_the_same_names_share_one_set_and_the_sets_kept_are_bounded(monkeypatch):
    fleet = make()
    monkeypatch.setattr(fleet_module, "MOST_NAME_SETS", 10)
    first = fleet.shared(frozenset({"t", "h"}))
    assert fleet.shared(frozenset({"h", "t"})) is first

    for number in range(100):
        fleet.shared(frozenset({str(number)}))
    assert len(fleet._name_sets) <= 10
