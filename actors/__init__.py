"""The actor runtime, the messages, and every actor of the server.

Names are loaded when they are first used (PEP 562): a Pi that imports the runtime loads no database driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.device import DeviceActor
    from actors.events import EventRing
    from actors.fleet import DeviceView, Fleet
    from actors.link.control import ControlLink
    from actors.link.data import DataLink
    from actors.messages import Delivery, DeviceSnapshot, StoreReading
    from actors.reader import ReaderActor, Readers
    from actors.registry import RegistryActor
    from actors.resolver import ResolverActor
    from actors.runtime import (
        Clock,
        Directory,
        Dispatcher,
        ManualClock,
        ManualDispatcher,
        ManualRuntime,
        PooledActor,
        Runtime,
        SystemClock,
        ThreadedActor,
        Timers,
        compute_backoff,
    )
    from actors.subscriber import PiSubscriber, SiteSubscriber
    from actors.version import __version__

__all__ = [
    "Clock",
    "ControlLink",
    "DataLink",
    "Delivery",
    "DeviceActor",
    "DeviceSnapshot",
    "DeviceView",
    "Directory",
    "Dispatcher",
    "EventRing",
    "Fleet",
    "ManualClock",
    "ManualDispatcher",
    "ManualRuntime",
    "PiSubscriber",
    "PooledActor",
    "ReaderActor",
    "Readers",
    "RegistryActor",
    "ResolverActor",
    "Runtime",
    "SiteSubscriber",
    "StoreReading",
    "SystemClock",
    "ThreadedActor",
    "Timers",
    "__version__",
    "compute_backoff",
]

_MODULES = {
    "device": ("DeviceActor",),
    "events": ("EventRing",),
    "fleet": ("DeviceView", "Fleet"),
    "link.control": ("ControlLink",),
    "link.data": ("DataLink",),
    "messages": ("Delivery", "DeviceSnapshot", "StoreReading"),
    "reader": ("ReaderActor", "Readers"),
    "registry": ("RegistryActor",),
    "resolver": ("ResolverActor",),
    "runtime": (
        "Clock",
        "Directory",
        "Dispatcher",
        "ManualClock",
        "ManualDispatcher",
        "ManualRuntime",
        "PooledActor",
        "Runtime",
        "SystemClock",
        "ThreadedActor",
        "Timers",
        "compute_backoff",
    ),
    "subscriber": ("PiSubscriber", "SiteSubscriber"),
    "version": ("__version__",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the module that has the name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
