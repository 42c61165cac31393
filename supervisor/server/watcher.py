"""The actor that tells the live page of what has no event of its own: links, the tree, dead letters."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import msgspec
from pykka import ActorRef

from actors.dead_letters import DeadLetterDesk
from actors.events import EventRing
from actors.link.status import LinkBoard
from actors.messages import StoreDeadLetter
from actors.runtime import PooledActor, Runtime
from actors.storage.result import CommitResult
from supervisor import TreeView
from supervisor.child import State, Table
from supervisor.status import table_of

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25
"""Seconds between two looks."""
LETTERS_PER_LOOK = 5
"""Dead letters told one by one at each look, which is 20 a second; the others are one event with their number."""
LONGEST_TOPIC = 200
"""Characters of a topic in an event."""
Node = tuple[dict[str, Any], tuple[int, ...]]
"""The event of a node, and numbers of what is below it."""
DEVICES = "server/devices/"
"""What the paths of the actors of devices begin with."""
REMARKABLE = (State.BACKING_OFF, State.QUARANTINED, State.STOPPED)
"""States of devices whose number is watched; that of those which run changes with every discovery."""


class Look(msgspec.Struct, frozen=True):
    """To itself: it is time to look."""

    watcher: str
    """Tells an incarnation's own from those that a crashed one has left in the mailbox."""


class LetterBox:
    """Dead letters on their way from the writer's thread to the watcher; a few are kept, the rest is counted."""

    def __init__(self) -> None:
        self._latest: deque[StoreDeadLetter] = deque(maxlen=LETTERS_PER_LOOK)
        self._put = 0
        self._taken = 0

    def put(self, result: CommitResult) -> None:
        """Take what a commit has dead-lettered; called by the writer alone."""
        self._latest.extend(result.dead[-LETTERS_PER_LOOK:])
        self._put += len(result.dead)  # last: what is taken before it is counted evens out at the next look

    def take(self) -> tuple[list[StoreDeadLetter], int]:
        """Return the latest dead letters, oldest first, and how many more there were; called by the watcher alone."""
        put = self._put
        letters: list[StoreDeadLetter] = []
        while self._latest:
            letters.append(self._latest.popleft())
        more = max(0, put - self._taken - len(letters))
        self._taken += len(letters) + more
        return letters, more


class Watcher(PooledActor):
    """Compares what it sees with what it saw, and publishes the differences."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        root: ActorRef[Any],
        links: Mapping[str, LinkBoard],
        desk: DeadLetterDesk,
        letters: LetterBox,
        ring: EventRing,
    ) -> None:
        super().__init__()
        self._runtime = runtime
        self._root = root
        self._links = links
        self._desk = desk
        self._letters = letters
        self._ring = ring
        self._seen_links: dict[str, tuple[str, str]] = {}
        self._seen_outline: list[Hashable] = []
        self._seen_nodes: dict[str, Node] = {}
        self._seen_quota = desk.by_reason["quota"]

    def on_start(self) -> None:
        """Begin to look. The first look tells everything: what a predecessor has told is not known."""
        self._look()

    def on_receive(self, message: Any) -> None:
        """Look when it is time."""
        if not isinstance(message, Look):
            logger.warning("unexpected message: %.200r", message)
        elif message.watcher == self.actor_urn:
            self._look()

    def _look(self) -> None:
        self._look_at_links()
        self._look_at_tree()
        self._look_at_letters()
        self._runtime.timers.after(LOOK_EVERY, self.actor_ref, Look(self.actor_urn))

    def _look_at_links(self) -> None:
        for name, board in self._links.items():
            status = board.status
            seen = (status.state.value, status.last_error)
            if self._seen_links.get(name) != seen:
                self._seen_links[name] = seen
                self._ring.publish("link", name, {"name": name, "state": status.state.value})

    def _look_at_tree(self) -> None:
        outline = list(_outline(table_of(self._root)))
        if outline == self._seen_outline:
            return
        nodes = dict(_nodes(TreeView(self._root).describe()))
        for path, node in nodes.items():
            if self._seen_nodes.get(path) != node:
                self._ring.publish("supervision", path, node[0], _serial_at(path))
        self._seen_outline, self._seen_nodes = outline, nodes

    def _look_at_letters(self) -> None:
        letters, more = self._letters.take()
        for letter in letters:
            self._tell_letter(letter.reason, letter.topic[:LONGEST_TOPIC], letter.serial)
        if more:
            self._tell_letter(count=more)
        over_quota = self._desk.by_reason["quota"]
        if over_quota > self._seen_quota:
            self._tell_letter("quota", count=over_quota - self._seen_quota)
            self._seen_quota = over_quota

    def _tell_letter(self, reason: str = "", topic: str = "", serial: str = "", count: int = 1) -> None:
        body = {"reason": reason, "topic": topic, "serial": serial, "count": count}
        self._ring.publish("dead_letter", "", body, serial)


def _serial_at(path: str) -> str:
    """Return the device whose actor is at a path of the tree; empty for all other paths."""
    return path.removeprefix(DEVICES) if path.startswith(DEVICES) else ""


def _outline(table: Table) -> Iterator[Hashable]:
    """Yield what differs whenever something has happened in the tree; cheap, whatever the number of devices."""
    yield table.restarts
    if table.dynamic:
        yield from (table.counts[state] for state in REMARKABLE)
        return
    for child in tuple(table.children.values()):
        yield child.id, child.state, child.incarnation
        if child.sub is not None:
            yield from _outline(child.sub)


def _nodes(status: dict[str, Any]) -> Iterator[tuple[str, Node]]:
    """Yield of each node its path, its event, and what else makes its event worth telling."""
    error = status["last_exception"]
    event = {
        "path": status["path"],
        "state": status["state"],
        "restarts": status["restarts"],
        "error": None if error is None else _describe_error(error),
    }
    counts = status.get("counts", {})
    below = (status.get("restarts_of_children", 0), *(counts.get(state.value, 0) for state in REMARKABLE))
    yield status["path"], (event, below)
    for child in status.get("children", ()):
        yield from _nodes(child)


def _describe_error(error: dict[str, Any]) -> str:
    return f"{error['type']}: {error['message']}" if error["type"] else str(error["reason"])
