"""Notifications as the HTTP face sees them, and the actor that keeps and sends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pykka import ActorDeadError

from actors.link.status import UP
from actors.notifications.ledger import LedgerActor
from actors.notifications.messages import Change, Enter, Entered
from actors.notifications.notifier import Accepted, Letter, Notifier
from actors.notifications.rules import PRIORITIES, QOS_OF, SUCCESSES, Code, NotificationError, status_of
from actors.storage.notifications import FindNotification, FindNotifications, NotificationTotals
from actors.storage.queries import Page
from supervisor.server.parts import Parts
from web.face import Item
from web.notifications import NotificationRefusedError, Wanted
from web.render import rfc3339

PATIENCE = 30.0
"""Seconds that a request waits until its notifications are on disk; others may be before it."""
MOST_SHOWN = 200
"""Deliveries whose change the live page is told of one by one; of more at once it is told that there were some."""

_STATUS: Final[dict[Code, int]] = {
    "bad_field": 400,
    "bad_topic": 400,
    "too_large": 413,
    "too_many": 422,
    "key_reused": 422,
    "unknown_device": 404,
    "unknown_group": 404,
}


def ledger(parts: Parts) -> LedgerActor:
    """Return the actor that keeps notifications and sends them."""
    return LedgerActor(
        ask=parts.ask_registry,
        read=parts.readers.ask,
        services=parts.services,
        runtime=parts.runtime,
        links=_links(parts),
        scope=_scope(parts),
        is_up=lambda link: parts.link_boards[link].status.state in UP,
        board=parts.ledger_board,
        on_change=lambda changes: _show(parts, changes),
    )


def notifier(parts: Parts) -> Notifier:
    """Return the Python API: what routes, alarms and extensions send notifications with."""
    return Notifier(
        fleet=parts.fleet,
        groups=parts.groups,
        enter=lambda order: _enter(parts, order),
        clock=parts.runtime.clock,
        board=parts.ledger_board,
        links=_links(parts),
        scope=_scope(parts),
    )


def _links(parts: Parts) -> list[str]:
    return [f"{broker.name}.control" for broker in parts.config.brokers]


def _scope(parts: Parts) -> str:
    """Return what keeps apart the deliveries of servers that share a database."""
    return "" if parts.serves_all else f"{parts.instance_id}/"


def _enter(parts: Parts, order: Enter) -> Entered:
    entered: Entered = _ledger_of(parts).ask(order, block=True, timeout=PATIENCE)
    return entered


def _ledger_of(parts: Parts) -> Any:
    """Return the ledger's ref. Once there is one the fleet is loaded: it starts behind the loader."""
    ref = parts.services.get("ledger")
    if ref is None:
        raise ActorDeadError("the ledger is restarting")
    return ref


def _show(parts: Parts, changes: Sequence[Change]) -> None:
    """Tell pages what has become of deliveries."""
    now = rfc3339(int(parts.runtime.clock.time() * 1_000_000))
    for change in changes[:MOST_SHOWN]:
        body = {"notification": change.notification_id, "device": change.device or None, "topic": change.topic}
        body |= {"state": change.state, "reason": change.reason or None, "updated": now}
        parts.ring.publish("delivery", f"{change.notification_id} {change.device or change.topic}", body, change.device)
    if len(changes) > MOST_SHOWN:
        parts.ring.publish("delivery", "", {"more": len(changes) - MOST_SHOWN, "updated": now})


