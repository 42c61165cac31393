"""What commands do to the database, each step in one transaction with its audit record; all run in the writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.commands.messages import CommandError, Issue
from actors.commands.rules import Cancelled, Change, Command, Judged, judge
from actors.storage.commands import find_commands, insert_commands, put_record, update_command


def issue(database: Any, order: Issue, rows: Sequence[Command], now_us: int, *, is_first: bool = True) -> None:
    """Keep a slice of the commands of one order; with the first of them its record."""
    insert_commands(database, rows)
    if not is_first:
        return
    record = {"action": "issued", "by": order.by, "from": order.address, "name": order.name}
    if order.batch:
        put_record(database, "", now_us, record | {"batch": rows[0].batch, "devices": len(order.serials)})
    else:
        put_record(database, rows[0].serial, now_us, record | {"id": rows[0].id})


def advance(database: Any, changes: Sequence[Change], now_us: int) -> list[Judged | None]:
    """Carry out changes, in order; None for a change of what there is not, or not with this device."""
    rows = find_commands(database, dict.fromkeys(change.id for change in changes))
    before = dict(rows)
    judged: list[Judged | None] = []
    for change in changes:
        row = rows.get(change.id)
        if row is None or getattr(change, "serial", row.serial) != row.serial:
            judged.append(None)
            continue
        verdict = judge(row, change, now_us)
        rows[change.id] = verdict.row
        judged.append(verdict)
    for command_id, row in rows.items():
        if row is not before[command_id]:
            update_command(database, row)
    return judged


def cancel(database: Any, command_id: str, by: str, address: str, now_us: int) -> Command:
    """End a command that is not over, and return its row.

    Raises:
        CommandError: there is none of this id, or it is over.

    """
    row = find_commands(database, [command_id]).get(command_id)
    if row is None:
        raise CommandError("not_found", "there is no command of this id", id=command_id[:64])
    if not row.is_open:
        raise CommandError("finished", f"the command is over already: it is {row.state}", id=row.id, state=row.state)
    changed = judge(row, Cancelled(row.id, by), now_us).row
    update_command(database, changed)
    record = {"action": "cancelled", "by": by, "from": address, "name": row.name, "id": row.id}
    put_record(database, row.serial, now_us, record)
    return changed


def shown(row: Command) -> dict[str, Any]:
    """Return a row as operators see it: `args` and `result` are what they stand for."""
    fields = msgspec.structs.asdict(row)
    fields["device"] = fields.pop("serial")
    fields["args"] = msgspec.json.decode(row.args)
    fields["result"] = msgspec.json.decode(row.result) if row.result else None
    return fields
