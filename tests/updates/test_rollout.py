"""Waves, thresholds and halts of a rollout, in virtual time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.updates.entry import Entry, Refusal
from actors.updates.plan import Plan, Wave, assign_waves, choose
from actors.updates.rollout import Rollout
from actors.updates.states import FINAL, STATES, TOLD

ONE = (Wave(share=1.0, success=1.0, wait=0.0),)
TWO = (Wave(share=0.1, success=1.0, wait=100.0), Wave(share=1.0, success=0.9, wait=0.0))


def make(count: int = 20, is_gone=lambda _serial: False, **plan) -> Rollout:
    """A started rollout of `d0`, `d1`...: with two waves the first 10 % are the canaries."""
    plan = Plan(**({"waves": TWO, "failures": 1.0} | plan))
    first = max(1, round(count * plan.waves[0].share))
    rollout = Rollout(plan, [Entry(f"d{n}", 0 if n < first else 1) for n in range(count)], is_gone=is_gone)
    rollout.start(0.0)
    return rollout


def go(rollout: Rollout, serial: str, *states: str, at: float = 0.0, reason: str = "") -> None:
    for state in states:
        rollout.report(serial, state, at, reason=reason)


def offered(rollout: Rollout) -> list[str]:
    return [serial for serial in rollout.entries if isinstance(rollout.offer(serial), Entry)]


def why(rollout: Rollout, serial: str) -> str:
    answer = rollout.offer(serial)
    assert isinstance(answer, Refusal)
    return answer.reason


def test_the_canaries_get_it_first_and_the_others_wait():
    rollout = make()
    assert offered(rollout) == ["d0", "d1"]
    assert why(rollout, "d2") == "later_wave"
    assert why(rollout, "stranger") == "not_in_rollout"


def test_the_next_wave_begins_when_the_first_has_succeeded_and_its_waiting_time_is_over():
    rollout = make()
    go(rollout, "d0", "downloading", "succeeded", at=10)
    go(rollout, "d1", "succeeded", at=20)
    assert rollout.next_at == 120
    rollout.tick(119)
    assert offered(rollout) == []
    rollout.tick(120)
    assert len(offered(rollout)) == 18


def test_a_canary_that_rolls_back_halts_it_and_nobody_else_is_touched():
    rollout = make()
    go(rollout, "d0", "restarting", "rolled_back", reason="starts")
    assert rollout.status == "halted"
    assert rollout.reason == "1 of 2 devices of wave 1 failed, rolled back or fell silent"
    assert why(rollout, "d1") == "halted"
    assert rollout.entries["d0"].reason == "starts"
    rollout.tick(10**6)
    assert offered(rollout) == []
    assert rollout.counts()["pending"] == 18


def test_a_canary_that_falls_silent_halts_it():
    rollout = make(deadlines={"restarting": 60})
    go(rollout, "d0", "succeeded")
    go(rollout, "d1", "restarting", at=5)
    assert rollout.next_at == 65
    rollout.tick(64)
    assert rollout.status == "running"
    rollout.tick(65)
    assert (rollout.status, rollout.entries["d1"].state) == ("halted", "silent")
    assert "restarting" in rollout.entries["d1"].reason


def test_a_device_that_goes_on_for_ever_in_one_state_halts_it_though_it_is_not_silent():
    rollout = make(deadlines={"downloading": 100}, silent_after=30)
    go(rollout, "d0", "succeeded")
    for at in (0, 25, 50, 75, 99):
        go(rollout, "d1", "downloading", at=at)
        rollout.tick(at)
    assert (rollout.status, rollout.next_at) == ("running", 100)
    rollout.tick(100)
    assert (rollout.status, rollout.entries["d1"].state) == ("halted", "silent")
    assert rollout.entries["d1"].reason == "it was still `downloading` when its time was over"


def test_a_silence_within_the_deadline_of_a_state_halts_it_where_that_is_asked_for():
    rollout = make(silent_after=30)
    go(rollout, "d0", "postponed", at=5)
    go(rollout, "d1", "downloading", at=5)
    go(rollout, "d1", "downloading", at=25)
    rollout.tick(54)
    assert rollout.status == "running"
    rollout.tick(55)
    assert rollout.entries["d1"].reason == "nothing was heard of it after `downloading`"
    assert rollout.entries["d0"].state == "postponed"


def test_a_trial_has_its_whole_time_before_a_device_is_silent():
    rollout = make(trial=7200)
    go(rollout, "d0", "restarting", at=5)
    rollout.tick(5 + 7200)
    assert rollout.status == "running"
    rollout.tick(5 + 7200 + 3600)
    assert rollout.entries["d0"].state == "silent"


def test_a_clock_that_is_set_ends_no_waiting_time_and_begins_none_anew():
    for by in (10_000.0, -10_000.0):
        rollout = make()
        go(rollout, "d0", "succeeded", at=20_000.0)
        go(rollout, "d1", "succeeded", at=20_000.0)
        assert rollout.set_clock(20_040.0 + by, by=by).is_changed
        rollout.tick(20_099.0 + by)
        assert rollout.wave == 0
        rollout.tick(20_100.0 + by)
        assert rollout.wave == 1


def test_nothing_has_happened_later_than_now_after_a_start_with_an_earlier_clock():
    rollout = make(deadlines={"restarting": 60})
    go(rollout, "d0", "restarting", at=10_000)
    again = Rollout(rollout.plan, rollout.entries.values(), reached_at=10_000.0, heard_from=500.0)
    again.recover(500.0)
    assert (again.next_at, again.entries["d0"].since) == (560, 500)


def test_a_canary_that_succeeded_and_is_gone_when_the_waiting_time_is_over_halts_it():
    gone = set()
    rollout = make(is_gone=gone.__contains__)
    go(rollout, "d0", "succeeded")
    go(rollout, "d1", "succeeded")
    gone.update(["d1", "d9"])
    rollout.tick(99)
    assert (rollout.status, rollout.entries["d1"].state) == ("running", "succeeded")
    rollout.tick(100)
    assert (rollout.status, rollout.wave, rollout.entries["d1"].state) == ("halted", 0, "silent")
    assert rollout.entries["d1"].reason == "it had succeeded, and was offline when the waiting time was over"
    gone.discard("d1")
    rollout.has_it("d1", 200)
    rollout.resume(201)
    assert (rollout.status, rollout.wave, rollout.entries["d1"].state) == ("running", 1, "succeeded")
    assert rollout.entries["d9"].state == "offered"


def test_some_that_are_gone_are_no_more_than_any_that_failed():
    waves = (Wave(share=0.1, success=0.5, wait=100.0), Wave(share=1.0, success=0.5, wait=0.0))
    rollout = make(waves=waves, is_gone={"d1", "d2"}.__contains__)
    go(rollout, "d0", "succeeded")
    go(rollout, "d1", "succeeded")
    rollout.tick(100)
    assert (rollout.wave, rollout.entries["d1"].state) == (1, "silent")
    for number in range(2, 20):
        go(rollout, f"d{number}", "succeeded", at=101)
    assert rollout.status == "completed"


def test_a_failure_in_the_waiting_time_halts_too():
    rollout = make()
    go(rollout, "d0", "succeeded")
    go(rollout, "d1", "succeeded")
    go(rollout, "d1", "rolled_back", at=50)
    assert rollout.status == "halted"
    rollout.tick(200)
    assert offered(rollout) == []


def test_a_wave_halts_as_soon_as_its_threshold_cannot_be_reached():
    rollout = make()
    for serial in ("d0", "d1"):
        go(rollout, serial, "succeeded")
    rollout.tick(100)
    go(rollout, "d2", "rolled_back", at=101)
    assert rollout.status == "running", "17 of 18 may still be 90 %"
    go(rollout, "d3", "refused", at=102)
    assert rollout.status == "halted"


def test_too_many_of_all_that_were_offered_it_halt_it():
    rollout = make(waves=(Wave(share=1.0, success=0.01),), failures=0.25, count=8)
    go(rollout, "d0", "rolled_back")
    go(rollout, "d1", "rolled_back")
    assert rollout.status == "running"
    go(rollout, "d2", "rolled_back")
    assert (rollout.status, rollout.reason) == (
        "halted",
        "3 of 8 devices that were offered it failed, rolled back or fell silent",
    )


def test_it_is_completed_when_everybody_has_ended_and_enough_have_succeeded():
    rollout = make(count=10, waves=(Wave(share=1.0, success=0.9),))
    for number in range(9):
        go(rollout, f"d{number}", "succeeded")
    assert rollout.status == "running"
    go(rollout, "d9", "rolled_back")
    assert rollout.status == "completed"
    assert rollout.next_at is None, "nothing is left to wait for"


def test_a_rollout_of_nobody_is_completed_at_once():
    rollout = Rollout(Plan(), [])
    rollout.start(0.0)
    rollout.tick(10**7)
    assert rollout.status == "completed"


def test_a_device_that_failed_gets_it_again_after_a_while_and_counts_only_then():
    rollout = make(retries=1, retry_after=30)
    go(rollout, "d0", "failed", reason="disk", at=10)
    assert (rollout.status, rollout.entries["d0"].state) == ("running", "retrying")
    assert why(rollout, "d0") == "retrying"
    assert rollout.next_at == 40
    rollout.tick(40)
    assert "d0" in offered(rollout)
    go(rollout, "d0", "failed", at=50)
    assert (rollout.status, rollout.entries["d0"].state) == ("halted", "failed")


@pytest.mark.parametrize("state", ["refused", "rolled_back"])
def test_a_device_that_refused_or_rolled_back_does_not_get_it_again(state):
    rollout = make(retries=5)
    go(rollout, "d0", state)
    assert why(rollout, "d0") == state


def test_a_pause_offers_it_to_nobody_more_but_lets_those_who_began_go_on():
    rollout = make()
    go(rollout, "d0", "downloading")
    rollout.pause()
    assert offered(rollout) == ["d0"]
    assert why(rollout, "d1") == "paused"
    rollout.resume(10)
    assert offered(rollout) == ["d0", "d1"]


def test_after_a_halt_an_operator_lets_it_go_on_and_only_new_failures_count():
    rollout = make()
    go(rollout, "d0", "rolled_back", reason="starts")
    rollout.resume(10)
    assert rollout.status == "running"
    assert (rollout.entries["d0"].state, rollout.entries["d0"].reason) == ("cancelled", "rolled_back: starts")
    go(rollout, "d1", "succeeded", at=11)
    rollout.tick(111)
    assert len(offered(rollout)) == 18


def test_a_cancelled_rollout_offers_nothing_and_takes_what_devices_still_report():
    rollout = make()
    go(rollout, "d0", "installing")
    rollout.cancel(5)
    assert offered(rollout) == ["d0"]
    assert rollout.entries["d5"].state == "cancelled"
    go(rollout, "d0", "succeeded", at=6)
    assert rollout.entries["d0"].state == "succeeded"
    assert rollout.status == "cancelled"
    assert not rollout.resume(7)


def test_a_retry_by_hand_offers_it_again_even_after_the_end():
    rollout = make(count=10, waves=(Wave(share=1.0, success=0.9),))
    for number in range(9):
        go(rollout, f"d{number}", "succeeded")
    go(rollout, "d9", "rolled_back")
    assert rollout.status == "completed"
    rollout.retry(["d9", "d0", "stranger"], 10)
    assert offered(rollout) == ["d9"]
    go(rollout, "d9", "succeeded", at=11)
    assert rollout.status == "completed"


def test_a_silent_device_that_reports_late_counts_as_what_it_reports():
    rollout = make(deadlines={"offered": 60}, waves=ONE, count=2, failures=1.0)
    rollout.tick(60)
    assert rollout.status == "halted"
    go(rollout, "d0", "succeeded", at=100)
    assert rollout.entries["d0"].state == "succeeded"
    assert rollout.counts() == {"succeeded": 1, "silent": 1}


@pytest.mark.parametrize("state", sorted(set(STATES) - TOLD))
def test_what_is_not_for_a_device_to_say_changes_nothing(state):
    rollout = make()
    assert not rollout.report("d0", state, 1.0)
    assert rollout.entries["d0"].state == "offered"


def test_an_old_report_does_not_undo_a_success():
    rollout = make()
    go(rollout, "d0", "succeeded")
    go(rollout, "d0", "confirming")
    assert rollout.entries["d0"].state == "succeeded"


def test_a_device_of_a_later_wave_cannot_talk_itself_into_it():
    rollout = make()
    go(rollout, "d10", "downloading")
    assert rollout.entries["d10"].state == "pending"


def test_only_so_many_are_busy_at_a_time():
    rollout = make(waves=ONE, most_active=2)
    go(rollout, "d0", "downloading")
    go(rollout, "d1", "downloading")
    assert why(rollout, "d2") == "busy"
    assert offered(rollout) == ["d0", "d1"]
    go(rollout, "d0", "succeeded")
    assert "d2" in offered(rollout)


def test_it_goes_on_after_a_restart_where_it_stood():
    rollout = make(deadlines={"restarting": 60})
    go(rollout, "d0", "restarting", at=10)
    again = Rollout(rollout.plan, rollout.entries.values(), status=rollout.status, wave=rollout.wave)
    assert again.next_at == 70
    assert offered(again) == ["d0", "d1"]
    again.tick(70)
    assert again.status == "halted"


def test_a_device_that_must_wait_and_asks_is_not_silent():
    rollout = make(deadlines={"offered": 100})
    rollout.pause()
    rollout.heard("d0", 90.0)
    rollout.tick(150)
    assert (rollout.entries["d0"].state, rollout.entries["d1"].state) == ("offered", "silent")
    assert rollout.next_at == 190


def test_a_silence_that_nobody_could_hear_proves_nothing():
    rollout = make(deadlines={"offered": 100, "restarting": 10**5}, waves=ONE, count=2)
    go(rollout, "d1", "restarting", at=5)
    again = Rollout(rollout.plan, rollout.entries.values(), heard_from=50_000.0)
    assert again.next_at == 50_100
    assert not again.set_clock(60_000.0, by=10_000.0)
    assert again.next_at == 60_100
    again.tick(60_100)
    assert again.entries["d0"].state == "silent"
    assert again.next_at == 10**5 + 5


def test_a_device_that_runs_the_release_already_has_succeeded_whatever_wave_it_is_in():
    rollout = make()
    rollout.has_it("d19", 5.0)
    assert rollout.entries["d19"].state == "succeeded"
    assert rollout.status == "running"
    go(rollout, "d0", "confirming")
    assert not rollout.has_it("d0", 6.0)
    assert rollout.entries["d0"].state == "confirming"


def test_a_device_that_the_release_is_not_for_counts_for_nothing():
    rollout = make()
    rollout.skip("d0", 5.0, "wrong_platform")
    assert why(rollout, "d0") == "skipped"
    go(rollout, "d1", "succeeded", at=10)
    go(rollout, "d2", "succeeded", at=10)
    rollout.tick(110)
    assert rollout.wave == 1


def test_another_device_takes_the_place_of_a_canary_that_the_release_is_not_for():
    rollout = make()
    changes = rollout.skip("d0", 5.0, "wrong_platform")
    assert list(changes.entries) == ["d0", "d2"]
    rollout.skip("d1", 6.0, "newer")
    assert (rollout.wave, offered(rollout)) == (0, ["d2", "d3"])
    rollout.remove("d3", 7.0)
    rollout.remove("d0", 7.0)
    assert (rollout.wave, offered(rollout)) == (0, ["d2", "d4"])
    go(rollout, "d2", "rolled_back", at=10)
    assert rollout.status == "halted"
    assert rollout.counts()["pending"] == 15


def test_a_wave_of_nobody_is_over_when_there_is_nobody_else():
    rollout = make(2)
    rollout.skip("d0", 5.0, "newer")
    assert (rollout.wave, offered(rollout)) == (0, ["d1"])
    rollout.skip("d1", 5.0, "newer")
    assert (rollout.wave, rollout.status) == (1, "completed")


def test_nobody_waits_for_waves_that_have_no_devices():
    rollout = make(1)
    go(rollout, "d0", "succeeded", at=10)
    assert rollout.status == "completed"


def test_nobody_waits_for_waves_whose_devices_have_it_already():
    rollout = make(3)
    rollout.has_it("d1", 5.0)
    rollout.has_it("d2", 5.0)
    go(rollout, "d0", "succeeded", at=10)
    assert rollout.status == "completed"


def test_a_device_that_was_deleted_leaves_it():
    rollout = make()
    go(rollout, "d0", "succeeded")
    assert rollout.remove("d1", 10.0).is_changed
    assert not rollout.remove("d1", 10.0)
    assert why(rollout, "d1") == "not_in_rollout"
    go(rollout, "d2", "succeeded", at=10)
    rollout.tick(110)
    assert (rollout.wave, sum(rollout.counts().values())) == (1, 19)
    rollout.tick(10**6)


def test_a_device_on_hold_keeps_nobody_else_waiting():
    rollout = make(waves=ONE, most_active=1)
    go(rollout, "d0", "postponed")
    assert "d1" in offered(rollout)
    assert "d0" in offered(rollout)


def test_a_step_that_was_cut_off_is_done_by_the_next_start():
    rollout = make(deadlines={})
    entries = list(rollout.entries.values())
    again = Rollout(rollout.plan, entries, wave=1)
    changes = again.recover(7.0)
    assert set(changes.entries) == {f"d{n}" for n in range(2, 20)}
    assert again.counts() == {"offered": 20}
    ended = Rollout(rollout.plan, entries, status="cancelled")
    ended.recover(8.0)
    assert ended.counts() == {"cancelled": 20}


def test_what_is_tried_again_by_an_operator_is_forced():
    rollout = make(waves=ONE, failures=1.0)
    go(rollout, "d0", "rolled_back")
    rollout.retry(["d0"], 5.0)
    assert rollout.entries["d0"].forced
    assert not rollout.entries["d1"].forced


def test_a_halt_from_outside_says_why_and_an_end_is_an_end():
    rollout = make()
    rollout.halt("the release is revoked")
    assert (rollout.status, rollout.reason) == ("halted", "the release is revoked")
    assert not rollout.halt("again")
    rollout.cancel(5.0)
    assert not rollout.halt("again")


# Plans


def test_waves_are_random_by_the_rollout_and_the_same_whenever_they_are_asked_for():
    serials = [f"d{n}" for n in range(200)]
    one = assign_waves(serials, TWO, "one")
    assert one == assign_waves(list(reversed(serials)), TWO, "one")
    assert one != assign_waves(serials, TWO, "another")
    assert sorted(one.values()) == [0] * 20 + [1] * 180


@given(st.integers(0, 60), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6))
def test_everybody_is_in_one_wave_and_no_wave_is_empty_while_there_are_devices(count, shares):
    waves = [Wave(share=share) for share in shares]
    assigned = assign_waves([f"d{n}" for n in range(count)], waves, "x")
    assert len(assigned) == count
    for number, wave in enumerate(waves[:-1]):
        assert sum(each == number for each in assigned.values()) <= max(1, wave.share * count + 1e-6)
    assert len(choose(list(assigned), shares[0], "x")) <= max(1, shares[0] * count + 1e-6)
    used = set(assigned.values())
    assert used == set(range(len(used))) or len(waves) - 1 in used


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"waves": []}, "waves"),
        ({"waves": [{"share": 0}]}, "share"),
        ({"waves": [{"share": 2}]}, "share"),
        ({"retries": -1}, "retries"),
        ({"deadlines": {"nonsense": 5}}, "nonsense"),
        ({"deadlines": {"succeeded": 5}}, "succeeded"),
        ({"deadlines": {"checking": -5}}, "deadlines"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_bad_plan_is_refused_by_the_name_of_its_field(body, field):
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(body, Plan)


class AnyRollout(RuleBasedStateMachine):
    """Whatever happens: the counts are right, and a rollout that does not run touches nobody new."""

    @initialize(count=st.integers(1, 30), failures=st.floats(0, 1), success=st.floats(0.1, 1))
    def begin(self, count, failures, success):
        self.now = 0.0
        self.plan = Plan(
            waves=(Wave(share=0.2, success=success, wait=50.0), Wave(share=1.0, success=success)), failures=failures
        )
        waves = assign_waves([f"d{n}" for n in range(count)], self.plan.waves, "seed")
        self.rollout = Rollout(self.plan, [Entry(serial, wave) for serial, wave in waves.items()])
        self.rollout.start(0.0)

    @rule(number=st.integers(0, 31), state=st.sampled_from(sorted(STATES)))
    def report(self, number, state):
        self.rollout.report(f"d{number}", state, self.now)

    @rule(seconds=st.floats(0, 10**5))
    def wait(self, seconds):
        self.now += seconds
        self.rollout.tick(self.now)

    @rule(what=st.sampled_from(["pause", "resume", "cancel"]))
    def operate(self, what):
        before = {serial for serial, entry in self.rollout.entries.items() if entry.state == "pending"}
        getattr(self.rollout, what)(*([] if what == "pause" else [self.now]))
        if what != "resume":
            after = {serial for serial, entry in self.rollout.entries.items() if entry.state == "offered"}
            assert not before & after

    @rule(number=st.integers(0, 31))
    def remove(self, number):
        self.rollout.remove(f"d{number}", self.now)

    @rule(number=st.integers(0, 31))
    def skip(self, number):
        self.rollout.skip(f"d{number}", self.now, "newer")

    @rule(number=st.integers(0, 31))
    def has_it(self, number):
        self.rollout.has_it(f"d{number}", self.now)

    @rule(number=st.integers(0, 31))
    def hear(self, number):
        self.rollout.heard(f"d{number}", self.now)

    @rule(number=st.integers(0, 31))
    def retry(self, number):
        self.rollout.retry([f"d{number}"], self.now)

    @invariant()
    def counts_are_right(self):
        rollout = self.rollout
        assert sum(rollout.counts().values()) == len(rollout.entries)
        for state, count in rollout.counts().items():
            assert sum(entry.state == state for entry in rollout.entries.values()) == count

    @invariant()
    def nobody_is_offered_what_does_not_run(self):
        if self.rollout.status != "running":
            for serial, entry in self.rollout.entries.items():
                if entry.state == "offered":
                    assert isinstance(self.rollout.offer(serial), Refusal)

    @invariant()
    def completed_means_that_everybody_has_ended(self):
        if self.rollout.status == "completed":
            assert all(entry.state in FINAL or entry.state in TOLD for entry in self.rollout.entries.values())

    @invariant()
    def what_is_due_is_known(self):
        due = self.rollout.next_at
        assert due is None or due > self.now - 10**6


TestAnyRollout = AnyRollout.TestCase
