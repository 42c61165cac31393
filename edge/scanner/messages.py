"""What the actors of the scanners tell each other and themselves."""

from __future__ import annotations

import msgspec

from actors.outbox_file import Item


class Keep(msgspec.Struct, frozen=True, gc=False):
    """From a reader to the saver: a scan to put into the outbox."""

    item: Item


class Saved(msgspec.Struct, frozen=True, gc=False):
    """From the outbox to the saver: it has the items of the Put of this number."""

    number: int


class NotSaved(msgspec.Struct, frozen=True, gc=False):
    """From the outbox to the saver: it could not take the items of the Put of this number."""

    number: int
    why: str


class SaveAgain(msgspec.Struct, frozen=True, gc=False):
    """The saver to itself: offer what the Put of this number could not bring home."""

    number: int


class Look(msgspec.Struct, frozen=True, gc=False):
    """The watcher to itself: look for devices."""

    due_at: float
    """The deadline that it stands for, monotonic seconds; one that is no longer the watcher's is an echo of a crash."""
