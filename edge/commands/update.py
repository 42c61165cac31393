"""`muster-edge update`: shows how the updates of this device are, asks for one, puts them off."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.client import EdgeUnreachableError, ask, read_state
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.home import Places, become_owner
from edge.settings import EdgeSettings
from edge.update.hold import LONGEST_REASON, held, hold, release
from edge.wire import Request

PATIENCE = 30.0
"""Seconds for the server's answer."""
_LOOK_EVERY = 0.2


def main(arguments: Sequence[str]) -> int:
    """Do one of it; return 0 for done, 1 for failed, 2 for wrong usage."""
    given, settings = read_settings(_parser(), arguments)
    if settings is None:
        return WRONG_USAGE
    try:
        if given.hold is not None or given.release:
            become_owner(Path(settings.data_dir))
            _put_off(settings, given.hold)
        elif given.check or given.now:
            _ask(settings, force=given.force, wait=given.check)
        elif read_state(Places(settings.home)) is None:
            complain(f"No edge has run on {settings.home}.")
            return 1
    except EdgeUnreachableError as error:
        complain(str(error))
        return 1
    except OSError as error:
        complain(f"{error.filename or settings.update_home} cannot be used: {error.strerror or error}.")
        return 1
    return _show(settings, as_json=given.json)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("update", "Show how the updates of this device are, have it ask for one, or put them off.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--now", action="store_true", help="have it ask the server now, and take what is offered")
    what.add_argument("--check", action="store_true", help="the same, and wait for the server's answer")
    what.add_argument(
        "--hold", nargs="?", const="held by hand", metavar="REASON", help="install and start nothing for the time being"
    )
    what.add_argument("--release", action="store_true", help="let updates go on")
    parser.add_argument("--force", action="store_true", help="with --now: also a version that has failed here before")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def _put_off(settings: EdgeSettings, reason: str | None) -> None:
    if reason is None:
        release(settings.update_home)
    else:
        hold(settings.update_home, reason[:LONGEST_REASON])


def _ask(settings: EdgeSettings, *, force: bool, wait: bool) -> None:
    """Have the running edge ask its server.

    Raises:
        EdgeUnreachableError: there is none, it has no launcher, or its server does not answer.

    """
    home = Places(settings.home)
    before = _read(home)
    if before["state"] == "off":
        raise EdgeUnreachableError(
            "This edge does not update itself: it was not installed with a launcher, or may not."
        )
    answer = ask(home, Request("update-force" if force else "update"))
    if not answer.ok:
        raise EdgeUnreachableError(f"The edge refuses: {answer.error}.")
    deadline = time.monotonic() + PATIENCE
    now = before
    while wait and now["checks"] == before["checks"] and now["state"] in ("idle", "succeeded", *_OVER):
        if time.monotonic() >= deadline:
            raise EdgeUnreachableError(f"The server has not answered: {now['error'] or 'no answer within 30 s'}.")
        time.sleep(_LOOK_EVERY)
        now = _read(home)


_OVER = ("failed", "refused", "rolled_back")


def _read(home: Places) -> dict[str, Any]:
    state = read_state(home)
    if state is None or not state["running"]:
        raise EdgeUnreachableError(f"No edge runs on {home.path}.")
    return dict(state["updates"])


def _show(settings: EdgeSettings, *, as_json: bool) -> int:
    state = read_state(Places(settings.home)) or {}
    shown = {"running": state.get("version", ""), **state.get("updates", {"state": "off"})}
    shown["hold"] = held(settings.update_home)
    if as_json:
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in describe(shown))
    return 0


def describe(shown: dict[str, Any]) -> Iterator[str]:
    """Yield it in lines for people."""
    where = f" from slot {shown['slot']}" if shown.get("slot") else ""
    yield f"version {shown['running'] or 'unknown'}{where}{', on trial' if shown.get('trial') else ''}"
    progress = f" {shown['progress']:.0%}" if shown.get("progress") is not None else ""
    reason = f" ({shown['reason']})" if shown.get("reason") else ""
    yield f"  update    {shown['state']} {shown.get('version', '')}{progress}{reason}".rstrip()
    if shown.get("checked"):
        yield f"  asked     {shown['checked']}: {shown['answer']}"
    if shown.get("error"):
        yield f"  error     {shown['error']}"
    if shown["hold"]:
        yield f"  held      {shown['hold']}"
    for version, why in shown.get("blocked", {}).items():
        yield f"  blocked   {version} ({why})"
