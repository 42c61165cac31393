"""Children that are counted each by itself: quarantine, resume, and the breaker on a code path."""

from __future__ import annotations

import logging

import pytest

from actors.runtime import Directory
from supervisor import (
    BackoffPolicy,
    BounceChild,
    Breaker,
    ChildRunningError,
    ChildSpec,
    DynamicSupervisor,
    Intensity,
    QuarantineChild,
    ResumeChild,
    StartTemplated,
    TerminateChild,
    describe,
)
from tests.supervision.support import BoomError, Lab, Shot, Worker


class Ward(DynamicSupervisor):
    """A supervisor that writes down what its hooks are told."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.told: list[tuple] = []

    def on_quarantine(self, child_id, error):
        self.told.append(("quarantine", child_id, error.type if error else None))

    def on_resume(self, child_id):
        self.told.append(("resume", child_id))

    def on_breaker(self, fault):
        super().on_breaker(fault)
        self.told.append(("tripped", *fault.signature))

    def on_undeliverable(self, child_id, message, reason, attempts, error):
        self.told.append((reason, child_id, message))


@pytest.fixture
def ward(lab: Lab) -> Ward:
    settings = {
        "template": ChildSpec("w", lambda name: Worker(lab, name)),
        "per_child": True,
        "intensity": Intensity(restarts=2, within=60.0),
        "directory": Directory(),
    }
    ward = lab.launch(Ward(**lab.settings(settings)))
    for number in range(60):
        ward.adopt(f"d{number}")
    lab.run()
    return ward


def kill(lab: Lab, name: str, times: int = 3) -> None:
    for _ in range(times):
        lab.crash(name)


def test_a_child_that_keeps_crashing_is_parked_and_the_others_do_not_notice(lab: Lab, ward: Ward):
    kill(lab, "d0")
    assert lab.state("d0") == "quarantined"
    assert lab.exit is None
    assert ward.table.alive == 59
    assert ("quarantine", "d0", "BoomError") in ward.told
    (shown,) = describe(lab.root.ref)["children"]
    assert (shown["id"], shown["state"], shown["last_exception"]["message"]) == ("d0", "quarantined", "shot")


def test_children_are_counted_each_by_itself(lab: Lab, ward: Ward):
    for number in range(15):
        kill(lab, f"d{number}", times=2)
    assert ward.table.alive == 60
    assert ward.table.restarts == 30


def test_a_child_that_crashes_seldom_is_never_parked(lab: Lab, ward: Ward):
    for _ in range(10):
        kill(lab, "d0", times=2)
        lab.advance(61.0)
    assert lab.state("d0") == "running"


def test_a_parked_child_can_be_resumed_with_a_clean_record(lab: Lab, ward: Ward):
    kill(lab, "d0")
    assert lab.ask(ResumeChild, child_id="d0") is lab.child("d0")
    assert ward.told[-1] == ("resume", "d0")
    kill(lab, "d0", times=2)
    assert lab.state("d0") == "running"
    kill(lab, "d0", times=1)
    assert lab.state("d0") == "quarantined"


def test_a_running_child_cannot_be_resumed(lab: Lab, ward: Ward):
    with pytest.raises(ChildRunningError):
        lab.ask(ResumeChild, child_id="d0")


def test_the_button_for_a_restart_resumes_as_well(lab: Lab, ward: Ward):
    kill(lab, "d0")
    lab.ask(BounceChild, child_id="d0")
    assert lab.state("d0") == "running"


def test_an_operator_can_park_a_healthy_child(lab: Lab, ward: Ward):
    lab.ask(QuarantineChild, child_id="d7")
    assert lab.state("d7") == "quarantined"
    assert lab.who("stop") == ["d7"]
    assert ("quarantine", "d7", None) in ward.told
    lab.ask(ResumeChild, child_id="d7")
    assert lab.state("d7") == "running"


def test_an_operator_can_park_a_child_of_a_fixed_row_too(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), strategy="one_for_all")
    lab.ask(QuarantineChild, child_id="a")
    lab.crash("b")
    assert (lab.state("a"), lab.state("b")) == ("quarantined", "running")
    lab.ask(TerminateChild, child_id="a")
    assert lab.state("a") == "stopped"


def test_messages_for_a_parked_child_go_to_the_hook(lab: Lab, ward: Ward):
    lab.child("d0").tell("queued")
    for _ in range(3):
        lab.child("d0").tell(Shot())
    lab.child("d0").tell("behind")
    lab.run()
    ward.directory.tell("d0", "later")
    lab.run()
    undelivered = [entry for entry in ward.told if entry[0] == "quarantined"]
    assert [message for _, _, message in undelivered if isinstance(message, str)] == ["behind", "later"]


def test_a_child_that_cannot_even_start_is_parked_when_it_was_adopted(lab: Lab, ward: Ward):
    lab.refuse_start("new", *[BoomError("config")] * 99)
    ward.adopt("new", messages=["hello"])
    lab.run()
    assert lab.state("new") == "quarantined"
    assert ("quarantined", "new", "hello") in ward.told
    assert lab.who("start").count("new") == 3


def test_a_child_that_was_parked_before_a_restart_can_be_taken_in_as_parked(lab: Lab, ward: Ward):
    ward.adopt("old", parked=True)
    lab.run()
    assert lab.state("old") == "quarantined"
    assert "old" not in lab.who("start")
    assert not any(entry[0] == "quarantine" for entry in ward.told)
    lab.ask(ResumeChild, child_id="old")
    assert lab.state("old") == "running"


def test_a_stop_leaves_the_parked_alone(lab: Lab, ward: Ward):
    kill(lab, "d0")
    told = ward.told.copy()
    lab.stop()
    assert ward.told == told


# The breaker


def storm(lab: Lab, numbers, times: int = 1, order=None) -> None:
    """Crash many children by the same fault at the same time."""
    for _ in range(times):
        for number in numbers:
            lab.child(f"d{number}").tell(order or Shot())
        lab.run()


def test_the_same_fault_in_many_children_is_charged_to_the_code(lab: Lab, ward: Ward):
    storm(lab, range(21))
    (tripped,) = [entry for entry in ward.told if entry[0] == "tripped"]
    assert tripped[1] == "BoomError"
    assert "support.py" in tripped[2]
    (shown,) = describe(lab.root.ref)["breakers"]
    assert shown["type"] == "BoomError"
    assert shown["crashes"] == 21


def test_a_child_counts_once_and_at_its_latest_crash():
    breaker = Breaker(children=2, within=10.0)
    for child, now in (("a", 0.0), ("b", 1.0), ("a", 9.0), ("a", 9.5)):
        assert not breaker.record(("E", "f:1"), child, now).open
    assert not breaker.record(("E", "f:1"), "c", 12.0).open  # b was too long ago
    assert breaker.record(("E", "f:1"), "d", 13.0).open


def test_a_breaker_remembers_a_bounded_number_of_faults():
    breaker = Breaker(children=1, within=10.0, faults=2)
    for line in range(5):
        breaker.record(("E", f"f:{line}"), "a", 0.0)
    assert not breaker.record(("E", "f:0"), "b", 0.0).open
    assert breaker.record(("E", "f:4"), "b", 0.0).open


def test_no_child_is_parked_for_a_fault_of_the_code(lab: Lab, ward: Ward):
    storm(lab, range(40), times=8)
    assert ward.table.alive == 60
    assert lab.state("d0") == "running"


def test_children_that_were_parked_before_it_was_clear_are_let_out(lab: Lab, ward: Ward):
    for number in range(20):
        kill(lab, f"d{number}")
    assert ward.table.counts["quarantined"] == 20
    kill(lab, "d20", times=1)
    assert ward.table.counts["quarantined"] == 0
    assert ward.table.alive == 60
    assert ("resume", "d0") in ward.told


def test_one_parked_for_something_else_stays_parked(lab: Lab, ward: Ward):
    for _ in range(2):
        lab.child("d50").tell("other")
        lab.run()
    assert lab.state("d50") == "quarantined"
    storm(lab, range(25))
    assert lab.state("d50") == "quarantined"


def test_while_a_breaker_is_open_the_message_that_crashes_is_dead_at_once(lab: Lab, ward: Ward):
    storm(lab, range(21))
    ward.told.clear()
    lab.forget()
    lab.child("d40").tell("boom")
    lab.child("d41").tell(Shot())
    lab.run()
    # d40 dies at another line of the code: another fault, and the usual two attempts.
    assert [(reason, child) for reason, child, _ in ward.told] == [("breaker", "d41"), ("crashed_twice", "d40")]
    assert lab.state("d41") == "running"
    assert lab.who("boom") == ["d40", "d40"]


def test_a_breaker_closes_after_a_quiet_minute(lab: Lab, ward: Ward):
    storm(lab, range(21))
    lab.advance(61.0)
    assert describe(lab.root.ref)["breakers"] == []
    kill(lab, "d0")
    assert lab.state("d0") == "quarantined"


def test_crashes_that_are_spread_over_time_trip_nothing(lab: Lab, ward: Ward):
    for number in range(40):
        kill(lab, f"d{number}", times=1)
        lab.advance(4.0)
    assert not any(entry[0] == "tripped" for entry in ward.told)


def test_a_storm_is_reported_a_few_times_in_full_and_then_counted(lab: Lab, ward: Ward, caplog):
    with caplog.at_level(logging.ERROR, logger="supervisor"):
        storm(lab, range(60))
    full = [record for record in caplog.records if "Traceback" in record.getMessage()]
    assert len(full) == 5
    assert "more like it are counted" in full[-1].getMessage()
    caplog.clear()
    lab.advance(61.0)
    kill(lab, "d0", times=1)
    assert "55 more in the last minute" in caplog.text


def test_the_wait_of_a_child_that_is_not_charged_still_grows(lab: Lab):
    settings = {
        "template": ChildSpec("w", lambda name: Worker(lab, name), backoff=BackoffPolicy(1.0, 8.0)),
        "per_child": True,
    }
    lab.launch(Ward(**lab.settings(settings)))
    for number in range(30):
        lab.ask(StartTemplated, child_id=f"d{number}")
    storm(lab, range(30))
    lab.refuse_start("d0", *[BoomError("start")] * 99)
    lab.advance(30.0)
    assert lab.who("start").count("d0") < 12


def test_a_hook_that_fails_does_not_take_the_supervisor_with_it(lab: Lab, ward: Ward, caplog):
    def broken(*_):
        raise OSError("no")

    ward.on_quarantine = broken
    kill(lab, "d0")
    assert lab.state("d0") == "quarantined"
    assert lab.exit is None
