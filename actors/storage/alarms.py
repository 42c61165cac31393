"""Alarms in the database: the rules of operators, the alarms themselves, and the news that wait to be sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from peewee import fn

from actors.alarms.messages import Alarm, KnownRule, Notice
from actors.alarms.messages import Event as NewsEvent
from actors.alarms.rules import Rule
from actors.storage.models import Alarm as Row
from actors.storage.models import AlarmDevice, Event
from actors.storage.models import AlarmNotice as NoticeRow
from actors.storage.models import AlarmRule as RuleRow
from actors.storage.queries import BadCursor, Page, bound
from actors.storage.sql import slices

EVENT: Final = "alarm"
"""The kind of the records in `event`."""
MOST_NAMES: Final = 1_000
"""Serials of one alarm that are kept by name; all are counted."""
NOTICES_AT_ONCE: Final = 100
"""News that are looked up at a time."""
MOST_ERROR: Final = 1_000
"""Characters of a reason that are kept."""
MOST_INSERTED: Final = 300
"""Rows of one INSERT; SQLite's oldest limit is 999 parameters."""

_FIELDS: Final = Alarm.__struct_fields__
_COLUMNS: Final = [getattr(Row, name) for name in _FIELDS]


class Record(NamedTuple):
    """One row of `event` to be."""

    serial: str
    data: dict[str, Any]


def load_open(database: Any) -> list[Alarm]:
    """Return every alarm that is not over, with all its devices."""
    is_open = Row.open_key.is_null(False)
    within = AlarmDevice.alarm_id.in_(Row.select(Row.id).where(is_open)) & AlarmDevice.left_us.is_null()
    devices: dict[int, list[str]] = defaultdict(list)
    pairs = AlarmDevice.select(AlarmDevice.alarm_id, AlarmDevice.serial).where(within).tuples()
    for alarm_id, serial in pairs.execute(database):
        devices[alarm_id].append(serial)
    found = [_to_alarm(row) for row in Row.select(*_COLUMNS).where(is_open).order_by(Row.id).dicts().execute(database)]
    return [
        msgspec.structs.replace(alarm, members=tuple(sorted(devices[alarm.id]))) if alarm.id in devices else alarm
        for alarm in found
    ]


def find_alarm(database: Any, alarm_id: int) -> Alarm | None:
    """Return one alarm."""
    query = Row.select(*_COLUMNS).where(Row.id == alarm_id).dicts()
    return next((_to_alarm(row) for row in query.execute(database)), None)


def put_new(database: Any, alarm: Alarm) -> Alarm:
    """Store a new alarm and return it with its id; a silence of the last one of its key goes on in it.

    One that is stored already is returned as it is there: the answer to an earlier attempt may have been lost.
    """
    stored = Row.select(*_COLUMNS).where(Row.open_key == alarm.key).dicts()
    for row in stored.execute(database):
        return _to_alarm(row)
    last = Row.select(Row.silenced_until_us, Row.silenced_by).where(Row.key == alarm.key).order_by(Row.id.desc())
    for until_us, by in last.limit(1).tuples().execute(database):
        if (until_us or 0) > alarm.raised_us:
            alarm = msgspec.structs.replace(alarm, silenced_until_us=until_us, silenced_by=by)
    made = Row.insert(_values(alarm)).execute(database)
    return msgspec.structs.replace(alarm, id=_inserted(made))


def update_alarm(database: Any, alarm: Alarm) -> None:
    """Write an alarm as it is now."""
    Row.update(_values(alarm)).where(Row.id == alarm.id).execute(database)


def keep_devices(database: Any, alarm: Alarm, now_us: int) -> None:
    """Write which devices an alarm of several tells of now."""
    if alarm.subject.startswith("device:"):
        return
    its = AlarmDevice.alarm_id == alarm.id
    rows = AlarmDevice.select(AlarmDevice.serial, AlarmDevice.left_us).where(its).tuples().execute(database)
    left_us: dict[str, int | None] = dict(rows)
    members = set(alarm.members)
    changes = (
        (None, [serial for serial in members if left_us.get(serial) is not None]),
        (now_us, [serial for serial, when_us in left_us.items() if when_us is None and serial not in members]),
    )
    for when_us, serials in changes:
        for part in slices(serials):
            AlarmDevice.update(left_us=when_us).where(its & AlarmDevice.serial.in_(part)).execute(database)
    for part in slices(sorted(members - left_us.keys()), MOST_INSERTED):
        AlarmDevice.insert_many([{"alarm_id": alarm.id, "serial": serial, "left_us": None} for serial in part]).execute(
            database
        )


