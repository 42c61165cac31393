"""The actor runtime: pykka actors by the hundred thousand, with deaths that are noticed. Knows nothing of Muster."""

from __future__ import annotations

from actors.runtime.backoff import compute_backoff
from actors.runtime.clock import Clock, ManualClock, SystemClock
from actors.runtime.directory import Directory
from actors.runtime.dispatcher import Dispatcher, ManualDispatcher
from actors.runtime.future import GuardedFuture, WouldBlockError
from actors.runtime.lifecycle import Envelope, Exit, ExitReason, Failure, Ready, ToSelf, Undelivered
from actors.runtime.mailbox import Mailbox
from actors.runtime.pooled import PooledActor
from actors.runtime.runtime import ManualRuntime, Runtime
from actors.runtime.thread_mailbox import ThreadMailbox
from actors.runtime.threaded import ThreadedActor
from actors.runtime.timers import ManualTimers, Timers
from actors.runtime.watchdog import Watchdog

__all__ = [
    "Clock",
    "Directory",
    "Dispatcher",
    "Envelope",
    "Exit",
    "ExitReason",
    "Failure",
    "GuardedFuture",
    "Mailbox",
    "ManualClock",
    "ManualDispatcher",
    "ManualRuntime",
    "ManualTimers",
    "PooledActor",
    "Ready",
    "Runtime",
    "SystemClock",
    "ThreadMailbox",
    "ThreadedActor",
    "Timers",
    "ToSelf",
    "Undelivered",
    "Watchdog",
    "WouldBlockError",
    "compute_backoff",
]
