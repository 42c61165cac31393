"""The file of the inbox: what has come, what became of it, and the settings that were sent. For one thread.

Ids are remembered long after their content is gone, so that a copy is known;
both the ids and what waits are bounded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.durable_file import DurableFile, FileUnavailableError

MOST_IDS = {"notification": 10_000, "command": 1_000}
"""Of those that are finished the last are remembered, a command with its answer."""
MOST_WAITING = 10_000
MOST_BYTES = 64 * 2**20
"""Bounds on the notifications that no handler has had yet."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notification (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, payload BLOB NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
    served TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL, received_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS notification_state ON notification (state, seq);
CREATE INDEX IF NOT EXISTS notification_digest ON notification (digest);
CREATE INDEX IF NOT EXISTS notification_told ON notification (seq) WHERE told = 0;
CREATE TABLE IF NOT EXISTS command (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payload BLOB NOT NULL, state TEXT NOT NULL,
    lane TEXT NOT NULL, boot_id TEXT NOT NULL, until_us INTEGER NOT NULL, answer BLOB NOT NULL DEFAULT x'',
    process TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 1, received_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS command_state ON command (state, seq);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class InboxUnavailableError(FileUnavailableError):
    """The inbox cannot be used now."""


class NotificationRow(NamedTuple):
    """A notification as it is kept."""

    seq: int
    id: str
    payload: bytes
    state: str
    """`waiting` for its handlers, or how it ended: `received`, `displayed`, `failed`."""
    reason: str
    attempts: int
    served: str
    """Names of the handlers that have had it, separated by commas."""


class CommandRow(NamedTuple):
    """A command as it is kept."""

    seq: int
    id: str
    payload: bytes
    state: str
    """`waiting`, `running` or `done`."""
    lane: str
    boot_id: str
    """Of the boot in which it came or, once it runs, in which it began."""
    until_us: int
    """When nobody waits for it any more, by our clock; 0 for never."""
    answer: bytes
    """What is answered, once it is done."""
    process: str
    """Of the run of the edge in which it began."""


_NOTIFICATION = "seq, id, payload, state, reason, attempts, served"
_COMMAND = "seq, id, payload, state, lane, boot_id, until_us, answer, process"


class InboxFile(DurableFile):
    """The methods that change it are called in a `transaction`."""

    name = "inbox"
    schema = _SCHEMA
    version = 1
    unavailable = InboxUnavailableError

    # Notifications

    def find_notification(self, item_id: str) -> NotificationRow | None:
        """Return the notification of an id."""
        row = self._one(f"SELECT {_NOTIFICATION} FROM notification WHERE id = ?", item_id)  # noqa: S608 - a constant
        return NotificationRow(*row) if row else None

    def knows_digest(self, digest: bytes) -> bool:
        """Return whether a payload has come before, for notifications without an id."""
        return self._one("SELECT 1 FROM notification WHERE digest = ? LIMIT 1", digest) is not None

    def add_notification(
        self, item_id: str, digest: bytes, payload: bytes, state: str, now_us: int, *, tell: bool
    ) -> None:
        """Keep a notification, its content only while it waits; `tell` has a receipt sent."""
        self._do(
            "INSERT INTO notification (id, digest, payload, state, told, received_us) VALUES (?, ?, ?, ?, ?, ?)",
            *(item_id, digest, payload if state == "waiting" else b"", state, not tell, now_us),
        )

    def untold_notifications(self, limit: int = 500) -> list[NotificationRow]:
        """Return those whose receipt is not in the outbox yet."""
        sql = f"SELECT {_NOTIFICATION} FROM notification WHERE told = 0 ORDER BY seq LIMIT ?"  # noqa: S608
        return [NotificationRow(*row) for row in self._all(sql, limit)]

    def mark_notification(self, seq: int, *, told: bool) -> None:
        """Note whether the outbox has its receipt."""
        self._do("UPDATE notification SET told = ? WHERE seq = ?", told, seq)

    def waiting_notifications(self, limit: int = 100) -> list[NotificationRow]:
        """Return the oldest that wait for their handlers."""
        sql = f"SELECT {_NOTIFICATION} FROM notification WHERE state = 'waiting' ORDER BY seq LIMIT ?"  # noqa: S608
        return [NotificationRow(*row) for row in self._all(sql, limit)]

    def note_attempt(self, seq: int, attempts: int, served: str) -> None:
        """Note that its handlers are given it once more."""
        self._do("UPDATE notification SET attempts = ?, served = ? WHERE seq = ?", attempts, served, seq)

    def end_notification(self, seq: int, state: str, reason: str, *, tell: bool) -> None:
        """Note how it ended; its content goes."""
        sql = "UPDATE notification SET state = ?, reason = ?, payload = x'', told = ? WHERE seq = ?"
        self._do(sql, state, reason, not tell, seq)

    def overflow(self, most: int = MOST_WAITING, most_bytes: int = MOST_BYTES) -> list[NotificationRow]:
        """Return the oldest of those that wait, as many as are too many."""
        count, size = self._one(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM notification WHERE state = 'waiting'"
        ) or (0, 0)
        found: list[NotificationRow] = []
        if count <= most and size <= most_bytes:
            return found
        for row in self.waiting_notifications(count):
            if count <= most and size <= most_bytes:
                break
            found.append(row)
            count, size = count - 1, size - len(row.payload)
        return found

    # Commands

    def find_command(self, item_id: str) -> CommandRow | None:
        """Return the command of an id."""
        row = self._one(f"SELECT {_COMMAND} FROM command WHERE id = ?", item_id)  # noqa: S608 - a constant
        return CommandRow(*row) if row else None

    def get_command(self, seq: int) -> CommandRow | None:
        """Return a command."""
        row = self._one(f"SELECT {_COMMAND} FROM command WHERE seq = ?", seq)  # noqa: S608 - a constant
        return CommandRow(*row) if row else None

    def add_command(self, item_id: str, payload: bytes, *, lane: str, boot_id: str, until_us: int, now_us: int) -> None:
        """Keep a command that waits for its lane."""
        self._do(
            "INSERT INTO command (id, payload, state, lane, boot_id, until_us, received_us)"
            " VALUES (?, ?, 'waiting', ?, ?, ?, ?)",
            *(item_id, payload, lane, boot_id, until_us, now_us),
        )

    def commands(self, state: str, lane: str) -> list[CommandRow]:
        """Return the commands of a lane in a state, the oldest first."""
        sql = f"SELECT {_COMMAND} FROM command WHERE state = ? AND lane = ? ORDER BY seq"  # noqa: S608 - a constant
        return [CommandRow(*row) for row in self._all(sql, state, lane)]

    def untold_commands(self) -> list[CommandRow]:
        """Return the commands whose answer is not in the outbox yet."""
        sql = f"SELECT {_COMMAND} FROM command WHERE told = 0 ORDER BY seq"  # noqa: S608 - a constant
        return [CommandRow(*row) for row in self._all(sql)]

    def begin_command(self, seq: int, boot_id: str, process: str) -> None:
        """Note that it begins: from now on it is never begun again."""
        sql = "UPDATE command SET state = 'running', boot_id = ?, process = ? WHERE seq = ?"
        self._do(sql, boot_id, process, seq)

    def end_command(self, seq: int, answer: bytes) -> None:
        """Note what it is answered; its content goes."""
        self._do("UPDATE command SET state = 'done', answer = ?, payload = x'', told = 0 WHERE seq = ?", answer, seq)

    def mark_command(self, seq: int, *, told: bool) -> None:
        """Note whether the outbox has its answer."""
        self._do("UPDATE command SET told = ? WHERE seq = ?", told, seq)

    # Settings and bounds

    def setting(self, name: str) -> bytes:
        """Return a setting; empty where there is none."""
        row = self._one("SELECT value FROM setting WHERE name = ?", name)
        return bytes(row[0]) if row else b""

    def keep_setting(self, name: str, value: bytes) -> None:
        """Keep a setting."""
        self._do(
            "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = ?2", name, value
        )

    def forget_old(self) -> None:
        """Forget the oldest of what is finished."""
        for table, most in MOST_IDS.items():
            self._do(
                f"DELETE FROM {table} WHERE told AND state NOT IN ('waiting', 'running')"  # noqa: S608 - constants
                f" AND seq <= (SELECT max(seq) FROM {table}) - ?",
                most,
            )

    def _do(self, sql: str, *values: object) -> None:
        self._all(sql, *values)

    def _one(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._all(sql, *values)), None)

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self.guarded() as db:
            return db.execute(sql, values).fetchall()
