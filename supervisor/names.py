"""Finding the supervisor of a name: where a directory's messages go whose actor is not there now."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from actors.runtime import Directory, Undelivered

if TYPE_CHECKING:
    from supervisor.child import Table

LIMBO = 1_000
"""Messages kept while the supervisor that knows their name is being restarted itself."""


class Names:
    """The fallback of one directory: asks no one, looks up who has a child of that name, and tells it.

    A name that nobody knows goes to the dynamic supervisor, if there is one: it may start a child for it. Without one
    the message waits for the next supervisor that is built on this directory.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._tables: tuple[weakref.ref[Table], ...] = ()
        self._limbo: deque[tuple[str, Any]] = deque()

    def add(self, table: Table) -> None:
        """Take a supervisor in; what waited is looked at again when it starts."""
        with self._lock:
            alive = tuple(ref for ref in self._tables if _is_alive(ref()))
            self._tables = (*alive, weakref.ref(table))

    def flush(self) -> None:
        """Hand out what waited for a supervisor."""
        for _ in range(len(self._limbo)):
            try:
                name, message = self._limbo.popleft()
            except IndexError:
                return
            self(name, message)

    def __call__(self, name: str, message: Any) -> None:
        """Take a message that the directory could not deliver. Never raises, whoever calls."""
        owner = self._owner(name)
        if owner is not None and owner.ref is not None:
            try:
                owner.ref.tell(Undelivered(name, message))
            except ActorDeadError:
                pass
            else:
                return
        if len(self._limbo) < LIMBO:
            self._limbo.append((name, message))
        else:
            self._directory.undelivered += 1

    def _owner(self, name: str) -> Table | None:
        dynamic = None
        for ref in self._tables:
            table = ref()
            if table is None or not _is_alive(table):
                continue
            if name in table.children:
                return table
            if table.dynamic:
                dynamic = table
        return dynamic


def _is_alive(table: Table | None) -> bool:
    return table is not None and table.ref is not None and table.ref.is_alive()


def names_of(directory: Directory) -> Names | None:
    """Return the fallback of a directory, setting one if it has none; None if somebody has set another."""
    if directory.fallback is None:
        directory.fallback = Names(directory)
    return directory.fallback if isinstance(directory.fallback, Names) else None
