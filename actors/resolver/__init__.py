"""Where is the Pi? The address of the primary device of a type, and how it was found.

`find` is for other programs: it asks a running server and needs the standard library only. The rest is the server's
side. Names are loaded when they are first used, so that `from actors.resolver import find` loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.resolver.actor import Resolve, ResolverActor
    from actors.resolver.budget import Budget
    from actors.resolver.chain import Found, Steps, Wanted, from_roll_call, of_type, resolve, search, select_primary
    from actors.resolver.client import (
        DeviceNotFoundError,
        ResolveError,
        ServerRefusedError,
        ServerUnreachableError,
        find,
    )
    from actors.resolver.front import ResolverFront
    from actors.resolver.resolution import Resolution
    from actors.resolver.steps import LocalSteps

__all__ = [
    "Budget",
    "DeviceNotFoundError",
    "Found",
    "LocalSteps",
    "Resolution",
    "Resolve",
    "ResolveError",
    "ResolverActor",
    "ResolverFront",
    "ServerRefusedError",
    "ServerUnreachableError",
    "Steps",
    "Wanted",
    "find",
    "from_roll_call",
    "of_type",
    "resolve",
    "search",
    "select_primary",
]

_MODULES = {
    "actor": ("Resolve", "ResolverActor"),
    "budget": ("Budget",),
    "chain": ("Found", "Steps", "Wanted", "from_roll_call", "of_type", "resolve", "search", "select_primary"),
    "client": ("DeviceNotFoundError", "ResolveError", "ServerRefusedError", "ServerUnreachableError", "find"),
    "front": ("ResolverFront",),
    "resolution": ("Resolution",),
    "steps": ("LocalSteps",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the module that has the name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
