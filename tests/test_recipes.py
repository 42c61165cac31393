"""The code in `docs/add-an-actor.md` is run as it stands there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors import Directory, Fleet, Runtime
from actors.presence import OfflineAfter
from actors.runtime import Exit, ExitReason
from actors.sight import BrokerSight
from supervisor import ChildSpec, Supervisor
from tests.support.world import Notebook, known

DOCS = Path(__file__).parent.parent / "docs"


def code_blocks(recipe: str) -> list[str]:
    text = (DOCS / recipe).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


@pytest.fixture
def house():
    """What the line in the tree finds in `parts`, with a notary that writes down what it is told."""
    runtime, services, told = Runtime.manual(), Directory(), []
    sights = {"local": BrokerSight("local", runtime.clock.monotonic())}
    fleet = Fleet(runtime.clock, sights, OfflineAfter())
    services.publish("notary", runtime.launch(Notebook(told)))
    return SimpleNamespace(runtime=runtime, services=services, fleet=fleet, told=told)


@pytest.fixture
def spec(house) -> ChildSpec:
    """The example's child spec, its actor defined by the recipe."""
    actor, line = code_blocks("add-an-actor.md")
    names = {"parts": house, "ChildSpec": ChildSpec}
    exec(compile(actor, "add-an-actor.md", "exec"), names)
    return eval(line, names)


def see(house, serial: str) -> None:
    """Let a device be online and heard."""
    record = house.fleet.add(known(serial, presence="online"))
    sight = house.fleet.sight(record)
    sight.regained(house.runtime.clock.monotonic())
    house.fleet.heard(record, sight.epoch)


def test_the_example_actor_notes_once_a_minute_how_many_devices_are_online(house, spec):
    house.runtime.launch(Supervisor(runtime=house.runtime, name="server", children=(spec,)))
    house.runtime.advance(60.0)
    see(house, "pi-1")
    house.runtime.advance(60.0)

    assert [(event.kind, event.data) for event in house.told] == [
        ("census", '{"online": 0}'),
        ("census", '{"online": 1}'),
    ]


def test_the_example_actor_goes_on_counting_after_it_was_killed(house, spec):
    root = house.runtime.launch(
        Supervisor(runtime=house.runtime, name="server", children=(spec,), directory=house.services)
    )
    house.runtime.run()
    house.runtime.kill(house.services.get("census"))
    house.runtime.advance(70.0)

    assert [event.kind for event in house.told] == ["census"]
    assert root.is_alive()


def test_the_example_actor_stops_without_an_error(house, spec):
    ends: list[Exit] = []
    actor = house.runtime.launch(spec.start(), monitor=house.runtime.launch(Notebook(ends)), child_id="census")
    house.runtime.run()
    house.runtime.shutdown(actor)
    house.runtime.run()

    assert [end.reason for end in ends if isinstance(end, Exit)] == [ExitReason.SHUTDOWN]
