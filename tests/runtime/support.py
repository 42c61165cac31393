"""Actors that write down what happens to them, and monitors that write down how they end."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from actors.runtime import Exit, ManualRuntime, PooledActor, Ready, ThreadedActor, Undelivered


class BoomError(Exception):
    """What an actor dies of when it is told to."""


class Monitor(PooledActor):
    """Keeps what a runtime tells about the actors it launched."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[Any] = []

    def on_receive(self, message: Any) -> None:
        self.news.append(message)

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in list(self.news) if isinstance(item, kind)]

    @property
    def ready(self) -> list[Ready]:
        return self.of(Ready)

    @property
    def exits(self) -> list[Exit]:
        return self.of(Exit)

    @property
    def undelivered(self) -> list[Undelivered]:
        return self.of(Undelivered)


class Orders:
    """What an actor does in each of its hooks; callables are called with the actor."""

    def __init__(self, **hooks: Callable[[Any], Any]) -> None:
        self.hooks = hooks
        self.diary: list[Any] = []

    def carry_out(self, actor: Any, hook: str, entry: Any) -> None:
        self.diary.append(entry)
        if hook in self.hooks:
            self.hooks[hook](actor)


class _Obedient:
    """Mixed into either kind of actor."""

    def __init__(self, orders: Orders | None = None) -> None:
        super().__init__()
        self.orders = orders or Orders()

    @property
    def diary(self) -> list[Any]:
        return self.orders.diary

    def on_start(self) -> None:
        self.orders.carry_out(self, "on_start", "start")

    def on_stop(self) -> None:
        self.orders.carry_out(self, "on_stop", "stop")

    def on_receive(self, message: Any) -> Any:
        self.diary.append(message)
        if callable(message):
            return message(self)
        return message


class Pooled(_Obedient, PooledActor):
    """On the dispatcher."""


class Threaded(_Obedient, ThreadedActor):
    """On a thread of its own."""


def boom(_actor: Any) -> None:
    raise BoomError("told to")


def leave(_actor: Any) -> None:
    raise SystemExit("told to")


def watch(runtime: Any) -> Monitor:
    """Launch a monitor and return the actor itself: tests read its notes."""
    monitor = Monitor()
    runtime.launch(monitor)
    if isinstance(runtime, ManualRuntime):
        runtime.run()
    return monitor


def throw_into(thread: threading.Thread, error: type[BaseException]) -> None:
    """Raise an exception in another thread at its next step (PyThreadState_SetAsyncExc)."""
    assert thread.ident is not None
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error)) == 1


def thread_named(name: str) -> threading.Thread | None:
    return next((thread for thread in threading.enumerate() if thread.name == name), None)
