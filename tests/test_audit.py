"""The recorder: rows that every database takes, and a flood of refusals."""

from __future__ import annotations

import json

from actors.audit.recorder import MOST_KEYS, MOST_REFUSALS, SAME_FOR, WINDOW, Recorder
from actors.runtime import ManualClock


def recorder():
    clock, rows = ManualClock(), []
    return Recorder(rows.append, clock), clock, rows


def deed(**changes):
    return {
        "who": "admin ops",
        "address": "192.0.2.7",
        "action": "delete_api_devices_serial",
        "subject": "pi-1",
        "status": 204,
        "details": {},
    } | changes


def test_what_was_done_is_always_written():
    record, _, rows = recorder()
    for _ in range(1_000):
        record.record(**deed(details={"role": "read"}))
    assert len(rows) == record.counts["done"] == 1_000
    assert (rows[0].outcome, json.loads(rows[0].details)) == ("done", {"role": "read"})


def test_the_same_refusal_is_written_once_in_a_minute_and_then_with_its_number():
    record, clock, rows = recorder()
    for _ in range(10):
        record.record(**deed(status=401))
    assert (len(rows), rows[0].outcome, rows[0].repeated) == (1, "refused", 0)
    record.record(**deed(status=401, address="192.0.2.8"))
    assert len(rows) == 2
    clock.advance(SAME_FOR + 1)
    record.record(**deed(status=401))
    assert (len(rows), rows[-1].repeated) == (3, 9)
    assert record.counts == {"refused": 3, "repeated": 9}


def test_a_flood_of_refusals_from_everywhere_is_bounded_and_counted():
    record, clock, rows = recorder()
    for number in range(10_000):
        record.record(**deed(status=403, address=f"2001:db8::{number:x}"))
    assert len(rows) == MOST_REFUSALS
    assert record.counts["left_out"] == 10_000 - MOST_REFUSALS
    clock.advance(WINDOW)
    record.record(**deed(status=403, address="198.51.100.1"))
    assert len(rows) == MOST_REFUSALS + 1
    for number in range(MOST_KEYS * 2):
        clock.advance(WINDOW)
        record.record(**deed(status=403, address=f"2001:db8::{number:x}"))
    assert len(record._recent) <= MOST_KEYS


def test_strangers_do_not_crowd_out_the_refusals_of_those_who_have_a_token():
    record, _, rows = recorder()
    for number in range(1_000):
        record.record(**deed(who="", status=401, address=f"2001:db8::{number:x}"))
    record.record(**deed(status=403))
    assert (len(rows), rows[-1].who) == (MOST_REFUSALS + 1, "admin ops")


def test_each_change_that_failed_is_told_by_what_it_was_about():
    record, _, rows = recorder()
    for subject in ("pi-1", "pi-2", "pi-1"):
        record.record(**deed(status=503, subject=subject))
    assert [(row.outcome, row.subject) for row in rows] == [("failed", "pi-1"), ("failed", "pi-2")]
    assert record.counts == {"failed": 2, "repeated": 1}


def test_a_row_has_only_what_every_database_takes():
    record, _, rows = recorder()
    record.record(**deed(subject="a\0b\ud800" + "x" * 1_000, address="y" * 100, details={"odd": object}))
    (row,) = rows
    assert row.subject.startswith("a\ufffdb?x")
    assert (len(row.subject), len(row.address)) == (255, 64)
