"""Whatever happens during an update, the next start runs a version that has worked, or the trial of a new one."""

from __future__ import annotations

import itertools
import json
import signal

import pytest

from tests.update.launching import Slots


@pytest.fixture
def slots(tmp_path):
    """A home where slot a is committed, b holds a new version, and nothing is on trial."""
    made = Slots(tmp_path)
    made.add("a")
    made.add("b")
    assert made.begin("a", "n0") == 0
    assert made.commit("n0") == 0
    return made


def test_without_slots_the_factory_runs_with_the_arguments_of_the_edge(tmp_path):
    told = Slots(tmp_path).run()
    assert (told["slot"], told["arguments"]) == ("factory", "-P -m edge run --config x y")
    assert told["trial"] == ""


def test_the_committed_slot_runs_and_knows_how_to_start_anew(slots):
    told = slots.run()
    assert (told["slot"], told["trial"]) == ("a", "")
    assert told["launcher"][1:] == slots.command("run", "--", "run", "--config", "x y")[1:]


def test_a_trial_runs_the_new_slot_and_a_commit_keeps_it(slots):
    assert slots.begin() == 0
    told = slots.run()
    assert (told["slot"], told["trial"]) == ("b", "n1")
    assert slots.commit() == 0
    assert slots.status["last"]["outcome"] == "committed"
    told = slots.run()
    assert (told["slot"], told["trial"]) == ("b", "")


def test_the_third_start_of_a_trial_goes_back(slots):
    slots.add("b", code=1)
    slots.begin()
    assert [slots.run()["slot"] for _ in range(4)] == ["b", "b", "a", "a"]
    last = slots.status["last"]
    assert (last["outcome"], last["reason"], last["version"], last["nonce"]) == ("rolled_back", "starts", "2.0", "n1")


def test_a_version_that_hangs_is_ended_at_its_deadline_and_the_next_start_goes_back(slots):
    slots.add("b", body="exec sleep 60")
    slots.begin(seconds=1)
    assert slots.run()["code"] == -signal.SIGALRM
    assert slots.run()["slot"] == "a"
    assert slots.status["last"]["reason"] == "deadline"


def test_a_committed_version_has_no_deadline(slots):
    slots.begin(seconds=1)
    slots.commit()
    slots.add("b", body="sleep 2.5")
    assert slots.run()["code"] == 0


def test_a_new_boot_gives_a_trial_its_time_again_but_counts_the_start(slots):
    slots.begin(seconds=1)
    slots.run()
    state = json.loads(slots.state_file.read_text())
    state["trial"]["boot"] = "the boot before"
    slots.state_file.write_text(json.dumps(state))
    assert slots.run()["slot"] == "b"
    assert slots.status["trial"]["starts"] == 2
    assert slots.run()["slot"] == "a"


def test_a_slot_without_python_is_not_tried(slots):
    slots.begin()
    (slots.home / "slots/b/bin/python").unlink()
    assert slots.run()["slot"] == "a"
    assert slots.status["last"]["reason"] == "missing"


def test_a_python_that_cannot_be_executed_goes_back_at_once(slots):
    slots.begin()
    (slots.home / "slots/b/bin/python").write_bytes(b"\x7fELF rubbish")
    told = slots.run()
    assert (told["slot"], told["trial"]) == ("a", "")
    assert slots.status["last"]["reason"] == "not_executable"
    assert slots.run()["slot"] == "a"


def test_a_damaged_committed_slot_falls_to_the_other_and_then_to_the_factory(slots):
    for slot in ("b", "a"):
        assert slots.begin(slot, f"{slot}1") == 0
        assert slots.commit(f"{slot}1") == 0
    (slots.home / "slots/a/bin/python").write_bytes(b"rubbish")
    (slots.home / "slots/a/bin/python").chmod(0o644)
    assert slots.run()["slot"] == "b"
    (slots.home / "slots/b/bin/python").unlink()
    assert slots.run()["slot"] == "factory"


