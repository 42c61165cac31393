"""`muster notify`: send a notification to devices, groups and topics, or thousands at once, and see where it ends."""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TextIO

import click
import msgspec

from .client import ApiClient, ApiError
from .common import api_command, print_json, print_table

_PRIORITIES = ("low", "normal", "high", "urgent")
_AT_ONCE = 10_000
_BYTES_AT_ONCE = 4_000_000
"""Of one call: a slow network has them through within the time that the server gives a request."""
_LOOK_EVERY = 0.2
_PATIENCE = 60.0
"""Seconds for which a server that is away is asked again: a bulk outlives its restart."""
_STATES = ("accepted", "received", "displayed", "sent", "queued", "expired", "failed")
_MOST_SHOWN = 20
_AT_FAULT = re.compile(r"notifications\[(\d+)\]")
"""The place of a notification in its call, as the server names it."""


class _Line(NamedTuple):
    """A line of a file, which starts with number 1."""

    number: int
    item: dict[str, Any]


@click.command(short_help="Send a notification, or many.")
@click.argument("words", nargs=-1, metavar="[DEVICE] TITLE [BODY]")
@click.option("--group", help="To every device of this group.")
@click.option("--all", "everybody", is_flag=True, help="To every device.")
@click.option("--topic", help="To whoever has subscribed to this topic.")
@click.option("--bulk", type=click.File("r"), metavar="FILE", help="Send what FILE holds: a JSON object in each line.")
@click.option("--priority", type=click.Choice(_PRIORITIES), help="Else normal.")
@click.option("--qos", type=click.IntRange(0, 2), help="Else by the priority: 0, 1, 1, 2.")
@click.option("--retain", is_flag=True, help="Let the broker keep it for those who come later.")
@click.option("--ttl", type=click.FloatRange(0, min_open=True), help="Seconds for which somebody wants it.")
@click.option("--data", metavar="JSON", help="A JSON object that goes with it.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the broker has it.")
@click.option("--timeout", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds to wait.")
@api_command
def notify(  # one option each
    client: ApiClient,
    *,
    words: tuple[str, ...],
    bulk: TextIO | None,
    wait: bool,
    timeout: float,
    as_json: bool,
    **options: Any,
) -> int:
    """Send TITLE and BODY to DEVICE, or to a group, to all, to a topic; or a whole file of notifications.

    The exit code is 1 when one of them failed, expired, was refused, or is not with the broker in time.
    """
    if bulk is not None:
        if words or any(value for value in options.values()):
            raise click.UsageError("--bulk goes with no other text and no other option: its lines hold all of them.")
        return _send_bulk(client, bulk, wait=wait, timeout=timeout, as_json=as_json)
    body = _body(words, **options)
    sent = _persist(partial(client.post, "/api/notifications", body))
    for warning in sent["warnings"]:
        click.echo(f"Warning: {warning}.", err=True)
    if not wait:
        _show_id(sent, as_json=as_json)
        return 0
    found = _watch(client, sent["id"], time.monotonic() + timeout, lambda _told: None)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return _code(found)


def _body(
    words: tuple[str, ...],
    *,
    group: str | None,
    everybody: bool,
    topic: str | None,
    priority: str | None,
    qos: int | None,
    retain: bool,
    ttl: float | None,
    data: str | None,
) -> dict[str, Any]:
    """Return the request; the first word names the device unless an option says for whom it is."""
    named = {"group": group, "all": everybody or None, "topic": topic}
    to = {name: value for name, value in named.items() if value}
    if len(to) > 1:
        raise click.UsageError("Give one of --group, --all and --topic.")
    if not to and words:
        to, words = {"device": words[0]}, words[1:]
    if not 1 <= len(words) <= 2 and not (data and not words):
        raise click.UsageError("Give DEVICE (or --group, --all, --topic), TITLE and, where there is one, BODY.")
    if ttl is not None and not math.isfinite(ttl):
        raise click.UsageError("--ttl must be a number of seconds.")
    text = dict(zip(("title", "body"), words, strict=False))
    more = {"priority": priority, "qos": qos, "retain": retain or None, "ttl": ttl}
    request = to | text | {name: value for name, value in more.items() if value is not None}
    return request | ({"data": _object(data, "--data")} if data else {})


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise click.UsageError(f"{where} is no JSON object: {error}.") from None


def _lines(file: TextIO) -> Iterator[_Line]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield _Line(number, _object(line, f"Line {number} of {file.name}"))


def _calls(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Yield as many lines at a time as may go in one call."""
    call: list[_Line] = []
    room = _BYTES_AT_ONCE
    for line in lines:
        size = len(msgspec.json.encode(line.item))
        if call and (len(call) == _AT_ONCE or size > room):
            yield call
            call, room = [], _BYTES_AT_ONCE
        call.append(line)
        room -= size
    yield call


def _persist(ask: Callable[[str], Any]) -> Any:
    """Ask again, with the same key, while the server is away: it takes the request only once."""
    key, until = secrets.token_hex(16), time.monotonic() + _PATIENCE
    while True:
        try:
            return ask(key)
        except ApiError as error:
            if not _is_away(error) or time.monotonic() > until:
                raise
        time.sleep(_LOOK_EVERY)


def _is_away(error: ApiError) -> bool:
    return error.status in (0, 503)


def _watch(
    client: ApiClient, notification: str, until: float, show: Callable[[dict[str, Any]], None], limit: int = 1000
) -> Any:
    """Look at a notification until the broker has all of it or the time is over; a server may restart meanwhile."""
    found: Any = None
    while True:
        try:
            found = client.get(f"/api/notifications/{notification}", {"limit": limit})
            show(found)
        except ApiError as error:
            if not _is_away(error) or time.monotonic() > until:
                raise
        if found is not None and (not found["waiting"] or time.monotonic() > until):
            return found
        time.sleep(_LOOK_EVERY)


def _send_bulk(client: ApiClient, file: TextIO, *, wait: bool, timeout: float, as_json: bool) -> int:
    """Send all in as few calls as may be, with a bar for those that the broker has."""
    lines = list(_lines(file))
    if not lines:
        raise click.UsageError("The file holds no notification.")
    sent: list[Any] = []
    refused: list[tuple[int, Any]] = []
    for call in _calls(lines):
        told = _send_call(client, call, file.name, is_first=not sent)
        sent.append(told)
        results = zip(call, told["notifications"], strict=False)
        refused += [(line.number, result["error"]) for line, result in results if result["error"]]
    for number, error in refused[:_MOST_SHOWN]:
        click.echo(f"Refused: line {number}: {error['message']}.", err=True)
    if len(refused) > _MOST_SHOWN:
        click.echo(f"Refused: {len(refused) - _MOST_SHOWN} more.", err=True)
    found = _watch_all(client, sent, timeout) if wait else []
    if as_json:
        print_json({"sent": sent, "found": found})
    elif wait:
        _print_counts(found, len(refused))
    else:
        for told in sent:
            _show_id(told, as_json=False)
    return 1 if refused or any(_code(one) for one in found) else 0


def _send_call(client: ApiClient, call: Sequence[_Line], name: str, *, is_first: bool) -> Any:
    """Send some lines; a refusal of all of them names the line at fault, and tells what was sent before it."""
    body = {"notifications": [line.item for line in call]}
    first = call[0].number
    try:
        return _persist(partial(client.post, "/api/notifications/bulk", body))
    except ApiError as error:
        *_, place = -1, *map(int, _AT_FAULT.findall(str(error.body)))
        where = f"Line {call[place].number} of {name}: " if 0 <= place < len(call) else ""
        if _is_away(error):
            become = f"Whether what stands from line {first} on was sent is not known."
        else:
            become = "Nothing was sent." if is_first else f"What stands above line {first} was sent."
        raise ApiError(f"{where}{error} {become}", status=error.status, body=error.body) from None


def _watch_all(client: ApiClient, sent: Sequence[Any], timeout: float) -> list[Any]:
    until = time.monotonic() + timeout
    total = sum(told["recipients"] for told in sent)
    found = []
    with _bar(total) as advance:
        before = 0
        for told in sent:
            one = _watch(client, told["id"], until, partial(_advance, advance, before), limit=1)
            before += one["recipients"]
            one["deliveries"] = []
            found.append(one)
    return found


def _advance(advance: Callable[[int], None], before: int, seen: dict[str, Any]) -> None:
    advance(before + seen["recipients"] - seen["waiting"])


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("sending", total=total)
        yield lambda done: progress.update(task, completed=done)


def _print(found: dict[str, Any]) -> None:
    shown = found["deliveries"][:_MOST_SHOWN]
    rows = [(one["device"], one["topic"], one["state"], one["reason"]) for one in shown]
    print_table(("DEVICE", "TOPIC", "STATE", "REASON"), rows)
    if found["recipients"] > len(shown):
        _print_counts([found], 0)


def _print_counts(found: Sequence[dict[str, Any]], refused: int) -> None:
    total = {state: sum(one["counts"].get(state, 0) for one in found) for state in _STATES}
    told = [f"{count} {state}" for state, count in total.items() if count]
    click.echo(", ".join([*told, *([f"{refused} refused"] if refused else [])]))


def _show_id(sent: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(sent)
    else:
        click.echo(sent["id"])


def _code(found: dict[str, Any]) -> int:
    counts = found["counts"]
    return 1 if found["waiting"] or counts.get("failed") or counts.get("expired") else 0
