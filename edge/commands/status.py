"""`muster-edge status`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from edge.client import read_state
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.home import Places


def main(arguments: Sequence[str]) -> int:
    """Show how the edge is; return 0 while it runs, else 1."""
    parser = make_parser("status", "Show how the edge of this machine is. The exit code is 0 while it runs, else 1.")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    given, settings = read_settings(parser, arguments)
    if settings is None:
        return WRONG_USAGE
    state = read_state(Places(settings.home))
    if state is None:
        complain(
            f"There has been no edge on {settings.home} yet, or you may not see it; start one with `muster-edge run`."
        )
        return 1
    if given.json:
        sys.stdout.write(json.dumps(state, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in describe(state))
    return 0 if state["running"] else 1


def describe(state: dict[str, Any]) -> Iterator[str]:
    """Yield the state in lines for people."""
    server, link, outbox = state["server"], state["link"], state["outbox"]
    how = f"running since {state['started']}, process {state['pid']}" if state["running"] else "down"
    yield f"{state['device_id']} ({state['identity']}): {how}, version {state['version']}"
    yield f"  server    {server['detail']}"
    error = f": {link['error']}" if link["error"] else ""
    yield f"  broker    {link['address'] or 'unknown'}, {link['state']}{error}"
    uplink = state["uplink"]
    yield f"  uplink    {uplink['mode']}{_because(uplink['reason'] or uplink['error'])}"
    waits = f", the oldest for {outbox['oldest_age']:.0f} s" if outbox["items"] else ""
    yield f"  outbox    {outbox['items']} to deliver{waits}{_because(outbox['error'])}"
    if inbox := state.get("inbox"):
        counts = f"{inbox['notifications']} notifications, {inbox['commands']} commands"
        yield f"  inbox     {counts}, {inbox['waiting']} waiting{_because(inbox['error'])}"
    scans = state.get("scans")  # a state that an earlier release has written has none
    if scans and (scans["waiting"] or scans["not_kept"]):
        counts = f"{scans['waiting']} wait in memory, {scans['not_kept']} refused"
        yield f"  scans     {counts}{_because(scans['error'])}"
    updates = state.get("updates")  # as above
    if updates and updates["state"] != "off":
        about = f" {updates['version']}" if updates["version"] else ""
        yield f"  update    {updates['state']}{about}{_because(updates['reason'] or updates['error'])}"
    services = state["services"]
    yield f"  devices   {services['scanners']} scanners, {services['sensors']} sensors"
    for sensor in state.get("sensors", ()):
        if sensor["error"]:
            yield f"  sensor    {sensor['id']}: {sensor['error']}"
    yield f"  hub       {state['hub']['state']}{_because(state['hub']['error'])}"
    yield f"  address   {state['ip_address'] or 'none'}, clock {state['clock']}"
    for actor in state["actors"]:
        error = f": {actor['error']}" if actor["error"] else ""
        yield f"  {actor['path']} {actor['state']}, {actor['restarts']} restarts{error}"


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
