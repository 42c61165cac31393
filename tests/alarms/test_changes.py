"""What changes while an alarm is open: its rule, its devices, what was said of it, and how bad it is."""

from __future__ import annotations

import msgspec
import pytest

from actors.alarms.messages import Acknowledge, AlarmError, ChangeRule, DropRule, PutRule, SilenceAlarm
from actors.alarms.rules import Rule
from actors.alarms.settings import Channel
from tests.alarms.rig import offline

WHO = {"by": "admin", "address": "10.0.0.9"}
HOT = Rule(name="hot", kind="metric", metric="t", over=80.0, site="harbour")
TWO = {"ops": Channel(webhook="http://127.0.0.1/"), "crew": Channel(webhook="http://127.0.0.1/")}


def acknowledge(rig, number):
    return rig.desk.acknowledge(Acknowledge(id=number, **WHO))


def silence(rig, number, seconds):
    return rig.desk.silence(SilenceAlarm(id=number, until_us=rig.now_us + int(seconds * 1e6), **WHO))


def move(rig, serial, site):
    record = rig.fleet.record(serial)
    rig.fleet.update(record, msgspec.structs.replace(record.snapshot, site=site))


def told(rig):
    return sorted((notice.event, notice.channel) for notice in rig.sent)


def storm(rig, devices=40):
    """A gateway and all behind it fall silent, and it is told; the gateway, the others, and the alarm's id."""
    gateway, *others = rig.site("harbour", devices)
    rig.dark(gateway, *others)
    rig.pass_time(80)
    rig.deliver()
    (alarm,) = rig.alarms("open")
    return gateway, others, alarm["id"]


# -- a silence that ends ----------------------------------------------------------------------------------------------


def test_a_silence_that_ends_while_it_is_still_bad_is_told_once_more(make_rig):
    rig = make_rig(offline())
    *_, number = storm(rig)
    silence(rig, number, 600)
    rig.pass_time(500)
    assert rig.news() == []
    rig.pass_time(200)
    assert rig.news() == [("raised", "gateway:harbour-gw-0")]
    rig.deliver()
    rig.pass_time(5_000)
    assert rig.news() == []


def test_a_silence_that_ends_while_the_server_is_down_is_told_by_the_next(make_rig):
    rig = make_rig(offline())
    *_, number = storm(rig)
    silence(rig, number, 600)
    rig.clock.advance(1_000)
    rig.start()
    rig.pass_time(2)
    assert rig.news() == [("raised", "gateway:harbour-gw-0")]


def test_a_silence_that_is_ended_by_hand_tells_nothing_that_was_told(make_rig):
    rig = make_rig(offline())
    *_, number = storm(rig)
    silence(rig, number, 600)
    silence(rig, number, 0)
    rig.pass_time(2_000)
    assert rig.news() == []


def test_a_silence_that_ends_tells_nothing_of_what_is_acknowledged(make_rig):
    rig = make_rig(offline())
    *_, number = storm(rig)
    silence(rig, number, 600)
    acknowledge(rig, number)
    rig.pass_time(2_000)
    assert rig.news() == []


# -- a place that gets worse ------------------------------------------------------------------------------------------


def test_a_gateway_that_falls_silent_again_is_news_though_a_device_behind_it_has_kept_its_alarm_open(make_rig):
    rig = make_rig(offline())
    gateway, others, number = storm(rig)
    acknowledge(rig, number)
    rig.back(gateway, *others[1:])
    rig.pass_time(3_600)
    assert [row["count"] for row in rig.alarms("open")] == [1]
    rig.dark(gateway, *others[1:])
    rig.pass_time(80)
    (alarm,) = rig.alarms("open")
    assert (alarm["id"], alarm["count"], alarm["acknowledged_us"]) == (number, 41, None)
    assert rig.news() == [("raised", "gateway:harbour-gw-0")]
    assert rig.events()[-1]["action"] == "worsened"
    assert rig.tap.counts["worsened"] == 1
    rig.deliver()
    rig.pass_time(2_000)
    assert rig.news() == []


def test_another_crowd_at_a_site_is_news_and_a_single_device_is_not(make_rig):
    rig = make_rig(offline(min_group=5))
    serials = rig.site("harbour", 20, gateways=0)
    rig.dark(*serials[:5])
    rig.pass_time(80)
    rig.deliver()
    acknowledge(rig, 1)
    rig.pass_time(1_000)
    rig.dark(*serials[5:10])
    rig.pass_time(80)
    assert rig.news() == [("raised", "site:harbour")]


