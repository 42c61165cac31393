"""What follows the table of readings and may lag behind: the audit trail, and sinks that plug in.

Names are loaded when they are first used (PEP 562): the configuration names the settings, and a command that only asks
for help loads no tables.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.followers.board import FollowerBoard, FollowerStatus
    from actors.followers.follower import WAKE, FollowerActor, Wake
    from actors.followers.plan import Follower, Followers
    from actors.followers.settings import AuditSettings, SinkSettings
    from actors.followers.sink import Sink
    from actors.storage.following import FollowedReading

__all__ = [
    "WAKE",
    "AuditSettings",
    "FollowedReading",
    "Follower",
    "FollowerActor",
    "FollowerBoard",
    "FollowerStatus",
    "Followers",
    "Sink",
    "SinkSettings",
    "Wake",
]

_MODULES = {
    "actors.followers.board": ("FollowerBoard", "FollowerStatus"),
    "actors.followers.follower": ("WAKE", "FollowerActor", "Wake"),
    "actors.followers.plan": ("Follower", "Followers"),
    "actors.followers.settings": ("AuditSettings", "SinkSettings"),
    "actors.followers.sink": ("Sink",),
    "actors.storage.following": ("FollowedReading",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
