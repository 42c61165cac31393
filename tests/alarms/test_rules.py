"""What a rule and a channel may be, and what is said of those that cannot."""

from __future__ import annotations

import msgspec
import pytest

from actors.alarms import rules
from actors.alarms.judging import Meter
from actors.alarms.rules import DEFAULT_RULES, KINDS, AlarmKind, Rule, change_rule
from actors.alarms.sentences import span
from actors.alarms.settings import AlarmSettings, Channel
from supervisor.server.config import ConfigError, load_config
from tests.alarms.rig import offline

HOOK = "https://hooks.example/T0/secret-of-the-hook"


def said(form, body):
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(body, form)
    return str(refused.value)


def test_every_kind_is_in_the_table_and_comes_with_a_rule_but_those_that_need_a_choice():
    kinds = set(AlarmKind.__args__)
    assert set(KINDS) == kinds
    assert {rule.kind for rule in DEFAULT_RULES} == kinds - {"metric", "anomaly"}
    assert all(f"`{kind}`" in rules.__doc__ for kind in kinds)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"kind": "offline_for", "over": 3}, "over"),
        ({"kind": "offline_for", "clear_after": 3}, "clear_after"),
        ({"kind": "metric", "over": 3}, "metric"),
        ({"kind": "metric", "metric": "t"}, "over"),
        ({"kind": "metric", "metric": "t", "over": 3, "under": 1}, "over"),
        ({"kind": "certificate_expiry", "over": 3}, "over"),
        ({"kind": "broker_link", "site": "harbour"}, "site"),
        ({"kind": "quarantine", "window": 5}, "window"),
        ({"kind": "flapping", "min_group": 9}, "min_group"),
        ({"kind": "anomaly", "over": 1}, "over"),
    ],
)
def test_a_field_that_means_nothing_to_the_kind_is_refused_by_its_name(fields, word):
    assert f"`{word}`" in said(Rule, {"name": "x"} | fields)


def test_a_change_to_null_is_back_to_the_default():
    rule = change_rule(offline(), {"lasts": None, "severity": "critical"})
    assert (rule.lasting, rule.severity) == (300.0, "critical")
    assert offline().lasting == 60.0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"webhook": HOOK, "topic": "a/b"},
        {"webhook": "ftp://host/"},
        {"webhook": "http://"},
        {"webhook": "http://host:99999/"},
        {"topic": "a/b", "headers": {"X": "y"}},
        {"webhook": HOOK, "headers": {"X-Y": "a\r\nZ: b"}},
        {"webhook": HOOK, "headers": {"X:Y": "a"}},
        {"webhook": HOOK, "colour": "red"},
    ],
)
def test_a_channel_that_leads_nowhere_is_refused_without_its_secret(body):
    assert "secret-of-the-hook" not in said(Channel, body)


def test_a_channel_does_not_show_its_secrets():
    assert "secret" not in repr(AlarmSettings(channels={"a": Channel(webhook=HOOK), "b": Channel(apprise=("x://s",))}))


def test_channels_lead_to_devices_as_notifications_spell_it():
    assert Channel(group="crew").target == {"group": "crew"}
    assert Channel(devices=("a", "b")).target == {"devices": ["a", "b"]}
    assert Channel(webhook=HOOK).target == {}


def load(tmp_path, text):
    (tmp_path / "muster.toml").write_text(text)
    return load_config({}, {}, cwd=tmp_path).alarms


def test_rules_and_channels_stand_in_the_configuration(tmp_path):
    settings = load(
        tmp_path,
        """
        [alarms]
        defaults = false
        send = ["ops"]
        [[alarms.rules]]
        name = "hot"
        kind = "metric"
        metric = "temperature"
        over = 80
        [alarms.channels.ops]
        webhook = "https://hooks.example/x"
        [alarms.channels.crew]
        group = "crew"
        """,
    )
    (rule,) = settings.rules
    assert (rule.limit, settings.default_rules) == ((80, None), ())
    assert settings.channels_of(rule) == ["ops"]
    assert AlarmSettings(channels=settings.channels).channels_of(rule) == ["ops", "crew"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[[alarms.rules]]\nname="x"\nkind="metric"\nmetric="t"', "over"),
        ('[[alarms.rules]]\nname="X Y"\nkind="flapping"', "name"),
        ('[[alarms.rules]]\nname="x"\nkind="flapping"\n[[alarms.rules]]\nname="x"\nkind="anomaly"', "same name (x)"),
        ('[alarms]\nsend=["ops"]', "`send` names the channel 'ops'"),
        ('[[alarms.rules]]\nname="x"\nkind="flapping"\nsend=["ops"]', "rules: x: send"),
        ('[alarms.channels.ops]\nwebhok="http://h/"', "webhok"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_sentence(tmp_path, text, word):
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    assert word in str(refused.value)
    assert "muster.toml" in str(refused.value)


def test_a_meter_forgets_what_lies_before_its_window_and_takes_a_counter_that_begins_anew():
    meter = Meter(60.0)
    assert [meter.grow(total, now) for total, now in ((5, 0), (8, 10), (9, 20), (2, 30), (2, 75), (2, 200))] == [
        0, 3, 4, 6, 3, 0,
    ]  # fmt: skip


def test_lengths_of_time_are_told_in_words():
    assert [span(seconds) for seconds in (0, 45, 300, 10_800, 200_000)] == ["0 s", "45 s", "5 min", "3 h", "2 d"]
