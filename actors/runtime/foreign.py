"""Supervising a stock `pykka.ThreadingActor`, so that other pykka projects can use the supervisor as it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pykka
from pykka import ActorDeadError, ActorRef
from pykka._envelope import Envelope as PykkaEnvelope
from pykka.messages import _ActorStop

from actors.runtime.lifecycle import Envelope, Exit, ExitReason, Failure, Ready


def supervise_foreign(
    actor: pykka.ThreadingActor,
    monitor: ActorRef[Any] | None,
    child_id: str,
    incarnation: int,
    preload: Sequence[PykkaEnvelope[Any]],
) -> None:
    """Start the actor with its loop wrapped: the thread's target is the one place that every death passes.

    What it cannot have: a prompt stop (its queue has no front), hang detection, and the message that crashed it.
    """
    failures: list[Failure] = []
    handle_failure = actor._handle_failure  # noqa: SLF001 - pykka has no other place to learn the reason of an end

    def record(kind: Any, value: Any, traceback: Any) -> None:
        failures.append(Failure.of(value))
        handle_failure(kind, value, traceback)

    def loop() -> None:
        try:
            actor._actor_loop_setup()  # noqa: SLF001
            if not actor.actor_stopped.is_set():
                _tell(monitor, Ready(child_id, incarnation))
            actor._actor_loop_running()  # noqa: SLF001
        except BaseException as error:  # noqa: BLE001 - an exception thrown into the thread lands wherever it stands
            failures.append(Failure.of(error))
        finally:
            actor.actor_stopped.set()
            pending = _drain(actor)
            reason = ExitReason.CRASHED if failures else ExitReason.NORMAL
            cause, text = failures[0] if failures else (None, "")
            _tell(monitor, Exit(child_id, incarnation, reason, cause, text, pending))

    actor._handle_failure = record  # type: ignore[method-assign,assignment]  # noqa: SLF001
    actor._actor_loop = loop  # type: ignore[method-assign]  # noqa: SLF001
    for envelope in preload:
        actor.actor_inbox.put(envelope)
    actor._start_actor_loop()  # noqa: SLF001


def _drain(actor: pykka.ThreadingActor) -> list[Envelope]:
    left: list[Envelope] = []
    while not actor.actor_inbox.empty():
        envelope = actor.actor_inbox.get()
        if envelope.reply_to is None:
            if not isinstance(envelope.message, _ActorStop):
                left.append(Envelope(envelope.message, attempts=getattr(envelope, "attempts", 0)))
        elif isinstance(envelope.message, _ActorStop):
            envelope.reply_to.set(None)
        else:
            error = ActorDeadError(f"{actor.actor_ref} stopped before handling the message")
            envelope.reply_to.set_exception((ActorDeadError, error, None))
    return left


def _tell(monitor: ActorRef[Any] | None, message: Any) -> None:
    if monitor is not None:
        with suppress(ActorDeadError):
            monitor.tell(message)
