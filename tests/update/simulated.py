"""A device in this process: real launcher, real files, real course; versions, server and time are simulated.

`Device.live` boots it as its init does, lets it run, and boots it again whenever it ends, restarts or is killed.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.update import file as update_file
from edge.update import launcher
from edge.update.board import UpdateBoard
from edge.update.child import Ended
from edge.update.course import Course
from edge.update.desk import Seams
from edge.update.file import Offer, Report
from edge.update.launch import LaunchError, Standing
from edge.update.server import RefusedError, UnreachableError
from edge.update.settings import UpdateSettings

SHA = "a" * 64


class Killed(BaseException):
    """SIGKILL, as far as code in this process can be hit by one."""


class Restarted(BaseException):
    """The process has ended to be started anew."""


def offer(version: str = "2.0", **changes) -> Offer:
    facts = {
        "version": version,
        "release": f"r-{version}",
        "size": 1000,
        "sha256": SHA,
        "rollout": "ro",
        "deadline": 60,
    }
    return Offer(**(facts | changes))


class Server:
    """Answers as it is told; `told` is what has reached it."""

    def __init__(self) -> None:
        self.offer: Offer | None = None
        self.is_up = True
        self.is_deaf_to = False
        """Whether what runs cannot reach it."""
        self.commits = True
        self.refuses: set[str] = set()
        """States that it answers with a 400."""
        self.told: list[Report] = []
        self.asked = 0

    def check(self, _version):
        self._reach()
        self.asked += 1
        return self.offer if self.offer is not None else "none"

    def report(self, report: Report) -> bool:
        self._reach()
        if report.state in self.refuses:
            raise RefusedError("it answers 400")
        if report.progress is None:
            self.told.append(report)
        if report.state in ("succeeded", "rolled_back", "refused", "failed"):
            self.offer = None
        return report.state == "confirming" and self.commits

    def _reach(self):
        if not self.is_up or self.is_deaf_to:
            raise UnreachableError("nobody is there")

    def close(self):
        pass

    sever = close

    @property
    def states(self) -> list[str]:
        """The states that it was told, repetitions left out."""
        return [state for state, _ in itertools.groupby(report.state for report in self.told)]


class Launching:
    """The launcher's own functions, in this process."""

    def __init__(self, home: Path) -> None:
        self.home, self.factory = home, str(home / "factory")
        self.real = launcher.Home(home, self.factory)

    def standing(self):
        return msgspec.convert(launcher.status(self.real), Standing)

    def begin(self, *arguments):
        self._do(launcher.begin, *arguments)

    def commit(self, nonce):
        self._do(launcher.commit, nonce)

    def give_up(self, nonce, reason):
        self._do(launcher.give_up, nonce, reason)

    def _do(self, act, *arguments):
        try:
            act(self.real, *arguments)
        except (launcher.LauncherError, OSError) as error:
            raise LaunchError(str(error)) from None


class Download:
    """Comes at once."""

    def __init__(self, device: Device, path: Path) -> None:
        self._device, self._path = device, path
        self.is_complete, self.progress = False, 0.5

    def begin(self):
        self._path.parent.mkdir(exist_ok=True)
        if self._device.trouble:
            raise self._device.trouble

    def step(self):
        self._device.server._reach()
        self._path.write_bytes(b"release")
        self.is_complete = True
        return 0.0

    def close(self):
        pass


class Child:
    """Fills the slot, and says what the device wants it to."""

    def __init__(self, device: Device, arguments: list[str]) -> None:
        self._device, self._arguments = device, arguments
        self._left = 2

    def poll(self):
        self._left -= 1
        if self._left:
            return [{"state": "verifying", "progress": 0.1}], None
        assert Path(self._arguments[0]).read_bytes() == b"release"
        verdict = self._device.verdicts.pop(0) if self._device.verdicts else None
        if verdict is not None:
            return [], verdict
        slot = Path(self._arguments[self._arguments.index("--slot") + 1])
        assert slot.resolve() != self._device.running_from
        shutil.rmtree(slot, ignore_errors=True)
        make_slot(slot, self._device.comes)
        return [{"state": "installing", "progress": 0.5}], Ended(self._device.comes, "", "")

    def close(self):
        pass


