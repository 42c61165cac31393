"""The course of an update: from the offer to a version that stays, or to the one before; killed at every write."""

from __future__ import annotations

import errno

import pytest

from edge.update.child import Ended
from tests.update.simulated import SHA, Device, Killer, make_slot, offer

USUAL = ["checking", "downloading", "verifying", "installing", "restarting", "confirming", "succeeded"]
DAY = 86_400.0


@pytest.fixture
def device(tmp_path, monkeypatch):
    return Device(tmp_path, monkeypatch)


def reasons(device):
    return [(report.state, report.reason) for report in device.server.told if report.reason]


# -- what goes well ---------------------------------------------------------------------------------------------------


def test_an_offer_becomes_the_version_that_runs_and_every_state_is_told_in_order(device):
    device.server.offer = offer()
    device.live(lambda: device.rests and device.server.states[-1:] == ["succeeded"])
    assert device.server.states == USUAL
    assert {report.rollout for report in device.server.told} == {"ro"}
    assert device.boots == ["1.0", "2.0"]
    assert device.launching.standing().current == "b"
    assert not list((device.home / "download").iterdir())


def test_the_next_update_goes_into_the_other_slot(device):
    for version in ("2.0", "3.0", "4.0"):
        device.comes, device.server.offer = version, offer(version)
        device.live(lambda version=version: device.rests and device.running == version)
    assert device.launching.standing().current == "b"
    assert (device.home / "slots/a/bin/python").read_text() == "3.0"


def test_it_asks_within_a_minute_of_its_start_and_then_every_hour(device):
    device.live(lambda: device.server.asked == 1, seconds=60)
    device.live(lambda: device.server.asked == 5, seconds=3 * 3600 * 1.1 + 60)
    assert device.now > 3 * 3600 * 0.9


def test_it_asks_at_once_when_told_to(device):
    device.boot()
    device.course.step()
    device.course.hurry()
    device.course.step()
    assert device.server.asked == 1


def test_a_server_that_is_away_gets_everything_later_in_order_and_once(device):
    device.server.offer = offer()
    device.live(lambda: device.server.states[-1:] == ["downloading"])
    device.server.is_up = False
    with pytest.raises(AssertionError):
        device.live(lambda: False, seconds=300)
    device.server.is_up = True
    device.live(lambda: device.rests and device.running == "2.0")
    assert [report.state for report in device.server.told] == USUAL


def test_a_state_that_the_server_refuses_holds_up_nothing(device):
    device.server.offer = offer()
    device.server.refuses = {"verifying"}
    device.live(lambda: device.rests and device.running == "2.0")
    assert device.server.states == [state for state in USUAL if state != "verifying"]
    assert device.board.counters["refused_reports"] == 1


# -- what goes back ---------------------------------------------------------------------------------------------------


def test_a_version_that_dies_at_its_start_goes_back_and_is_not_tried_again(device):
    device.server.offer, device.dies = offer(), {"2.0"}
    device.live(lambda: device.rests and device.server.states[-1:] == ["rolled_back"])
    assert device.boots == ["1.0", "2.0", "2.0", "1.0"]
    assert reasons(device)[-1] == ("rolled_back", "starts")
    device.server.offer = offer()
    device.live(lambda: device.rests and reasons(device)[-1][0] == "refused")
    assert reasons(device)[-1] == ("refused", "blocked")
    assert device.boots[-1] == "1.0"


def test_a_version_that_cannot_reach_the_server_goes_back_at_its_deadline(device):
    device.server.offer, device.deaf = offer(), {"2.0"}
    device.live(lambda: device.rests and device.server.states[-1:] == ["rolled_back"])
    assert reasons(device)[-1] == ("rolled_back", "deadline")
    assert (device.running, device.launching.standing().current) == ("1.0", "factory")
    assert "2.0" in device.board.describe()["blocked"]


def test_a_version_that_the_server_does_not_want_goes_back_at_once(device):
    device.server.offer, device.server.commits = offer(deadline=10_000), False
    device.live(lambda: device.rests and device.server.states[-1:] == ["rolled_back"], seconds=200)
    assert reasons(device)[-1] == ("rolled_back", "refused")
    assert device.running == "1.0"


def test_a_blocked_version_is_tried_again_when_told_to(device):
    device.server.offer, device.dies = offer(), {"2.0"}
    device.live(lambda: device.rests and device.server.states[-1:] == ["rolled_back"])
    device.dies, device.server.offer = set(), offer(force=True)
    device.live(lambda: device.rests and device.running == "2.0")
    assert device.board.describe()["blocked"] == {}


