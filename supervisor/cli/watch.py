"""`--watch`: a view of the server that is drawn again whenever something happens, until Ctrl-C.

Three threads: one reads the live events and takes them only as a sign that something has changed, one asks the server
how it is, the terminal's draws what was answered last. So a server that hangs or is away keeps nobody from Ctrl-C, and
what is shown is always an answer of the server, never a guess from events.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import click

from supervisor.process.rundir import RuntimeDirectoryError

from .client import ApiClient, ApiError, NoServerError
from .common import Reach
from .stream import Broken, EventStream, Opened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SOONEST = 1.0
"""Seconds between two looks at the server, whatever happens."""
_OFTEN = 5.0
"""Seconds after which it is asked although nothing is said to have happened: ages and counts have no events."""
_TICK = 1.0
"""Seconds after which the screen is drawn again, for the ages on it."""
_DUMB = ("dumb", "unknown")
"""Terminals that cannot be drawn on."""
_ABOVE = 2
"""Lines of the screen above the view."""
_END = 2.0
"""Seconds that the threads get to end."""


class View(NamedTuple):
    """What a command shows, and how."""

    name: str
    """The command, for the line above."""
    kinds: Sequence[str]
    """Kinds of events after which it may look different."""
    look: Callable[[ApiClient], Any]
    """Asks the server."""
    draw: Callable[[Any, int], RenderableType]
    """Draws the answer for a terminal with room for so many lines."""
    facts: Callable[[Any], Mapping[str, str]]
    """Tells it in one line for each thing, by the thing's name; without ages, which always change."""


