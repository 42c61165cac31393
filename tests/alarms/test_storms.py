"""Silence: one alarm for a place, however many devices are behind it."""

from __future__ import annotations

import pytest

from actors.alarms.messages import PutRule
from tests.alarms.rig import offline


def test_a_gateway_that_is_down_with_forty_devices_behind_it_is_one_alarm(make_rig):
    rig = make_rig(offline())
    serials = rig.site("harbour", 40)
    rig.dark(*serials)
    rig.pass_time(80)
    (alarm,) = rig.alarms()
    assert (alarm["subject"], alarm["serial"], alarm["site"]) == ("gateway:harbour-gw-0", "harbour-gw-0", "harbour")
    assert alarm["count"] == 41
    assert alarm["summary"] == "gateway harbour-gw-0 at site harbour is offline with 40 devices behind it"
    assert rig.news() == [("raised", "gateway:harbour-gw-0")]


def test_five_hundred_devices_behind_two_gateways_that_go_dark_are_two_alarms(make_rig):
    rig = make_rig(offline())
    for site in ("north", "south"):
        gateway, *others = rig.site(site, 249)
        # The verdicts come as they come: half of the devices long before their gateway's, half after it.
        rig.dark(*others[:120])
        rig.pass_time(20)
        rig.dark(gateway)
        rig.pass_time(30)
        rig.dark(*others[120:])
    rig.pass_time(200, steps=20)
    assert sorted(rig.open()) == ["gateway:north-gw-0", "gateway:south-gw-0"]
    assert [alarm["count"] for alarm in rig.alarms()] == [250, 250]
    assert len(rig.news()) == 2


def test_two_gateways_of_one_site_are_told_apart_by_the_metadata_of_what_is_behind_them(make_rig):
    rig = make_rig(offline())
    gateways = rig.site("yard", 0, gateways=2)
    for number in range(20):
        rig.device(f"s-{number}", site="yard", metadata=b'{"gateway": "yard-gw-%d"}' % (number % 2))
    rig.start()
    rig.dark(*gateways, *(f"s-{number}" for number in range(20)))
    rig.pass_time(80)
    assert sorted(rig.open()) == ["gateway:yard-gw-0", "gateway:yard-gw-1"]
    assert [alarm["count"] for alarm in rig.alarms()] == [11, 11]


def test_without_it_the_site_is_one_alarm(make_rig):
    rig = make_rig(offline())
    rig.dark(*rig.site("yard", 20, gateways=2))
    rig.pass_time(80)
    (alarm,) = rig.alarms()
    assert alarm["subject"] == "site:yard"
    assert alarm["summary"] == "2 gateways at site yard and 20 devices are offline"


def test_a_crowd_at_a_site_without_a_gateway_is_one_alarm_and_a_few_are_their_own(make_rig):
    rig = make_rig(offline(min_group=5))
    crowd, few = rig.site("crowd", 5, gateways=0), rig.site("few", 4, gateways=0)
    rig.dark(*crowd, *few)
    rig.pass_time(80)
    assert sorted(rig.open()) == [*(f"device:few-{number}" for number in range(4)), "site:crowd"]
    assert (
        next(row for row in rig.alarms() if row["site"] == "crowd")["summary"] == "5 devices at site crowd are offline"
    )


def test_those_that_have_been_dead_for_long_make_no_crowd(make_rig):
    rig = make_rig(offline())
    serials = rig.site("harbour", 8, gateways=0)
    for serial in serials:
        rig.dark(serial)
        rig.pass_time(1_000)
    assert rig.open() == [f"device:{serial}" for serial in serials]


def test_a_rule_that_is_new_finds_the_dead_of_a_place_as_one_alarm(make_rig):
    rig = make_rig()
    serials = rig.site("harbour", 8, gateways=0)
    for serial in serials:
        rig.dark(serial)
        rig.pass_time(1_000)
    rig.desk.put_rule(PutRule(rule=offline(), by="admin", address=""))
    rig.pass_time(2)
    assert [(row["subject"], row["count"]) for row in rig.alarms()] == [("site:harbour", 8)]


def test_the_alarm_of_a_place_is_over_when_the_last_is_back(make_rig):
    rig = make_rig(offline())
    gateway, *others = rig.site("harbour", 10)
    rig.dark(gateway, *others)
    rig.pass_time(80)
    rig.back(gateway, *others[1:])
    rig.pass_time(10)
    (alarm,) = rig.alarms("open")
    assert (alarm["count"], alarm["members"]) == (1, (others[0],))
    assert alarm["summary"] == "1 device at site harbour behind gateway harbour-gw-0 is offline"
    rig.back(others[0])
    rig.pass_time(2)
    (alarm,) = rig.alarms()
    assert alarm["cleared_why"] == "over"
    assert rig.news() == [("raised", f"gateway:{gateway}"), ("cleared", f"gateway:{gateway}")]


