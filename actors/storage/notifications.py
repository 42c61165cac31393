"""Notifications in the database: what the writer does for the ledger, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import msgspec
from peewee import fn

from actors.notifications.messages import Change, Enter, Entered, Entry, Waiting
from actors.notifications.rules import SOURCES, STATES, State, status_of
from actors.storage.models import Delivery, Event, Notification
from actors.storage.queries import Page, bound, parse_number_cursor
from actors.storage.sql import Dialect, get_columns, slices

EVENT: Final = "notification"
"""The kind of the audit records."""
LONGEST_TITLE: Final = 255
"""Characters of a title in lists."""

EXPIRED_AT_ONCE = 5_000
"""Deliveries that are ended in one transaction: readings wait behind it."""

_NOTIFICATION: Final = get_columns(Notification)
_DELIVERY: Final = get_columns(Delivery, "id")


def enter(database: Any, order: Enter, now_us: int) -> Entered:
    """Keep notifications with all their deliveries and a record of who wanted them; runs in the writer."""
    known = _kept(database, order.batch)
    if known:
        return Entered(tuple(known), is_new=False, is_same=_is_same(database, known, order.entries))
    dialect = Dialect(database)
    rows = [_notification_row(entry, order) for entry in order.entries]
    deliveries = [row for entry in order.entries for row in _delivery_rows(entry, now_us)]
    # SQLite gives the numbers of the newest rows again once they are deleted: who follows them has to be told.
    after = int(Delivery.select(fn.COALESCE(fn.MAX(Delivery.id), 0)).scalar(database))
    with closing(database.cursor()) as cursor:
        cursor.executemany(dialect.insert(Notification, _NOTIFICATION), rows)
        if deliveries:
            cursor.executemany(dialect.insert(Delivery, _DELIVERY), deliveries)
    _record(database, order, len(deliveries), now_us)
    return Entered(tuple(entry.id for entry in order.entries), is_new=True, after=after)


def _kept(database: Any, batch: str) -> dict[str, str]:
    """Return what was sent with a batch, by the ids of its notifications and in their order."""
    columns = (Notification.id, Notification.payload)
    query = Notification.select(*columns).where(Notification.batch == batch).order_by(Notification.seq)
    return dict(query.tuples().execute(database))


def _is_same(database: Any, known: Mapping[str, str], entries: Sequence[Entry]) -> bool:
    """Tell whether a request that has come again says the same to the same; devices may have come or gone meanwhile."""
    if [entry.id for entry in entries] != list(known):
        return False
    if any(_said(entry.payload) != _said(known[entry.id]) for entry in entries):
        return False
    topics: dict[str, set[str]] = {}
    for part in slices(list(known)):
        query = Delivery.select(Delivery.notification_id, Delivery.topic).where(Delivery.notification_id.in_(part))
        for key, topic in query.tuples().execute(database):
            topics.setdefault(key, set()).add(topic)
    return all(topics[entry.id] & {to.topic for to in entry.recipients} for entry in entries if entry.id in topics)


def _said(payload: str) -> dict[str, Any]:
    """Return what a payload says, whenever it was made."""
    said: dict[str, Any] = msgspec.json.decode(payload)
    return said | {"timestamp": None}


def _notification_row(entry: Entry, order: Enter) -> tuple[Any, ...]:
    return (
        entry.id, order.batch, entry.seq, entry.title[:LONGEST_TITLE], entry.priority, entry.qos, entry.retain,
        entry.created_us, entry.expires_us, len(entry.recipients), order.by[:255],
        Notification.payload.db_value(entry.payload),  # peewee, which seals, is not on this way
    )  # fmt: skip


def _delivery_rows(entry: Entry, now_us: int) -> Iterable[tuple[Any, ...]]:
    for seq, to in enumerate(entry.recipients):
        state = "failed" if to.refused else "queued"
        yield (
            entry.id, seq, to.device, to.topic, to.link, state, entry.rank, entry.qos, to.refused, entry.expires_us,
            now_us,
        )  # fmt: skip


def _record(database: Any, order: Enter, deliveries: int, now_us: int) -> None:
    """Leave an audit record: with the device where there is only one."""
    first = order.entries[0]
    alone = len(order.entries) == 1 and len(first.recipients) == 1
    data: dict[str, Any] = {"action": "send", "by": order.by, "from": order.origin, "id": order.batch}
    data |= {"title": first.title[:LONGEST_TITLE], "notifications": len(order.entries), "recipients": deliveries}
    if alone:
        data["topic"] = first.recipients[0].topic
    serial = first.recipients[0].device if alone else ""
    text = msgspec.json.encode(data).decode()
    Event.insert(ts_us=now_us, serial=serial, kind=EVENT, data=text).execute(database)


def mark(database: Any, changes: Iterable[Change], now_us: int) -> None:
    """Write what has become of deliveries; what comes late changes nothing. Runs in the writer."""
    alike: dict[tuple[State, str], list[int]] = {}
    for change in changes:
        alike.setdefault((change.state, change.reason), []).append(change.delivery)
    for (state, reason), ids in alike.items():
        for part in slices(ids):
            where = Delivery.id.in_(part) & Delivery.state.in_(SOURCES[state])
            Delivery.update(state=state, reason=reason, updated_us=now_us).where(where).execute(database)


def expire(database: Any, now_us: int) -> list[Change]:
    """End deliveries that nobody wants any more, `EXPIRED_AT_ONCE` at most, and return them; runs in the writer."""
    columns = (Delivery.id, Delivery.notification_id, Delivery.device, Delivery.topic)
    where = (Delivery.state == "queued") & (Delivery.expires_us < now_us)
    query = Delivery.select(*columns).where(where).limit(EXPIRED_AT_ONCE)
    reason = "its time was over before it could be sent"
    rows = query.tuples().execute(database)
    changes = [Change(number, key, device, topic, "expired", reason) for number, key, device, topic in rows]
    mark(database, changes, now_us)
    return changes


def adopt(database: Any, links: Sequence[str], default: str) -> int:
    """Give what waits for a link that there is no more to another one; return how many. Runs in the writer."""
    where = (Delivery.state == "queued") & Delivery.link.not_in(links)
    changed: int = Delivery.update(link=default).where(where).execute(database)
    return changed


def note_receipt(
    database: Any, *, serial: str, notification_id: str, state: State, reason: str, now_us: int
) -> Change | None:
    """Write what a device says of a notification, and return the change; None for one that it never got.

    Whoever answers to a notification for a topic becomes a recipient of it. Runs in the writer.
    """
    mine = (Delivery.notification_id == notification_id) & (Delivery.device == serial)
    row = _first(database, Delivery.select(Delivery.id, Delivery.topic, Delivery.state).where(mine))
    if row is None:
        row = _join_topic(database, serial, notification_id, now_us)
        if row is None:
            return None
    delivery, topic, before = row
    is_news = before in SOURCES[state]
    if is_news:
        where = Delivery.id == delivery
        Delivery.update(state=state, reason=reason, updated_us=now_us).where(where).execute(database)
    return Change(delivery, notification_id, serial, topic, state if is_news else before, reason, is_news)


def _join_topic(database: Any, serial: str, notification_id: str, now_us: int) -> tuple[int, str, State] | None:
    """Add a device to those who get a notification for a topic."""
    to_topic = (Delivery.notification_id == notification_id) & (Delivery.device == "")
    columns = (Delivery.topic, Delivery.link, Delivery.rank, Delivery.qos)
    found = _first(database, Delivery.select(*columns).where(to_topic).limit(1))
    if found is None:
        return None
    topic, link, rank, qos = found
    last = Delivery.select(fn.MAX(Delivery.seq)).where(Delivery.notification_id == notification_id).scalar(database)
    row = {"notification_id": notification_id, "seq": last + 1, "device": serial, "topic": topic, "link": link}
    row |= {"state": "accepted", "rank": rank, "qos": qos, "reason": "", "expires_us": None, "updated_us": now_us}
    delivery = Delivery.insert(**row).execute(database)
    return int(delivery), topic, "accepted"


def _first(database: Any, query: Any) -> Any:
    return next(iter(query.tuples().execute(database)), None)


class NextDeliveries(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be sent next through a link, of one priority, in the order of its coming."""

    link: str
    rank: int
    after: int
    limit: int

    def run(self, database: Any) -> list[Waiting]:
        """Return up to `limit` deliveries whose id follows `after`."""
        columns = (Delivery.id, Delivery.notification_id, Delivery.device, Delivery.topic, Delivery.link, Delivery.qos)
        where = (Delivery.state == "queued") & (Delivery.link == self.link) & (Delivery.rank == self.rank)
        query = Delivery.select(*columns, Delivery.expires_us).where(where & (Delivery.id > self.after))
        rows = list(query.order_by(Delivery.id).limit(self.limit).tuples().execute(database))
        said = _payloads(database, {row[1] for row in rows})
        waiting = []
        for number, key, device, topic, link, qos, expires_us in rows:
            retain, payload = said[key]
            waiting.append(Waiting(number, key, device, topic, link, qos, retain, expires_us, payload))
        return waiting


