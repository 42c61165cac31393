"""Devices that are offered a release are told to ask for it at once, at a bounded pace."""

from __future__ import annotations

import pytest

from actors.commands.messages import COMMANDER, CommandError, Issue, Issued
from actors.fleet import DeviceView
from actors.messages import DeviceSnapshot
from actors.runtime import ThreadedActor
from actors.storage.errors import StoreUnavailable
from actors.updates.calls import EVERY, MOST_AT_ONCE, WITHIN
from actors.updates.messages import Forget
from actors.updates.plan import Wave
from actors.updates.windows import Window
from supervisor.server.updates import GONE_AFTER, is_lost, knows_update
from tests.support.wait import eventually
from tests.updates.rig import ALL, CANARY

MANY = tuple(f"pi-{number:03}" for number in range(120))


class Commander(ThreadedActor):
    """Writes down what is issued; `refusals` are raised before that, one for each."""

    def __init__(self):
        super().__init__()
        self.issued, self.refusals = [], []

    def on_receive(self, message):
        assert isinstance(message, Issue)
        if self.refusals:
            raise self.refusals.pop(0)
        self.issued.append(message)
        return Issued(("id",) * len(message.serials), "")


@pytest.fixture
def calls(rig):
    """A rig with a commander, whose devices are all there; `called` are the serials of each command."""
    commander = rig.commander = Commander()
    rig.launch(COMMANDER, commander)
    rig.there.update(MANY)
    rig.called = lambda: [message.serials for message in commander.issued]

    def look(times=1):
        for _ in range(times):
            rig.pass_time(EVERY)
            rig.offer("nobody")  # it has looked
            if COMMANDER in rig.services:
                eventually(rig.services.get(COMMANDER).actor_inbox.empty, what="the commander has answered")

    rig.look = look
    return rig


def test_devices_that_are_there_are_told_at_once_to_ask(calls):
    calls.there.discard("pi-002")
    calls.start("pi-001", "pi-002", call=True)
    calls.look()
    eventually(lambda: [set(each) for each in calls.called()] == [{"pi-001"}], what="it is called")
    (order,) = calls.commander.issued
    assert (order.name, order.args, order.by) == ("update", "{}", "rollouts")
    assert order.timeout <= 60
    calls.there.add("pi-002")
    calls.look(2)
    eventually(lambda: calls.called()[1:] == [("pi-002",)], what="the other one is called when it is there")
    eventually(lambda: calls.look() or calls.board.calls == {"called": 2}, what="both are counted")
    calls.look(5)
    assert len(calls.called()) == 2


def test_who_does_not_want_it_so_waits_until_each_device_asks(calls):
    calls.start("pi-001", call=False)
    calls.look(3)
    assert calls.called() == []


def test_a_wave_is_called_when_it_begins_a_few_at_a_time(calls):
    rollout = calls.start(*MANY, waves=CANARY, call=True)
    canaries = {serial for serial, state in calls.states(rollout).items() if state == "offered"}
    calls.look(3)
    eventually(lambda: set(sum(calls.called(), ())) == canaries, what="the canaries alone are called")
    for serial in canaries:
        calls.report(serial, "succeeded")
    calls.pass_time(100)
    calls.look(4)
    eventually(lambda: len(sum(calls.called(), ())) == len(MANY), what="all are called")
    assert max(map(len, calls.called())) <= MOST_AT_ONCE
    assert len(set(sum(calls.called(), ()))) == len(MANY)


def test_no_more_are_called_than_may_be_busy(calls):
    calls.start(*MANY[:10], waves=ALL, most_active=1, call=True)
    calls.report(MANY[0], "downloading")
    calls.look(3)
    assert calls.called() == []
    calls.report(MANY[0], "succeeded")
    calls.look(2)
    eventually(lambda: calls.called() and len(calls.called()[0]) == 9, what="they are called when there is room")


