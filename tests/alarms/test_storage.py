"""Alarms on every database: whose they are, what is kept, and ids that are never given twice."""

from __future__ import annotations

import pytest

from actors.messages import DeleteDevice, StoreDevice
from actors.storage.alarms import MOST_NAMES, FindAlarms
from actors.storage.database import open_database
from actors.storage.models import Alarm, AlarmDevice, AlarmNotice
from actors.storage.retention import RetentionRules
from actors.storage.store import Store
from tests.alarms.rig import Rig, offline

DAY = 86_400_000_000


@pytest.fixture
def rig(database_url):
    rig = Rig(database_url, offline())
    yield rig
    rig.store.close()


def about(rig, serial, state=None):
    return [row["subject"] for row in rig.store.run(FindAlarms(serial=serial, state=state).run).items]


def count(rig, table):
    return rig.store.run(lambda database: table.select().count(database))


def forget_old(rig, database_url, days=40):
    store = Store(open_database(database_url), rules=RetentionRules(events_days=30))
    store.open()
    store.begin_expiry()
    while store.is_expiry_due:
        store.expire(rig.now_us + days * DAY)
    store.close()


def delete_device(rig, serial):
    rig.store.commit([StoreDevice(rig.fleet.record(serial).snapshot)])
    rig.store.commit([DeleteDevice(serial)])
    rig.fleet.remove(serial)


def test_the_alarm_of_a_gateway_is_found_by_each_device_that_it_tells_of(rig):
    gateway, *others = rig.site("harbour", 40)
    (stranger,) = rig.site("far", 1, gateways=0)
    rig.dark(gateway, *others, stranger)
    rig.pass_time(80)
    for serial in (gateway, others[0], others[39]):
        assert about(rig, serial) == about(rig, serial, "open") == [f"gateway:{gateway}"]
    assert about(rig, stranger) == [f"device:{stranger}"]
    assert about(rig, others[0].upper()) == []
    assert about(rig, "harbour-_") == []


def test_a_device_that_is_back_is_in_it_no_more_and_was_in_it_when_it_is_over(rig):
    gateway, *others = rig.site("harbour", 10)
    rig.dark(gateway, *others)
    rig.pass_time(80)
    rig.back(*others[:4])
    rig.pass_time(2)
    assert about(rig, others[0], "open") == []
    assert about(rig, others[0]) == about(rig, others[9], "open") == [f"gateway:{gateway}"]
    rig.dark(others[0])
    rig.pass_time(80)
    assert about(rig, others[0], "open") == [f"gateway:{gateway}"]
    rig.back(gateway, *others)
    rig.pass_time(2)
    assert about(rig, others[5], "cleared") == [f"gateway:{gateway}"]


def test_an_alarm_of_very_many_devices_is_found_by_the_last_and_goes_on_with_all_of_them(rig):
    gateway, *others = rig.site("harbour", MOST_NAMES + 500)
    rig.dark(gateway, *others)
    rig.pass_time(80)
    last = max(others)
    assert last not in rig.alarms("open")[0]["members"]
    assert about(rig, last, "open") == [f"gateway:{gateway}"]
    rig.start()
    rig.back(others[0])
    rig.pass_time(2)
    assert [row["count"] for row in rig.alarms()] == [MOST_NAMES + 500]


def test_the_devices_of_an_alarm_go_when_it_is_forgotten(rig, database_url):
    for site in ("north", "south"):
        serials = rig.site(site, 10)
        rig.dark(*serials)
        rig.pass_time(80)
        rig.deliver()
        rig.back(*serials)
        rig.pass_time(2)
        rig.deliver()
    forget_old(rig, database_url)
    assert [row["subject"] for row in rig.alarms()] == ["gateway:south-gw-0"]  # the newest keeps its id to itself
    assert count(rig, AlarmDevice) == 11


def test_who_was_told_is_remembered_as_long_as_an_alarm_is_open(rig, database_url):
    rig.site("far", 1, gateways=0)
    rig.dark("far-0")
    rig.pass_time(80)
    rig.deliver()
    forget_old(rig, database_url)
    assert count(rig, AlarmNotice) == 1
    rig.back("far-0")
    rig.pass_time(2)
    assert rig.news() == [("cleared", "device:far-0")]


def test_the_id_of_an_alarm_is_never_given_to_another(rig, database_url):
    rig.device("a")
    rig.device("b")
    rig.dark("a")
    rig.pass_time(80)
    delete_device(rig, "a")
    rig.dark("b")
    rig.pass_time(20, steps=2)  # `b` is due after 70 s
    rig.pass_time(60, steps=2)
    rig.pass_time(60, steps=60)
    assert [(row["id"], row["serial"], row["cleared_us"] is None) for row in rig.alarms()] == [
        (1, "a", False),
        (2, "b", True),
    ]
    rig.back("b")
    rig.pass_time(2)
    forget_old(rig, database_url, days=400)
    rig.dark("b")
    rig.pass_time(80)
    assert [row["id"] for row in rig.alarms("open")] == [3]


def test_a_deleted_device_takes_what_is_over_along_and_leaves_the_alarm_of_others(rig):
    gateway, *others = rig.site("harbour", 10)
    rig.device("alone", site="far")
    rig.dark("alone")
    rig.pass_time(80)
    rig.back("alone")
    rig.pass_time(2)
    rig.dark(gateway, *others)
    rig.pass_time(80)
    delete_device(rig, "alone")
    delete_device(rig, gateway)
    rig.pass_time(60, steps=60)
    assert [(row["subject"], row["count"]) for row in rig.alarms()] == [(f"gateway:{gateway}", 10)]
    assert about(rig, others[0], "open") == [f"gateway:{gateway}"]
    assert rig.store.run(lambda database: Alarm.select().where(Alarm.serial == "alone").count(database)) == 0
