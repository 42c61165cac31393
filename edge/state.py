"""The state of an edge as the commands show it: read off the boards, by any thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from actors.link.status import LinkStatus
from actors.outbox import OutboxStats
from actors.timestamps import rfc3339
from actors.uplink.board import UplinkBoard
from actors.version import __version__
from edge.nodes import nodes

if TYPE_CHECKING:
    from edge.hub.board import HubBoard
    from edge.parts import EdgeParts


def describe_edge(parts: EdgeParts, phase: str = "running") -> dict[str, Any]:
    """Return everything that is shown; `phase` is `running` or `stopped`."""
    boards, facts, bearings = parts.boards, parts.facts, parts.bearings
    server, credentials = bearings.server(), bearings.credentials
    return {
        "device_id": parts.device_id,
        "identity": parts.identity.source,
        "phase": phase,
        "pid": os.getpid(),
        "version": __version__,
        "started": rfc3339(parts.started_us),
        "updated": rfc3339(int(parts.runtime.clock.time() * 1e6)),
        "hostname": facts.hostname,
        "ip_address": facts.ip_address,
        "session": boards.line.session,
        "clock": boards.gauges.clock_quality,
        "server": {
            "url": server.url if server is not None else bearings.server_url,
            "id": credentials.server_id if credentials is not None else "",
            "state": bearings.state,
            "detail": bearings.detail,
            "enrolled": credentials is not None,
            "certified": credentials is not None and credentials.certified,
        },
        "payloads": parts.payload_keys.describe(),
        "link": _link(boards.link.status),
        "uplink": _uplink(boards.uplink),
        "hub": _hub(boards.hub),
        "outbox": _outbox(boards.gauges.outbox),
        "inbox": boards.inbox.describe(),
        "scans": boards.scanners.describe_scans(),
        "scanners": [scanner.describe() for scanner in tuple(boards.scanners.scanners.values())],
        "sensors": [
            board.describe(name) | {"error": board.last_error} for name, board in tuple(boards.stations.items())
        ],
        "updates": boards.updates.describe(),
        "undelivered": parts.directory.undelivered,
        "services": facts.services(),
        "system_info": boards.gauges.vitals,
        "actors": list(_troubled(parts.describe())),
    }


def _troubled(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the actors that have crashed or are in trouble now."""
    for node in nodes(tree):
        error = node["last_exception"]
        if error or node["state"] not in ("running", "starting", "stopped"):
            yield {
                "path": node["path"],
                "state": node["state"],
                "restarts": node["restarts"],
                "error": f"{error['type']}: {error['message']}" if error else "",
            }


def _uplink(board: UplinkBoard) -> dict[str, Any]:
    status = board.status
    return {
        "mode": status.mode,
        "reason": status.reason,
        "in_flight": status.in_flight,
        "error": status.http_error,
        "last_success": rfc3339(status.last_success_us) if status.last_success_us else None,
        "counters": board.counters.as_dict(),
    }


def _hub(board: HubBoard) -> dict[str, Any]:
    return {
        "state": board.status.state.value,
        "error": board.status.last_error,
        "counters": board.counters.as_dict(),
    }


def _link(status: LinkStatus) -> dict[str, Any]:
    return {
        "address": status.broker,
        "state": status.state.value,
        "since": rfc3339(int(status.since * 1e6)) if status.since else None,
        "error": status.last_error,
    }


def _outbox(stats: OutboxStats) -> dict[str, Any]:
    return {
        "items": stats.items,
        "bytes": stats.bytes,
        "backlog": stats.backlog,
        "oldest_age": stats.oldest_age,
        "dropped": stats.dropped,
        "turned_away": stats.turned_away,
        "corrupt_files": stats.corrupt_files,
        "error": stats.last_error,
    }