def put_records(database: Any, records: Sequence[Record], now_us: int) -> None:
    """Write what happened."""
    for record in records:
        text = msgspec.json.encode(record.data).decode()
        Event.insert(ts_us=now_us, serial=record.serial, kind=EVENT, data=text).execute(database)


def _values(alarm: Alarm) -> dict[str, Any]:
    values = msgspec.structs.asdict(alarm)
    del values["id"]
    values["members"] = msgspec.json.encode(alarm.members[:MOST_NAMES]).decode()
    values["open_key"] = alarm.key if alarm.is_open else None
    return values


def _to_alarm(row: dict[str, Any]) -> Alarm:
    row["members"] = msgspec.json.decode(row["members"], type=tuple[str, ...])
    return Alarm(**row)


def _inserted(made: Any) -> int:
    """Return the id of an inserted row: PostgreSQL gives the row itself."""
    if isinstance(made, int):
        return made
    (row,) = list(made)
    return int(row[0])


# News


def insert_notice(
    database: Any,
    channel: str,
    event: NewsEvent,
    body: dict[str, Any],
    now_us: int,
    *,
    due_us: int | None,
    attempts: int = 0,
    error: str = "",
) -> int:
    """Store news and return their id; `body` is the alarm as it is told, without `due_us` they have ended."""
    made = NoticeRow.insert(
        alarm_id=body["id"],
        event=event,
        channel=channel,
        body=msgspec.json.encode(body).decode(),
        attempts=attempts,
        made_us=now_us,
        due_us=due_us,
        ended_us=now_us if due_us is None else None,
        error=error[:MOST_ERROR],
    ).execute(database)
    return _inserted(made)


def channels_told(database: Any, alarm_id: int) -> list[str]:
    """Return the channels that were told, or will be, that an alarm was raised."""
    its = (NoticeRow.alarm_id == alarm_id) & (NoticeRow.event == "raised")
    query = NoticeRow.select(NoticeRow.channel).where(its).distinct().tuples()
    return sorted(channel for (channel,) in query.execute(database))


def due_notices(database: Any, now_us: int, wild_us: int, busy: Collection[str]) -> list[Notice]:
    """Return news whose time has come, the oldest first; of an alarm, each channel gets one after the other.

    Args:
        database: where they are.
        now_us: the time.
        wild_us: what is due after this was put off by a clock that was wrong, and is due now.
        busy: channels that have enough to do.

    """
    columns = (NoticeRow.id, NoticeRow.channel, NoticeRow.event, NoticeRow.body, NoticeRow.attempts)
    is_due = (NoticeRow.due_us <= now_us) | (NoticeRow.due_us > wild_us)
    query = NoticeRow.select(*columns).where(is_due & _is_free(busy)).order_by(NoticeRow.id)
    rows = query.limit(NOTICES_AT_ONCE).dicts().execute(database)
    return [Notice(**(row | {"body": msgspec.json.decode(row["body"])})) for row in rows]


def next_due_us(database: Any, busy: Collection[str] = ()) -> int | None:
    """Return when the next news are to be sent, None when none wait but for those of busy channels."""
    query = NoticeRow.select(NoticeRow.due_us).where(NoticeRow.due_us.is_null(False) & _is_free(busy))
    query = query.order_by(NoticeRow.due_us).limit(1)
    return next((int(due_us) for (due_us,) in query.tuples().execute(database)), None)


def _is_free(busy: Collection[str]) -> Any:
    """Return the condition that a channel can take news: no earlier ones of the same alarm wait for it."""
    earlier = NoticeRow.alias()
    same = (earlier.alarm_id == NoticeRow.alarm_id) & (earlier.channel == NoticeRow.channel)
    waits = earlier.select(earlier.id).where(same & (earlier.id < NoticeRow.id) & earlier.due_us.is_null(False))
    return NoticeRow.channel.not_in(list(busy)) & ~fn.EXISTS(waits)


