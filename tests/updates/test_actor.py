"""The rollouts' actor over a real registry: what it answers, what it keeps, and what survives."""

from __future__ import annotations

import msgspec
import pytest

from actors.storage.errors import StoreUnavailable
from actors.storage.updates import FindRolloutDevices
from actors.updates import steps
from actors.updates.actor import Tick
from actors.updates.messages import Forget, InUse, Offered, Reported, Revoked, RolloutError
from actors.updates.plan import Wave
from actors.updates.windows import Window
from tests.support.wait import eventually
from tests.updates.rig import CANARY

NIGHT = Window(begin="22:00", end="04:00")
DAY = Window(begin="04:00", end="22:00")
"""The manual clock begins at 08:53 UTC."""
MANY = tuple(f"pi-{number:03}" for number in range(40))


def refused(ask, *args, **fields):
    with pytest.raises(RolloutError) as caught:
        ask(*args, **fields)
    return caught.value


def test_a_device_is_offered_what_its_rollout_gives_it_and_commits_when_it_is_told(rig):
    rollout = rig.start("pi-1", "pi-2")
    assert rig.offer("pi-1") == Offered("id-2.0", rollout.id, force=False, deadline=900.0)
    assert rig.offer("stranger").reason == "no_rollout"
    for state in ("downloading", "verifying", "installing", "restarting"):
        assert rig.report("pi-1", state, rollout=rollout.id) == Reported(commit=False)
    assert rig.report("pi-1", "confirming", nonce="n", rollout=rollout.id) == Reported(commit=True)
    rig.report("pi-1", "succeeded")
    assert rig.states(rollout) == {"pi-1": "succeeded", "pi-2": "offered"}
    assert rig.report("pi-2", "confirming").commit
    rig.report("pi-2", "succeeded")
    header = rig.header(rollout)
    assert (header.status, header.read_counts()) == ("completed", [{"succeeded": 2}])
    assert rig.offer("pi-1").reason == "no_rollout"
    assert [record["action"] for record in rig.records()] == ["started", "completed"]
    assert [record["action"] for record in rig.records("pi-1")] == ["succeeded"]
    assert rig.shown[-1].status == "completed"
    assert rig.board.rollouts == 0


def test_a_report_is_on_the_disk_when_it_is_answered_on_every_database(anywhere):
    rig = anywhere
    rollout = rig.start(*MANY, waves=CANARY)
    canary = next(serial for serial, state in rig.states(rollout).items() if state == "offered")
    rig.report(canary, "downloading", progress=0.25, reason="begun", detail="ä" * 600)
    row = rig.devices(rollout)[canary]
    assert (row["state"], row["progress"], row["attempts"], row["wave"]) == ("downloading", 0.25, 1, 0)
    assert row["reason"] == ("begun: " + "ä" * 600)[:500]
    rig.report(canary, "rolled_back", reason="starts")
    assert rig.header(rollout).status == "halted"
    rig.restart()
    assert refused(rig.start, canary).code == "in_rollout"
    rig.command(rollout, "cancel")
    assert refused(rig.start, canary).code == "nobody"
    assert rig.records(canary)[-1]["reason"] == "starts"
    rig.ref.tell(Forget([canary]))
    assert rig.put_windows("plant-1", NIGHT) is None
    rig.restart()
    assert rig.start(MANY[0] if MANY[0] != canary else MANY[1])
    assert rig.board.stored_windows == {"plant-1": (NIGHT,)}
    assert [item["status"] for item in rig.headers()] == ["running", "cancelled"]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_wave_is_followed_by_none_when_a_device_is_lost_after_its_success(rig, is_restarted):
    rollout = rig.start(*MANY, waves=CANARY)
    canaries = [serial for serial, state in rig.states(rollout).items() if state == "offered"]
    for serial in canaries:
        rig.report(serial, "succeeded")
    if is_restarted:
        rig.restart()
    rig.gone.add(canaries[0])
    rig.pass_time(100)
    assert rig.wait_status(rollout, "halted").reason.startswith("1 of 4 devices of wave 1")
    assert rig.counts(rollout) == {"succeeded": 3, "silent": 1, "pending": 36}


