"""Notifications: send them to devices, groups and topics, and see what has become of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from actors.notifications.notifier import MOST_IN_BULK
from actors.notifications.rules import LONGEST_TITLE, LONGEST_TTL, Message, Priority
from actors.targets import FIELDS, Target
from web.answers_notifications import (
    Notification,
    NotificationPage,
    NotificationStatistics,
    SentNotification,
    SentNotifications,
)
from web.call import Call, Reply
from web.errors import ApiError, Problem, bad_field
from web.face import Item
from web.ingest import IDEMPOTENCY_KEY, idempotency_key
from web.notifications import NotificationRefusedError, Wanted
from web.render import listing, rfc3339
from web.route import PAGED, Route
from web.routes_devices import known
from web.routes_history import cursor_of, not_ours

T = TypeVar("T")

FILTERS = ("device", *PAGED)
"""Query parameters of the list."""
BULK_LIMIT = 32_000_000
"""Bytes of a bulk."""

Serial = Annotated[str, msgspec.Meta(max_length=64)]


class Payload(msgspec.Struct, kw_only=True):
    """What is sent, in the form in which it is sent."""

    title: Annotated[str, msgspec.Meta(max_length=LONGEST_TITLE)] = ""
    body: str = ""
    data: dict[str, Any] = {}
    priority: Priority | None = None
    timestamp: Any = None
    """Not looked at, like `id`: both are made here."""
    id: Any = None


class Contents(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a notification says, and how it is sent."""

    title: Annotated[str, msgspec.Meta(max_length=LONGEST_TITLE)] = ""
    body: str = ""
    data: dict[str, Any] = {}
    payload: dict[str, Any] | None = None
    """In place of `title`, `body` and `data`: topic and payload make a pair. Other fields of it go to `data`."""
    priority: Priority | None = None
    """`normal` where it is left out."""
    qos: Literal[0, 1, 2] | None = None
    """Low priority 0, normal and high 1, urgent 2 where it is left out."""
    retain: bool = False
    ttl: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_TTL)] | None = None
    """Seconds for which somebody wants it; for ever where it is left out."""

    def message(self, where: str = "") -> Message:
        """Return what is to be sent; `where` begins the names of fields. Raises a 400 for a payload that is none."""
        title, body, data, priority = self.title, self.body, self.data, self.priority
        if self.payload is not None:
            try:
                said = msgspec.convert(self.payload, Payload)
            except msgspec.ValidationError as error:
                raise bad_field(f"{where}payload", str(error)) from None
            others = {name: self.payload[name] for name in self.payload if name not in Payload.__struct_fields__}
            title, body, data, priority = said.title, said.body, others | said.data, priority or said.priority
        return Message(
            title=title,
            body=body,
            data=data,
            priority=priority or "normal",
            qos=self.qos,
            retain=self.retain,
            ttl=self.ttl,
        )


class NewNotification(Contents, forbid_unknown_fields=True, kw_only=True):
    """One notification; exactly one of `device`, `devices`, `group`, `all` and `topic` says for whom."""

    device: Serial = ""
    devices: list[Serial] = []
    group: Annotated[str, msgspec.Meta(max_length=64)] = ""
    all: bool = False
    topic: str = ""


