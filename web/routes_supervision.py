"""The supervision tree and its buttons."""

from __future__ import annotations

from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.render import plain


def tree(call: Call) -> Item:
    """Return the whole tree."""
    root: Item = plain(call.face.supervision.tree())
    return root


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
        raise ApiError(404, "the tree has no child at this path", details={"path": path[:200]}) from None
    except ValueError as error:
        raise ApiError(409, str(error), details={"path": path[:200]}) from None
    return Reply({"path": path, "action": action}, 202)
