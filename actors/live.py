"""Changes of devices on their way to the live page: gathered over one round of the dispatcher, each device once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.fleet import DeviceView, Fleet
from actors.presence import DerivedPresence

MOST_PER_ROUND = 1_000
"""Devices shown one by one; when more change at once (a site went dark) every page fetches anew instead."""


class LiveFeed:
    """Written by devices on the dispatcher's thread, flushed by the batcher at the end of the round."""

    def __init__(self, fleet: Fleet, show: Callable[[DeviceView, bool], None], show_all: Callable[[], None]) -> None:
        self._fleet = fleet
        self._show = show
        self._show_all = show_all
        self._changed: dict[str, bool] = {}
        self.on_presence: list[Callable[[str, DerivedPresence], None]] = []
        """Called for each device that has changed, however many have; they run on the dispatcher, so they only tell."""

    def changed(self, serial: str, *, facts: bool) -> None:
        """Note that a device has changed: its presence, or with `facts` more of it."""
        self._changed[serial] = facts or self._changed.get(serial, False)

    def flush(self) -> None:
        """Show what has changed, as it is now."""
        changed, self._changed = self._changed, {}
        self._tell_presence(changed)
        if len(changed) > MOST_PER_ROUND:
            self._show_all()
            return
        for serial, facts in changed.items():
            view = self._fleet.get(serial)
            if view is not None:
                self._show(view, facts)

    def _tell_presence(self, serials: Iterable[str]) -> None:
        if not self.on_presence:
            return
        for serial in serials:
            view = self._fleet.get(serial)
            if view is not None:
                for listener in self.on_presence:
                    listener(serial, view.presence)