def test_a_killed_actor_goes_on_where_it_was(rig):
    rollout = rig.start(*MANY, waves=CANARY)
    first = [serial for serial, state in rig.states(rollout).items() if state == "offered"]
    assert len(first) == 4
    for serial in first[:3]:
        rig.report(serial, "succeeded")
    rig.report(first[3], "downloading")
    rig.restart()
    assert rig.offer(first[3]).release_id == "id-2.0"
    assert rig.offer(next(serial for serial in MANY if serial not in first)).reason == "later_wave"
    rig.report(first[3], "succeeded")
    rig.restart()
    rig.pass_time(100)
    eventually(lambda: rig.counts(rollout) == {"succeeded": 4, "offered": 36}, what="the second wave")


@pytest.mark.parametrize("fault", ["away", "answer_lost"])
def test_a_report_that_the_database_did_not_take_is_refused_and_can_be_repeated(rig, fault):
    rollout = rig.start("pi-1")
    setattr(rig, fault, 1)
    with pytest.raises(StoreUnavailable):
        rig.report("pi-1", "confirming")
    eventually(lambda: rig.report("pi-1", "confirming").commit, what="it is taken")
    rig.report("pi-1", "succeeded")
    assert rig.header(rollout).status == "completed"


def test_the_next_wave_begins_though_the_database_was_away_when_it_was_due(rig):
    rollout = rig.start(*MANY, waves=CANARY)
    for serial, state in rig.states(rollout).items():
        if state == "offered":
            rig.report(serial, "succeeded")
    rig.away = 1
    rig.pass_time(100)
    eventually(lambda: rig.counts(rollout) == {"succeeded": 4, "offered": 36}, what="the second wave")


def test_a_rollout_that_was_cut_off_while_it_was_written_never_was(rig):
    def cut(message, real=rig.ask_registry):
        if "header" in getattr(message.work, "keywords", {}):
            raise StoreUnavailable("away")
        return real(message)

    rig.restart_with(cut)
    with pytest.raises(StoreUnavailable):
        rig.start("pi-1")
    del rig.ask_registry
    rig.restart()
    assert rig.offer("pi-1").reason == "no_rollout"
    assert rig.headers() == []
    rollout = rig.start("pi-1")
    assert list(rig.devices(rollout)) == ["pi-1"]


def test_a_device_that_nobody_could_hear_while_the_server_was_down_has_two_hours_to_say_something(rig):
    rollout = rig.start("pi-1")
    rig.runtime.kill(rig.ref)
    rig.clock.advance(10**6)
    rig.start_actor()
    assert rig.offer("pi-1").release_id == "id-2.0"
    rig.pass_time(7100)
    assert rig.offer("pi-1").release_id == "id-2.0"
    rig.pass_time(100)
    eventually(lambda: rig.states(rollout) == {"pi-1": "silent"}, what="it is silent")


@pytest.mark.parametrize("fault", ["away", "answer_lost"])
def test_a_step_that_was_cut_off_between_two_slices_is_ended_by_the_next_incarnation(rig, fault):
    def cut(message, real=rig.ask_registry):
        if getattr(message.work, "func", None) is steps.save_more:
            rig.ask_registry = real
            setattr(rig, fault, 1)
        return real(message)

    rollout = rig.start(*(f"d{number}" for number in range(2500)))
    rig.restart_with(cut)
    with pytest.raises(StoreUnavailable):
        rig.command(rollout, "cancel")
    query = FindRolloutDevices(rollout_id=rollout.id, state="offered")
    eventually(lambda: not rig.readers.ask(query).items, what="nobody is offered it any more")
    assert rig.header(rollout).read_counts() == [{"cancelled": 2500}]


def test_a_timer_is_set_for_what_is_due_next_and_sleeps_no_longer_than_an_hour(rig):
    rig.start("pi-1", deadlines={"offered": 50.0})
    assert [(round(seconds), type(message)) for seconds, message in rig.timers.set] == [(50, Tick)]
    rig.report("pi-1", "postponed")
    rig.pass_time(50)
    rig.offer("pi-1")
    assert round(rig.timers.set[-1][0]) == 3600


