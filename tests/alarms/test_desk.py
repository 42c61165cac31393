"""Raised once, told once, acknowledged, silenced, over; through restarts and without a database."""

from __future__ import annotations

import msgspec
import pytest

from actors.alarms.messages import Acknowledge, AlarmError, ChangeRule, DropRule, PutRule, SilenceAlarm, Told
from actors.alarms.post import LOST_AFTER_US, MOST_ATTEMPTS
from actors.alarms.rules import Rule
from actors.alarms.settings import Channel
from actors.presence import FLAP_WINDOW
from actors.storage.errors import StoreUnavailable
from tests.alarms.rig import OPS, Rig, offline

WHO = {"by": "admin", "address": "10.0.0.9"}
HOT = Rule(name="hot", kind="metric", metric="t", over=80.0, hysteresis=5.0, lasts=60.0, severity="critical")


def one_dark(rig, serial="a"):
    """Let one device fall silent until there is an alarm; its id."""
    rig.device(serial)
    rig.dark(serial)
    rig.pass_time(80)
    return rig.alarms()[-1]["id"]


def silence(rig, number, seconds):
    return rig.desk.silence(SilenceAlarm(id=number, until_us=rig.now_us + int(seconds * 1e6), **WHO))


# -- raised once, over once -------------------------------------------------------------------------------------------


def test_an_alarm_is_raised_once_told_once_and_over_once(make_rig):
    rig = make_rig(offline())
    number = one_dark(rig)
    assert rig.news() == [("raised", "device:a")]
    rig.deliver()
    rig.pass_time(1_000, steps=50)
    rig.back("a")
    rig.pass_time(2)
    (alarm,) = rig.alarms()
    assert (alarm["id"], alarm["cleared_why"]) == (number, "over")
    assert rig.news() == [("cleared", "device:a")]
    assert [event["action"] for event in rig.events("a")] == ["raised", "cleared"]
    assert [body["state"] for body in rig.shown] == ["open", "cleared"]
    assert (rig.tap.counts["raised"], rig.tap.counts["cleared"], dict(rig.tap.open)) == (1, 1, {})


