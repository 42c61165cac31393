"""What `muster doctor` learns from the running server itself: how it is, and how each of its links is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from supervisor.process.rundir import RuntimeDirectoryError, ServerFiles, find_server, runtime_directory

from .client import ApiClient, ApiError, get_health

_TIMEOUT = 5.0
_LOOK = "look into its log; `kill -USR1` prints its stacks there"
_TAKEN_OVER = "stop the other server with this client id, then `POST /api/links/{name}/reconnect`"
MORE_ROOM = "set `max_queued_messages 0` and `max_queued_bytes` in mosquitto.conf"
"""Against messages that a broker drops."""
_PAUSED = "an operator has closed it: `POST /api/links/{name}/resume`, or the button on the page"
_DOWN = "start the broker, or correct MUSTER_BROKER_URL; the link tries again by itself"
_CURES = {"taken_over": _TAKEN_OVER, "paused": _PAUSED}
"""By the state of a link."""


class Check(NamedTuple):
    """One finding."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    mend: str = ""
    """What to do about it; empty when it is ok."""


def find_running(environ: Mapping[str, str]) -> tuple[ServerFiles | None, Check]:
    """Look for this user's server in the runtime directory."""
    path = runtime_directory(environ)
    try:
        running = find_server(path)
    except RuntimeDirectoryError as error:
        return None, Check("server", "failed", str(error).rstrip("."), f"remove {path}")
    if running is None:
        return None, Check("server", "warning", "none of this user is running", "start one with `muster up`")
    return running, Check("server", "ok", f"{running.url}, pid {running.pid}")


def check_running(running: ServerFiles) -> Iterator[Check]:
    """Ask the server how it is, then for its links."""
    try:
        with ApiClient(running.url, running.token, timeout=_TIMEOUT, ca_file=running.ca_file) as client:
            health = get_health(client)
            yield _judge_health(health)
            # A server that cannot serve has not started its links, or has stopped them.
            links = [] if health["status"] == "failing" else client.get("/api/links")["items"]
            yield from map(_judge_link, links)
    except ApiError as error:
        yield Check("health", "failed", str(error).rstrip("."), _LOOK)


def _judge_health(health: Mapping[str, Any]) -> Check:
    if health["status"] == "ok":
        return Check("health", "ok", f"ok, {health['devices']['total']} devices")
    database = health["database"]
    away = "" if database["ok"] else f", its database is away ({database.get('error') or 'no reason given'})"
    state: Literal["warning", "failed"] = "failed" if health["status"] == "failing" else "warning"
    mend = "start the database, or correct MUSTER_DATABASE_URL" if away else "look at `muster tree` and the links"
    return Check("health", state, f"the server calls itself {health['status']}{away}", mend)


def _judge_link(link: Mapping[str, Any]) -> Check:
    name = f"link {link['name']}"
    told = f"{link['state'].replace('_', ' ')}, {link['detail']}".rstrip(", ")
    if not link["connected"]:
        cure = _CURES.get(link["state"], _DOWN).format(name=link["name"])
        return Check(name, "warning", told, cure)
    if link["state"] == "congested":
        return Check(name, "warning", told, "it goes on when the database has caught up; look at `muster status`")
    if dropped := link.get("dropped_by_broker"):
        return Check(
            name, "warning", f"{told}; the broker has dropped {dropped} messages since the server started", MORE_ROOM
        )
    return Check(name, "ok", told)
