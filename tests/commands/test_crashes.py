"""A commander that crashes under its supervisor loses no answer, and one that crashes it twice is dead-lettered."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from actors.commands.actor import CommanderActor
from actors.commands.messages import COMMANDER
from actors.device_messages import Told
from supervisor import BackoffPolicy, ChildSpec, Intensity, Supervisor
from supervisor.server.tree import bury
from tests.commands.rig import Desk
from tests.support.wait import eventually


@pytest.fixture
def supervised(rig):
    """The rig with its commander under a supervisor; `broken` lets so many asks of the database fail with a bug."""
    rig.commander.stop(timeout=5)
    rig.broken, rig.buried = 0, []

    def ask(message):
        if rig.broken:
            rig.broken -= 1
            raise RuntimeError("a bug")
        return rig.ask_registry(message)

    desk = Desk(
        runtime=SimpleNamespace(clock=rig.clock, timers=rig.timers),
        services=rig.services,
        board=rig.board,
        ask=ask,
        is_online=rig.online.__contains__,
        link_of=lambda _serial: "local.control",
        show=rig.shown.append,
        admit=rig.letters.admit,
    )
    tree = Supervisor(
        runtime=rig.runtime,
        name="server",
        intensity=Intensity(restarts=20, within=60.0),
        backoff=BackoffPolicy(base=0.01, cap=0.1),
        directory=rig.services,
        on_dead_letter=rig.buried.append,
        children=(ChildSpec(COMMANDER, lambda: CommanderActor(desk)),),
    )
    rig.refs.append(rig.runtime.launch(tree))
    rig.tree = rig.refs[-1]
    rig.commander = SimpleNamespace(
        tell=lambda message: rig.services.tell(COMMANDER, message),
        ask=lambda message, timeout: current(rig).ask(message, timeout=timeout),
    )
    rig.services.withdraw(COMMANDER, rig.services.get(COMMANDER))
    current(rig)
    return rig


def current(rig):
    def alive():
        ref = rig.services.get(COMMANDER)
        return ref if ref is not None and ref.is_alive() else None

    return eventually(alive, what="a commander runs")


def test_answers_that_were_taken_and_not_committed_go_to_the_next_incarnation(supervised):
    rig = supervised
    first, second = rig.one(), rig.one()
    rig.broken = 1
    rig.answer({"id": first, "state": "succeeded"}, token=1)
    rig.answer({"id": second, "state": "succeeded"}, token=2)
    rig.wait_state(first, "succeeded")
    rig.wait_state(second, "succeeded")
    eventually(lambda: sorted(rig.settled) == [1, 2], what="both are acknowledged")
    assert rig.board.open == 0


def test_an_answer_that_crashes_it_twice_is_a_dead_letter_and_the_next_one_is_handled(supervised):
    rig = supervised
    command = rig.one()
    started = current(rig)
    # Crash at the commit; the next incarnation loads, and crashes at the commit again.
    calls = []
    real = rig.ask_registry

    def ask(message):
        calls.append(message)
        if getattr(message.work, "keywords", {}).get("changes"):
            raise RuntimeError("a bug")
        return real(message)

    rig.ask_registry = ask
    rig.answer({"id": command, "state": "succeeded"}, token=1)
    (mail,) = eventually(lambda: [mail for mail in rig.buried if isinstance(mail.message, Told)], what="it is buried")
    assert mail.reason == "crashed_twice"
    refused = []
    desk = SimpleNamespace(refuse=lambda delivery, reason, _detail: refused.append((delivery.token, reason)))
    bury(SimpleNamespace(desk=desk), mail)
    assert refused == [(1, "crashed")]
    rig.ask_registry = real
    assert current(rig) is not started
    rig.answer({"id": command, "state": "succeeded"}, token=2)
    rig.wait_state(command, "succeeded")
