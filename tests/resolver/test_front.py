import pykka
import pytest

from actors.resolver import Found, ResolverActor, ResolverFront
from actors.runtime import ManualClock, Runtime
from tests.resolver.support import FakeSteps, device, stored


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


def front(*fleet, actor=lambda: None):
    return ResolverFront(roll=lambda: fleet, presence=stored, actor=actor, clock=ManualClock())


def test_a_device_in_the_roll_call_is_answered_even_while_the_actor_is_away():
    answer = front(device(presence="online"), device("log", kind="datalogger")).resolve("raspberry_pi")
    assert (answer["serial"], answer["method"]) == ("pi-1", "roll_call")


def test_a_type_that_nobody_has_is_not_found_even_while_the_actor_is_away():
    assert front(device()).resolve("gateway") is None


def test_a_device_that_is_offline_is_searched_for_by_the_actor(runtime):
    fleet, steps = [device()], FakeSteps(mdns=Found("127.0.0.3", 22))
    ref = runtime.launch(ResolverActor(roll=lambda: fleet, presence=stored, steps=steps))
    answer = front(*fleet, actor=lambda: ref).resolve("raspberry_pi")
    assert (answer["address"], answer["method"], answer["presence"]) == ("127.0.0.3", "mdns", "offline")
    runtime.kill(ref)


def test_a_device_that_nobody_finds_is_none(runtime):
    ref = runtime.launch(ResolverActor(roll=lambda: [device()], presence=stored, steps=FakeSteps()))
    assert front(device(), actor=lambda: ref).resolve("raspberry_pi") is None
    runtime.kill(ref)


def test_while_the_actor_is_away_a_search_is_refused_and_not_answered_with_nothing():
    with pytest.raises(pykka.ActorDeadError):
        front(device()).resolve("raspberry_pi")