def test_a_tick_that_was_meant_for_an_earlier_incarnation_sets_no_timer_of_its_own(rig):
    rig.start("pi-1")
    before = len(rig.timers.set)
    for _ in range(3):
        rig.ref.tell(Tick())
    rig.offer("pi-1")
    assert len(rig.timers.set) == before
    seconds, tick = rig.timers.set[-1]
    rig.clock.advance(seconds)
    rig.ref.tell(tick)
    rig.offer("pi-1")
    assert len(rig.timers.set) == before + 1


def test_a_silent_device_halts_the_rollout_and_is_counted(rig):
    rollout = rig.start("pi-1", "pi-2", failures=0.4, waves=(Wave(share=1.0, success=0.1),))
    rig.report("pi-1", "verifying")
    rig.pass_time(3600)
    header = rig.wait_status(rollout, "halted")
    assert header.reason == "1 of 2 devices that were offered it failed, rolled back or fell silent"
    eventually(lambda: rig.board.actions["halted"] == 1, what="the halt is counted")
    assert rig.board.devices == {"silent": 1, "offered": 1}
    rig.command(rollout, "resume")
    assert rig.states(rollout) == {"pi-1": "cancelled", "pi-2": "offered"}
    assert rig.offer("pi-2").release_id == "id-2.0"


def test_a_clock_that_is_set_makes_nobody_silent(rig):
    rollout = rig.start("pi-1")
    rig.clock.step_wall_clock(10**6)
    rig.ref.tell(Tick())
    assert rig.offer("pi-1").release_id == "id-2.0"
    assert rig.states(rollout) == {"pi-1": "offered"}
    rig.pass_time(7200)
    eventually(lambda: rig.states(rollout) == {"pi-1": "silent"}, what="it is silent in its own time")


def test_a_clock_that_is_set_ahead_begins_no_wave_whoever_comes_first(rig):
    rollout = rig.start(*MANY, waves=CANARY)
    for serial, state in rig.states(rollout).items():
        if state == "offered":
            rig.report(serial, "succeeded")
    rig.clock.step_wall_clock(10**6)
    rig.offer("stranger")
    rig.report(MANY[0], "downloading")
    rig.ref.tell(Tick())
    rig.offer("stranger")
    assert rig.counts(rollout) == {"succeeded": 4, "pending": 36}
    rig.restart()
    rig.pass_time(101)
    eventually(lambda: rig.counts(rollout) == {"succeeded": 4, "offered": 36}, what="the next wave begins in its time")


def test_who_takes_the_place_of_a_canary_is_on_the_disk(rig):
    rig.releases.add("2.0", platforms=("cp311-linux_armv7l",))
    rollout = rig.start(*MANY, waves=(Wave(share=0.01, success=1.0), Wave(share=1.0)))
    (canary,) = (serial for serial, state in rig.states(rollout).items() if state == "offered")
    assert rig.offer(canary, platform="cp311-linux_x86_64").reason == "wrong_platform"
    (other,) = (serial for serial, row in rig.devices(rollout).items() if row["state"] == "offered")
    assert (rig.devices(rollout)[other]["wave"], rig.header(rollout).wave) == (0, 0)
    rig.restart()
    rig.report(other, "rolled_back")
    assert rig.header(rollout).status == "halted"
    assert rig.counts(rollout) == {"skipped": 1, "rolled_back": 1, "pending": 38}


def test_a_device_is_in_one_active_rollout_and_the_other_is_named(rig):
    rig.releases.add("3.0")
    first = rig.start("pi-1", "pi-2")
    error = refused(rig.start, "pi-0", "pi-2", release="3.0")
    assert (error.code, error.details) == ("in_rollout", {"device": "pi-2", "rollout": first.id})
    rig.command(first, "cancel")
    assert rig.start("pi-0", "pi-2", release="3.0").status == "running"
    assert rig.board.actions["refused"] == 1


def test_what_a_device_has_begun_it_may_end_though_the_rollout_is_cancelled(rig):
    rollout = rig.start("pi-1", "pi-2")
    rig.report("pi-1", "restarting")
    rig.command(rollout, "cancel")
    rig.restart()
    assert rig.report("pi-1", "confirming", rollout=rollout.id).commit
    assert rig.report("pi-1", "succeeded", rollout=rollout.id)
    assert rig.states(rollout) == {"pi-1": "succeeded", "pi-2": "cancelled"}
    assert rig.header(rollout).read_counts() == [{"cancelled": 1, "succeeded": 1}]


