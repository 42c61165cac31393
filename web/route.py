"""One line of the table of routes: who may call what, and what the contract says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from web.auth import Access

Handler = Callable[..., Any]
"""Called with the `Call` and the variables of its path; returns a `Reply`, or what becomes JSON."""
PAGED = ("limit", "cursor")
"""Query parameters of every list that comes in pages."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the policy."""

    method: str
    path: str
    access: Access
    """The least role. `open` routes ask for nothing."""
    handler: Handler
    answer: Any = None
    """Type of the answer in JSON when all is well, of `web.answers`; None where it is something else."""
    own: bool = False
    """A device's own token may call it too, for its own `serial`."""
    query: tuple[str, ...] = ()
    """Query parameters that the handler reads."""
    body: type[msgspec.Struct] | None = None
    """What the handler decodes the body as."""
    status: int = 200
    """Of the answer when all is well."""
    media: str = "application/json"
    """Content type of that answer; nothing is said of it where the status is 204."""