def test_open_alarms_are_counted_by_the_site_that_they_are_about(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    assert dict(rig.tap.open_at) == {"harbour": 1}
    rig.back("a")
    rig.pass_time(2)
    assert dict(rig.tap.open_at) == {}


def test_what_comes_again_is_a_new_alarm(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    rig.back("a")
    rig.pass_time(2)
    rig.dark("a")
    rig.pass_time(80)
    assert [row["cleared_us"] is None for row in rig.alarms()] == [False, True]


def test_every_database_keeps_an_alarm_through_its_life(database_url):
    rig = Rig(database_url, offline())
    number = one_dark(rig)
    rig.desk.acknowledge(Acknowledge(id=number, **WHO))
    silence(rig, number, 3_600)
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    rig.desk.change_rule(ChangeRule(name="hot", changes={"over": 70.0}, **WHO))
    rig.deliver("the hook is away")
    rig.start()
    (alarm,) = rig.alarms("open")
    assert (alarm["acknowledged_by"], alarm["silenced_by"]) == ("admin", "admin")
    assert [known.rule.over for known in rig.desk.rules() if known.rule.name == "hot"] == [70.0]
    rig.pass_time(3_600, steps=1)
    assert rig.news() == [("raised", "device:a")]
    rig.back("a")
    rig.pass_time(2)
    assert rig.alarms("cleared")[0]["id"] == number
    rig.desk.drop_rule(DropRule(name="hot", **WHO))
    rig.store.close()


# -- numbers in readings ----------------------------------------------------------------------------------------------


def test_a_metric_must_be_over_its_limit_for_as_long_as_the_rule_says(make_rig):
    rig = make_rig(HOT)
    rig.device("a")
    rig.reads("a", t=85)
    rig.pass_time(59)
    assert rig.alarms() == []
    rig.clock.advance(2)
    rig.reads("a", t=91.5)
    (alarm,) = rig.alarms()
    assert (alarm["summary"], alarm["value"]) == ("a: t is 91.5, over 80", 91.5)
    assert (alarm["serial"], alarm["severity"]) == ("a", "critical")


def test_a_single_good_reading_begins_the_time_anew(make_rig):
    rig = make_rig(HOT)
    rig.device("a")
    for value in (85, 85, 79, 85, 85):
        rig.clock.advance(35)
        rig.reads("a", t=value)
    assert rig.alarms() == []


def test_it_is_over_only_beyond_the_hysteresis(make_rig):
    rig = make_rig(msgspec.structs.replace(HOT, lasts=0.0))
    rig.device("a")
    rig.reads("a", t=81)
    rig.reads("a", t=76)
    assert rig.open() == ["device:a"]
    rig.reads("a", t=75)
    assert rig.open() == []


def test_it_must_be_well_for_as_long_as_the_rule_says_also_when_nothing_more_is_heard(make_rig):
    rig = make_rig(msgspec.structs.replace(HOT, lasts=0.0, clear_after=120.0))
    rig.device("a")
    rig.reads("a", t=81)
    rig.reads("a", t=20)
    rig.pass_time(100)
    assert rig.open() == ["device:a"]
    rig.pass_time(30)
    assert rig.open() == []


def test_under_is_the_other_side(make_rig):
    rig = make_rig(Rule(name="cold", kind="metric", metric="t", under=5.0, hysteresis=1.0))
    rig.device("a")
    rig.reads("a", t=4)
    assert rig.alarms()[0]["summary"] == "a: t is 4, under 5"
    rig.reads("a", t=5.5)
    assert rig.open() == ["device:a"]
    rig.reads("a", t=6)
    assert rig.open() == []


def test_readings_without_that_number_are_nothing_to_it(make_rig):
    rig = make_rig(HOT)
    rig.device("a")
    rig.reads("a", tt=99)
    rig.reads("nobody", t=99)
    assert rig.alarms() == []


def test_a_metric_that_was_over_before_a_restart_stays_so_until_a_reading_says_otherwise(make_rig):
    rig = make_rig(msgspec.structs.replace(HOT, lasts=0.0))
    rig.device("a")
    rig.reads("a", t=81)
    rig.start()
    rig.pass_time(500)
    assert rig.open() == ["device:a"]
    rig.reads("a", t=20)
    assert rig.open() == []


def test_a_number_that_is_over_its_limit_between_two_looks_is_told_too(make_rig):
    rig = make_rig(msgspec.structs.replace(HOT, lasts=0.0))
    rig.device("a")
    rig.desk.look()
    rig.measure("a", t=85)
    rig.measure("a", t=20)
    rig.pass_time(4)
    assert rig.news() == [("raised", "device:a"), ("cleared", "device:a")]


def test_a_rule_that_has_changed_judges_anew(make_rig):
    rig = make_rig()
    rig.desk.put_rule(PutRule(rule=HOT, **WHO))
    rig.device("a")
    rig.reads("a", t=85)
    rig.pass_time(50)
    rig.desk.change_rule(ChangeRule(name="hot", changes={"over": 84.0}, **WHO))
    rig.pass_time(20)
    rig.reads("a", t=85)
    assert rig.alarms() == []
    rig.pass_time(60)
    rig.reads("a", t=85)
    assert rig.open() == ["device:a"]


def test_an_anomaly_is_told_with_its_measures(make_rig):
    rig = make_rig(Rule(name="odd", kind="anomaly"), Rule(name="odd-ph", kind="anomaly", metric="ph"))
    rig.device("a", label="Field 3")
    rig.reads("a", anomalies='[{"kind": "unusual", "measure": "moisture"}]', moisture=3)
    (alarm,) = rig.alarms()
    assert (alarm["rule"], alarm["summary"]) == ("odd", "Field 3 (a): anomalous readings in moisture")
    rig.reads("a", moisture=30)
    assert rig.open() == []


def test_a_measure_that_is_anomalous_in_two_ways_is_named_once(make_rig):
    rig = make_rig(Rule(name="odd", kind="anomaly"))
    rig.device("a")
    rig.reads("a", anomalies='[{"measure": "pH"}, {"measure": "EC"}, {"measure": "pH"}]', pH=3.2)
    assert [row["summary"] for row in rig.alarms()] == ["a: anomalous readings in pH, EC"]


# -- figures of the server --------------------------------------------------------------------------------------------


def test_a_link_that_is_down_for_a_minute_is_an_alarm(make_rig):
    rig = make_rig(defaults=True)
    rig.figures["broker_link"] = 1.0
    rig.pass_time(50)
    assert rig.alarms() == []
    rig.pass_time(30)
    assert rig.alarms()[0]["summary"] == "the link x is down"
    rig.figures["broker_link"] = 0.0
    rig.pass_time(2)
    assert rig.open() == []


@pytest.mark.parametrize(
    ("kind", "good", "bad", "summary"),
    [
        ("quarantine", 0, 2, "2 actors are quarantined"),
        ("database_lag", 3, 40, "the database is away or slow: the oldest write has waited for 40 s"),
        ("queue_depth", 20_000, 20_001, "20001 messages wait in the queue x"),
        ("certificate_expiry", 31, 12, "the certificate x ends in 12 d"),
        ("certificate_expiry", 31, -1, "the certificate x has ended"),
    ],
)
def test_the_rules_that_come_with_muster_watch_its_own_figures(make_rig, kind, good, bad, summary):
    rig = make_rig(defaults=True)
    rig.figures[kind] = good
    rig.pass_time(100)
    assert rig.alarms() == []
    rig.figures[kind] = bad
    rig.pass_time(100)
    assert rig.alarms()[0]["summary"].startswith(summary[:40])
    rig.figures[kind] = good
    rig.pass_time(100)
    assert rig.open() == []


@pytest.mark.parametrize(
    ("kind", "step", "summary"),
    [
        ("dead_letters", 101, "101 messages could not be processed within 5 min"),
        ("broker_dropped", 1, "the broker of x has dropped 1 messages within 5 min"),
    ],
)
def test_what_is_counted_is_counted_within_a_window(make_rig, kind, step, summary):
    rig = make_rig(defaults=True)
    rig.figures[kind] = 1_000  # from before this process had a look
    rig.pass_time(10)
    assert rig.alarms() == []
    rig.figures[kind] += step
    rig.pass_time(10)
    assert rig.alarms()[0]["summary"] == summary
    rig.pass_time(400)
    assert rig.open() == []


def test_a_figure_that_is_not_there_any_more_ends_its_alarm(make_rig):
    rig = make_rig(defaults=True)
    rig.figures["quarantine"] = 1
    rig.pass_time(4)
    del rig.figures["quarantine"]
    rig.pass_time(4)
    assert rig.open() == []


def test_flapping_is_told_and_is_over_when_it_has_stopped(make_rig):
    rig = make_rig(Rule(name="flapping", kind="flapping"))
    rig.device("a")
    rig.fleet.record("a").transitions_at = (rig.clock.monotonic(),) * 6
    rig.back("a")
    rig.pass_time(2)
    assert rig.alarms()[0]["summary"] == "a comes and goes"
    rig.start()
    rig.fleet.record("a").transitions_at = ()
    rig.pass_time(FLAP_WINDOW - 10)
    assert rig.open() == ["device:a"], "a new process does not know the transitions that the last one saw"
    rig.pass_time(20)
    assert rig.open() == []


# -- acknowledged, silenced -------------------------------------------------------------------------------------------


def test_an_acknowledgement_and_a_silence_hold_across_a_restart(make_rig):
    rig = make_rig(offline())
    first, second = one_dark(rig, "a"), one_dark(rig, "b")
    rig.deliver()
    rig.desk.acknowledge(Acknowledge(id=first, **WHO))
    silence(rig, second, 5_000)
    rig.start()
    rig.pass_time(1_000)
    one, other = rig.alarms("open")
    assert (one["acknowledged_by"], other["silenced_by"]) == ("admin", "admin")
    assert rig.news() == []
    actions = [(event["action"], event["by"], event["from"]) for event in rig.events() if "by" in event]
    assert actions == [("acknowledged", "admin", "10.0.0.9"), ("silenced", "admin", "10.0.0.9")]


def test_a_silence_holds_when_the_alarm_comes_again_and_ends_at_its_time(make_rig):
    rig = make_rig(offline())
    number = one_dark(rig)
    rig.deliver()
    silence(rig, number, 3_600)
    rig.back("a")
    rig.pass_time(2)
    rig.dark("a")
    rig.pass_time(80)
    assert len(rig.alarms()) == 2
    assert rig.news() == []
    rig.pass_time(3_600)
    assert rig.news() == [("raised", "device:a")]


def test_a_silence_can_be_ended(make_rig):
    rig = make_rig(offline())
    number = one_dark(rig)
    assert silence(rig, number, 100).silenced_by == "admin"
    assert silence(rig, number, 0).silenced_until_us is None
    assert [event["action"] for event in rig.events("a")] == ["raised", "silenced", "silence_ended"]


def test_an_acknowledged_alarm_is_told_to_be_over(make_rig):
    rig = make_rig(offline())
    rig.desk.acknowledge(Acknowledge(id=one_dark(rig), **WHO))
    rig.back("a")
    rig.pass_time(2)
    assert rig.news() == [("raised", "device:a"), ("cleared", "device:a")]


def test_what_is_unknown_or_over_is_refused(make_rig):
    rig = make_rig(offline())
    number = one_dark(rig)
    assert rig.desk.acknowledge(Acknowledge(id=number, **WHO)) == rig.desk.acknowledge(Acknowledge(id=number, **WHO))
    with pytest.raises(AlarmError, match="no alarm of this id") as unknown:
        rig.desk.acknowledge(Acknowledge(id=number + 1, **WHO))
    assert unknown.value.code == "not_found"
    rig.back("a")
    rig.pass_time(2)
    with pytest.raises(AlarmError, match="is over already") as over:
        silence(rig, number, 100)
    assert over.value.code == "conflict"


# -- rules ------------------------------------------------------------------------------------------------------------


def refusal(ask, order):
    with pytest.raises(AlarmError) as refused:
        ask(order)
    return refused.value.code, refused.value.message


def test_a_rule_made_by_hand_is_in_force_at_once_and_after_a_restart(make_rig):
    rig = make_rig()
    rig.device("a")
    rig.dark("a")
    rig.pass_time(100)
    rig.desk.put_rule(PutRule(rule=offline(), **WHO))
    rig.pass_time(2)
    assert rig.open() == ["device:a"]
    rig.start()
    (known,) = rig.desk.rules()
    assert (known.rule, known.origin, known.changed_by) == (offline(), "api", "admin")


def test_a_rule_that_is_changed_or_deleted_ends_the_alarms_it_is_not_about_any_more(make_rig):
    rig = make_rig()
    rig.desk.put_rule(PutRule(rule=offline(), **WHO))
    one_dark(rig)
    rig.desk.change_rule(ChangeRule(name="offline", changes={"site": "elsewhere"}, **WHO))
    assert rig.alarms()[-1]["cleared_why"] == "rule_changed"
    rig.desk.change_rule(ChangeRule(name="offline", changes={"site": None}, **WHO))
    rig.pass_time(2)
    assert rig.open() == ["device:a"]
    rig.desk.drop_rule(DropRule(name="offline", **WHO))
    assert rig.open() == []
    assert rig.desk.rules() == []


def test_one_of_musters_own_can_be_changed_and_is_back_when_that_is_deleted(make_rig):
    rig = make_rig(defaults=True)
    changed = rig.desk.change_rule(ChangeRule(name="offline", changes={"enabled": False}, **WHO))
    assert (changed.origin, changed.rule.enabled) == ("api", False)
    rig.desk.drop_rule(DropRule(name="offline", **WHO))
    (known,) = [known for known in rig.desk.rules() if known.rule.name == "offline"]
    assert (known.origin, known.rule.enabled) == ("default", True)
    code, message = refusal(rig.desk.drop_rule, DropRule(name="offline", **WHO))
    assert (code, "set `enabled` to false" in message) == ("conflict", True)


def test_rules_of_the_configuration_are_changed_there(make_rig):
    rig = make_rig(offline())
    for ask, order in (
        (rig.desk.change_rule, ChangeRule(name="offline", changes={"lasts": 1.0}, **WHO)),
        (rig.desk.drop_rule, DropRule(name="offline", **WHO)),
        (rig.desk.put_rule, PutRule(rule=offline(), **WHO)),
    ):
        assert refusal(ask, order)[0] == "conflict"
    assert refusal(rig.desk.drop_rule, DropRule(name="nothing", **WHO))[0] == "not_found"


def test_what_makes_no_rule_is_refused_with_the_field(make_rig):
    rig = make_rig(defaults=True)
    for changes, word in (
        ({"lasts": -1}, "lasts"),
        ({"metric": "t"}, "metric"),
        ({"send": ["nobody"]}, "send"),
        ({"name": "other"}, "name"),
    ):
        code, message = refusal(rig.desk.change_rule, ChangeRule(name="offline", changes=changes, **WHO))
        assert (code, word in message) == ("bad_field", True)


# -- the news ---------------------------------------------------------------------------------------------------------


def test_news_are_tried_again_until_they_have_arrived(make_rig):
    rig = make_rig(offline())
    number = one_dark(rig)
    tries = 1
    for _ in range(3):
        (notice,) = rig.deliver("the webhook answered 503")
        assert (notice.attempts, notice.body["id"]) == (tries - 1, number)
        rig.pass_time(601, steps=1)
        tries += 1
    rig.deliver()
    rig.pass_time(90_000)
    assert rig.news() == []
    assert (rig.tap.counts["notice_failed"], rig.tap.counts["notice_sent"]) == (3, 1)


def test_news_that_cannot_arrive_are_given_up_and_counted(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    rig.deliver("the webhook answered 404", final=True)
    rig.pass_time(90_000)
    assert rig.news() == []
    assert rig.tap.counts["notice_given_up"] == 1


def test_news_are_given_up_after_many_attempts(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    for _ in range(MOST_ATTEMPTS):
        rig.deliver("away")
        rig.pass_time(601, steps=1)
    assert rig.news() == []
    assert rig.tap.counts["notice_given_up"] == 1


def test_news_that_were_under_way_are_sent_by_the_next_process(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    (before,) = rig.sent
    rig.start()
    rig.pass_time(2)
    (after,) = rig.sent
    assert after == before


def test_a_courier_that_lost_what_it_carried_is_asked_again(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    rig.sent.clear()
    rig.pass_time(LOST_AFTER_US / 1e6 - 100)
    assert rig.sent == []
    rig.pass_time(200)
    assert [notice.event for notice in rig.sent] == ["raised"]


def test_the_news_of_a_channel_that_is_gone_from_the_configuration_are_given_up(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    rig.settings = msgspec.structs.replace(rig.settings, channels={})
    rig.start()
    rig.pass_time(4)
    assert (rig.sent, rig.news(), rig.tap.counts["notice_given_up"]) == ([], [], 1)


def test_a_channel_that_hangs_holds_up_no_other_and_its_own_wait_in_order(make_rig):
    rig = make_rig(offline(), channels=OPS | {"crew": OPS["ops"]})
    for serial in "abc":
        one_dark(rig, serial)
    rig.back("a")
    rig.pass_time(2)
    carried = {"ops": [], "crew": []}
    for _ in range(5):
        (crew,) = [notice for notice in rig.sent if notice.channel == "crew"]
        rig.sent.remove(crew)
        carried["crew"].append((crew.event, crew.body["subject"]))
        rig.desk.told(Told(crew.id))
        if len(carried["crew"]) == 4:
            break
    assert carried["crew"] == [("raised", f"device:{serial}") for serial in "abc"] + [("cleared", "device:a")]
    assert [notice.channel for notice in rig.sent] == ["ops"]


def test_nobody_hears_that_it_is_over_before_hearing_of_it(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    rig.deliver("away")
    rig.back("a")
    rig.pass_time(2)
    carried = []
    while len(carried) < 2:
        rig.pass_time(20, steps=1)
        carried += [notice.event for notice in rig.deliver()]
    assert carried == ["raised", "cleared"]


def test_news_that_were_put_off_by_a_clock_that_was_wrong_are_sent_nevertheless(make_rig):
    rig = make_rig(offline())
    rig.clock.step_wall_clock(4 * 365 * 86_400.0)
    one_dark(rig)
    rig.deliver("away")
    rig.clock.step_wall_clock(-4 * 365 * 86_400.0)
    rig.pass_time(4)
    assert len(rig.deliver()) == 1


def test_a_channel_gets_what_it_wants_to_know(make_rig):
    channels = {
        "all": Channel(webhook="http://127.0.0.1/"),
        "bad": Channel(webhook="http://127.0.0.1/", severities=("critical",)),
        "new": Channel(webhook="http://127.0.0.1/", cleared=False),
    }
    rig = make_rig(offline(), offline(name="grave", severity="critical", send=("bad",)), channels=channels)
    one_dark(rig)
    rig.back("a")
    rig.pass_time(2)
    told = sorted((notice.channel, notice.event, notice.body["rule"]) for notice in rig.deliver())
    assert told == [
        ("all", "cleared", "offline"),
        ("all", "raised", "offline"),
        ("bad", "cleared", "grave"),
        ("bad", "raised", "grave"),
        ("new", "raised", "offline"),
    ]


# -- without the database ---------------------------------------------------------------------------------------------


def test_an_alarm_is_told_though_the_database_is_away_and_stored_when_it_is_back(make_rig):
    rig = make_rig(defaults=True)
    rig.is_database_away = True
    rig.figures["database_lag"] = 60.0
    rig.pass_time(20)
    rig.pass_time(20)
    assert rig.news() == [("raised", "database_lag:x")]
    rig.deliver()
    rig.is_database_away = False
    rig.figures["database_lag"] = 0.0
    rig.pass_time(4)
    (alarm,) = rig.alarms()
    assert alarm["cleared_why"] == "over"
    assert rig.news() == [("cleared", "database_lag:x")]


def test_what_was_told_without_it_and_did_not_arrive_is_told_again(make_rig):
    rig = make_rig(offline())
    rig.device("a")
    rig.is_database_away = True
    rig.dark("a")
    rig.pass_time(80)
    rig.deliver("away")
    rig.is_database_away = False
    rig.pass_time(4)
    assert rig.open() == ["device:a"]
    assert rig.news() == [("raised", "device:a")]


def test_a_channel_that_heard_of_it_without_the_database_is_not_told_again_because_another_did_not(make_rig):
    rig = make_rig(defaults=True, channels=OPS | {"crew": OPS["ops"], "late": OPS["ops"]})
    rig.is_database_away = True
    rig.figures["database_lag"] = 60.0
    rig.pass_time(20)
    by_channel = {notice.channel: notice for notice in rig.sent}
    rig.sent.clear()
    rig.desk.told(Told(by_channel["ops"].id))
    rig.desk.told(Told(by_channel["crew"].id, "notifications are not taken now"))
    rig.is_database_away = False
    rig.figures["database_lag"] = 0.0
    rig.pass_time(4)
    assert [(notice.channel, notice.event) for notice in rig.sent] == [("crew", "raised"), ("ops", "cleared")]
    rig.desk.told(Told(by_channel["late"].id))  # its courier was busy with it all the time
    rig.pass_time(2)
    carried = [(notice.channel, notice.event) for notice in rig.deliver()]
    assert sorted(carried) == [("crew", "cleared"), ("crew", "raised"), ("late", "cleared"), ("ops", "cleared")]
    assert rig.news() == []


def test_an_alarm_that_ends_meanwhile_ends_when_it_is_back(make_rig):
    rig = make_rig(offline())
    one_dark(rig)
    rig.is_database_away = True
    rig.back("a")
    rig.pass_time(10)
    with pytest.raises(StoreUnavailable):
        rig.desk.acknowledge(Acknowledge(id=1, **WHO))
    rig.is_database_away = False
    rig.pass_time(2)
    assert rig.open() == []
    assert rig.tap.counts["cleared"] == 1