def test_those_of_the_same_storm_that_come_late_are_no_news(make_rig):
    rig = make_rig(offline())
    gateway, *others = rig.site("harbour", 40)
    rig.dark(*others[:20])
    rig.pass_time(75)
    rig.dark(gateway, *others[20:])
    rig.pass_time(200, steps=20)
    assert [row["count"] for row in rig.alarms("open")] == [41]
    assert rig.news() == [("raised", f"gateway:{gateway}")]


def test_what_gets_worse_while_it_is_silenced_is_told_when_the_silence_ends(make_rig):
    rig = make_rig(offline())
    gateway, others, number = storm(rig)
    rig.back(gateway, *others[1:])
    rig.pass_time(3_600)
    silence(rig, number, 1_000)
    rig.dark(gateway, *others[1:])
    rig.pass_time(80)
    assert rig.news() == []
    rig.pass_time(1_000)
    assert rig.news() == [("raised", f"gateway:{gateway}")]


def test_a_second_rule_tells_what_has_got_worse_than_what_is_acknowledged(make_rig):
    rig = make_rig(HOT, Rule(name="very-hot", kind="metric", metric="t", over=100.0, severity="critical"))
    rig.device("a")
    rig.reads("a", t=85)
    rig.deliver()
    acknowledge(rig, 1)
    rig.reads("a", t=105)
    assert [(notice.event, notice.body["rule"]) for notice in rig.sent] == [("raised", "very-hot")]


# -- a storm and a restart, devices that come, go and move ------------------------------------------------------------


def test_a_site_that_gets_another_name_keeps_its_alarm_through_a_restart(make_rig):
    rig = make_rig(offline())
    serials = rig.site("harbour", 12, gateways=0)
    rig.dark(*serials)
    rig.pass_time(80)
    rig.deliver()
    acknowledge(rig, 1)
    for serial in serials:
        move(rig, serial, "quay")
    rig.start()
    rig.pass_time(100)
    rig.back(*serials[:4])
    rig.pass_time(2)
    (alarm,) = rig.alarms()
    assert (alarm["acknowledged_by"], alarm["count"], rig.news()) == ("admin", 8, [])
    rig.back(*serials)
    rig.pass_time(2)
    assert rig.open() == []


def test_who_falls_silent_before_an_acknowledgement_and_is_not_due_is_not_taken_into_the_alarm_by_a_restart(make_rig):
    rig = make_rig(offline())
    gateway, others, number = storm(rig)
    rig.back(gateway, *others[1:])
    rig.pass_time(1_000)
    rig.dark(others[5])
    rig.pass_time(10)
    acknowledge(rig, number)
    rig.start()
    rig.pass_time(2)
    assert [row["count"] for row in rig.alarms("open")] == [1]
    rig.pass_time(80)
    assert rig.open() == [f"gateway:{gateway}", f"device:{others[5]}"]


def test_who_came_back_while_the_server_was_down_is_not_counted_any_more(make_rig):
    rig = make_rig(offline())
    gateway, others, _ = storm(rig)
    for serial in (gateway, *others[3:]):
        record = rig.fleet.record(serial)
        record.snapshot = msgspec.structs.replace(record.snapshot, presence="online")
    rig.start()
    rig.pass_time(2)
    (alarm,) = rig.alarms("open")
    assert (alarm["count"], alarm["members"]) == (3, tuple(sorted(others[:3])))


@pytest.mark.parametrize("rule", [HOT, Rule(name="flaps", kind="flapping", site="harbour"), offline(site="harbour")])
def test_the_alarm_of_a_device_that_moves_out_of_its_rule_ends(make_rig, rule):
    rig = make_rig(rule)
    rig.device("a")
    rig.fleet.record("a").transitions_at = (rig.clock.monotonic(),) * 6
    rig.tap.changed("a", "online")
    rig.reads("a", t=85)
    if rule.kind == "offline_for":
        rig.fleet.record("a").transitions_at = ()
        rig.dark("a")
    rig.pass_time(80)
    assert rig.open() == ["device:a"]
    move(rig, "a", "quay")
    rig.pass_time(40, steps=40)
    assert [row["cleared_why"] for row in rig.alarms()] == ["rule_changed"]


