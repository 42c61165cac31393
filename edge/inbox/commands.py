"""The commands that an edge knows: nothing else can be done to it from afar.

Each takes arguments and returns an answer. What is configured decides which of them are taken, and `run` starts nothing
but the programs that are named there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from actors.timestamps import rfc3339
from edge.inbox.memory import LogMemory
from edge.inbox.messages import Answer, Command, Lane
from edge.inbox.programs import ProgramError, Programs
from edge.inbox.settings import COMMANDS, LONGEST_OWN, CommandSettings, ProgramSettings

logger = logging.getLogger(__name__)

BREAKABLE = ("run", "identify")
"""Commands whose program may be ended while it runs."""
LARGEST_RESULT = 60_000
"""Bytes of JSON in an answer; the server keeps 65,536."""
USUAL_LINES, MOST_LINES = 100, 1_000
"""Lines of `logs`."""
USUAL_BLINK, LONGEST_BLINK = 10.0, 300.0
"""Seconds."""
_OUTPUT = 2_048


class BadArgumentError(ValueError):
    """The arguments of a command cannot be used; the message is one sentence that names the field."""


@dataclass(frozen=True, kw_only=True)
class Powers:
    """What commands may do with the edge; every one of them returns at once."""

    now_us: Callable[[], int]
    describe: Callable[[], dict[str, Any]]
    """Returns what `muster-edge status` shows."""
    identity: Callable[[], dict[str, Any]]
    """Returns who and where this device is."""
    announce: Callable[[], None]
    restart: Callable[[], None]
    """Ends this process, so that it is started anew."""
    blink: Callable[[float], str]
    """Lets the LED blink for so many seconds; returns its name, empty for none."""
    log: LogMemory
    update: Callable[[bool], bool]
    """Has this device ask for an update, given whether also for one that has failed; False where it cannot update."""


class Job(msgspec.Struct, frozen=True):
    """A command that is to be executed now."""

    command: Command
    seconds: float
    """Until its deadline."""


class Commands:
    """Executes commands on the threads of the two lanes: those that may take their time have one of their own."""

    def __init__(
        self, settings: CommandSettings, programs: Mapping[str, ProgramSettings], powers: Powers, *, home: str
    ) -> None:
        """Assign.

        Args:
            settings: which commands are taken.
            programs: what `run` may start, by name.
            powers: what they may do.
            home: where programs run that have no directory of their own.

        """
        self._settings, self._programs, self._powers, self._home = settings, dict(programs), powers, home
        self._runner = Programs()
        self._known: dict[str, Callable[[Job], Answer]] = {
            "ping": self._ping,
            "identify": self._identify,
            "announce": self._announce,
            "status": self._status,
            "logs": self._logs,
            "restart": self._restart,
            "reboot": self._reboot,
            "run": self._run,
            "update": self._update,
        }

    def refusal(self, name: str) -> str:
        """Return why a command is not taken; empty when it is."""
        if name not in COMMANDS:
            return f"there is no command `{name[:64]}`; this device knows {', '.join(COMMANDS)}"
        if name not in self._settings.allow:
            return f"the configuration of this device does not allow `{name}`"
        return ""

    def lane(self, name: str) -> Lane:
        """Return who executes a command: programs do not keep a `ping` waiting."""
        slow = name in ("run", "reboot") or (name == "identify" and self._settings.identify)
        return "inbox.programs" if slow else "inbox.commands"

    def do(self, job: Job) -> Answer:
        """Execute a command; never raises."""
        try:
            answer = self._known[job.command.name](job)
        except BadArgumentError as error:
            return Answer("failed", reason=str(error))
        except Exception as error:
            logger.exception("the command %s failed", job.command.name)
            return Answer("failed", reason=f"it failed: {error!r}"[:400])
        size = len(msgspec.json.encode(answer.result))
        if size > LARGEST_RESULT:
            return Answer("failed", reason=f"the result has {size} bytes, more than the {LARGEST_RESULT} that are told")
        return answer

    def stop(self) -> None:
        """Kill the program that runs."""
        self._runner.stop()

    def break_off(self, command: Command) -> bool:
        """End the program of a command that runs; False where there is none, or it cannot be taken back."""
        is_program = command.name in BREAKABLE and self.lane(command.name) == "inbox.programs"
        return is_program and self._runner.stop()

    def _ping(self, _job: Job) -> Answer:
        return Answer("succeeded", {"time": rfc3339(self._powers.now_us())})

    def _announce(self, _job: Job) -> Answer:
        self._powers.announce()
        return Answer("succeeded")

    def _status(self, _job: Job) -> Answer:
        return Answer("succeeded", self._powers.describe())

    def _identify(self, job: Job) -> Answer:
        seconds = _number(job.command.args, "seconds", USUAL_BLINK, 1.0, LONGEST_BLINK)
        told = self._powers.identity()
        logger.warning("somebody asks which device this is: %s", told.get("device_id"))
        if self._settings.identify:
            return self._execute(self._settings.identify, min(LONGEST_OWN, job.seconds), _OUTPUT, told)
        return Answer("succeeded", {**told, "led": self._powers.blink(seconds) or None})

    def _logs(self, job: Job) -> Answer:
        lines = int(_number(job.command.args, "lines", USUAL_LINES, 1, MOST_LINES))
        return Answer("succeeded", {"lines": self._powers.log.last(lines, LARGEST_RESULT - 1_000)})

    def _restart(self, _job: Job) -> Answer:
        self._powers.restart()
        return Answer("running", later=True)

    def _update(self, job: Job) -> Answer:
        force = job.command.args.get("force", False)
        if not isinstance(force, bool):
            raise BadArgumentError("`force` has to be true or false")
        if not self._powers.update(force):
            return Answer("failed", reason="this device does not update itself")
        return Answer("succeeded")

    def _reboot(self, job: Job) -> Answer:
        answer = self._execute(self._settings.reboot, min(LONGEST_OWN, job.seconds), _OUTPUT, {})
        return answer if answer.state == "failed" else Answer("running", later=True)

    def _run(self, job: Job) -> Answer:
        name, extra = read_run(job.command.args)
        program = self._programs.get(name)
        if program is None:
            known = ", ".join(sorted(self._programs)) or "none"
            raise BadArgumentError(f"`program` `{name[:64]}` is not configured here; configured are: {known}")
        if len(extra) > program.arguments:
            raise BadArgumentError(f"`arguments` has {len(extra)}, `{name}` takes at most {program.arguments}")
        command = (*program.command, *extra)
        timeout = min(program.timeout, job.seconds)
        return self._execute(command, timeout, program.output, {}, program.directory)

    def _execute(
        self, command: tuple[str, ...], timeout: float, output: int, told: dict[str, Any], directory: str = ""
    ) -> Answer:
        try:
            ended = self._runner.run(command, timeout=timeout, output=output, directory=directory or self._home)
        except ProgramError as error:
            return Answer("failed", told or None, str(error))
        result = {**told, "exit_code": ended.exit_code, "output": _fitting(ended.text), "truncated": ended.is_cut}
        return Answer("failed" if ended.trouble else "succeeded", result, ended.trouble)


def read_run(args: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the program and the further arguments of a `run`.

    Raises:
        BadArgumentError: naming the field.

    """
    name, extra = args.get("program"), args.get("arguments", [])
    if not isinstance(name, str) or not name:
        raise BadArgumentError("`program` is missing")
    if not isinstance(extra, list) or not all(isinstance(one, str) and "\0" not in one for one in extra):
        raise BadArgumentError("`arguments` has to be a list of texts")
    if sum(len(one) for one in extra) > 8_192:
        raise BadArgumentError("`arguments` has more than 8192 characters")
    return name, tuple(extra)


def _fitting(text: str) -> str:
    """Return the end of a text, as much as an answer can carry: in JSON a character may need six bytes."""
    while len(msgspec.json.encode(text)) > LARGEST_RESULT - 4_000:
        text = text[len(text) // 4 :]
    return text


def _number(args: Mapping[str, Any], name: str, usual: float, least: float, most: float) -> float:
    """Return a number of the arguments.

    Raises:
        BadArgumentError: it is none, or out of range.

    """
    value = args.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadArgumentError(f"`{name}` has to be a number from {least:g} to {most:g}")
    return float(value)
