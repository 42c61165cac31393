"""The history of crashes: the same exception at the same place of the same role is one group. Bounded in every way."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from supervisor import Crash
from supervisor.process.redaction import redact

MOST_GROUPS: Final = 200
"""Groups that are kept; the one whose last crash is the oldest goes first."""
MOST_EACH: Final = 50
"""Single crashes that are kept of a group; all are counted."""
FEW: Final = 5
"""Paths that the list names of a group."""
LONGEST_ERROR: Final = 1_000
"""Characters kept of the last error; of one in the list of single crashes a fifth."""

Item = dict[str, Any]
_HOUSE: Final = f"{Path(__file__).resolve().parents[2]}/"
_OWN: Final = tuple(f"{_HOUSE}{package}/" for package in ("actors", "web", "supervisor", "edge"))
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>[0-9]+), in (?P<name>.+)$', re.MULTILINE)


@lru_cache(maxsize=1_000)
def clean(text: str) -> str:
    """Return a text without secrets, as in the log; to look for them takes milliseconds, and crashes are alike."""
    return redact(text)


class SingleCrash(msgspec.Struct, frozen=True, gc=False):
    """One crash of a group."""

    at_us: int
    path: str
    error: str


class CrashGroup(msgspec.Struct):
    """Crashes that are the same. The texts are those of the last one."""

    id: int
    type: str
    place: str
    role: str
    count: int = 0
    first_us: int = 0
    last_us: int = 0
    error: str = ""
    traceback: str = ""
    crashes: list[SingleCrash] = []
    """The newest `MOST_EACH`, oldest first."""

    def add(self, crash: Crash) -> None:
        """Count one more."""
        at_us = int(crash.error.when * 1_000_000)
        self.count += 1
        self.first_us = self.first_us or at_us
        self.last_us = max(self.last_us, at_us)
        self.error = _cut(crash.error.message or crash.error.reason, LONGEST_ERROR)
        self.traceback = crash.error.traceback
        self.crashes.append(SingleCrash(at_us, crash.path, _cut(self.error, LONGEST_ERROR // 5)))
        del self.crashes[:-MOST_EACH]


Key = tuple[str, str, str]


class CrashBook:
    """Outlives all actors. Supervisors write in it, the face reads it, and the recorder keeps it over a restart."""

    def __init__(self, root: str) -> None:
        self._root = root + "/"
        self._lock = threading.Lock()
        self._groups: dict[Key, CrashGroup] = {}
        self._next_id = 1
        self._changed: set[int] = set()
        self._gone: set[int] = set()
        self._told = False
        self.on_change: Callable[[], None] = lambda: None
        """Called when something has changed since the last `take_changes`; once, however much it is."""
        self.counts: Counter[str] = Counter()
        """Crashes by role since the process began."""
        self.forgotten = 0
        """Groups that had to go since the process began."""
        self.loaded = False
        """Whether what earlier processes have kept is in it."""

    def put(self, crash: Crash) -> None:
        """Take note of a crash; called by supervisors in their turn."""
        role = crash.role.removeprefix(self._root)
        key = (crash.error.type or crash.error.reason, place_of(crash.error.traceback), role)
        with self._lock:
            self.counts[role] += 1
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = CrashGroup(self._next_id, *key)
                self._next_id += 1
            group.add(crash)
            self._changed.add(group.id)
            self._make_room()
            told, self._told = self._told, True
        if not told:
            self.on_change()

    def load(self, groups: Iterable[CrashGroup]) -> None:
        """Take what an earlier process has kept; what has crashed since this one began is added to it."""
        with self._lock:
            self.loaded = True
            early, self._groups = self._groups, {}
            for group in groups:
                self._groups[group.type, group.place, group.role] = group
            self._next_id = 1 + max((group.id for group in self._groups.values()), default=0)
            # Ids were others until now.
            self._changed.clear()
            self._gone.clear()
            for key, group in early.items():
                known = self._groups.setdefault(key, CrashGroup(self._next_id, *key))
                self._next_id = max(self._next_id, known.id + 1)
                _merge(known, group)
                self._changed.add(known.id)
            self._make_room()

    def take_changes(self) -> tuple[list[CrashGroup], set[int]]:
        """Return copies of the groups that have changed since the last call, and the ids of those that have gone."""
        with self._lock:
            self._told = False
            changed = [_copy(group) for group in self._groups.values() if group.id in self._changed]
            gone, self._gone = self._gone, set()
            self._changed.clear()
        return [_redacted(group) for group in changed], gone

    def give_back(self, changed: Iterable[CrashGroup], gone: Iterable[int]) -> None:
        """Take changes back that could not be kept; they are taken again with the next ones."""
        with self._lock:
            self._changed.update(group.id for group in changed)
            self._gone.update(gone)

    def page(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return groups, the one with the newest crash first.

        Raises:
            ValueError: for a cursor that is not ours.

        """
        after = tuple(map(int, cursor.split("."))) if cursor else None
        if after is not None and len(after) != 2:
            raise ValueError(cursor)
        with self._lock:
            found = [group for group in self._groups.values() if after is None or (group.last_us, group.id) < after]
            found.sort(key=lambda group: (group.last_us, group.id), reverse=True)
            groups = [_copy(group) for group in found[:limit]]
        last = groups[-1] if len(found) > limit else None
        return [_item(group) for group in groups], f"{last.last_us}.{last.id}" if last else None

    def find(self, group_id: int) -> Item | None:
        """Return one group with its single crashes, the newest first; None when there is none of this id."""
        with self._lock:
            found = next((_copy(group) for group in self._groups.values() if group.id == group_id), None)
        if found is None:
            return None
        singles = reversed(_redacted(found).crashes)
        return _item(found) | {"crashes": [msgspec.structs.asdict(crash) for crash in singles]}

    def _make_room(self) -> None:
        while len(self._groups) > MOST_GROUPS:
            key = min(self._groups, key=lambda each: self._groups[each].last_us)
            gone = self._groups.pop(key)
            self._changed.discard(gone.id)
            self._gone.add(gone.id)
            self.forgotten += 1


