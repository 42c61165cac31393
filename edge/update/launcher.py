"""Starts the edge out of the slot that is to run, and goes back to the one before when a new version fails its trial.

    launcher.py --home DIR --factory PYTHON run -- ARGUMENTS     starts a version in place of itself
    launcher.py --home DIR begin SLOT VERSION NONCE SECONDS      the next starts are trials of this slot
    launcher.py --home DIR commit NONCE                          the trial has proved itself
    launcher.py --home DIR give-up NONCE REASON                  it has failed; the next start goes back
    launcher.py --home DIR status                                as JSON

It lies outside the slots, needs the standard library alone, and is the only program that writes `state.json`:

    {home}/  state.json  lock  current -> slots/a  slots/a/bin/python  slots/b/bin/python

`current` is the committed slot; without it the factory's Python runs, which no update touches. Turning that link is the
one step that commits. A trial is counted, on the disk, before it is started, and gets an alarm of the kernel that ends
it at its deadline (`alarm(2)` survives `execve(2)`), so that neither a version that dies on import nor one that hangs,
nor a power cut at any moment, leaves the device with anything but a version that has worked. Deadlines are measured on
CLOCK_BOOTTIME: a Pi has no clock that could be trusted at its start.

Whatever goes wrong, some version is started. Runs as `python3 -I` of the system, 3.9 or newer.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

FORMAT = 1
SLOTS = ("a", "b")
FACTORY = "factory"
MOST_STARTS = 2
"""Starts of a trial that did not end in a commit; the third start goes back."""
SHORTEST, LONGEST = 1, 24 * 3600
"""Seconds that a trial may be given."""
MODULE = ("-P", "-m", "edge")
WORKED = "worked"
"""File in a slot that was committed; it goes with what is in the slot."""
TRIAL, LAUNCHER = "MUSTER_EDGE_TRIAL", "MUSTER_EDGE_LAUNCHER"
"""Environment of what is started: the nonce of its trial, and the command that starts it anew, a JSON array."""


class LauncherError(Exception):
    """A command cannot be done; the message is one sentence."""


class Home:
    """The directory of the slots."""

    def __init__(self, path: Path, factory: str = "") -> None:
        self.path = path
        self.factory = factory
        """The interpreter of the version that the installer has made; empty for none."""

    def python(self, slot: str) -> str:
        """Return the interpreter of a slot; empty for a factory that nobody named."""
        return self.factory if slot == FACTORY else str(self.path / "slots" / slot / "bin" / "python")

    def exists(self, slot: str) -> bool:
        """Return whether a slot could be started."""
        python = self.python(slot)
        return bool(python) and os.access(python, os.X_OK)

    def current(self) -> str:
        """Return the committed slot."""
        try:
            target = str((self.path / "current").readlink())
        except OSError:
            return FACTORY
        slot = target.rpartition("/")[2]
        return slot if slot in SLOTS else FACTORY

    def has_worked(self, slot: str) -> bool:
        """Return whether a slot holds a version that was committed once."""
        return slot == FACTORY or (self.path / "slots" / slot / WORKED).exists()

    def turn(self, slot: str) -> None:
        """Make a slot the committed one: the old link or the new one is there, at every moment."""
        link, fresh = self.path / "current", self.path / ".current.new"
        with contextlib.suppress(OSError):  # it decides what is fallen back to, no more
            (self.path / "slots" / slot / WORKED).touch()
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"slots/{slot}")
        fresh.replace(link)
        _sync_directory(self.path)

    def load(self) -> dict[str, Any]:
        """Return the state; one that cannot be read is set aside and counts as none."""
        path = self.path / "state.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            _check(state)
            return dict(state)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as error:
            _say(f"the state {path} cannot be used and is set aside: {error}")
            with contextlib.suppress(OSError):
                path.replace(path.with_name("state.json.bad"))
        return {"format": FORMAT, "trial": None, "last": None}

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state; it is on the disk when this returns.

        Raises:
            OSError: the disk is full, or gone; the old state stands.

        """
        path, fresh = self.path / "state.json", self.path / ".state.json.new"
        with open(fresh, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o640)) as file:
            json.dump(state, file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_directory(self.path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other launchers out; the lock ends with the process."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


# What to start


def decide(home: Home) -> tuple[list[str], dict[str, Any] | None]:
    """Return the slots to try, best first, and the trial that the first of them is, if it is one.

    A trial is counted here, and what is counted is on the disk when this returns.
    """
    with home.locked():
        state = home.load()
        trial = _settle(home, state)
        if trial is not None:
            now = _boottime()
            trial["starts"] += 1
            if trial["boot"] != _boot_id():
                trial["boot"], trial["deadline"] = _boot_id(), now + trial["seconds"]
            home.save(state)
    committed = home.current()
    # What was half installed, never tried, or has failed is the last resort, behind the factory's.
    order = sorted((*SLOTS, FACTORY), key=lambda slot: (not home.has_worked(slot), slot == FACTORY))
    others = [slot for slot in order if slot != committed]
    if trial is None:
        return [committed, *others], None
    return [trial["slot"], *(slot for slot in (committed, *others) if slot != trial["slot"]), trial["slot"]], trial


def _settle(home: Home, state: dict[str, Any]) -> dict[str, Any] | None:
    """End a trial that is over; return one that goes on, which is a part of the state."""
    trial: dict[str, Any] | None = state["trial"]
    if trial is None:
        return None
    if home.current() == trial["slot"]:  # the power went between the commit and its record
        _end(state, "committed", "")
    else:
        reason = _why_over(home, trial)
        if not reason:
            return trial
        _say(f"version {trial['version']} failed its trial: {reason}; going back to {home.current()}")
        _end(state, "rolled_back", reason)
    home.save(state)
    return None


def _why_over(home: Home, trial: dict[str, Any]) -> str:
    """Return why a trial may not be started again; empty if it may."""
    if not home.exists(trial["slot"]):
        return "missing"
    if trial["boot"] == _boot_id() and _boottime() >= trial["deadline"]:
        return "deadline"
    if trial["starts"] >= MOST_STARTS:
        return "starts"
    return ""


def _end(state: dict[str, Any], outcome: str, reason: str) -> None:
    trial = state["trial"]
    kept = {key: trial[key] for key in ("slot", "version", "nonce", "starts", "seconds")}
    state["last"] = {**kept, "outcome": outcome, "reason": reason}
    state["trial"] = None


def run(home: Home, arguments: Sequence[str], command: Sequence[str]) -> NoReturn:
    """Become the version that is to run.

    Args:
        home: the slots.
        arguments: of the edge, as `run --config FILE`.
        command: what starts this launcher in the same way again.

    """
    signal.alarm(0)
    trial = None
    try:
        order, trial = decide(home)
    except Exception:  # noqa: BLE001 - whatever it is, an edge that runs is better than none
        traceback.print_exc()
        _say("the trial, if there is one, is not started: its start could not be counted")
        order = [home.current(), FACTORY, *SLOTS]
    for number, slot in enumerate(order):
        if trial is not None and number == 1:
            with contextlib.suppress(LauncherError, OSError):  # its starts are counted anyway
                give_up(home, trial["nonce"], "not_executable")
        if home.exists(slot):
            _become(home, slot, arguments, command, None if number else trial)
    _say("there is no version to start: neither slot nor the factory's has a Python that can be executed")
    sys.exit(1)


def _become(home: Home, slot: str, arguments: Sequence[str], command: Sequence[str], trial: Any) -> None:
    """Replace this process; returns only if that fails."""
    python = home.python(slot)
    environment = {**os.environ, LAUNCHER: json.dumps(list(command))}
    environment.pop(TRIAL, None)
    if trial is not None:
        environment[TRIAL] = trial["nonce"]
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.alarm(max(1, int(trial["deadline"] - _boottime()) + 1))
        _say(f"trial {trial['starts']} of version {trial['version']} from slot {slot}")
    try:
        os.execve(python, [python, *MODULE, *arguments], environment)  # noqa: S606 - the point of this program
    except OSError as error:
        signal.alarm(0)
        _say(f"{python} cannot be started: {error}")


# What the edge asks for


def begin(home: Home, slot: str, version: str, nonce: str, seconds: int) -> None:
    """Have the next starts be trials of a slot.

    Raises:
        LauncherError: the slot cannot be tried.
        OSError: the state cannot be written.

    """
    with home.locked():
        state = home.load()
        if slot not in SLOTS or slot == home.current():
            raise LauncherError(f"slot {slot} is not the one that is free")
        if not home.exists(slot):
            raise LauncherError(f"slot {slot} has no Python that can be executed")
        if not SHORTEST <= seconds <= LONGEST:
            raise LauncherError(f"a trial may have {SHORTEST} to {LONGEST} seconds, not {seconds}")
        trial = {"slot": slot, "version": version, "nonce": nonce, "seconds": seconds}
        state["trial"] = {**trial, "starts": 0, "boot": "", "deadline": 0.0}
        home.save(state)


def commit(home: Home, nonce: str) -> None:
    """End a trial well: its slot is the one that runs from now on. Harmless when repeated.

    Raises:
        LauncherError: this trial is not the one that is going on.
        OSError: the link or the state cannot be written; a trial goes on.

    """
    with home.locked():
        state = home.load()
        trial, last = state["trial"], state["last"]
        if trial is None and last and last["nonce"] == nonce and last["outcome"] == "committed":
            return
        _refuse_other(state, nonce)
        home.turn(trial["slot"])
        _end(state, "committed", "")
        home.save(state)


def give_up(home: Home, nonce: str, reason: str) -> None:
    """End a trial badly, before its time.

    Raises:
        LauncherError: this trial is not the one that is going on.
        OSError: the state cannot be written; the trial goes on.

    """
    with home.locked():
        state = home.load()
        _refuse_other(state, nonce)
        _end(state, "rolled_back", reason)
        home.save(state)


def status(home: Home) -> dict[str, Any]:
    """Return what is committed, what is on trial, and how the last trial ended."""
    with home.locked():
        state = home.load()
    return {"current": home.current(), "trial": state["trial"], "last": state["last"]}


# Small things


def _refuse_other(state: dict[str, Any], nonce: str) -> None:
    if state["trial"] is None or state["trial"]["nonce"] != nonce:
        raise LauncherError("this trial is not the one that is going on")


def _check(state: Any) -> None:
    """Raise a ValueError for a state that this program has not written."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("its format is not known")
    for name, types in (
        ("trial", {"slot": str, "version": str, "nonce": str, "starts": int, "seconds": int, "boot": str}),
        ("last", {"slot": str, "version": str, "nonce": str, "outcome": str, "reason": str}),
    ):
        entry = state.get(name, 0)
        if entry is None:
            continue
        if not isinstance(entry, dict) or any(not isinstance(entry.get(key), kind) for key, kind in types.items()):
            raise ValueError(f"its `{name}` is not valid")
    trial = state["trial"]
    if trial is not None and (trial["slot"] not in SLOTS or not isinstance(trial.get("deadline"), (int, float))):
        raise ValueError("its `trial` is not valid")


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    sys.stderr.write(f"muster-edge launcher: {text}\n")
    sys.stderr.flush()


#: What may be asked for, each with its arguments.
_ACTIONS: dict[str, tuple[Callable[..., None], dict[str, type]]] = {
    "begin": (begin, {"slot": str, "version": str, "nonce": str, "seconds": int}),
    "commit": (commit, {"nonce": str}),
    "give-up": (give_up, {"nonce": str, "reason": str}),
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; return 0 for done, 1 for refused or failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="launcher.py")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--factory", default="")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run").add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("status")
    for name, (_, taken) in _ACTIONS.items():
        action = commands.add_parser(name)
        for argument, kind in taken.items():
            action.add_argument(argument, type=kind)
    options = parser.parse_args(arguments)
    home = Home(options.home, options.factory)
    try:
        home.path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        _say(f"{home.path} cannot be made: {error}")
    if options.command == "run":
        rest = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
        run(home, rest, [sys.executable, "-I", os.path.abspath(__file__), *arguments])  # noqa: PTH100 - as it was called
    try:
        if options.command == "status":
            json.dump(status(home), sys.stdout)
        else:
            act, taken = _ACTIONS[options.command]
            act(home, **{argument: getattr(options, argument) for argument in taken})
    except (LauncherError, OSError) as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