def test_a_late_report_counts_though_the_rollout_is_over_and_names_no_rollout(rig):
    rollout = rig.start("pi-1", deadlines={"offered": 10.0}, waves=(Wave(share=1.0, success=0.1),), failures=0.1)
    rig.pass_time(10)
    rig.wait_status(rollout, "halted")
    rig.command(rollout, "cancel")
    rig.restart()
    rig.report("pi-1", "succeeded")
    assert rig.states(rollout) == {"pi-1": "succeeded"}


def test_a_version_that_was_rolled_back_is_not_offered_by_another_rollout_unless_forced(rig):
    first = rig.start("pi-1", "pi-2")
    rig.report("pi-1", "rolled_back", reason="starts")
    rig.command(first, "cancel")
    second = rig.start("pi-1", "pi-2")
    assert rig.states(second) == {"pi-1": "skipped", "pi-2": "offered"}
    assert rig.devices(second)["pi-1"]["reason"] == "rolled_back_before"
    assert rig.offer("pi-1").reason == "skipped"
    rig.command(second, "cancel")
    assert refused(rig.start, "pi-1").code == "nobody"
    rig.start("pi-1", force=True)
    assert rig.offer("pi-1").force
    rig.report("pi-1", "succeeded")
    assert rig.start("pi-1").status == "running"


def test_a_device_that_rolls_back_late_is_spared_by_the_rollout_that_it_is_in_by_now(rig):
    first = rig.start("pi-1", "pi-2")
    rig.report("pi-1", "restarting")
    rig.command(first, "cancel")
    second = rig.start("pi-1", "pi-2")
    rig.report("pi-1", "rolled_back", rollout=first.id)
    assert rig.states(second) == {"pi-1": "skipped", "pi-2": "offered"}


def test_an_operator_may_have_it_tried_again_and_the_device_is_forced(rig):
    rollout = rig.start("pi-1", "pi-2", waves=(Wave(share=1.0, success=0.1),))
    rig.report("pi-1", "rolled_back", reason="starts")
    rig.report("pi-2", "succeeded")
    assert rig.header(rollout).status == "completed"
    assert refused(rig.retry, rollout, "pi-9").details == {"device": "pi-9", "id": rollout.id}
    assert rig.retry(rollout).status == "running"
    assert rig.offer("pi-1").force
    rig.restart()
    assert rig.offer("pi-1").force
    rig.report("pi-1", "succeeded")
    assert rig.header(rollout).status == "completed"
    assert rig.start("pi-1").status == "running"


def test_a_retry_does_not_take_devices_from_another_rollout(rig):
    rollout = rig.start("pi-1", waves=(Wave(share=1.0, success=0.01),), failures=1.0)
    rig.report("pi-1", "refused")
    rig.command(rollout, "resume")
    eventually(lambda: rig.header(rollout).status == "completed", what="nobody is left")
    other = rig.start("pi-1")
    assert refused(rig.retry, rollout, "pi-1").details["rollout"] == other.id


def test_a_revoked_release_is_offered_to_nobody_not_committed_and_halts(rig):
    rollout = rig.start("pi-1", "pi-2")
    rig.report("pi-1", "restarting")
    assert rig.ask(InUse("id-2.0")) == [rollout.id]
    rig.releases.revoke("2.0")
    assert rig.offer("pi-2").reason == "revoked"
    assert not rig.report("pi-1", "confirming").commit
    rig.ref.tell(Revoked("id-2.0"))
    assert rig.wait_status(rollout, "halted").reason == "the release is revoked"
    assert refused(rig.command, rollout, "resume").code == "revoked"
    assert refused(rig.retry, rollout).code == "revoked"
    assert refused(rig.start, "pi-3").code == "revoked"
    assert rig.command(rollout, "cancel").status == "cancelled"
    assert rig.ask(InUse("id-2.0")) == []


def test_a_release_that_was_revoked_while_nobody_looked_halts_at_the_start(rig):
    rollout = rig.start("pi-1")
    rig.releases.known.clear()
    rig.restart()
    assert rig.wait_status(rollout, "halted").reason == "the release is revoked"


