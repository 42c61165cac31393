"""The supervision tree and its buttons, and the history of crashes."""

from __future__ import annotations

import re

from web.answers_supervision import ChildTold, CrashGroups, CrashGroupWithCrashes, Node
from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.render import plain
from web.route import PAGED, Route
from web.routes_history import cursor_of, page_of

TOLD = "/api/supervision/<path:path>/<action:re:[a-z]+>"
_ID = re.compile(r"[0-9]{1,15}\Z")


def tree(call: Call) -> Item:
    """Return the whole tree."""
    root: Item = plain(call.face.supervision.tree())
    return root


def node(call: Call, path: str) -> Item:
    """Return one actor of the tree, also of a device that the tree leaves out; a supervisor with its children."""
    try:
        found: Item = plain(call.face.supervision.node(path))
    except KeyError:
        raise _no_child(path) from None
    return found


def crashes(call: Call) -> Item:
    """List what has crashed, grouped, the group with the newest crash first."""
    limit, cursor = call.limit(), cursor_of(call)
    return page_of(lambda: call.face.supervision.crashes(limit=limit, cursor=cursor))


def crash(call: Call, group: str) -> Item:
    """Return a group of crashes with the single ones, newest first."""
    found = call.face.supervision.crash(int(group)) if _ID.match(group) else None
    if found is None:
        raise ApiError(404, "there is no group of crashes of this id", details={"id": group[:64]})
    shown: Item = plain(found)
    return shown


def act(call: Call, path: str, action: str) -> Reply:
    """Restart, quarantine or resume a child."""
    supervision = call.face.supervision
    actions = {
        "restart": supervision.restart,
        "quarantine": supervision.quarantine,
        "resume": supervision.resume,
    }
    if action not in actions:
        raise ApiError(404, f"a child can be told to {', '.join(actions)}", details={"action": action[:64]})
    try:
        actions[action](path)
    except KeyError:
        raise _no_child(path) from None
    except ValueError as error:
        raise ApiError(409, str(error), details={"path": path[:200]}) from None
    return Reply({"path": path, "action": action}, 202)


def _no_child(path: str) -> ApiError:
    return ApiError(404, "the tree has no child at this path", details={"path": path[:200]})


ROUTES = (
    Route("GET", "/api/supervision", "read", tree, Node),
    Route("GET", "/api/supervision/<path:path>", "read", node, Node),
    Route("POST", TOLD, "operate", act, ChildTold, status=202),
    Route("GET", "/api/crashes", "read", crashes, CrashGroups, query=PAGED),
    Route("GET", "/api/crashes/<group>", "read", crash, CrashGroupWithCrashes),
)
"""Of the table of `web.app`."""
