"""The broker's users of devices in the database; writes run in the writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from actors.storage.models import BrokerAccount as Row
from actors.storage.models import Enrolment

_SLICE: Final = 400
"""Rows of one statement: SQLite takes 999 parameters at least."""


class BrokerAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `broker_account`."""

    serial: str
    nonce: str
    """What the password is derived from."""
    granted: str = ""
    """The nonce of the password that the broker has taken last; empty for none."""
    publishes: bool = False
    """Whether it publishes for a site or as a sensor."""
    topics: tuple[str, ...] = ()
    """Further topics that the broker lets it read."""
    renew_by_us: int | None = None
    """Until when it has to ask for a new password; None while it may keep this one."""
    changed_us: int = 0


_COLUMNS: Final = [getattr(Row, name) for name in BrokerAccount.__struct_fields__]


def find_accounts(database: Any) -> list[BrokerAccount]:
    """Return every row."""
    found = Row.select(*_COLUMNS).dicts().execute(database)
    return [BrokerAccount(**{**row, "topics": tuple(msgspec.json.decode(row["topics"]))}) for row in found]


def load_accounts(database: Any) -> list[BrokerAccount]:
    """Return every row, once those are gone whose devices may have none: a crash may have come before a revocation."""
    Row.delete().where(Row.serial.not_in(_may_have_one())).execute(database)
    return find_accounts(database)


def grant_accounts(database: Any, accounts: Sequence[BrokerAccount]) -> list[BrokerAccount]:
    """Write those rows whose devices may have one, drop the others and return what was written.

    A device may have been denied or deleted since its enrolment was granted.
    """
    granted: set[str] = set()
    for start in range(0, len(accounts), _SLICE):
        serials = [account.serial for account in accounts[start : start + _SLICE]]
        found = _may_have_one().where(Enrolment.serial.in_(serials)).tuples().execute(database)
        granted |= {str(serial) for (serial,) in found}
    drop_accounts(database, [account.serial for account in accounts])
    kept = [account for account in accounts if account.serial in granted]
    put_accounts(database, kept)
    return kept


def _may_have_one() -> Any:
    return Enrolment.select(Enrolment.serial).where(Enrolment.state != "denied")


def put_accounts(database: Any, accounts: Sequence[BrokerAccount]) -> None:
    """Write rows in the place of those of the same serials."""
    drop_accounts(database, [account.serial for account in accounts])
    rows = [
        msgspec.structs.asdict(account) | {"topics": msgspec.json.encode(account.topics).decode()}
        for account in accounts
    ]
    for start in range(0, len(rows), 100):
        Row.insert_many(rows[start : start + 100]).execute(database)


def drop_accounts(database: Any, serials: Iterable[str]) -> None:
    """Delete the rows of these serials."""
    wanted = list(serials)
    for start in range(0, len(wanted), _SLICE):
        Row.delete().where(Row.serial.in_(wanted[start : start + _SLICE])).execute(database)