def test_outside_of_its_sites_windows_a_device_waits_and_is_not_silent(rig):
    rig.sites |= {"pi-1": "plant-1", "pi-2": "plant-2"}
    rig.put_windows("plant-1", NIGHT)
    rollout = rig.start("pi-1", "pi-2", deadlines={"offered": 1000.0}, waves=(Wave(share=1.0, success=0.1),))
    assert rig.offer("pi-2").release_id
    for _ in range(3):
        assert rig.offer("pi-1").reason == "outside_window"
        rig.pass_time(600)
    eventually(lambda: rig.states(rollout) == {"pi-1": "offered", "pi-2": "silent"}, what="only one is silent")
    rig.put_windows("plant-1")
    assert rig.offer("pi-1").release_id
    assert rig.board.stored_windows == {}


def test_the_windows_of_a_rollout_come_before_those_of_the_site(rig):
    rig.sites["pi-1"] = "plant-1"
    rig.put_windows("plant-1", NIGHT)
    rig.start("pi-1", windows=(DAY,))
    assert rig.offer("pi-1").release_id
    rig.start("pi-2", windows=(NIGHT,))
    assert rig.offer("pi-2").reason == "outside_window"


def test_windows_that_are_configured_cannot_be_changed(rig):
    rig.board.configured_windows = {"plant-1": (NIGHT,)}
    assert refused(rig.put_windows, "plant-1", DAY).code == "configured"
    assert rig.board.windows_of("plant-1") == (NIGHT,)
    assert rig.board.windows_of("plant-9") == ()


@pytest.mark.parametrize(
    ("facts", "asked", "reason"),
    [
        ({"platforms": ("cp311-linux_x86_64",)}, {"platform": "cp311-linux_armv7l"}, "wrong_platform"),
        ({"replaces_from": "1.1"}, {}, "too_old_to_replace"),
        ({}, {"version": "2.1"}, "newer"),
    ],
)
def test_a_device_that_the_release_is_not_for_is_left_out(rig, facts, asked, reason):
    rig.releases.add("2.0", **facts)
    rollout = rig.start("pi-1", "pi-2")
    assert rig.offer("pi-1", asks=False, **asked).reason == reason
    assert rig.states(rollout)["pi-1"] == "offered"
    assert rig.offer("pi-1", **asked).reason == reason
    row = rig.devices(rollout)["pi-1"]
    assert (row["state"], row["reason"]) == ("skipped", reason)
    assert rig.board.offers[reason] == 2


def test_an_older_version_comes_by_force(rig):
    rig.start("pi-1", force=True)
    assert rig.offer("pi-1", version="2.1").force


def test_a_device_that_runs_it_already_has_succeeded_when_it_asks(rig):
    rollout = rig.start("pi-1", "pi-2")
    assert rig.offer("pi-1", version="2.0", asks=False).reason == "up_to_date"
    assert rig.states(rollout)["pi-1"] == "offered"
    assert rig.offer("pi-1", version="2.0.0").reason == "up_to_date"
    assert rig.states(rollout)["pi-1"] == "succeeded"


def test_a_device_cannot_have_one_rollout_that_is_over_read_after_the_other(rig):
    over = []
    for _ in range(6):
        over.append(rig.start("pi-1", "pi-2"))
        rig.command(over[-1], "cancel")
    rig.restart()
    rig.report("pi-1", "failed", rollout=over[0].id)
    assert refused(rig.report, "pi-1", "failed", rollout=over[1].id).code == "busy"
    assert rig.board.reports["busy"] == 1
    assert rig.report("stranger", "confirming", rollout=over[2].id) == Reported(commit=False)
    assert rig.report("pi-2", "confirming", rollout=over[2].id) == Reported(commit=True)
    rig.clock.advance(60)
    rig.report("pi-1", "failed", rollout=over[1].id)
    assert rig.states(over[1])["pi-1"] == "failed"


def test_a_device_that_has_succeeded_and_runs_another_version_again_has_rolled_back(rig):
    rollout = rig.start(*MANY, waves=CANARY)
    canaries = [serial for serial, state in rig.states(rollout).items() if state == "offered"]
    for serial in canaries:
        rig.report(serial, "succeeded")
    rig.offer(canaries[0], "2.0")
    rig.offer(canaries[1], "")
    rig.offer(canaries[2], "1.0", asks=False)
    assert rig.header(rollout).status == "running"
    assert rig.offer(canaries[3], "1.0").reason == "rolled_back"
    row = rig.devices(rollout)[canaries[3]]
    assert (row["state"], row["reason"]) == ("rolled_back", "it runs 1.0 after it had succeeded")
    assert rig.header(rollout).status == "halted"
    rig.command(rollout, "cancel")
    assert refused(rig.start, canaries[3]).code == "nobody"