def test_a_trial_while_nobody_could_be_reached_proves_nothing_and_is_repeated(device):
    device.server.offer = offer()
    device.live(lambda: device.server.states[-1:] == ["verifying"])
    device.server.is_up = False
    with pytest.raises(AssertionError):
        device.live(lambda: False, seconds=600)
    assert device.boots == ["1.0", "1.0", "2.0", "1.0"]
    assert device.running == "1.0"
    device.server.is_up = True
    device.live(lambda: device.rests and device.running == "2.0")
    assert ("postponed", "unconfirmed") in reasons(device)
    assert "rolled_back" not in device.server.states
    assert device.board.describe()["blocked"] == {}


def test_trials_that_prove_nothing_are_bounded(device):
    device.server.offer = offer()
    device.dies = {"2.0"}
    for _ in range(3):
        trials = device.boots.count("2.0")
        device.live(lambda trials=trials: device.boots.count("2.0") == trials + 2)
        device.server.is_up = False
        with pytest.raises(AssertionError):
            device.live(lambda: False, seconds=200)
        device.server.is_up = True
    device.live(lambda: device.rests)
    assert (device.server.states[-1], device.boots.count("2.0")) == ("rolled_back", 6)
    assert "2.0" in device.board.describe()["blocked"]


def test_a_committed_slot_that_is_damaged_is_told_and_the_one_that_works_can_be_updated(device):
    device.server.offer = offer()
    device.live(lambda: device.rests and device.running == "2.0")
    device.comes, device.server.offer = "3.0", offer("3.0")
    device.live(lambda: device.rests and device.running == "3.0")
    (device.home / "slots/a/bin/python").unlink()  # of 3.0
    device.comes, device.server.offer = "4.0", offer("4.0")
    device.live(lambda: device.rests and device.running == "4.0")
    assert device.boots[-2:] == ["2.0", "4.0"]
    assert device.launching.standing().current == "a"


def test_a_trial_whose_updater_has_lost_its_file_is_confirmed_all_the_same(device):
    device.server.offer = offer()
    device.live(lambda: device.boots[-1:] == ["2.0"])
    (device.home / "updater.json").write_text("{")
    device.live(lambda: device.rests and device.server.states[-1:] == ["succeeded"])
    assert device.launching.standing().current == "b"
    assert (device.home / "updater.json.bad").exists()


def test_a_launcher_that_keeps_nothing_of_a_trial_is_not_asked_for_ever(device, monkeypatch):
    def forget(*_arguments):
        (device.home / "state.json").unlink(missing_ok=True)

    device.server.offer = offer()
    monkeypatch.setattr(device.launching, "begin", forget)
    device.live(lambda: device.rests and device.server.states[-1:] == ["failed"])
    assert reasons(device) == [("failed", "launcher")]
    assert device.boots == ["1.0"] * 4


def test_a_download_of_which_nothing_is_known_any_more_goes(device):
    (device.home / "download").mkdir()
    (device.home / "download" / f"{SHA}.part").write_bytes(b"much")
    device.live(lambda: device.rests)
    assert not (device.home / "download").exists()


def test_a_start_that_the_launcher_could_not_count_is_made_up_for(device, monkeypatch):
    """A full disk: the launcher starts what is committed, though a trial has begun."""
    device.server.offer = offer()
    device.live(lambda: device.server.states[-1:] == ["verifying"])
    with monkeypatch.context() as patch:
        patch.setattr("edge.update.launcher.decide", lambda home: ([home.current()], None))
        with pytest.raises(AssertionError):
            device.live(lambda: False, seconds=300)
    assert device.boots == ["1.0"] * len(device.boots)
    device.live(lambda: device.rests and device.running == "2.0")


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    ["unsigned", "wrong_key", "tampered", "truncated", "bad_name", "bomb", "older", "wrong_platform", "no_space"],
)
def test_what_the_child_refuses_is_told_and_the_old_version_runs_on(device, code):
    device.server.offer = offer()
    device.verdicts = [Ended("", code, "because")]
    device.live(lambda: device.rests and device.server.states[-1:] == ["refused"])
    assert reasons(device) == [("refused", code)]
    assert device.server.told[-1].detail == "because"
    assert device.boots == ["1.0"]
    assert not list((device.home / "download").iterdir())


def test_what_came_damaged_is_downloaded_again_and_refused_when_it_stays_so(device):
    device.server.offer = offer()
    device.verdicts = [Ended("", "damaged", "another hash"), None]
    device.live(lambda: device.rests and device.running == "2.0")
    device.comes, device.server.offer = "3.0", offer("3.0")
    device.verdicts = [Ended("", "damaged", "another hash")] * 3
    device.live(lambda: device.rests and device.server.states[-1:] == ["refused"])
    assert reasons(device)[-1] == ("refused", "tampered")