def test_a_gateway_that_is_deleted_leaves_the_alarm_to_those_behind_it(make_rig):
    rig = make_rig(offline())
    gateway, others, number = storm(rig)
    rig.fleet.remove(gateway)
    rig.pass_time(60, steps=60)
    (alarm,) = rig.alarms("open")
    assert (alarm["id"], alarm["count"]) == (number, 40)
    rig.back(*others)
    rig.pass_time(2)
    assert rig.open() == []


# -- rules that change ------------------------------------------------------------------------------------------------


def test_a_rule_with_another_severity_changes_that_of_its_alarms(make_rig):
    rig = make_rig()
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    rig.device("a")
    rig.reads("a", t=85)
    rig.desk.change_rule(ChangeRule(name="hot", changes={"severity": "critical"}, **WHO))
    assert [row["severity"] for row in rig.alarms("open")] == ["critical"]
    assert dict(rig.tap.open) == {"critical": 1}


def test_a_rule_about_another_number_ends_the_alarms_about_the_one_before(make_rig):
    rig = make_rig()
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    rig.device("a")
    rig.reads("a", t=85)
    rig.desk.change_rule(ChangeRule(name="hot", changes={"metric": "humidity"}, **WHO))
    assert [row["cleared_why"] for row in rig.alarms()] == ["rule_changed"]


def test_who_was_told_that_it_began_is_told_that_it_is_over_whatever_has_become_of_the_rule(make_rig):
    rig = make_rig(channels=TWO)
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    rig.device("a")
    rig.reads("a", t=85)
    rig.deliver()
    rig.desk.drop_rule(DropRule(name="hot", **WHO))
    rig.pass_time(2)
    assert told(rig) == [("cleared", "crew"), ("cleared", "ops")]


def test_who_was_not_told_that_it_began_is_not_told_that_it_is_over(make_rig):
    rig = make_rig(channels=TWO)
    rig.desk.put_rule(PutRule(rule=msgspec.structs.replace(HOT, send=("ops",)), **WHO))
    rig.device("a")
    rig.reads("a", t=85)
    rig.deliver()
    rig.desk.change_rule(ChangeRule(name="hot", changes={"send": ["crew"]}, **WHO))
    rig.reads("a", t=20)
    rig.pass_time(2)
    assert told(rig) == [("cleared", "ops")]


def test_a_rule_of_the_configuration_comes_before_one_by_http_and_what_is_not_in_force_is_said(make_rig, caplog):
    rig = make_rig(channels=TWO)
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    rig.desk.put_rule(PutRule(rule=offline(send=("crew",)), **WHO))
    rig.settings = msgspec.structs.replace(
        rig.settings, rules=(msgspec.structs.replace(HOT, over=90.0),), channels={"ops": TWO["ops"]}
    )
    rig.start()
    assert next((known.rule.over, known.origin) for known in rig.desk.rules()) == (90.0, "configuration")
    assert "the alarm rule hot made by HTTP is not in force: the configuration has one of its name" in caplog.text
    assert "the alarm rule offline sends to crew, which is not among the channels" in caplog.text
    rig.settings = msgspec.structs.replace(rig.settings, rules=())
    rig.start()
    assert next((known.rule.over, known.origin) for known in rig.desk.rules()) == (80.0, "api")


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("offline", {"lasts": -1}, "lasts"),
        ("offline", {"min_group": 1}, "min_group"),
        ("offline", {"hysteresis": 3}, "hysteresis"),
        ("offline", {"metric": "t"}, "metric"),
        ("offline", {"send": ["nobody"]}, "send"),
        ("hot", {"over": None}, "over"),
        ("hot", {"under": 1.0}, "over"),
        ("hot", {"metric": None}, "metric"),
        ("hot", {"hysteresis": -1.0}, "hysteresis"),
        ("hot", {"clear_after": 1e12}, "clear_after"),
        ("dead-letters", {"window": 0.5}, "window"),
        ("hot", {"devices": ["x" * 200]}, "devices"),
    ],
)
def test_the_refusal_of_a_change_names_the_field(make_rig, name, changes, field):
    rig = make_rig(defaults=True)
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    with pytest.raises(AlarmError) as refused:
        rig.desk.change_rule(ChangeRule(name=name, changes=changes, **WHO))
    assert refused.value.details["field"].split("[")[0] == field
