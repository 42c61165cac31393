"""The window of what is out on MQTT without a receipt."""

from __future__ import annotations

from actors.outbox import Item
from actors.uplink.window import AFTER_RETURN, RESEND_AFTER, RESEND_CAP, Window


def items(*numbers):
    return [Item(f"id-{number}", "reading", "t", b"", 0, number) for number in numbers]


def ids(found):
    return [item.id for item in found]


def test_it_holds_so_many_and_no_more():
    window = Window(size=3)
    window.add(items(1, 2), 0)
    assert (len(window), window.room, window.cursor) == (2, 1, 2)


def test_nothing_is_sent_again_before_its_time_and_then_in_order():
    window = Window()
    window.add(items(1, 2), 0)
    assert window.due(RESEND_AFTER - 1) == []
    assert ids(window.due(RESEND_AFTER)) == ["id-1", "id-2"]
    assert window.due(RESEND_AFTER) == []


def test_each_sending_waits_longer_up_to_a_cap():
    window = Window()
    window.add(items(1), 0)
    now, waits, last = 0.0, [], 0.0
    while len(waits) < 8:
        now += 1
        if window.due(now):
            waits.append(now - last)
            last = now
    assert waits[:3] == [RESEND_AFTER, 2 * RESEND_AFTER, 4 * RESEND_AFTER]
    assert waits[-1] == RESEND_CAP


def test_a_confirmed_item_is_not_sent_again_and_unknown_ids_are_ignored():
    window = Window()
    window.add(items(1, 2), 0)
    assert window.confirm(["id-1", "what"], 1) == 1
    assert ids(window.due(1000)) == ["id-2"]


def test_after_the_servers_return_everything_is_sent_again_soon():
    window = Window()
    window.add(items(1), 0)
    window.hasten(10)
    assert window.due(10 + AFTER_RETURN - 1) == []
    assert ids(window.due(10 + AFTER_RETURN)) == ["id-1"]


def test_a_rewind_begins_with_the_oldest_item_of_the_outbox():
    window = Window()
    window.add(items(1, 2), 0)
    window.rewind()
    assert (len(window), window.cursor) == (0, 0)


def test_silence_counts_from_the_last_receipt_and_only_while_something_is_out():
    window = Window()
    assert window.silent_for(100) == 0
    window.add(items(1, 2), 100)
    window.add(items(3), 150)
    assert window.silent_for(160) == 60
    window.confirm(["id-2"], 170)
    assert window.silent_for(180) == 10
    window.confirm(["id-1", "id-3"], 190)
    assert window.silent_for(1000) == 0