def test_another_version_than_the_one_that_was_offered_is_refused(device):
    device.server.offer, device.comes = offer(), "1.5"
    device.live(lambda: device.rests and device.server.states[-1:] == ["refused"])
    assert reasons(device) == [("refused", "tampered")]


def test_an_installation_that_is_cut_off_each_time_is_given_up(device):
    device.server.offer = offer()
    device.verdicts = [Ended("", "", "killed")] * 3
    make_slot(device.home / "slots/b", "half a version")
    (device.home / "slots" / ".wheels-x").mkdir()
    device.live(lambda: device.rests and device.server.states[-1:] == ["failed"])
    assert reasons(device) == [("failed", "install")]
    assert not list((device.home / "slots").iterdir()), "what was half installed takes no room"
    assert "2.0" not in device.board.describe()["blocked"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": "1.0"}, ("refused", "older")),
        ({"size": 600 * 2**20}, ("refused", "no_space")),
    ],
)
def test_what_can_be_known_before_is_refused_before_the_download(device, monkeypatch, changes, told):
    monkeypatch.setattr("edge.update.course.shutil.disk_usage", lambda _path: type("U", (), {"free": 100 * 2**20}))
    device.server.offer = offer(**changes)
    device.live(lambda: device.rests and device.server.told)
    assert device.server.states == ["checking", "refused"]
    assert reasons(device) == [told]


def test_a_disk_that_becomes_full_while_it_is_downloaded_is_told(device):
    device.server.offer = offer()
    device.trouble = OSError(errno.ENOSPC, "No space left on device")
    device.live(lambda: device.rests and device.server.states[-1:] == ["refused"])
    assert reasons(device) == [("refused", "no_space")]


def test_a_disk_that_keeps_nothing_begins_nothing_and_goes_on_when_it_does(device, monkeypatch):
    device.server.offer = offer()
    device.live(lambda: device.server.states[-1:] == ["verifying"])
    with monkeypatch.context() as patch:
        patch.setattr("edge.update.file.write_private", _full)
        with pytest.raises(AssertionError):
            device.live(lambda: False, seconds=2000)
        assert device.running == "1.0"
    device.live(lambda: device.rests and device.running == "2.0")


def _full(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


# -- when -------------------------------------------------------------------------------------------------------------


def test_a_busy_device_puts_it_off_and_tells_why(device):
    device.server.offer = offer()
    device.busy = lambda: ("somebody is scanning", 3600.0)
    with pytest.raises(AssertionError):
        device.live(lambda: device.running == "2.0", seconds=600)
    assert device.server.states == ["checking", "downloading", "postponed"]
    assert device.server.told[-1].detail == "somebody is scanning"
    device.busy = lambda: ("", 0.0)
    device.live(lambda: device.rests and device.running == "2.0")


def test_putting_off_is_bounded(device):
    device.server.offer = offer()
    device.busy = lambda: ("held by hand", 3600.0)
    device.live(lambda: device.rests and device.running == "2.0", seconds=3 * 3600)
    assert device.now > 3600


# -- killed -----------------------------------------------------------------------------------------------------------

WRITES = 60
"""A few more than an update has."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_killed_at_any_write_it_ends_on_the_new_version(device, monkeypatch, number, when):
    device.server.offer = offer()
    killer = Killer(monkeypatch, number, after=when == "after")
    device.live(lambda: device.rests and device.running == "2.0" and device.launching.standing().current == "b")
    device.live(lambda: device.rests)
    assert device.server.states[-1] == "succeeded"
    assert killer.left <= 0 or number > 40, "there are fewer writes than this test kills at"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_killed_at_any_write_a_version_that_is_no_good_ends_on_the_old_one(device, monkeypatch, number, when):
    device.server.offer, device.deaf = offer(), {"2.0"}
    Killer(monkeypatch, number, after=when == "after")
    device.live(lambda: device.rests and device.server.states[-1:] == ["rolled_back"])
    assert (device.running, device.launching.standing().current) == ("1.0", "factory")


def test_killed_again_and_again_it_ends_on_a_version_that_works(device, monkeypatch):
    for number in range(2, 40, 3):
        device.server.offer = device.server.offer or offer(force=True)
        with monkeypatch.context() as patch:
            Killer(patch, number, after=bool(number % 2))
            with pytest.raises(AssertionError):
                device.live(lambda: False, seconds=200)
        assert device.running in ("1.0", "2.0")
    device.live(lambda: device.rests)
    assert device.launching.real.exists(device.launching.standing().current)


def test_a_slot_is_never_emptied_that_runs_or_is_committed(device):
    make_slot(device.home / "slots/a", "0.9")
    device.server.offer = offer()
    device.live(lambda: device.rests and device.running == "2.0")
    assert (device.home / "slots/a/bin/python").read_text() == "0.9"
