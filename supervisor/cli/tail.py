"""`muster tail`: what happens, as it happens, one line for each event."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from actors.events import KINDS

from .common import COLOURS, Reach, lasting_command, show
from .stream import Event, EventStream, Opened

_WIDTH = 11
_ENDED = select.POLLERR | select.POLLHUP
Data = Mapping[str, Any]


def _several(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of `--kinds a,b --kinds c`."""
    kinds = tuple(kind for word in given for kind in word.split(",") if kind)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(KINDS)}.")
    return kinds


@click.command(short_help="Show what happens, as it happens.")
@click.option("--kinds", metavar="KIND[,KIND...]", multiple=True, callback=_several, help="Only these kinds of events.")
@click.option("--device", metavar="SERIAL", help="Only what is about this device.")
@click.option("--since-id", metavar="ID", default="", help="Go on behind this event, as `--json` has told its id.")
@lasting_command
def tail(reach: Reach, *, kinds: tuple[str, ...], device: str | None, since_id: str, as_json: bool) -> None:
    """Print one line for each event until Ctrl-C: when it was heard, its kind, about what, and what.

    It goes on over restarts of the server; what was missed meanwhile is told in a line.
    """
    tell = _tell_json if as_json else _tell
    reason = ""
    with contextlib.suppress(KeyboardInterrupt):
        for item in EventStream(reach, kinds, since=since_id):
            if isinstance(item, Event):
                if item.kind == "beat":
                    _stop_if_nobody_reads()
                elif item.kind == "resync" or device is None or device in about(item):
                    tell(item)
            elif isinstance(item, Opened):
                reason = ""
                if item.again:
                    click.echo(f"{_now()}  live again", err=True)
            elif item.reason != reason:  # once, however often it is tried
                reason = item.reason
                click.echo(f"{_now()}  reconnecting: {reason}", err=True)


def _stop_if_nobody_reads() -> None:
    """End where the pipe is closed: on a quiet fleet nothing is written, and nobody would notice."""
    with contextlib.suppress(OSError, ValueError):  # no file at all, as in tests
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if any(events & _ENDED for _, events in poll.poll(0)):
            # Nothing is left to be flushed to whoever has gone.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)


def _tell_json(event: Event) -> None:
    received = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"id": event.id, "received": received, "kind": event.kind, "data": event.data}
    click.echo(msgspec.json.encode(line).decode())


def _tell(event: Event) -> None:
    if event.kind == "resync":
        click.echo(f"{_now()}  {LOST}")
        return
    data = event.data if isinstance(event.data, dict) else {}
    subject = next(iter(about(event)), "")
    what = _WHAT.get(event.kind, _anything)(data)
    colour = next((COLOURS[word] for word in reversed(what.replace(",", "").split()) if word in COLOURS), None)
    line = _fit(f"{_now()}  {event.kind:<{_WIDTH}}  {show(subject)}  {show(what) if what else ''}".rstrip())
    click.echo(click.style(line, fg=colour) if colour else line)


def _fit(line: str) -> str:
    """Return a line as long as a terminal is wide; whole where none reads."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(line)
    return line if len(line) <= width else f"{line[: width - 3]}..."


def about(event: Event) -> list[str]:
    """Return what an event is about: a serial number, a link, a path of the tree, an id; empty for nothing."""
    data = event.data if isinstance(event.data, dict) else {}
    return [str(data[name]) for name in _SUBJECTS if data.get(name)]


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _presence(data: Data) -> str:
    return f"{data.get('presence')} ({data.get('reason')})" if data.get("reason") else str(data.get("presence"))


def _reading(data: Data) -> str:
    index = data.get("health_index")
    told = [f"health {index:.0f} {data.get('status') or ''}".strip()] if isinstance(index, (int, float)) else []
    told += [str(anomaly.get("message")) for anomaly in data.get("anomalies") or () if isinstance(anomaly, dict)]
    told += [f"{name} {value}" for name, value in (data.get("measures") or {}).items()]
    return ", ".join(told)


def _scan(data: Data) -> str:
    wrong = ", wrong check digit" if data.get("valid") is False else ""
    return f"{data.get('code')} {data.get('symbology') or ''}".strip() + wrong


def _supervision(data: Data) -> str:
    restarts = data.get("restarts") or 0
    told = [str(data.get("state")).replace("_", " ")]
    told += [f"{restarts} restart{'' if restarts == 1 else 's'}"] if restarts else []
    return ", ".join([*told, str(data["error"])] if data.get("error") else told)


def _device(data: Data) -> str:
    told = [_presence(data)] if data.get("presence") else []
    told += [f"{name} {data[name]}" for name in ("kind", "site", "label", "hostname", "ip_address") if data.get(name)]
    return ", ".join([*told, "quarantined"] if data.get("quarantined") else told)


def _state(data: Data) -> str:
    """Return the state of what has one, what it belongs to, and the reason."""
    told = [str(data[name]) for name in ("name", "version", "state", "status") if data.get(name)]
    return " ".join(told).replace("_", " ") + (f", {data['reason']}" if data.get("reason") else "")


def _anything(data: Data) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items() if isinstance(value, (str, int, float)))


LOST = "some events were missed here; what is shown from now on is complete"
"""The server keeps a limited number of events, and none over its restart."""
_SUBJECTS = ("serial", "device", "device_id", "link", "path", "name", "id", "notification")
"""Names in an event's data of what it is about, the most telling first."""
#: Kind of event -> what is said of it. The others show all that they have.
_WHAT: Mapping[str, Callable[[Data], str]] = {
    "device": _device,
    "presence": _presence,
    "removed": lambda _: "removed",
    "reading": _reading,
    "scan": _scan,
    "command": _state,
    "delivery": _state,
    "rollout": _state,
    "link": lambda data: str(data.get("state")).replace("_", " "),
    "sight": lambda data: "sees its devices" if data.get("sees") else "sees nothing: its devices are unknown",
    "supervision": _supervision,
    "dead_letter": lambda data: f"{data.get('reason')} on {data.get('topic')}",
    "alarm": lambda data: f"{data.get('severity')} {data.get('state')}: {data.get('summary')}",
    "group": lambda _: "changed",
    "enrolment": lambda _: "enrolments have changed",
    "twin": _anything,
}
