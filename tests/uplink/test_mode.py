"""Which way is taken: decided over facts, at a time that is passed in."""

from __future__ import annotations

import pytest

from actors.uplink.mode import ATTEMPTS, BLIND, DETOUR, PATIENCE, Facts, ModeSwitch

UP = Facts(link_up=True, failed_attempts=0, blind_for=0, silent_for=0)
DOWN = Facts(link_up=False, failed_attempts=0, blind_for=1, silent_for=0)
AWAY = DOWN._replace(failed_attempts=ATTEMPTS)
SILENT = UP._replace(silent_for=PATIENCE)


def test_auto_begins_with_mqtt_and_stays_with_a_link_that_is_up():
    switch = ModeSwitch("auto")
    assert switch.mode == "mqtt"
    assert not switch.judge(0, UP)


def test_three_failed_attempts_in_a_row_lead_to_http_and_two_do_not():
    switch = ModeSwitch("auto")
    assert not switch.judge(0, DOWN._replace(failed_attempts=ATTEMPTS - 1))
    assert switch.judge(0, AWAY)
    assert switch.mode == "api"
    assert "3 times" in switch.reason


def test_it_returns_by_itself_as_soon_as_the_link_is_up():
    switch = ModeSwitch("auto")
    switch.judge(0, AWAY)
    assert not switch.judge(1, AWAY)
    assert switch.judge(2, UP)
    assert switch.mode == "mqtt"


def test_a_broker_that_answers_and_never_lets_us_work_counts_as_away():
    switch = ModeSwitch("auto")
    assert switch.judge(0, DOWN._replace(blind_for=BLIND))
    assert switch.mode == "api"


def test_a_long_silence_of_the_server_is_worth_a_detour_that_ends():
    switch = ModeSwitch("auto")
    assert not switch.judge(0, UP._replace(silent_for=PATIENCE - 1))
    assert switch.judge(0, SILENT)
    assert (switch.mode, switch.on_detour) == ("api", True)
    assert not switch.judge(DETOUR - 1, UP)
    assert switch.judge(DETOUR, UP)
    assert (switch.mode, switch.on_detour) == ("mqtt", False)


def test_a_detour_ends_at_once_when_a_receipt_comes_or_http_fails():
    switch = ModeSwitch("auto")
    switch.judge(0, SILENT)
    assert switch.end_detour("a receipt")
    assert (switch.mode, switch.reason) == ("mqtt", "a receipt")


def test_a_broker_that_goes_away_during_a_detour_is_waited_for_like_any_other():
    switch = ModeSwitch("auto")
    switch.judge(0, SILENT)
    switch.judge(1, AWAY)
    assert not switch.end_detour("HTTP does not answer")
    assert switch.mode == "api"
    assert switch.judge(2, UP)


@pytest.mark.parametrize(("configured", "mode"), [("mqtt", "mqtt"), ("api", "api")])
def test_a_fixed_mode_never_changes(configured, mode):
    switch = ModeSwitch(configured)
    for facts in (UP, AWAY, SILENT):
        assert not switch.judge(0, facts)
    assert switch.mode == mode


def test_without_a_broker_everything_is_posted():
    switch = ModeSwitch("auto", can_publish=False)
    assert switch.mode == "api"
    assert not switch.judge(0, UP)
