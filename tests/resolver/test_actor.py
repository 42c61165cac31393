import logging
import threading

import pytest

from actors.resolver import Budget, Found, LocalSteps, Resolve, ResolverActor
from actors.resolver.actor import KEEP_FOUND, KEEP_MISSING
from actors.resolver.addresses import subnet_of
from actors.resolver.reachability import Limits
from actors.runtime import ManualClock, Runtime
from tests.resolver.support import FakeSteps, device, silent, stored
from tests.support.wait import eventually


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def start(runtime):
    refs = []

    def launch(*fleet, steps, **options):
        actor = ResolverActor(roll=lambda: list(fleet), presence=stored, steps=steps, **options)
        refs.append(runtime.launch(actor))
        return refs[-1]

    yield launch
    for ref in refs:
        runtime.kill(ref)


class GatedSteps(FakeSteps):
    """A search that lasts until the test lets it end."""

    def __init__(self, **finds):
        super().__init__(**finds)
        self.gate = threading.Event()
        self.begun = threading.Event()

    def last_known(self, wanted, budget):
        self.begun.set()
        assert self.gate.wait(10.0)
        return super().last_known(wanted, budget)


def test_an_ask_is_answered_with_the_primary_device_of_the_type(start):
    ref = start(device("pi", presence="online"), device("log", kind="datalogger"), steps=FakeSteps())
    assert ref.ask(Resolve("raspberry_pi"), timeout=5).serial == "pi"
    assert ref.ask(Resolve("gateway"), timeout=5) is None


def test_many_who_ask_at_once_share_one_search(start):
    steps = GatedSteps(mdns=Found("127.0.0.3", 22))
    ref = start(device(), steps=steps)
    futures = [ref.ask(Resolve(), block=False) for _ in range(20)]
    assert steps.begun.wait(5.0)
    steps.gate.set()
    answers = {future.get(timeout=5) for future in futures}
    assert {answer.address for answer in answers} == {"127.0.0.3"}
    assert steps.taken == ["last_known", "mdns"]


def test_a_found_address_is_remembered_for_some_seconds(start):
    clock, steps = ManualClock(), FakeSteps(scan=Found("127.0.0.4", 22))
    ref = start(device(), steps=steps, clock=clock)
    first = ref.ask(Resolve(), timeout=5)
    clock.advance(KEEP_FOUND - 0.1)
    assert ref.ask(Resolve(), timeout=5) == first
    assert steps.taken.count("scan") == 1
    clock.advance(0.2)
    assert ref.ask(Resolve(), timeout=5).checked_at > first.checked_at
    assert steps.taken.count("scan") == 2


def test_a_vain_search_is_remembered_too(start):
    clock, steps = ManualClock(), FakeSteps()
    ref = start(device(), steps=steps, clock=clock)
    assert ref.ask(Resolve(), timeout=5) is None
    clock.advance(KEEP_MISSING - 0.1)
    assert ref.ask(Resolve(), timeout=5) is None
    assert steps.taken.count("scan") == 1
    clock.advance(0.2)
    assert ref.ask(Resolve(), timeout=5) is None
    assert steps.taken.count("scan") == 2


def test_a_device_that_comes_back_is_answered_at_once_in_spite_of_the_memory(runtime):
    fleet, steps = [device()], FakeSteps()
    ref = runtime.launch(ResolverActor(roll=lambda: fleet, presence=stored, steps=steps))
    assert ref.ask(Resolve(), timeout=5) is None
    fleet[:] = [device(presence="online")]
    assert ref.ask(Resolve(), timeout=5).method == "roll_call"
    runtime.kill(ref)


def test_a_device_that_told_another_address_is_searched_anew(runtime):
    fleet, steps = [device()], FakeSteps()
    ref = runtime.launch(ResolverActor(roll=lambda: fleet, presence=stored, steps=steps))
    assert ref.ask(Resolve(), timeout=5) is None
    fleet[:] = [device(ip_address="127.0.1.6")]
    assert ref.ask(Resolve(), timeout=5) is None
    assert steps.wanted.address == "127.0.1.6"
    assert steps.taken.count("scan") == 2
    runtime.kill(ref)


def test_an_error_in_a_search_reaches_who_asked_and_the_actor_lives_on(start):
    steps = FakeSteps(last_known=ZeroDivisionError("a bug"))
    ref = start(device(), device("log", kind="datalogger", presence="online"), steps=steps)
    with pytest.raises(ZeroDivisionError):
        ref.ask(Resolve(), timeout=5)
    assert ref.ask(Resolve("datalogger"), timeout=5).serial == "log"


def test_a_message_that_it_does_not_know_is_dropped_with_a_line_in_the_log(start, caplog):
    caplog.set_level(logging.WARNING)
    ref = start(device(presence="online"), steps=FakeSteps())
    ref.tell("what?")
    assert ref.ask(Resolve(), timeout=5).serial == "pi-1"
    assert "unexpected message str dropped" in caplog.text


def test_a_search_ends_with_its_time(start):
    with silent("127.0.1.4") as mute:
        ref = start(device(services=b'{"x": {"port": %d}}' % mute), steps=patient_steps(), seconds=0.2)
        assert ref.ask(Resolve(), timeout=10) is None


def test_severing_ends_a_search_that_is_under_way(runtime):
    ended, began = threading.Event(), threading.Event()

    class Watched(LocalSteps):
        def last_known(self, wanted, budget: Budget):
            began.set()
            try:
                return super().last_known(wanted, budget)
            finally:
                ended.set()

    with silent("127.0.1.4") as mute:
        fleet = [device(services=b'{"x": {"port": %d}}' % mute)]
        ref = runtime.launch(
            ResolverActor(roll=lambda: fleet, presence=stored, steps=patient_steps(Watched), seconds=50)
        )
        ref.ask(Resolve(), block=False)
        assert began.wait(5.0)
        runtime.kill(ref)
        eventually(ended.is_set, timeout=5, what="the search ended")


def patient_steps(kind=LocalSteps):
    """Steps that would wait for a silent port far longer than a test lasts, and see nothing of this machine."""
    return kind(
        neighbours=dict,
        subnets=lambda: [subnet_of("127.0.1.1", "255.255.255.248")],
        browse=lambda *_: iter(()),
        use_mdns=False,
        use_scan=False,
        check_seconds=50.0,
        check_limits=Limits(timeout=50.0),
    )
