"""What may follow what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.commands.messages import FINAL, STATES
from actors.commands.payloads import Response
from actors.commands.rules import Accepted, Answered, Cancelled, Command, Refused, Sent, TimedOut, Waits, judge

NOW = 2_000_000
RUNNING, SUCCEEDED, FAILED = (
    Answered("c", "pi-1", Response("c", state)) for state in ("running", "succeeded", "failed")
)
CHANGES = (
    Sent("c"),
    Accepted("c"),
    Waits("c", "later"),
    Refused("c", "never"),
    RUNNING,
    SUCCEEDED,
    FAILED,
    TimedOut("c"),
    Cancelled("c", "ops"),
)


def row(state="queued", **fields):
    times = {"created_us": 1, "deadline_us": 3_000_000, "changed_us": 1}
    return Command(id="c", serial="pi-1", name="ping", state=state, **(times | fields))


@pytest.mark.parametrize(
    ("state", "change", "after"),
    [
        ("queued", Sent("c"), "sent"),
        ("queued", RUNNING, "running"),
        ("queued", SUCCEEDED, "succeeded"),
        ("queued", TimedOut("c"), "timed_out"),
        ("queued", Cancelled("c", "ops"), "cancelled"),
        ("queued", Waits("c", "later"), "queued"),
        ("sent", Sent("c"), "sent"),
        ("sent", Accepted("c"), "sent"),
        ("sent", Waits("c", "later"), "queued"),
        ("sent", Refused("c", "never"), "failed"),
        ("sent", FAILED, "failed"),
        ("sent", TimedOut("c"), "timed_out"),
        ("running", Sent("c"), "running"),
        ("running", Waits("c", "later"), "running"),
        ("running", Refused("c", "never"), "running"),
        ("running", SUCCEEDED, "succeeded"),
        ("running", TimedOut("c"), "timed_out"),
        ("running", Cancelled("c", "ops"), "cancelled"),
    ],
)
def test_a_state_is_followed_by(state, change, after):
    assert judge(row(state), change, NOW).row.state == after


@given(st.sampled_from(FINAL), st.sampled_from(CHANGES))
def test_what_is_over_stays_over(state, change):
    assert judge(row(state), change, NOW).row.state == state


@given(st.sampled_from(STATES), st.lists(st.sampled_from(CHANGES), max_size=8))
def test_whatever_comes_in_whatever_order_a_change_that_comes_twice_changes_nothing(state, changes):
    known = row(state)
    for change in changes:
        known = judge(known, change, NOW).row
        if not isinstance(change, Sent | Waits):
            assert judge(known, change, NOW).row == known
    assert known.state in STATES


def test_a_command_that_the_broker_has_is_not_sent_again():
    accepted = row("sent", accepted_us=5)
    assert not accepted.is_due
    assert judge(accepted, Sent("c"), NOW).verdict == "unchanged"
    assert row("sent").is_due


def test_a_deadline_says_how_far_it_had_come():
    reasons = [judge(row(state), TimedOut("c"), NOW).row.reason for state in ("queued", "sent", "running")]
    assert reasons == [
        "the device did not come in time",
        "the device did not answer in time",
        "the device did not finish in time",
    ]
    assert judge(row(reason="nobody listens"), TimedOut("c"), NOW).row.reason.endswith("in time: nobody listens")


@pytest.mark.parametrize("state", ["timed_out", "cancelled"])
def test_a_late_answer_is_noted_once(state):
    over = row(state, reason="over")
    late = judge(over, Answered("c", "pi-1", Response("c", "failed", "5", "no disk")), NOW)
    assert (late.verdict, late.row.result) == ("late", "5")
    assert late.row.reason == "over; the device answered `failed` afterwards: no disk"
    assert judge(late.row, FAILED, NOW).verdict == "duplicate"
    assert judge(over, RUNNING, NOW).verdict == "duplicate"