class NotificationsFace:
    """What is sent to devices and topics."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._notifier = notifier(parts)

    def send(self, wanted: Wanted, *, by: str, address: str, key: str) -> Item:
        """Keep one, to be sent."""
        _ledger_of(self._parts)  # a fleet that is not loaded knows nobody, and 404 would be final
        try:
            return _answer(self._notifier.send(Letter(*wanted), by=by, origin=address, key=key))
        except NotificationError as error:
            raise _refusal(error) from error

    def send_all(self, wanted: Sequence[Wanted], *, by: str, address: str, key: str) -> Item:
        """Keep many, to be sent."""
        _ledger_of(self._parts)
        try:
            accepted = self._notifier.send_all([Letter(*one) for one in wanted], by=by, origin=address, key=key)
        except NotificationError as error:
            raise _refusal(error) from error
        return _answer(accepted) | {"notifications": [_result(result) for result in accepted.results]}

    def get(self, notification: str, *, limit: int, cursor: str) -> Item | None:
        """Return one, or a bulk."""
        query = FindNotification(id=notification, limit=limit, after=cursor or None)
        found: Item | None = self._parts.readers.ask(query)
        if found is not None:
            self._mark_under_way(found)
        return found

    def _mark_under_way(self, found: Item) -> None:
        """Show as sent what the broker has not answered yet; the table knows of it when that has come."""
        under_way = self._parts.ledger_board.under_way
        counts: Counter[str] = Counter(found["counts"])
        for delivery in found["deliveries"]:
            if delivery["state"] == "queued" and delivery["id"] in under_way:
                delivery["state"] = "sent"
                counts.subtract(["queued"])
                counts.update(["sent"])
        found["counts"] = dict(+counts)
        found["status"] = status_of(counts)

    def find(self, *, serial: str | None, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return a page."""
        page: Page = self._parts.readers.ask(FindNotifications(serial=serial, limit=limit, after=cursor or None))
        return page.items, page.cursor

    def statistics(self) -> Item:
        """Return what was sent and how the broker is."""
        parts = self._parts
        rows: list[tuple[str, int, int, int, int]] = parts.readers.ask(NotificationTotals())
        broker, boards = parts.config.brokers[0], [parts.link_boards[link] for link in _links(parts)]
        by_state: Counter[str] = Counter()
        for state, _, _, count, _ in rows:
            by_state[state] += count
        total = _tally((state, count) for state, _, _, count, _ in rows)
        ended = [updated for state, _, _, _, updated in rows if _is_sent(state)]
        return {
            "total_sent": total["sent"],
            "total_success": total["success"],
            "total_failed": total["failed"],
            "last_sent_us": max(ended, default=0),
            "connection_count": sum(board.counters.connections for board in boards),
            "waiting": by_state["queued"],
            "by_state": dict(by_state),
            "by_priority": {
                priority: _tally((state, n) for state, rank, _, n, _ in rows if rank == index)
                for index, priority in enumerate(PRIORITIES)
            },
            "by_qos": {
                str(level): _tally((state, n) for state, _, qos, n, _ in rows if qos == level) for level in range(3)
            },
            "refused": dict(parts.ledger_board.refused),
            "platform": "mqtt",
            "broker": f"{broker.host}:{broker.port}",
            "broker_host": broker.host,
            "broker_port": broker.port,
            "connected": boards[0].status.connected,
            "qos": QOS_OF["normal"],
        }


def _is_sent(state: str) -> bool:
    return state == "sent" or state in SUCCESSES


def _tally(counts: Any) -> dict[str, int]:
    tally = Counter(success=0, failed=0)
    for state, count in counts:
        if _is_sent(state):
            tally["success"] += count
        elif state in ("failed", "expired"):
            tally["failed"] += count
    return {"sent": tally.total(), "success": tally["success"], "failed": tally["failed"]}


def _answer(accepted: Accepted) -> Item:
    return {
        "id": accepted.id,
        "recipients": accepted.recipients,
        "warnings": list(accepted.warnings),
        "duplicate": not accepted.is_new,
    }


def _result(result: str | NotificationError) -> Item:
    if isinstance(result, NotificationError):
        return {"id": None, "error": _refusal(result)}
    return {"id": result, "error": None}


def _refusal(error: NotificationError) -> NotificationRefusedError:
    details = {"field": error.field} if error.field else {}
    return NotificationRefusedError(_STATUS[error.code], error.code, error.message, details)
