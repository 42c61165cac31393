"""What the HTTP face is given of links, brokers and the tree; see `web.face`."""

from __future__ import annotations

from typing import Any, Protocol

Item = dict[str, Any]
"""As in `web.face`."""


class Links(Protocol):
    """The MQTT links."""

    def status(self) -> list[Item]:
        """Return per link at least `name`, `state` (of `actors.link.status.LinkState`), `detail` and `since_us`."""
        ...

    def reconnect(self, name: str) -> None:
        """Close and open a link again. Raises KeyError for an unknown name, `ConflictError` for one that is paused."""
        ...

    def pause(self, name: str) -> None:
        """Close a link until it is resumed or the server starts again.

        Raises KeyError for an unknown name, `ConflictError` for one that is paused.
        """
        ...

    def resume(self, name: str) -> None:
        """Open a paused link. Raises KeyError for an unknown name, `ConflictError` for one that is not paused."""
        ...

    def brokers(self) -> list[Item]:
        """Return per broker `name`, `address`, `links` (names) and what it tells of itself.

        `version` is None where it is not told, `figures` has by name `value`, `unit` (of `actors.link.figures.Unit`)
        and `heard_us`, `reason` is the sentence why there are none, else None.
        """
        ...


class Supervision(Protocol):
    """The tree. A path is the ids from below the root, joined by `/`; the root's own path is its id."""

    def crashes(self, *, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return the history of crashes: the groups, the one with the newest crash first. Cursors as in `History`.

        A group: `id`, `type` (of the exception, or how the actor ended), `place` (where it began in our own code),
        `role`, `count`, `first_us`, `last_us`, `paths` (the newest few), `error` and `traceback` of the last one.
        """
        ...

    def crash(self, group: int) -> Item | None:
        """Return one group with its newest `crashes`, each `at_us`, `path`, `error`; None when there is none."""
        ...

    def node(self, path: str) -> Item:
        """Return the node at a path, as in `tree`; also of a device that the tree leaves out. Raises KeyError."""
        ...

    def tree(self) -> Item:
        """Return the root node.

        A node: `path`, `id`, `type`, `state` (of `supervisor.child.State`), `restarts`, `mailbox` (messages waiting),
        `mailbox_age` (seconds), `last_exception` (null or `{"error", "traceback", "at_us"}`), and for supervisors
        `children` (of very many dynamic ones only the remarkable), `total` and `counts` by state.
        """
        ...

    def restart(self, path: str) -> None:
        """Restart a child. Raises KeyError for an unknown path, ValueError with the reason when it is not possible."""
        ...

    def quarantine(self, path: str) -> None:
        """Park a child; raises as `restart`."""
        ...

    def resume(self, path: str) -> None:
        """Start a parked child again; raises as `restart`."""
        ...
