"""What an edge does with what it is told: handlers of notifications, and the commands that it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import msgspec

Priority = Literal["low", "normal", "high", "urgent"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
CommandName = Literal["ping", "identify", "announce", "status", "logs", "restart", "reboot", "set", "run", "update"]
COMMANDS: tuple[CommandName, ...] = get_args(CommandName)
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
MOST_HANDLERS = 16
LONGEST_OWN = 60.0
"""Seconds that a program may take which a command of our own starts: `reboot`, `identify`."""
LARGEST_OUTPUT = 65_536
"""Bytes of a program's output that an answer may carry."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_FILTER = re.compile(r"[^\x00]{1,1024}")
_NEEDED = {
    "program": ("command",),
    "file": ("path",),
    "fifo": ("path",),
    "http": ("url",),
    "python": ("entry_point",),
}
_OF_ONE_KIND = ("command", "path", "url", "entry_point")

Command = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=4_096)], ...], msgspec.Meta(max_length=64)]
ProgramName = Annotated[str, msgspec.Meta(pattern=_NAME)]
Timeout = Annotated[float, msgspec.Meta(ge=0.1, le=300)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration; unknown keys are refused."""


class HandlerSettings(_Section, frozen=True):
    """Who is given each notification."""

    kind: Literal["program", "file", "fifo", "http", "python"]
    name: Annotated[str, msgspec.Meta(pattern=_NAME)] = ""
    """What it is called in receipts and in the twin; empty takes the kind and, from the second on, a number."""
    command: Command = ()
    """Of `program`: the program with its absolute path, and its arguments; no shell sees them."""
    path: Annotated[str, msgspec.Meta(max_length=4_096)] = ""
    """Of `file` and `fifo`: an absolute path."""
    url: Annotated[str, msgspec.Meta(max_length=2_048)] = ""
    """Of `http`: where on this machine."""
    entry_point: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """Of `python`: a name of the group `muster.handlers`."""
    min_priority: Priority = "low"
    """Notifications of a lower priority are not given to it."""
    timeout: Timeout = 10.0
    """Seconds that it may take for one notification."""

    def __post_init__(self) -> None:
        needed = _NEEDED[self.kind]
        for key in _OF_ONE_KIND:
            if (key in needed) != bool(getattr(self, key)):
                raise ValueError(f"a handler of kind `{self.kind}` {'needs' if key in needed else 'has no'} `{key}`")
        if self.command:
            _check_program("command", self.command)
        if self.path and not Path(self.path).is_absolute():
            raise ValueError(f"`path` `{self.path[:80]}` is not absolute")
        if self.url:
            _check_local(self.url)


class ProgramSettings(_Section, frozen=True):
    """A program that the command `run` may start."""

    command: Command
    """The program with its absolute path, and its arguments; no shell sees them."""
    arguments: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    """How many arguments whoever commands may add; 0 takes none."""
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=3_600)] = 60.0
    """Seconds after which it is killed, with all that it has started."""
    output: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_OUTPUT)] = 16_384
    """Bytes of its output that the answer carries, the last ones."""
    directory: str = ""
    """Where it runs; empty: the directory of the edge."""

    def __post_init__(self) -> None:
        _check_program("command", self.command)


class CommandSettings(_Section, frozen=True):
    """The commands that this device takes."""

    allow: tuple[CommandName, ...] = COMMANDS
    """All others are refused."""
    reboot: Command = ("/usr/bin/systemctl", "reboot")
    """What reboots this machine."""
    identify: Command = ()
    """A program that makes this device noticed; empty blinks its LED where it may."""

    def __post_init__(self) -> None:
        _check_program("reboot", self.reboot)
        if self.identify:
            _check_program("identify", self.identify)


class InboxSettings(_Section, frozen=True):
    """What is subscribed for this device beside its own topics."""

    topics: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)] = ()
    """Further topics of notifications: its `device_token`, those of a site."""

    def __post_init__(self) -> None:
        for topic in self.topics:
            if not _FILTER.fullmatch(topic) or topic.startswith(("$SYS", "server/", "devices/")):
                raise ValueError(f"`topics` has `{topic[:80]}`, which is no topic of notifications")


def name_handlers(handlers: tuple[HandlerSettings, ...]) -> dict[str, HandlerSettings]:
    """Return the handlers by name, in their order.

    Raises:
        ValueError: two have one name.

    """
    named: dict[str, HandlerSettings] = {}
    for number, handler in enumerate(handlers, start=1):
        name = handler.name or (handler.kind if handler.kind not in named else f"{handler.kind}-{number}")
        if name in named:
            raise ValueError(f"two handlers are called `{name}`; give each its own `name`")
        named[name] = handler
    return named


def _check_program(key: str, command: tuple[str, ...]) -> None:
    if not command or not Path(command[0]).is_absolute():
        raise ValueError(f"`{key}` has to begin with the absolute path of a program")
    if any("\0" in part for part in command):
        raise ValueError(f"`{key}` has a NUL")


def _check_local(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"`url` `{url[:80]}` cannot be read") from None
    if parts.scheme != "http" or parts.hostname not in LOCAL_HOSTS or port == 0:
        raise ValueError(f"`url` has to begin with http:// and one of {', '.join(LOCAL_HOSTS)}, unlike `{url[:80]}`")
