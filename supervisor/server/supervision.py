"""What the HTTP face is given of links, brokers and the tree, behind the protocols of `web.supervision`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from pykka import ActorRef, Timeout

from actors.link.figures import VERSION
from actors.link.messages import PauseOrResume, Reconnect
from actors.link.status import LinkBoard, LinkStatus
from supervisor import ChildNotFoundError, SupervisionError, TreeView, quarantine, restart, resume
from supervisor.server.crash_book import CrashBook, clean
from supervisor.server.parts import ROOT, Parts
from web.face import ConflictError, Item

FACE = f"{ROOT}/http"
"""The path of the face itself."""


class LinksFace:
    """The links by their boards."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def status(self) -> list[Item]:
        """Return the state of every link."""
        return [
            {
                "name": status.name,
                "broker": status.broker,
                "state": status.state.value,
                "connected": status.connected,
                "detail": describe_link(status),
                "since_us": int(status.since * 1_000_000),
                "protocol": status.protocol,
                "reconnects": status.reconnects,
                "unresolved": status.unresolved,
                "unresolved_bytes": status.unresolved_bytes,
                "dropped_by_broker": status.dropped_by_broker,
                "received": board.counters.received,
                "acknowledged": board.counters.acknowledged,
                "published": board.counters.published,
            }
            for board in self._parts.link_boards.values()
            for status in (board.status,)
        ]

    def reconnect(self, name: str) -> None:
        """Connect a link anew."""
        if self._board(name).paused:
            raise ConflictError(f"{name} is paused; resume it")
        self._parts.services.tell(name, Reconnect())

    def pause(self, name: str) -> None:
        """Close a link until it is resumed or the server starts again."""
        self._set_paused(name, paused=True)

    def resume(self, name: str) -> None:
        """Open a paused link."""
        self._set_paused(name, paused=False)

    def brokers(self) -> list[Item]:
        """Return the brokers, with what each tells of itself."""
        return [
            describe_broker(broker.name, self._board(f"{broker.name}.control")) for broker in self._parts.config.brokers
        ]

    def _board(self, name: str) -> LinkBoard:
        return self._parts.link_boards[name]

    def _set_paused(self, name: str, *, paused: bool) -> None:
        board = self._board(name)
        if board.paused is paused:
            raise ConflictError(f"{name} is {'paused already' if paused else 'not paused'}")
        board.paused = paused
        self._parts.services.tell(name, PauseOrResume())


def describe_broker(name: str, control: LinkBoard) -> Item:
    """Return what a broker tells of itself, as its control link has heard it."""
    status = control.status
    told = dict(control.figures) if status.connected else {}
    version = told.pop(VERSION, None)
    reason = None
    if not status.connected:
        reason = f"{status.name} is {status.state.replace('_', ' ')}; it is the link that hears them"
    elif control.figures_refused:
        reason = "the broker refuses our user $SYS/broker/#"
    elif not told:
        reason = "the broker tells nothing below $SYS/broker: it is no Mosquitto, or our user may not read it"
    figures = {
        figure.name: {"value": figure.value, "unit": figure.unit, "heard_us": int(figure.heard * 1_000_000)}
        for figure in told.values()
    }
    return {
        "name": name,
        "address": status.broker,
        "links": [f"{name}.control", f"{name}.data"],
        "version": version and version.value,
        "figures": figures,
        "reason": reason,
    }


def describe_link(status: LinkStatus) -> str:
    """Return what there is to know of a link for people: where it leads, what it speaks, what went wrong."""
    protocol = f"MQTT {status.protocol}" if status.protocol else ""
    return " · ".join(part for part in (status.broker, protocol, status.last_error) if part)


class SupervisionFace:
    """The tree, seen and touched by paths from below the root."""

    def __init__(self, root: Callable[[], ActorRef[Any]], crashes: CrashBook) -> None:
        self._root = root
        self._crashes = crashes

    def tree(self) -> Item:
        """Return the tree as it is now."""
        return _node(TreeView(self._root()).describe())

    def node(self, path: str) -> Item:
        """Return a part of the tree as it is now."""
        try:
            return _node(TreeView(self._root()).describe(_full(path)))
        except ChildNotFoundError as error:
            raise KeyError(path) from error

    def crashes(self, *, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return the history of crashes by group, newest first."""
        return self._crashes.page(limit, cursor)

    def crash(self, group: int) -> Item | None:
        """Return one group with its single crashes."""
        return self._crashes.find(group)

    def restart(self, path: str) -> None:
        """Restart a child."""
        if _full(path) != FACE:
            self._act(restart, path)
            return
        with contextlib.suppress(Timeout):  # the face ends its requests before it stops: it cannot wait for itself
            self._act(lambda root, full: restart(root, full, timeout=0.0), path)

    def quarantine(self, path: str) -> None:
        """Park a child."""
        if _full(path) == FACE:
            raise ValueError("the page cannot be parked: nothing would be left to bring it back with")
        self._act(quarantine, path)

    def resume(self, path: str) -> None:
        """Start a parked child again."""
        self._act(resume, path)

    def _act(self, action: Callable[[ActorRef[Any], str], None], path: str) -> None:
        root = self._root()
        try:
            action(root, _full(path))
        except ChildNotFoundError as error:
            raise KeyError(path) from error
        except SupervisionError as error:
            raise ValueError(str(error)) from error


def _full(path: str) -> str:
    """Return a path as the tree writes it: with the id of the root, and without slashes that nothing is between."""
    parts = [part for part in path.split("/") if part]
    return "/".join(parts if parts[:1] == [ROOT] else [ROOT, *parts])


def _node(status: dict[str, Any]) -> Item:
    """Return a node in the face's terms."""
    mailbox, error = status["mailbox"], status["last_exception"]
    node: Item = {
        "path": status["path"],
        "id": status["id"],
        "type": status["kind"],
        "state": status["state"],
        "restarts": status["restarts"],
        "incarnation": status["incarnation"],
        "mailbox": mailbox["depth"] + mailbox.get("stashed", 0),
        "mailbox_age": round(mailbox["oldest_age"], 3),
        "next_restart_in": status["next_restart_in"],
        "last_exception": None
        if error is None
        else {
            "error": clean(f"{error['type']}: {error['message']}" if error["type"] else error["reason"]),
            "traceback": clean(error["traceback"]),
            "where": error["where"],
            "at_us": int(error["when"] * 1_000_000),
        },
    }
    if "children" in status:
        node["children"] = [_node(child) for child in status["children"]]
        node["counts"] = status["counts"]
        node["total"] = status["total"]
        node["restarts_of_children"] = status["restarts_of_children"]
        node["dead_mail"] = status["dead_mail"]
        node["breakers"] = status.get("breakers", [])
    return node