def test_a_pause_calls_nobody_and_its_end_does(calls):
    rollout = calls.start("pi-001", "pi-002", call=True)
    calls.command(rollout, "pause")
    calls.look(3)
    assert calls.called() == []
    calls.command(rollout, "resume")
    calls.look()
    eventually(lambda: [len(each) for each in calls.called()] == [2], what="they are called when it goes on")
    calls.report("pi-001", "rolled_back")
    calls.retry(rollout, "pi-001")
    calls.look(2)
    eventually(lambda: calls.called()[1:] == [("pi-001",)], what="and one that is to try again")


def test_after_a_crash_those_that_have_not_begun_are_called(calls):
    calls.start("pi-001", "pi-002", "pi-003", call=True)
    calls.report("pi-001", "downloading")
    calls.ref.tell(Forget(["pi-003"]))
    calls.restart()
    calls.look()
    eventually(lambda: calls.called() and "pi-002" in calls.called()[0], what="it is called by the next incarnation")
    assert "pi-001" not in calls.called()[0]


def test_a_device_whose_window_is_closed_is_called_when_it_opens(calls):
    """The manual clock begins at 08:53 UTC."""
    soon = Window(begin="10:00", end="10:20")
    calls.start("pi-001", windows=(soon,), call=True)
    calls.look(3)
    calls.pass_time(3600)
    calls.look(3)
    assert calls.called() == []
    calls.pass_time(600)
    calls.look(2)
    eventually(lambda: calls.called() == [("pi-001",)], what="it is called")


def test_whom_no_call_can_reach_is_given_up_after_a_while(calls):
    calls.there.clear()
    calls.start("pi-001", call=True)
    calls.look()
    calls.pass_time(WITHIN)
    calls.look(2)
    assert calls.called() == []
    assert calls.board.calls == {"missed": 1}


def test_what_the_commander_does_not_take_is_called_again_but_for_the_one_that_it_names(calls):
    calls.commander.refusals = [
        StoreUnavailable("away"),
        CommandError("too_many", "pi-001 has 100 commands", device="pi-001"),
    ]
    calls.start("pi-001", "pi-002", waves=(Wave(share=1.0),), call=True)

    def called():
        calls.look()
        return calls.called()

    assert eventually(called, what="the other one is called") == [("pi-002",)]
    eventually(lambda: calls.look() or calls.board.calls == {"refused": 1, "called": 1}, what="it is counted")


def test_while_there_is_no_commander_they_wait(calls):
    ref = calls.services.get(COMMANDER)
    calls.services.withdraw(COMMANDER, ref)
    calls.start("pi-001", call=True)
    calls.look(3)
    assert calls.called() == []
    calls.services.publish(COMMANDER, ref)
    calls.look()
    eventually(lambda: calls.called() == [("pi-001",)], what="they are called when it is back")


@pytest.mark.parametrize(
    ("presence", "offline_for", "seen", "lost"),
    [
        ("offline", GONE_AFTER + 1, True, True),
        ("offline", GONE_AFTER - 1, True, False),
        ("offline", GONE_AFTER + 1, False, False),
        ("unknown", GONE_AFTER + 1, True, False),
        ("online", GONE_AFTER + 1, True, False),
    ],
)
def test_a_device_is_lost_when_it_is_known_to_be_offline_for_a_while(presence, offline_for, seen, lost):
    since_us = 10**15
    snapshot = DeviceSnapshot(serial="pi-1", kind="raspberry_pi", family="pi")
    view = DeviceView(snapshot, presence, "timeout", since_us, since_us if seen else 0, 60.0, flapping=False)
    assert is_lost(view, since_us / 1_000_000 + offline_for) is lost


@pytest.mark.parametrize(
    ("services", "knows"),
    [
        (b'{"update": "idle", "slot": "a"}', True),
        (b'{"update": "downloading"}', True),
        (b'{"update": "off"}', False),
        (b'{"link": "subscribed"}', False),
        (b"", False),
        (b'{"update": 5}', False),
        (b"[]", False),
        (b"\xff", False),
    ],
)
def test_whether_a_device_knows_the_command_is_what_it_announces(services, knows):
    assert knows_update(services) is knows