def test_reports_that_are_about_no_rollout_change_nothing_and_are_counted(rig):
    rollout = rig.start("pi-1")
    assert not rig.report("stranger", "confirming").commit
    assert not rig.report("pi-1", "confirming", version="1.9").commit
    assert not rig.report("pi-1", "confirming", version="1.9", rollout=rollout.id).commit
    assert not rig.report("pi-1", "confirming", rollout="f" * 32).commit
    assert not rig.report("pi-1", "checking", version="1.0").commit
    assert rig.board.reports == {"unknown": 5}
    assert rig.states(rollout) == {"pi-1": "offered"}


def test_progress_is_written_now_and_then_and_a_repeated_end_once(rig):
    rollout = rig.start("pi-1", waves=(Wave(share=1.0, success=0.01),))
    rig.report("pi-1", "downloading", progress=0.1)
    rig.report("pi-1", "downloading", progress=0.2)
    assert rig.devices(rollout)["pi-1"]["progress"] == 0.1
    rig.clock.advance(30)
    rig.report("pi-1", "downloading", progress=0.9)
    assert rig.devices(rollout)["pi-1"]["progress"] == 0.9
    for _ in range(3):
        rig.report("pi-1", "rolled_back", reason="deadline")
    assert [record["action"] for record in rig.records("pi-1")] == ["rolled_back"]


def test_a_deleted_device_leaves_its_rollout(rig):
    rollout = rig.start("pi-1", "pi-2")
    rig.report("pi-2", "succeeded")
    rig.ref.tell(Forget(["pi-1", "stranger"]))
    assert rig.wait_status(rollout, "completed").read_counts() == [{"succeeded": 1}]
    assert rig.offer("pi-1").reason == "no_rollout"
    assert rig.start("pi-1").status == "running"


def test_a_share_is_chosen_by_chance(rig):
    rollout = rig.start(*MANY, share=0.25)
    assert len(rig.devices(rollout)) == 10
    rig.releases.add("3.0")
    free = [serial for serial in MANY if serial not in rig.devices(rollout)]
    other = rig.start(*free, share=0.001, release="3.0")
    assert len(rig.devices(other)) == 1


def test_pause_and_resume_are_recorded_and_an_end_is_an_end(rig):
    rollout = rig.start("pi-1")
    assert rig.command(rollout, "pause").status == "paused"
    assert rig.command(rollout, "pause").status == "paused"
    assert rig.offer("pi-1").reason == "paused"
    assert rig.command(rollout, "resume").status == "running"
    assert rig.command(rollout, "cancel").status == "cancelled"
    assert refused(rig.command, rollout, "resume").code == "ended"
    assert refused(rig.retry, rollout).code == "ended"
    assert [record["action"] for record in rig.records()] == ["started", "paused", "resumed", "cancelled"]
    assert rig.records()[0]["by"] == "operate ops"


def test_what_there_is_not_is_told(rig):
    assert refused(rig.start, "pi-1", release="9.9").details == {"release": "9.9"}
    ghost = msgspec.structs.replace(rig.start("pi-1"), id="0" * 32)
    assert refused(rig.command, ghost, "pause").code == "not_found"


def test_a_large_wave_is_written_in_slices_and_read_again(rig):
    serials = [f"d{number}" for number in range(2500)]
    rollout = rig.start(*serials, waves=CANARY)
    assert rollout.read_counts() == [{"offered": 250}, {"pending": 2250}]
    rig.command(rollout, "cancel")
    rig.restart()
    assert rig.header(rollout).read_counts() == [{"cancelled": 250}, {"cancelled": 2250}]
    assert rig.start(*serials, waves=CANARY).read_counts() == [{"offered": 250}, {"pending": 2250}]
    rig.restart()
    rig.offer("d0")
    assert rig.board.devices == {"offered": 250, "pending": 2250}
