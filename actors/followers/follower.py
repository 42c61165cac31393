"""A follower hands every stored reading to a sink, in the order of the table, and may lag behind.

It reads the table from the place that the sink has reached, so what it hands on is what was committed, whatever crashed
meanwhile. It works when it is woken, in passes at most one a second; at rest it does nothing at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from actors.followers.board import FollowerBoard
from actors.followers.progress import Place, ProgressFile
from actors.followers.sink import Sink
from actors.runtime import Runtime, ThreadedActor, compute_backoff
from actors.storage.errors import explain
from actors.storage.following import Followed, FollowedReading, FollowReadings

logger = logging.getLogger(__name__)

#: Seconds from the first commit that is not in place to the pass that sees to it: under a flood of readings a follower
#: must not compete with the writer.
EVERY = 1.0
#: Rows in one question, and in one call of the sink.
BATCH = 1_000
#: Seconds between two attempts while the database or the sink fails, at most.
RETRY_CAP = 10.0
#: Seconds between two notes of the place, for sinks that know their own.
NOTE_EVERY = 60.0

Ask = Callable[[Any], Any]
Predicate = Callable[[FollowedReading], bool]


class Wake:
    """Tells a follower that readings may have been committed."""


class _Pass:
    """To itself: look at the table now; only the one that was set last counts."""


WAKE = Wake()


class FollowerActor(ThreadedActor):
    """Takes `Wake`."""

    def __init__(
        self,
        name: str,
        make_sink: Callable[[], Sink],
        *,
        ask: Ask,
        find_end: Callable[[], int],
        runtime: Runtime,
        progress: ProgressFile,
        board: FollowerBoard | None = None,
        is_ours: Predicate = lambda _row: True,
        from_start: bool = False,
        every: float = EVERY,
        batch: int = BATCH,
    ) -> None:
        """Assign only.

        Args:
            name: for the log.
            make_sink: makes the sink, here and after a crash; its `open` connects.
            ask: answers a query of the table, as `Readers.ask` does.
            find_end: returns an id up to which every reading of ours is committed, see `actors.storage.following`.
            runtime: its clock and timers are used.
            progress: remembers the place for the sink.
            board: is kept up to date.
            is_ours: tells whether the sink is to have a row; other servers may share the database.
            from_start: where a sink begins that has never been open: at the start of the table, or at its present end.
            every: seconds between two passes.
            batch: rows in one question, at most what a reader allows.

        """
        super().__init__()
        self.board = board or FollowerBoard(name)
        self._name = name
        self._make_sink = make_sink
        self._ask = ask
        self._find_end = find_end
        self._runtime = runtime
        self._progress = progress
        self._is_ours = is_ours
        self._from_start = from_start
        self._every = every
        self._batch = batch
        self._sink: Sink | None = None
        self._knows_itself = False
        """True if the sink told its own cursor."""
        self._written: int | None = None
        """The last id that the sink was given."""
        self._position = 0
        """Everything up to this id is in place."""
        self._end = 0
        """Where this pass ends."""
        self._failed: Followed | None = None
        """What the sink has refused and gets again."""
        self._failures = 0
        self._due: _Pass | None = None
        self._woken = False
        """True if there may be readings behind `_end`."""
        self._noted: Place | None = None
        """What the file says, once it is known."""
        self._noted_at = 0.0

    def on_start(self) -> None:
        """Look at what has come since the last time."""
        self._again(0.0)

    def on_receive(self, message: Any) -> None:
        """Set a time for the next pass, or make it."""
        if isinstance(message, Wake):
            self._woken = True  # the pass that is due may end where an earlier one has seen the end of the table
            if self._due is None:
                self._again(self._every)  # and not at once: a flood of readings is to be stored first
        elif message is self._due:
            self._due = None
            self._pass()

    def on_stop(self) -> None:
        """Note the place and let go of the sink."""
        if self._sink is not None:
            with suppress(OSError):
                self._note(at_once=True)
        self._close()

    def on_failure(self, *_: Any) -> None:
        """Let go of the sink."""
        self._close()

    def _again(self, delay: float) -> None:
        self._due = _Pass()
        if delay <= 0:
            self.actor_ref.tell(self._due)
        else:
            self._runtime.timers.after(delay, self.actor_ref, self._due)

    # A pass

    def _pass(self) -> None:
        """Do one batch; the next comes as a message of its own, so that a stop comes in between."""
        try:
            if self._sink is None:
                self._open()
            if self._failed is not None or self._position >= self._end:
                self._woken = False
                self._set_end(self._find_end())
            goes_on = self._do_batch()
        except Exception as error:  # noqa: BLE001  # a plug-in's may be any; it is told by the status and the log
            self._fail(error)
            return
        if self.given_up:  # a successor is at work
            self._close()
        elif goes_on:
            self._again(0.0)
        elif self._woken:
            self._again(self._every)

    def _open(self) -> None:
        """Open the sink and find the place to go on from."""
        sink = self._make_sink()
        try:
            own = sink.open()
            position = self._find_position(own)
        except BaseException:
            _close(sink)
            raise
        self._sink = sink
        self._knows_itself = own is not None
        self._written = own
        self._position = self._end = position
        self._failed = None
        self._note(at_once=True)

    def _find_position(self, own: int | None) -> int:
        noted = self._noted = self._progress.load()
        if own is not None and (noted is None or noted.written != own):
            return own  # something was written after the note
        if noted is not None:
            return noted.position
        return 0 if self._from_start else self._find_end()

    def _set_end(self, end: int) -> None:
        if end < self._position:
            logger.warning(
                "%s goes on from %d, not from %d: the table of readings ends there, it is another one or was restored",
                self._name,
                end,
                self._position,
            )
            self._position, self._failed = end, None
            self._note(at_once=True)
        self._end = end
        self._report(lag=end - self._position)

    def _do_batch(self) -> bool:
        """Hand on one batch; return whether there is more."""
        page: Followed = self._failed or self._ask(FollowReadings(self._position, self._batch, self._end))
        self._hand_on(page, [row for row in page.rows if self._is_ours(row)])
        if self.given_up:
            return False
        self._position = page.looked_at
        self._note()
        self._succeed()
        return self._position < self._end

    def _hand_on(self, page: Followed, rows: Sequence[FollowedReading]) -> None:
        if not rows:
            return
        assert self._sink is not None
        self._failed = page
        self._sink.write(rows)
        self._failed = None
        self._written = rows[-1].id
        self._report(written=self.board.status.written + len(rows))

    def _note(self, *, at_once: bool = False) -> None:
        """Remember the place: after each batch for a sink that knows none, else now and then."""
        now = self._runtime.clock.monotonic()
        place = Place(self._written, self._position)
        if place == self._noted or (self._knows_itself and not at_once and now - self._noted_at < NOTE_EVERY):
            return
        self._progress.save(place)
        self._noted, self._noted_at = place, now

    # How it goes

    def _succeed(self) -> None:
        if self._failures:
            logger.info("%s works again", self._name)
        self._failures = 0
        self._report(ok=True, cursor=self._position, lag=self._end - self._position)

    def _fail(self, error: Exception) -> None:
        """Count a failure, say it once, and set a time for the next attempt."""
        text = explain(error)
        if not self._failures or text != self.board.status.last_error:
            logger.warning("%s waits at row %d: %s", self._name, self._position, text)
        delay = compute_backoff(self._failures, cap=RETRY_CAP, floor=min(self._every, 0.1))
        self._failures += 1
        self._report(ok=False, last_error=text, errors=self.board.status.errors + 1)
        if self.given_up:
            self._close()
        else:
            self._again(delay)

    def _report(self, **changes: Any) -> None:
        """Publish a new status."""
        old = self.board.status
        if changes.get("ok", old.ok) != old.ok or not old.since:
            changes["since"] = self._runtime.clock.time()
        self.board.status = replace(old, **changes)

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            _close(sink)


def _close(sink: Sink) -> None:
    try:
        sink.close()
    except Exception:
        logger.exception("%s could not be closed", sink.name)
