"""The inbox's part of the edge's tree, one literal: who keeps what comes, and those who act on it."""

from __future__ import annotations

from actors.link.intake import Route
from edge.inbox.actor import COMMAND_LANES, HANDLERS, Inbox
from edge.inbox.handlers import Handlers
from edge.inbox.messages import Lane
from edge.inbox.parts import DESK, InboxParts
from edge.inbox.worker import Worker
from supervisor import ChildSpec, Supervisor

HANG_AFTER = 60.0
"""Seconds that the desk may take for one message: it waits for the disk, and 10 s for the outbox."""
GRACE = 60.0
"""Seconds beyond all the time that its handlers, or its program, may take, after which a worker counts as hung."""


def inbox_spec(parts: InboxParts, *, longest_program: float) -> ChildSpec:
    """Return the child `inbox`; `longest_program` are the seconds that a program may take."""
    return ChildSpec("inbox", lambda: _inbox(parts, longest_program))


def inbox_routes(parts: InboxParts) -> tuple[Route, ...]:
    """Return what the link subscribes for the inbox."""
    return (Route((*parts.own_topics, *parts.topics), DESK),)


def _inbox(parts: InboxParts, longest_program: float) -> Supervisor:
    handling = sum(handler.timeout for handler in parts.handlers.values())
    quick, slow = COMMAND_LANES
    return Supervisor(
        runtime=parts.runtime,
        directory=parts.directory,
        children=(
            ChildSpec(DESK, lambda: Inbox(parts), hang_after=HANG_AFTER),
            ChildSpec(HANDLERS, lambda: _handlers(parts), shutdown=2.0, hang_after=handling + GRACE),
            ChildSpec(quick, lambda: _commands(parts, quick), shutdown=2.0, hang_after=HANG_AFTER),
            ChildSpec(slow, lambda: _commands(parts, slow), shutdown=2.0, hang_after=longest_program + GRACE),
        ),
    )


def _handlers(parts: InboxParts) -> Worker:
    handlers = Handlers(parts.handlers)
    return Worker(HANDLERS, do=handlers.do, stop=handlers.stop, directory=parts.directory, inbox=DESK)


def _commands(parts: InboxParts, lane: Lane) -> Worker:
    stop = parts.commands.stop if lane == COMMAND_LANES[1] else _nothing
    return Worker(lane, do=parts.commands.do, stop=stop, directory=parts.directory, inbox=DESK)


def _nothing() -> None:
    """Stand for what there is to break in commands that start no program."""