class Device:
    """One device. `bodies` say how a version lives: by default it runs."""

    def __init__(self, path: Path, monkeypatch) -> None:
        self.home = path / "update"
        self.home.mkdir()
        make_slot(self.home, "1.0", python="factory")
        self.server, self.board = Server(), UpdateBoard()
        self.launching = Launching(self.home)
        self.now = 0.0
        self.comes = "2.0"
        """The version that a release brings."""
        self.dies: set[str] = set()
        """Versions that end as soon as they start."""
        self.deaf: set[str] = set()
        """Versions that cannot reach the server."""
        self.verdicts: list[Ended | None] = []
        self.trouble: OSError | None = None
        self.busy: Callable[[], tuple[str, float]] = lambda: ("", 0.0)
        self.boots: list[str] = []
        """What was started, in this order."""
        self.running, self.running_from = "", Path()
        self.course: Course | None = None
        self.settings = UpdateSettings(interval=3600.0)
        monkeypatch.setattr("edge.update.making.Download", lambda _s, _o, path, _rate: Download(self, path))
        monkeypatch.setattr(launcher, "_boottime", lambda: self.now)
        monkeypatch.setattr(launcher, "_boot_id", lambda: "boot")
        monkeypatch.setattr(launcher, "_say", lambda _text: None)
        monkeypatch.setattr("edge.update.trial.signal.alarm", self._alarm)
        self._alarm_at: float | None = None

    def live(self, until: Callable[[], bool], *, seconds: float = 20_000.0) -> None:
        """Boot, run, and boot again, until something is so."""
        ends = self.now + seconds
        while not until():
            assert self.now < ends, f"not within {seconds} s: {self.boots}, {self.server.told}, {self.board.describe()}"
            try:
                self.boot()
                self._run(until, ends)
            except (Killed, Restarted):
                self.now += 1.0

    def boot(self) -> None:
        """What the launcher does, and the start of what it starts."""
        self._alarm_at = None
        order, trial = launcher.decide(self.launching.real)
        slot = next(slot for slot in order if self.launching.real.exists(slot))
        python = Path(self.launching.real.python(slot))
        self.running, self.running_from = python.read_text(), python.parent.parent.resolve()
        self.boots.append(self.running)
        if trial is not None:
            assert slot == trial["slot"]
            self._alarm_at = trial["deadline"]
        self.now += 1.0
        if self.running in self.dies:
            raise Restarted
        self.course = Course(
            Seams(
                settings=self.settings,
                home=self.home,
                running=self.running,
                slot=slot,
                trial=trial["nonce"] if trial is not None else "",
                launcher=self.launching,
                server=self.server,
                board=self.board,
                restart=self._restart,
                busy=self.busy,
                stamp=lambda: "now",
                now=lambda: self.now,
                rng=lambda: 0.5,
                start_child=lambda arguments: Child(self, arguments),
            )
        )

    def _run(self, until, ends):
        try:
            while not until() and self.now < ends:
                if self._alarm_at is not None and self.now >= self._alarm_at:
                    raise Killed
                self.server.is_deaf_to = self.running in self.deaf
                try:
                    delay = self.course.step()
                except (OSError, LaunchError):
                    delay = 30.0
                self.now += max(0.01, delay if self._alarm_at is None else min(delay, 5.0))
        finally:
            self.course.close()

    def _restart(self):
        raise Restarted

    def _alarm(self, seconds):
        assert seconds == 0
        self._alarm_at = None

    @property
    def rests(self) -> bool:
        """Nothing is under way and the server knows all."""
        course = self.course
        return course is not None and course._is_open and course._desk.work is None and not course._desk.untold


def make_slot(slot: Path, version: str, python: str = "bin/python") -> None:
    path = slot / python
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(version)
    path.chmod(0o755)


class Killer:
    """Kills at the nth of the writes by which updater and launcher change the disk, before or after it."""

    def __init__(self, monkeypatch, number: int, *, after: bool) -> None:
        self.left, self._after = number, after
        for owner, name in ((update_file, "write_private"), (os, "fsync"), (os, "replace"), (os, "symlink")):
            monkeypatch.setattr(owner, name, self._deadly(getattr(owner, name)))
        for name in ("begin", "commit", "give_up"):
            monkeypatch.setattr(launcher, name, self._deadly(getattr(launcher, name)))

    def _deadly(self, real):
        def call(*arguments, **options):
            self.left -= 1
            mine = self.left
            if mine == 0 and not self._after:
                raise Killed
            result = real(*arguments, **options)
            if mine == 0:
                raise Killed
            return result

        return call
