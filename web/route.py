"""One line of the table of routes: who may call what, and what the contract says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from web.auth import Access
from web.call import BODY_LIMIT

SAFE_METHODS = frozenset({"GET", "HEAD"})
"""Of requests that change nothing."""
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
    other_answer: Any = None
    """Type of the answer where a query parameter asks for another form of it."""
    own: bool = False
    """A device's own token may call it too, for its own `serial`."""
    speaks: bool = False
    """A device's own token may call it too: the body says for whom, and the handler lets it speak only for itself."""
    judges_token: bool = False
    """The handler judges the token that is shown: one that is none of ours is no reason to refuse the request."""
    headers: tuple[str, ...] = ()
    """Request headers of the route's own that the handler reads."""
    query: tuple[str, ...] = ()
    """Query parameters that the handler reads."""
    body: type[msgspec.Struct] | None = None
    """What the body must be."""
    takes_bytes: bool = False
    """The body is bytes as they are."""
    body_limit: int = BODY_LIMIT
    """Bytes of a body; longer ones are refused unread."""
    status: int = 200
    """Of the answer when all is well."""
    known_status: int | None = None
    """Of the same answer when what was asked had been done before."""
    audited: bool | None = None
    """Whether what it does is kept in the audit log; None: where it changes something and takes no device's data."""
    media: str = "application/json"
    """Content type of that answer; nothing is said of it where the status is 204."""

    @property
    def is_audited(self) -> bool:
        """Whether the audit log keeps it."""
        if self.audited is None:
            return self.method not in SAFE_METHODS and not self.speaks
        return self.audited

    @property
    def operation(self) -> str:
        """The name of what it does, in the contract and in the audit log."""
        return f"{self.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', self.path).rstrip('_')}"