class Mark:
    """Whether what is shown is how it is: live, or stale since when and why."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._seen_at: datetime | None = None
        self._is_open = False
        self._is_old = False
        """True when the stream has broken behind the last answer."""
        self._broken = ""

    def seen(self) -> None:
        """Note that the server has answered."""
        self._seen_at, self._is_old = self._now(), False

    def opened(self) -> None:
        """Note that the events are flowing."""
        self._is_open, self._broken = True, ""

    def broke(self, reason: str) -> None:
        """Note that they are not."""
        self._is_open, self._broken, self._is_old = False, reason, True

    @property
    def is_live(self) -> bool:
        """Whether the server answers and tells what happens."""
        return self.word == "live"

    @property
    def reason(self) -> str:
        """Why it is not live."""
        return self._broken

    @property
    def word(self) -> str:
        """What it is in a word."""
        if self._broken:
            return "reconnecting"
        if not self._is_open:
            return "connecting"
        return "no answer" if self._is_late() else "live"

    def __str__(self) -> str:
        if self._seen_at is None or not (self._is_old or self._is_late()):
            return self.word
        return f"{self.word}, stale since {self._seen_at.astimezone():%H:%M:%S}"

    def _is_late(self) -> bool:
        return self._seen_at is not None and (self._now() - self._seen_at).total_seconds() > 2 * _OFTEN


class Watcher:
    """Keeps the newest answer of a server."""

    def __init__(self, reach: Reach, view: View) -> None:
        self.mark = Mark()
        self.fresh = threading.Event()
        """Set when there is something new to show."""
        self.answer: Any = None
        self.failure: Exception | None = None
        """Why it can never be live again, such as a token that is not good any more."""
        self._reach = reach
        self._look = view.look
        self._kinds = view.kinds
        self._due = threading.Event()
        self._stop = threading.Event()
        self._listening: ApiClient | None = None
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._ask)]

    def __enter__(self) -> Self:
        with self._reach() as client:  # in the caller's thread: what is wrong at the start is told like any failure
            self.answer = self._look(client)
        self.mark.seen()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._due.set()
        if self._listening is not None:
            self._listening.hang_up()
        for thread in self._threads:
            thread.join(_END)

    def _listen(self) -> None:
        stream = EventStream(self._patiently, self._kinds, wait=self._stop.wait)
        try:
            for item in stream:
                if self._stop.is_set():
                    return
                if isinstance(item, Opened):
                    self._listening = item.client
                    self.mark.opened()
                elif isinstance(item, Broken):
                    self.mark.broke(item.reason)
                    self.fresh.set()
                    continue
                self._due.set()
        except (ApiError, NoServerError, RuntimeDirectoryError) as error:
            self._fail(error)

    def _patiently(self) -> ApiClient:
        """Find the server. It was there a moment ago: that it is not now is no reason to give up."""
        while True:
            try:
                return self._reach()
            except (NoServerError, RuntimeDirectoryError) as error:
                self.mark.broke(str(error))
                if self._stop.wait(_SOONEST):
                    raise

    def _ask(self) -> None:
        while not self._stop.wait(_SOONEST):
            self._due.wait(_OFTEN - _SOONEST)
            self._due.clear()
            try:
                with self._reach() as client:
                    self.answer = self._look(client)
            except (ApiError, NoServerError, RuntimeDirectoryError) as error:
                # Told by the mark: it gets old. What a server refuses for good the listener finds out, too.
                if isinstance(error, ApiError) and error.status == 400:
                    self._fail(error)
                continue
            self.mark.seen()
            self.fresh.set()

    def _fail(self, error: Exception) -> None:
        if not self._stop.is_set():
            self.failure = error
            self.fresh.set()


def watch(reach: Reach, view: View) -> int:
    """Show a view until Ctrl-C: on a terminal as a screen, otherwise line by line. Return the exit code.

    Raises:
        ApiError: the server refuses, or is not there at the start.

    """
    show = _on_screen if sys.stdout.isatty() and os.environ.get("TERM") not in _DUMB else _in_lines
    with contextlib.suppress(KeyboardInterrupt), _ended_politely(), Watcher(reach, view) as watcher:
        show(view, watcher)
    if watcher.failure is not None:
        raise watcher.failure
    return 0


@contextlib.contextmanager
def _ended_politely() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C, so that it leaves the terminal as it was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _on_screen(view: View, watcher: Watcher) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while watcher.failure is None:
            watcher.fresh.clear()
            live.update(_screen(view, watcher, console), refresh=True)
            watcher.fresh.wait(_TICK)


def _screen(view: View, watcher: Watcher, console: Console) -> RenderableType:
    """Draw the mark, why it is so, and the view: as much of it as there is room for, and how much there is not."""
    from rich.console import Group
    from rich.segment import Segments
    from rich.text import Text

    mark, width, room = str(watcher.mark), console.width - 1, console.height - _ABOVE
    above = Text(f"muster {view.name}"[:width].ljust(width - len(mark) + 1), style="bold")
    above.append(mark, style="bold green" if watcher.mark.is_live else "bold yellow")
    reason = Text(watcher.mark.reason, style="yellow", no_wrap=True, overflow="ellipsis")
    # What is old is told by the words above; that it looks old, too, is for the corner of the eye.
    style = console.get_style("none" if watcher.mark.is_live else "dim")
    lines = console.render_lines(view.draw(watcher.answer, room), style=style, pad=False, new_lines=True)
    shown = lines if len(lines) <= room else lines[: room - 1]
    more = Text(f"and {len(lines) - len(shown)} lines more, in a larger window", style="dim")
    body = Segments(segment for line in shown for segment in line)
    return Group(above, reason, body, *([more] if len(shown) < len(lines) else []))


def _in_lines(view: View, watcher: Watcher) -> None:
    """Tell how it is, then what changes."""
    known, mark = view.facts(watcher.answer), ""
    for line in known.values():
        click.echo(line)
    while watcher.failure is None:
        watcher.fresh.wait(_TICK)
        watcher.fresh.clear()
        now = f"{time.strftime('%H:%M:%S')}  "
        if watcher.mark.word != mark:
            mark = watcher.mark.word
            click.echo(f"{now}{watcher.mark}{': ' if watcher.mark.reason else ''}{watcher.mark.reason}", err=True)
        facts = view.facts(watcher.answer)
        for name in (*facts, *(known.keys() - facts.keys())):
            if facts.get(name) != known.get(name):
                click.echo(f"{now}{facts.get(name, f'{name}: gone')}")
        known = facts
