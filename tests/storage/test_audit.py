"""The audit log on each database: written by the writer, found by filters, page by page, and gone in time."""

from __future__ import annotations

import msgspec
import pytest

from actors.messages import StoreAudit
from actors.storage.audit import FindAudit
from actors.storage.queries import BadCursor
from actors.storage.retention import RetentionRules
from tests.storage.test_retention import NOON, expire

DAY_US = 86_400_000_000


def entry(n=0, **changes):
    return msgspec.structs.replace(
        StoreAudit(
            ts_us=NOON - n * DAY_US,
            who="admin ops",
            address="192.0.2.7",
            action="post_api_tokens",
            subject=f"subject-{n}",
            outcome="done",
            status=201,
            repeated=0,
            details='{"id":1}',
        ),
        **changes,
    )


def subjects(readers, **query):
    return [item["subject"] for item in readers.ask(FindAudit(**query)).items]


def test_entries_are_found_newest_first_and_page_by_page(store, readers):
    store.commit([entry(n) for n in reversed(range(5))])
    first = readers.ask(FindAudit(limit=3))
    assert [item["subject"] for item in first.items] == ["subject-0", "subject-1", "subject-2"]
    assert first.items[0]["details"] == {"id": 1}
    rest = readers.ask(FindAudit(limit=3, after=first.cursor))
    assert ([item["subject"] for item in rest.items], rest.cursor) == (["subject-3", "subject-4"], None)
    with pytest.raises(BadCursor):
        readers.ask(FindAudit(after="x"))


def test_each_filter_restricts(store, readers):
    store.commit([entry(2), entry(1, who="read", action="get_api_tokens", outcome="refused", status=403), entry(0)])
    assert subjects(readers, who="read") == ["subject-1"]
    assert subjects(readers, action="post_api_tokens") == ["subject-0", "subject-2"]
    assert subjects(readers, subject="subject-2") == ["subject-2"]
    assert subjects(readers, outcome="refused") == ["subject-1"]
    assert subjects(readers, since_us=NOON - DAY_US) == ["subject-0", "subject-1"]
    assert subjects(readers, until_us=NOON - DAY_US) == ["subject-2"]


def test_entries_go_in_time_and_refusals_sooner(make_store, look):
    store = make_store(rules=RetentionRules(audit_days=365))
    refused = {"outcome": "refused", "status": 403}
    store.commit([entry(n) for n in (0, 364, 366)] + [entry(n, **refused) for n in (1, 29, 31)])
    expire(store)
    left = look.column("SELECT subject FROM audit_entry ORDER BY ts_us DESC")
    assert left == ["subject-0", "subject-1", "subject-29", "subject-364"]
