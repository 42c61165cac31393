"""Who is given notifications: a program, a file, a FIFO, HTTP on this machine, or Python by an entry point.

Each handler takes one notification as one line of JSON, and raises `HandlerError` when it could not.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from edge.inbox.messages import Notification
from edge.inbox.programs import ProgramError, Programs
from edge.inbox.settings import HandlerSettings

logger = logging.getLogger(__name__)

GROUP = "muster.handlers"
"""Entry points: a callable that takes a `Notification` and raises when it could not handle it."""
_OUTPUT = 2_048
"""Bytes of a program's output that a failure tells."""
_LONGEST_REASON = 300

Handler = Callable[[Notification], None]


class HandlerError(Exception):
    """The notification could not be handled; the message is one sentence."""


class HandlersJob(NamedTuple):
    """A notification and the names of those that are given it."""

    notification: Notification
    names: tuple[str, ...]


class Handlers:
    """All handlers of this device, by name."""

    def __init__(self, settings: Mapping[str, HandlerSettings]) -> None:
        self._programs = Programs()
        self._settings = dict(settings)
        self._made: dict[str, Handler] = {}

    def do(self, job: HandlersJob) -> tuple[HandlersJob, dict[str, str]]:
        """Give a notification to its handlers; return it, and why each that failed did."""
        troubles: dict[str, str] = {}
        for name in job.names:
            try:
                self._find(name)(job.notification)
            except Exception as error:  # a handler may be anybody's code
                if not isinstance(error, HandlerError):
                    logger.exception("handler %s failed", name)
                reason = str(error) if isinstance(error, HandlerError) else repr(error)
                troubles[name] = reason[:_LONGEST_REASON]
        return job, troubles

    def stop(self) -> None:
        """Break what is under way."""
        self._programs.stop()

    def _find(self, name: str) -> Handler:
        if name not in self._made:
            self._made[name] = make_handler(self._settings[name], self._programs)
        return self._made[name]


def make_handler(settings: HandlerSettings, programs: Programs) -> Handler:
    """Return the handler of some settings.

    Raises:
        HandlerError: there is no such entry point, or it cannot be loaded.

    """
    match settings.kind:
        case "program":
            return lambda notification: _run(notification, settings, programs)
        case "file":
            return lambda notification: _append(notification, settings.path)
        case "fifo":
            return lambda notification: _feed(notification, settings.path, settings.timeout)
        case "http":
            return lambda notification: _post(notification, settings.url, settings.timeout)
        case "python":
            return _load(settings.entry_point)


def _line(notification: Notification) -> bytes:
    return msgspec.json.encode(notification) + b"\n"


def _run(notification: Notification, settings: HandlerSettings, programs: Programs) -> None:
    env = {
        "MUSTER_ID": notification.id,
        "MUSTER_TITLE": notification.title,
        "MUSTER_BODY": notification.body,
        "MUSTER_PRIORITY": notification.priority,
    }
    # The kernel takes no NUL in a variable, and 128 KB at most.
    env = {name: value.replace("\0", "")[:16_384] for name, value in env.items()}
    try:
        ended = programs.run(
            settings.command, timeout=settings.timeout, output=_OUTPUT, stdin=_line(notification), env=env
        )
    except ProgramError as error:
        raise HandlerError(str(error)) from None
    if ended.trouble:
        said = ended.text.strip().splitlines()
        raise HandlerError(f"{settings.command[0]}: {ended.trouble}" + (f": {said[-1]}" if said else ""))


def _append(notification: Notification, path: str) -> None:
    line = _line(notification)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, 0o640)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise HandlerError(f"{path} is no ordinary file")
            if os.write(descriptor, line) < len(line):
                raise HandlerError(f"{path} has only taken a part: the disk is full")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HandlerError(f"{path} cannot be written: {error.strerror}") from None


def _feed(notification: Notification, path: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    line = _line(notification)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                raise HandlerError(f"{path} is no FIFO")
            while line:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([], [descriptor], [], left)[1]:
                    raise HandlerError(f"the reader of {path} is too slow")
                line = line[os.write(descriptor, line) :]
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = "nobody reads it" if error.errno == errno.ENXIO else error.strerror
        raise HandlerError(f"{path} cannot be written: {reason}") from None


def _post(notification: Notification, url: str, timeout: float) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline = time.monotonic() + timeout
    # The connection's own timeout is for each read: one byte now and then would hold up whatever comes behind.
    ender = threading.Timer(timeout, _break, (connection,))
    ender.daemon = True
    try:
        ender.start()
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote(notification.id)}
        connection.request("POST", path, body=_line(notification), headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if time.monotonic() >= deadline:
            reason = "it took too long"
        raise HandlerError(f"{url} does not answer: {reason}") from None
    finally:
        ender.cancel()
        connection.close()
    if not 200 <= status < 300:
        raise HandlerError(f"{url} answered with status {status}")


def _break(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _load(name: str) -> Handler:
    from importlib.metadata import entry_points  # only who has such a handler pays for it

    for point in entry_points(group=GROUP, name=name):
        try:
            handler: Handler = point.load()
        except Exception as error:
            raise HandlerError(f"the handler `{name}` ({point.value}) cannot be loaded: {error!r}") from error
        if not callable(handler):
            raise HandlerError(f"the handler `{name}` ({point.value}) cannot be called")
        return handler
    raise HandlerError(f"there is no entry point `{name}` in the group {GROUP}")
