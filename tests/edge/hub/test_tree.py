"""The hub's actor under a supervisor."""

from __future__ import annotations

from edge.hub import hub_specs
from supervisor import BackoffPolicy, Root, Supervisor
from tests.edge.hub.conftest import DEADLINE
from tests.support.wait import eventually


def test_a_crash_of_the_hub_s_actor_is_healed_and_costs_no_scan(world):
    broken = [True]

    def facts():
        if broken:
            broken.clear()
            raise RuntimeError("the facts cannot be told")
        return {"ip_address": "10.0.0.7"}

    world.read_facts = facts
    tree = Supervisor(
        runtime=world.runtime,
        name="contact",
        backoff=BackoffPolicy(base=0.01, cap=0.05),
        directory=world.directory,
        children=hub_specs(world.parts),
    )
    root = Root(world.runtime, tree)
    root.wait_ready(timeout=DEADLINE)
    try:
        ids = world.put(20)
        world.until_reported(online=True, ip_address="10.0.0.7")
        world.until_empty()
    finally:
        root.stop(timeout=DEADLINE)
    assert not broken
    assert list(dict.fromkeys(world.ids)) == ids
    assert len(world.hub.tokens) == 2
    eventually(lambda: not world.hub.is_connected, DEADLINE, "the hub is left")
    assert world.state == "stopped"