def settle_notice(database: Any, notice_id: int, *, attempts: int, error: str, due_us: int | None, now_us: int) -> None:
    """Note what became of an attempt; without `due_us` it was the last one."""
    ended_us = now_us if due_us is None else None
    values = {"attempts": attempts, "error": error[:MOST_ERROR], "due_us": due_us, "ended_us": ended_us}
    NoticeRow.update(**values).where(NoticeRow.id == notice_id).execute(database)


# Rules


def load_rules(database: Any) -> list[tuple[str, KnownRule | str]]:
    """Return (name, rule) of every rule that operators made, or (name, reason) of one that cannot be read."""
    found: list[tuple[str, KnownRule | str]] = []
    for row in RuleRow.select().order_by(RuleRow.name).dicts().execute(database):
        try:
            rule = msgspec.json.decode(row["body"], type=Rule)
        except msgspec.MsgspecError as error:
            found.append((row["name"], str(error)))
            continue
        known = KnownRule(rule=rule, origin="api", changed_us=row["changed_us"], changed_by=row["changed_by"])
        found.append((row["name"], known))
    return found


def put_rule(database: Any, known: KnownRule) -> None:
    """Store a rule in the place of what there is of its name."""
    drop_rule(database, known.rule.name)
    RuleRow.insert(
        name=known.rule.name,
        body=msgspec.json.encode(known.rule).decode(),
        changed_us=known.changed_us,
        changed_by=known.changed_by,
    ).execute(database)


def drop_rule(database: Any, name: str) -> bool:
    """Delete a rule; False if it is not there."""
    return bool(RuleRow.delete().where(RuleRow.name == name).execute(database))


# For the readers


class FindAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms, the newest first; None does not restrict. Those of a device are also those of several that it is in."""

    state: Literal["open", "cleared"] | None = None
    rule: str | None = None
    severity: str | None = None
    serial: str | None = None
    site: str | None = None
    limit: int = 100
    after: str | None = None

    def run(self, database: Any) -> Page:
        """Return a page."""
        query = Row.select(*_COLUMNS)
        if self.state is not None:
            query = query.where(Row.open_key.is_null(self.state == "cleared"))
        for column, wanted in (
            (Row.rule, self.rule),
            (Row.severity, self.severity),
            (Row.site, self.site),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if self.serial is not None:
            query = query.where((Row.serial == self.serial) | Row.id.in_(self._of_several(self.serial)))
        if self.after is not None:
            query = query.where(Row.id < _parse_cursor(self.after))
        limit = bound(self.limit)
        rows = list(query.order_by(Row.id.desc()).limit(limit).dicts().execute(database))
        items = [msgspec.structs.asdict(_to_alarm(row)) for row in rows]
        return Page(items, str(rows[-1]["id"]) if len(rows) == limit else None)

    def _of_several(self, serial: str) -> Any:
        """Return the alarms of several devices that a device is in; of those that are over: was in."""
        its = AlarmDevice.serial == serial
        return AlarmDevice.select(AlarmDevice.alarm_id).where(
            its & AlarmDevice.left_us.is_null() if self.state == "open" else its
        )


class FindAlarm(msgspec.Struct, frozen=True):
    """One alarm with its news."""

    id: int

    def run(self, database: Any) -> dict[str, Any] | None:
        """Return its fields and `notices`, None when it is not there."""
        alarm = find_alarm(database, self.id)
        if alarm is None:
            return None
        query = NoticeRow.select().where(NoticeRow.alarm_id == self.id).order_by(NoticeRow.id).limit(MOST_NAMES)
        shown = ("event", "channel", "attempts", "made_us", "due_us", "ended_us", "error")
        notices = [{name: row[name] for name in shown} for row in query.dicts().execute(database)]
        return msgspec.structs.asdict(alarm) | {"notices": notices}


def _parse_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadCursor("the cursor is not one of ours")
    return int(cursor)