def _payloads(database: Any, ids: set[str]) -> dict[str, tuple[bool, bytes]]:
    """Return whether each notification is retained, and what is sent of it."""
    columns = (Notification.id, Notification.retain, Notification.payload)
    found: dict[str, tuple[bool, bytes]] = {}
    for part in slices(sorted(ids)):
        query = Notification.select(*columns).where(Notification.id.in_(part)).tuples()
        found |= {key: (bool(retain), payload.encode()) for key, retain, payload in query.execute(database)}
    return found


class HasExpired(msgspec.Struct, frozen=True):
    """Whether something waits that nobody wants any more."""

    now_us: int

    def run(self, database: Any) -> bool:
        """Return the answer."""
        where = (Delivery.state == "queued") & (Delivery.expires_us < self.now_us)
        return _first(database, Delivery.select(Delivery.id).where(where).limit(1)) is not None


class FindNotification(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, or a whole batch of them, with a page of the deliveries."""

    id: str
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> dict[str, Any] | None:
        """Return it with its `deliveries` by id, the `counts` of their states and the `cursor`; None without it."""
        one = _dicts(database, Notification.select().where(Notification.id == self.id))
        rows = one or _dicts(
            database, Notification.select().where(Notification.batch == self.id).order_by(Notification.seq).limit(1)
        )
        if not rows:
            return None
        shown = show_notification(rows[0]) | {"notifications": 1}
        mine: Any = Delivery.notification_id == self.id
        if one:
            shown["payload"] = msgspec.Raw(rows[0]["payload"].encode())
        else:
            of_batch = Notification.select(Notification.id).where(Notification.batch == self.id)
            mine = Delivery.notification_id.in_(of_batch)
            shown |= {"id": self.id, "notifications": int(of_batch.count(database)), "payload": None}
        counted = Delivery.select(Delivery.state, fn.COUNT(Delivery.id)).where(mine).group_by(Delivery.state)
        counts = dict(counted.tuples().execute(database))
        where = mine if self.after is None else mine & (Delivery.id > parse_number_cursor(self.after))
        query = Delivery.select().where(where).order_by(Delivery.id).limit(bound(self.limit))
        deliveries = _dicts(database, query)
        cursor = str(deliveries[-1]["id"]) if len(deliveries) == bound(self.limit) else None
        return shown | {
            "status": status_of(counts),
            "counts": counts,
            "recipients": sum(counts.values()),
            "waiting": counts.get("queued", 0),
            "deliveries": [show_delivery(row) for row in deliveries],
            "cursor": cursor,
        }


class FindNotifications(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications, newest first: all, or those to one device."""

    serial: str | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page, each with the counts of the states of its deliveries."""
        limit = bound(self.limit)
        query = Notification.select().order_by(Notification.created_us.desc(), Notification.id.desc())
        if self.serial is not None:
            of_device = Delivery.select(Delivery.notification_id).where(Delivery.device == self.serial)
            query = query.where(Notification.id.in_(of_device))
        if self.after is not None:
            when, _, last = self.after.partition("-")
            created = parse_number_cursor(when)
            older = (Notification.created_us == created) & (Notification.id < last)
            query = query.where((Notification.created_us < created) | older)
        rows = _dicts(database, query.limit(limit))
        counts = _counts(database, [row["id"] for row in rows], self.serial)
        items = []
        for row in rows:
            states = counts.get(row["id"], {})
            items.append(show_notification(row) | {"status": status_of(states), "counts": states})
        cursor = f"{rows[-1]['created_us']}-{rows[-1]['id']}" if len(rows) == limit else None
        return Page(items, cursor)


def _counts(database: Any, ids: Sequence[str], serial: str | None) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    key, state = Delivery.notification_id, Delivery.state
    for part in slices(ids):
        where: Any = key.in_(part)
        if serial is not None:
            where &= Delivery.device == serial
        query = Delivery.select(key, state, fn.COUNT(Delivery.id)).where(where).group_by(key, state)
        for notification_id, name, count in query.tuples().execute(database):
            counts.setdefault(notification_id, {})[name] = count
    return counts


class NotificationTotals(msgspec.Struct, frozen=True):
    """How many deliveries there are, by state, priority and QoS."""

    def run(self, database: Any) -> list[tuple[State, int, int, int, int]]:
        """Return rows of (state, rank, qos, how many, when the last of them became so)."""
        key = (Delivery.state, Delivery.rank, Delivery.qos)
        query = Delivery.select(*key, fn.COUNT(Delivery.id), fn.MAX(Delivery.updated_us)).group_by(*key)
        return list(query.tuples().execute(database))


def show_notification(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is shown in lists."""
    names = ("id", "batch", "title", "priority", "qos", "created_us", "expires_us", "recipients", "sent_by")
    return {name: row[name] for name in names} | {"retain": bool(row["retain"])}


def show_delivery(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is shown."""
    names = ("id", "notification_id", "device", "topic", "state", "reason", "updated_us")
    assert row["state"] in STATES, row
    return {name: row[name] for name in names}


def _dicts(database: Any, query: Any) -> list[dict[str, Any]]:
    return list(query.dicts().execute(database))