def test_a_slot_that_was_never_tried_comes_after_the_factory(slots):
    """It may be half of an installation: its Python starts, and dies, for ever."""
    slots.add("b", code=1)
    (slots.home / "slots/a/bin/python").unlink()
    assert slots.run()["slot"] == "factory"
    slots.factory.unlink()
    assert slots.run()["slot"] == "b"


def test_a_slot_that_has_failed_its_trial_comes_after_the_factory(slots):
    slots.add("b", code=1)
    slots.begin()
    for _ in range(3):
        slots.run()
    (slots.home / "slots/a/bin/python").unlink()
    assert slots.run()["slot"] == "factory"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format": 2}', b'{"format": 1, "trial": {}, "last": null}'],
    ids=lambda content: repr(content[:20]),
)
def test_a_damaged_state_is_set_aside_and_the_committed_slot_runs(slots, content):
    slots.begin()
    slots.state_file.write_bytes(content)
    assert slots.run()["slot"] == "a"
    assert (slots.home / "state.json.bad").read_bytes() == content
    assert slots.begin() == 0
    assert slots.run()["slot"] == "b"


@pytest.mark.parametrize("target", ["slots/c", "/etc", "slots/a/../b/..", ""])
def test_a_link_to_anything_but_a_slot_means_the_factory(slots, target):
    (slots.home / "current").unlink()
    if target:
        (slots.home / "current").symlink_to(target)
    assert slots.run()["slot"] == "factory"


def test_a_start_that_cannot_be_counted_is_no_trial(slots):
    slots.begin()
    (slots.home / ".state.json.new").mkdir()  # nothing can be written there
    told = slots.run()
    assert (told["slot"], told["trial"]) == ("a", "")
    (slots.home / ".state.json.new").rmdir()
    assert slots.run()["slot"] == "b"


@pytest.mark.parametrize(
    ("slot", "seconds"), [("a", 600), ("c", 600), ("factory", 600), ("../x", 600), ("b", 0), ("b", 10**9)]
)
def test_a_trial_that_cannot_be_is_refused(slots, slot, seconds):
    assert slots.begin(slot, seconds=seconds) == 1
    assert slots.status["trial"] is None


def test_only_the_trial_that_goes_on_is_committed(slots):
    assert slots.commit("unknown") == 1
    slots.begin()
    assert slots.commit("another") == 1
    assert slots.commit() == 0
    assert slots.commit() == 0, "harmless when repeated"
    assert slots.status["current"] == "b"


def test_a_commit_after_the_trial_was_given_up_is_refused(slots):
    slots.add("b", code=1)
    slots.begin()
    for _ in range(3):
        slots.run()
    assert slots.commit() == 1
    assert slots.run()["slot"] == "a"


# The power goes, at every moment


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["begin", "first start", "last start", "commit"])
def test_a_power_cut_at_any_write_leaves_a_version_that_has_worked_or_its_trial(tmp_path, step, when):
    for number in itertools.count(1):
        place = tmp_path / f"{number}"
        place.mkdir()
        slots = Slots(place)
        slots.add("a")
        slots.add("b")
        slots.begin("a", "n0")
        slots.commit("n0")
        starts = {"first start": 0, "last start": 2}.get(step, 1)
        if step != "begin":
            slots.begin()
        for _ in range(starts if step != "begin" else 0):
            slots.run()
        arguments = {"begin": ("begin", "b", "2.0", "n1", "600"), "commit": ("commit", "n1")}.get(step)
        if arguments is not None:
            cut = slots.call(*arguments, kill=(number, when)).returncode
        else:
            cut = slots.run(kill=(number, when))["code"]
        assert not (slots.home / "state.json.bad").exists()
        following = [slots.run()["slot"] for _ in range(4)]
        if step == "commit":
            # Either it counted, and for good, or the trial went on and ended.
            assert following in (["b"] * 4, ["b", "a", "a", "a"])
        elif step == "last start":
            assert following == ["a"] * 4
        else:
            assert set(following) <= {"a", "b"}
            assert following[-1] == "a", "a trial that nobody commits ends"
            assert following == sorted(following, reverse=True), "it does not come back"
        assert not (slots.home / "state.json.bad").exists()
        if cut != -signal.SIGKILL:
            break
    assert number > 2, "something was cut"