def place_of(traceback: str) -> str:
    """Return the innermost frame of our own code as `actors/device.py:12 in on_receive`; else the innermost of all."""
    frames = list(_FRAME.finditer(traceback))
    for frame in reversed(frames):
        if frame["file"].startswith(_OWN):
            return f"{frame['file'].removeprefix(_HOUSE)}:{frame['line']} in {frame['name']}"
    if not frames:
        return ""
    return f"{'/'.join(frames[-1]['file'].split('/')[-2:])}:{frames[-1]['line']} in {frames[-1]['name']}"


def _cut(text: str, most: int) -> str:
    """Return so many characters of a text, but whole words: half of a secret is not found by whoever takes them out."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0] or text[:most]


def _merge(known: CrashGroup, later: CrashGroup) -> None:
    known.count += later.count
    known.first_us = known.first_us or later.first_us
    known.last_us, known.error, known.traceback = later.last_us, later.error, later.traceback
    known.crashes = (known.crashes + later.crashes)[-MOST_EACH:]


def _copy(group: CrashGroup) -> CrashGroup:
    return msgspec.structs.replace(group, crashes=list(group.crashes))


def _redacted(group: CrashGroup) -> CrashGroup:
    """Return a group without secrets. Not done in a supervisor's turn: it takes its time."""
    crashes = [msgspec.structs.replace(crash, error=clean(crash.error)) for crash in group.crashes]
    return msgspec.structs.replace(group, error=clean(group.error), traceback=clean(group.traceback), crashes=crashes)


def _item(group: CrashGroup) -> Item:
    """Return what a list tells of a group, without secrets."""
    item = msgspec.structs.asdict(group)
    del item["crashes"]
    paths = list(dict.fromkeys(crash.path for crash in reversed(group.crashes)))
    return item | {"paths": paths[:FEW], "error": clean(group.error), "traceback": clean(group.traceback)}