class NewTopicNotification(Contents, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/notifications/topic`."""

    topic: Annotated[str, msgspec.Meta(min_length=1)]


class NewNotifications(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/notifications/bulk`."""

    notifications: Annotated[list[NewNotification], msgspec.Meta(min_length=1, max_length=MOST_IN_BULK)]


_ONE = msgspec.json.Decoder(NewNotification)
_TOPIC = msgspec.json.Decoder(NewTopicNotification)
_BULK = msgspec.json.Decoder(NewNotifications)


def send(call: Call) -> Reply:
    """Send a notification to a device, some devices, a group, all of them, or a topic; it is kept when this answers."""
    return _send(call, _wanted(call.decode(_ONE)))


def send_to_topic(call: Call) -> Reply:
    """Send a notification to whoever has subscribed to a topic."""
    new = call.decode(_TOPIC)
    return _send(call, (new.message(), None, new.topic))


def send_all(call: Call) -> Reply:
    """Send up to 10,000 notifications in one call; one that cannot be sent keeps no other from being sent."""
    wanted = [_wanted(new, f"notifications[{index}].") for index, new in enumerate(_bulk(call))]
    told = _asked(lambda: call.face.notifications.send_all(wanted, **_about(call)))
    results = [{"id": one["id"], "error": _problem(one["error"])} for one in told["notifications"]]
    refused = sum(result["error"] is not None for result in results)
    counted = {"accepted": len(results) - refused, "refused": refused, "notifications": results}
    return Reply(told | counted, 200 if told["duplicate"] else 202)


def show(call: Call, notification: str) -> Item:
    """Return a notification, or all of a bulk, with a page of its deliveries: `limit`, `cursor`."""
    limit, cursor = call.limit(), cursor_of(call)
    try:
        row = call.face.notifications.get(notification[:64], limit=limit, cursor=cursor)
    except ValueError:
        raise not_ours() from None
    if row is None:
        raise ApiError(404, "there is no notification of this id", details={"id": notification[:64]})
    shown = _row(row)
    return shown | {
        "notifications": row["notifications"],
        "waiting": row["waiting"],
        "payload": row["payload"],
        "deliveries": [delivery_json(delivery) for delivery in row["deliveries"]],
        "cursor": row["cursor"],
    }


def index(call: Call) -> Item:
    """List notifications, newest first; those to one `device`."""
    limit, cursor, serial = call.limit(), cursor_of(call), call.text("device")
    if serial is not None:
        known(call, serial)
    try:
        items, after = call.face.notifications.find(serial=serial, limit=limit, cursor=cursor)
    except ValueError:
        raise not_ours() from None
    return listing([_row(item) for item in items], after)


def statistics(call: Call) -> Item:
    """Return how many notifications were sent and how they ended, and how the broker is."""
    told = call.face.notifications.statistics()
    return {key: told[key] for key in told if key != "last_sent_us"} | {"last_sent": rfc3339(told["last_sent_us"])}


def delivery_json(row: Item) -> Item:
    """Return a delivery; what is not known is null."""
    return {
        "notification": row["notification_id"],
        "device": row["device"] or None,
        "topic": row["topic"],
        "state": row["state"],
        "reason": row["reason"] or None,
        "updated": rfc3339(row["updated_us"]),
    }


def _row(row: Item) -> Item:
    names = ("id", "batch", "title", "priority", "qos", "retain", "recipients", "status", "counts")
    times = {"created": rfc3339(row["created_us"]), "expires": rfc3339(row["expires_us"] or 0)}
    return {name: row[name] for name in names} | times | {"sent_by": row["sent_by"] or None}


def _bulk(call: Call) -> list[NewNotification]:
    return call.decode(_BULK, BULK_LIMIT).notifications


def _wanted(new: NewNotification, where: str = "") -> Wanted:
    named = [name for name in (*FIELDS, "topic") if getattr(new, name)]
    if len(named) != 1:
        found = f"not {' and '.join(named)}" if named else "and it must not be empty"
        raise bad_field(f"{where}{named[0] if named else 'device'}", f"give exactly one of {_ALL}, {found}")
    message = new.message(where)
    if new.topic:
        return message, None, new.topic
    return message, Target(device=new.device, devices=tuple(new.devices), group=new.group, all=new.all), ""


_ALL = ", ".join((*FIELDS, "topic"))


def _send(call: Call, wanted: Wanted) -> Reply:
    told = _asked(lambda: call.face.notifications.send(wanted, **_about(call)))
    return Reply(told, 200 if told["duplicate"] else 202)


def _about(call: Call) -> dict[str, str]:
    assert call.who is not None
    return {"by": call.who.title, "address": call.client, "key": idempotency_key(call)}


def _problem(error: NotificationRefusedError | None) -> Problem | None:
    return None if error is None else Problem(error.code, error.message, error.details)


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except NotificationRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code, details=error.details) from None


ROUTES = (
    Route(
        "POST",
        "/api/notifications",
        "operate",
        send,
        SentNotification,
        headers=(IDEMPOTENCY_KEY,),
        body=NewNotification,
        status=202,
        known_status=200,
    ),
    Route(
        "POST",
        "/api/notifications/topic",
        "operate",
        send_to_topic,
        SentNotification,
        headers=(IDEMPOTENCY_KEY,),
        body=NewTopicNotification,
        status=202,
        known_status=200,
    ),
    Route(
        "POST",
        "/api/notifications/bulk",
        "operate",
        send_all,
        SentNotifications,
        headers=(IDEMPOTENCY_KEY,),
        body=NewNotifications,
        body_limit=BULK_LIMIT,
        status=202,
        known_status=200,
    ),
    Route("GET", "/api/notifications", "read", index, NotificationPage, query=FILTERS),
    Route("GET", "/api/notifications/stats", "read", statistics, NotificationStatistics),
    Route("GET", "/api/notifications/<notification>", "read", show, Notification, query=PAGED),
)
"""Of the table of `web.app`."""