def test_a_device_that_falls_silent_after_the_storm_has_an_alarm_of_its_own(make_rig):
    rig = make_rig(offline())
    gateway, *others = rig.site("harbour", 10)
    rig.dark(gateway, *others)
    rig.pass_time(80)
    rig.back(gateway, *others[1:])
    rig.pass_time(1_000)
    rig.dark(others[5])
    rig.pass_time(80)
    assert rig.open() == [f"gateway:{gateway}", f"device:{others[5]}"]


def test_who_is_back_in_time_is_no_alarm(make_rig):
    rig = make_rig(offline())
    (serial,) = rig.site("harbour", 1, gateways=0)
    rig.dark(serial)
    rig.pass_time(50)
    rig.back(serial)
    rig.pass_time(2)
    rig.dark(serial)
    rig.pass_time(50)
    assert rig.alarms() == []
    rig.pass_time(30)
    assert rig.open() == [f"device:{serial}"]


def test_a_storm_goes_on_as_the_same_alarms_after_a_restart(make_rig):
    rig = make_rig(offline())
    gateway, *others = rig.site("harbour", 30)
    alone = rig.site("far", 1, gateways=0)
    rig.dark(gateway, *others, *alone)
    rig.pass_time(80)
    rig.deliver()
    before = rig.alarms()
    rig.start()
    rig.pass_time(600)
    assert [row["id"] for row in rig.alarms()] == [row["id"] for row in before]
    assert rig.news() == []
    rig.back(gateway, *others[:-1])
    rig.pass_time(5)
    assert sorted(rig.open()) == ["device:far-0", f"gateway:{gateway}"]
    rig.back(others[-1], *alone)
    rig.pass_time(5)
    assert rig.open() == []


def test_who_came_back_while_the_server_was_down_ends_its_alarm(make_rig):
    rig = make_rig(offline())
    (serial,) = rig.site("harbour", 1, gateways=0)
    rig.dark(serial)
    rig.pass_time(80)
    rig.deliver()
    record = rig.fleet.record(serial)
    record.snapshot = type(record.snapshot)(serial=serial, kind="sensor", family="site", presence="online")
    rig.start()
    assert rig.open() == []
    assert rig.news() == [("cleared", f"device:{serial}")]


def test_what_is_unknown_is_not_offline(make_rig):
    rig = make_rig(offline())
    (serial,) = rig.site("harbour", 1, gateways=0)
    rig.tap.changed(serial, "unknown")
    rig.pass_time(500)
    assert rig.alarms() == []


def test_a_device_that_was_declared_and_never_heard_is_no_alarm(make_rig):
    rig = make_rig(offline())
    rig.device("pi-1", presence="offline")
    rig.fleet.record("pi-1").heard_us = 0
    rig.start()
    rig.pass_time(500)
    assert rig.alarms() == []


def test_the_alarm_of_a_deleted_device_ends(make_rig):
    rig = make_rig(offline())
    (serial,) = rig.site("harbour", 1, gateways=0)
    rig.dark(serial)
    rig.pass_time(80)
    rig.fleet.remove(serial)
    rig.pass_time(60, steps=60)
    assert rig.open() == []


def test_a_flapping_device_is_held_back_until_it_stays_away(make_rig):
    rig = make_rig(offline())
    (serial,) = rig.site("harbour", 1, gateways=0)
    rig.fleet.record(serial).transitions_at = (rig.clock.monotonic(),) * 6
    rig.dark(serial)
    rig.pass_time(300)
    assert rig.alarms() == []
    rig.pass_time(400)
    assert rig.open() == [f"device:{serial}"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"site": "harbour"}, ["device:a"]),
        ({"device_kind": "raspberry_pi"}, ["device:b"]),
        ({"type": "soil"}, ["device:a"]),
        ({"devices": ("b", "c")}, ["device:b"]),
        ({"group": "crew"}, ["device:b"]),
        ({}, ["device:a", "device:b"]),
    ],
)
def test_a_rule_is_about_the_devices_it_names(make_rig, fields, expected):
    rig = make_rig(offline(**fields))
    rig.groups["crew"] = {"b"}
    rig.device("a", type="soil")
    rig.device("b", kind="raspberry_pi", site="")
    rig.dark("a", "b")
    rig.pass_time(80)
    assert sorted(rig.open()) == expected


def test_devices_without_a_site_share_a_place(make_rig):
    rig = make_rig(offline())
    serials = rig.site("", 12, gateways=0)
    rig.dark(*serials)
    rig.pass_time(80)
    (alarm,) = rig.alarms()
    assert (alarm["subject"], alarm["summary"]) == ("site:", "12 devices without a site are offline")


def test_two_rules_tell_of_the_same_silence_each_at_its_time(make_rig):
    rig = make_rig(offline(), offline(name="long", lasts=600.0, severity="critical"))
    (serial,) = rig.site("harbour", 1, gateways=0)
    rig.dark(serial)
    rig.pass_time(80)
    assert [row["rule"] for row in rig.alarms()] == ["offline"]
    rig.pass_time(600)
    assert [(row["rule"], row["severity"]) for row in rig.alarms()] == [("offline", "warning"), ("long", "critical")]
