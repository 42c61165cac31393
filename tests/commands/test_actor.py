"""The commander over a real registry: kept, sent, answered, in time or not."""

from __future__ import annotations

import msgspec
import pytest

from actors.commands.actor import RETRY, RETURN_GRACE, Again, Due, Retry
from actors.commands.dispatch import LONGEST_DELAY, WINDOW
from actors.commands.messages import MOST_OPEN, CommandError
from actors.link.messages import ACCEPTED, DROPPED, NOBODY_SUBSCRIBED
from actors.messages import StoreDeadLetter, WriteBatch
from actors.registry import STUCK, Execute
from actors.storage.errors import StoreUnavailable
from actors.storage.models import Command
from tests.commands.rig import DATA, LINK
from tests.support.wait import eventually

# The way there and back


def test_a_command_is_kept_sent_answered_and_acknowledged_on_every_kind_of_database(anywhere):
    rig = anywhere
    rig.online.add("pi-1")
    command = rig.one(name="set", args='{"heartbeat":10}')
    publication = rig.wait_publication()
    assert rig.row(command).state == "sent"
    rig.published(publication, ACCEPTED)
    rig.wait_count("accepted")
    rig.answer({"id": command, "state": "running"}, token=1)
    rig.wait_state(command, "running")
    rig.answer({"id": command, "state": "succeeded", "result": {"was": 30}}, token=2)
    row = rig.wait_state(command, "succeeded")
    assert (row.name, row.args, row.result, row.reason, row.by) == (
        "set", '{"heartbeat":10}', '{"was":30}', "", "operate ops",
    )  # fmt: skip
    assert row.accepted_us
    eventually(lambda: rig.settled == [1, 2], what="both answers are acknowledged")
    assert [shown.state for shown in rig.shown] == ["queued", "sent", "running", "succeeded"]
    assert rig.board.open == 0


def test_a_device_is_told_what_to_do_until_when_and_where_to_answer(rig):
    rig.online.add("pi-1")
    command = rig.one(name="logs", args='{"lines":5}', timeout=30)
    sent = rig.wait_publication()
    assert (sent.topic, sent.qos, sent.retain, sent.expiry) == ("devices/pi-1/commands", 1, False, 30.0)
    assert (sent.response_topic, sent.correlation) == ("devices/pi-1/responses", command.encode())
    assert (sent.reply_to, sent.content_type) == ("commander", "application/json")
    assert msgspec.json.decode(sent.payload) == {
        "id": command,
        "name": "logs",
        "args": {"lines": 5},
        "response_topic": "devices/pi-1/responses",
        "deadline": "2025-10-09T08:53:50.000Z",
        "timestamp": "2025-10-09T08:53:20.000Z",
    }


def test_what_an_operator_does_leaves_a_record(rig):
    command = rig.one()
    rig.cancel(command)
    issued, cancelled = rig.records("pi-1")
    assert issued == {"action": "issued", "by": "operate ops", "from": "10.0.0.7", "name": "ping", "id": command}
    assert cancelled == issued | {"action": "cancelled"}


def test_many_devices_get_a_command_each_and_all_of_them_one_id(rig):
    rig.online |= {"a", "b"}
    issued = rig.issue("a", "b", "c", batch=True)
    assert len({issued.batch, *issued.ids}) == 4
    eventually(lambda: len(rig.publications) == 2, what="those that are there are told")
    assert [rig.row(command).batch for command in issued.ids] == [issued.batch] * 3
    assert rig.row(issued.ids[2]).state == "queued"
    (record,) = rig.records("")
    assert (record["batch"], record["devices"]) == (issued.batch, 3)


# A device that is away


def test_a_command_waits_for_a_device_that_is_away(rig):
    first, second = rig.one(), rig.one(name="status")
    assert rig.board.waiting == {"pi-1"}
    assert rig.publications == []
    rig.come()
    rig.wait_publication(2)
    assert [message.correlation.decode() for message in rig.publications] == [first, second]
    assert rig.board.waiting == {"pi-1"}  # nobody knows yet whether the broker has them
    for publication in rig.publications:
        rig.published(publication, ACCEPTED)
    eventually(lambda: not rig.board.waiting, what="nothing waits for it any more")


def test_a_command_whose_device_does_not_come_times_out(rig):
    command = rig.one()
    rig.due(command)
    assert rig.wait_state(command, "timed_out").reason == "the device did not come in time"
    rig.come()
    with pytest.raises(CommandError) as refused:
        rig.cancel(command)
    assert refused.value.code == "finished"
    assert rig.publications == []


def test_what_the_broker_has_is_not_sent_again_when_the_device_comes_back(rig):
    rig.come()
    command = rig.one(name="reboot")
    rig.published(rig.wait_publication(), ACCEPTED)
    rig.wait_count("accepted")
    rig.come()
    rig.answer({"id": command, "state": "succeeded"})
    rig.wait_state(command, "succeeded")
    assert len(rig.publications) == 1


# What the broker says


def test_a_command_that_nobody_has_subscribed_to_is_sent_again_after_a_while(rig):
    rig.come()
    command = rig.one()
    rig.published(rig.wait_publication(), NOBODY_SUBSCRIBED)
    assert rig.wait_state(command, "queued").reason == "nobody has subscribed to the device's commands"
    ((delay, again),) = eventually(lambda: rig.timers.of(Again), what="a time for the next attempt is set")
    assert delay == 1.0
    rig.commander.tell(again)
    rig.published(rig.wait_publication(2), NOBODY_SUBSCRIBED)
    eventually(lambda: [seconds for seconds, _ in rig.timers.of(Again)] == [1.0, 2.0], what="it waits longer")
    assert rig.board.counts["nobody_listens"] == 2
    rig.due(command)
    assert "nobody has subscribed" in rig.wait_state(command, "timed_out").reason


def test_a_refusal_of_the_broker_ends_a_command_unless_it_passes(rig):
    rig.come()
    refused, put_off = rig.one(), rig.one()
    rig.wait_publication(2)
    for publication, code in zip(rig.publications, (0x87, 0x97), strict=True):
        rig.published(publication, code)
    assert rig.wait_state(refused, "failed").reason == "the broker refused it with reason code 0x87 (not authorized)"
    rig.wait_state(put_off, "queued")
    rig.wait_count("refused_by_broker", 2)


def test_what_was_dropped_on_the_way_is_sent_again_unless_it_can_never_be(rig):
    rig.come()
    full, invalid = rig.one(), rig.one()
    rig.wait_publication(2)
    rig.published(rig.publications[0], DROPPED, "overflow", "too many wait already")
    rig.published(rig.publications[1], DROPPED, "invalid", "larger than the broker's 10 bytes")
    assert rig.wait_state(full, "queued").reason == "it was not sent: too many wait already"
    assert rig.wait_state(invalid, "failed").reason == "it was not sent: larger than the broker's 10 bytes"


def test_no_more_are_on_their_way_than_the_window_takes(rig):
    serials = [f"pi-{number}" for number in range(WINDOW + 5)]
    rig.online.update(serials)
    rig.issue(*serials, batch=True)
    rig.wait_publication(WINDOW)
    assert rig.board.counts["sent"] == WINDOW
    for publication in rig.publications[:5]:
        rig.published(publication, ACCEPTED)
    rig.wait_publication(WINDOW + 5)


def test_a_window_that_is_free_again_because_its_commands_are_gone_is_used_at_once(rig):
    gone, kept = [f"a-{number}" for number in range(WINDOW)], [f"b-{number}" for number in range(5)]
    rig.issue(*gone, *kept, batch=True)
    rig.services.get("registry").ask(
        Execute(lambda database: Command.delete().where(Command.serial.startswith("a-")).execute(database)), timeout=5
    )
    rig.away = True
    for serial in (*gone, *kept):
        rig.come(serial)
    with pytest.raises(StoreUnavailable):
        rig.one("a-0")  # behind all of these
    rig.away = False
    rig.commander.tell(RETRY)
    rig.wait_publication(len(kept))


# Answers


def test_an_answer_after_the_deadline_is_noted_and_changes_no_verdict(rig):
    rig.come()
    command = rig.one()
    rig.wait_publication()
    rig.due(command)
    assert rig.wait_state(command, "timed_out").reason == "the device did not answer in time"
    rig.answer({"id": command, "state": "succeeded", "result": 5}, token=3)
    rig.answer({"id": command, "state": "succeeded", "result": 5}, token=4)
    eventually(lambda: rig.settled == [3, 4], what="both are acknowledged")
    row = rig.row(command)
    assert (row.state, row.result) == ("timed_out", "5")
    assert row.reason == "the device did not answer in time; the device answered `succeeded` afterwards"
    assert (rig.board.counts["late"], rig.board.counts["duplicate"]) == (1, 1)


def test_an_answer_to_no_command_of_this_device_becomes_a_dead_letter_that_ends_its_delivery(rig):
    command = rig.one("pi-2")
    rig.answer({"id": "nothing", "state": "succeeded"}, token=8)
    rig.answer({"id": command, "state": "succeeded"}, serial="pi-1", token=9)
    eventually(lambda: sorted(rig.settled) == [8, 9], what="both are acknowledged")
    assert {(item["reason"], item["serial"]) for item in rig.dead_letters()} == {("unknown_command", "pi-1")}
    assert rig.board.counts["unknown"] == 2
    assert rig.row(command).state == "queued"


def test_answers_to_no_command_are_kept_up_to_the_quota_of_their_sender_and_all_of_them_end(rig):
    for token in range(1, 8):
        rig.answer({"id": f"nothing-{token}", "state": "succeeded"}, token=token)
    eventually(lambda: sorted(rig.settled) == list(range(1, 8)), what="all are acknowledged")
    assert len(rig.dead_letters()) == 3
    assert rig.letters.by_reason == {"unknown_command": 7, "quota": 4}
    rig.answer({"id": "nothing", "state": "succeeded"}, serial="pi-2", token=9)
    eventually(lambda: 9 in rig.settled, what="another sender has a quota of its own")
    assert len(rig.dead_letters()) == 4


def test_an_answer_that_bears_a_name_is_confirmed_by_it(rig):
    command = rig.one()
    rig.answer({"id": command, "state": "running", "response_id": "r-1"})
    rig.answer({"id": command, "state": "succeeded", "response_id": "r-2"})
    rig.wait_state(command, "succeeded")
    eventually(lambda: [name for _, names in rig.receipts for name in names] == ["r-1", "r-2"], what="both receipts")
    assert {topic for topic, _ in rig.receipts} == {"devices/pi-1/receipts"}


def test_an_answer_may_overtake_the_brokers(rig):
    rig.come()
    command = rig.one()
    publication = rig.wait_publication()
    rig.answer({"id": command, "state": "running"})
    rig.wait_state(command, "running")
    rig.published(publication, NOBODY_SUBSCRIBED)
    rig.answer({"id": command, "state": "failed", "reason": "no such program"})
    assert rig.wait_state(command, "failed").reason == "no such program"
    assert rig.timers.of(Again) == []


# Cancelling


def test_a_command_that_is_over_or_unknown_cannot_be_cancelled(rig):
    command = rig.one()
    assert rig.cancel(command).state == "cancelled"
    for wrong, code in ((command, "finished"), ("nothing", "not_found")):
        with pytest.raises(CommandError) as refused:
            rig.cancel(wrong)
        assert refused.value.code == code


def test_a_cancelled_command_that_was_sent_may_have_begun(rig):
    rig.come()
    command = rig.one()
    rig.wait_publication()
    assert rig.cancel(command).reason == "cancelled by operate ops, the device may have begun"
    told = eventually(lambda: [message for message in rig.told[LINK] if not message.token], what="the device is told")
    assert [(message.topic, message.qos, message.retain) for message in told] == [("devices/pi-1/commands", 1, False)]
    assert msgspec.json.decode(told[0].payload) == {
        "id": command,
        "cancel": True,
        "timestamp": "2025-10-09T08:53:20.000Z",
    }


def test_of_a_cancelled_command_that_was_not_sent_the_device_is_told_nothing(rig):
    rig.cancel(rig.one())
    rig.online.add("pi-1")
    rig.one()
    rig.wait_publication()
    assert len(rig.told[LINK]) == 1


def test_a_device_has_a_bounded_number_of_open_commands(rig):
    for _ in range(MOST_OPEN):
        rig.one()
    assert rig.board.in_flight("pi-1") == MOST_OPEN
    with pytest.raises(CommandError) as refused:
        rig.issue("pi-2", "pi-1", batch=True)
    assert (refused.value.code, refused.value.details) == ("too_many", {"device": "pi-1"})
    assert rig.board.in_flight("pi-2") == 0


# Deadlines


def test_each_command_has_a_timer_of_its_own(rig):
    command = rig.one(timeout=30)
    ((seconds, due),) = rig.timers.of(Due)
    assert due == Due(command)
    assert 30 < seconds < 31


# Restarts


def test_after_a_crash_what_nobody_has_confirmed_is_sent_again_and_what_was_confirmed_is_not(rig):
    rig.come()
    confirmed, unsure = rig.one(), rig.one()
    rig.wait_publication(2)
    rig.published(rig.publications[0], ACCEPTED)
    rig.wait_count("accepted")
    waiting = rig.one("pi-9")
    eventually(lambda: rig.row(confirmed).accepted_us, what="it is noted")
    old = rig.publications[1]
    rig.kill()
    rig.start()
    again = rig.wait_publication(3)
    assert again.correlation.decode() == unsure
    rig.published(old, NOBODY_SUBSCRIBED)  # which was told to the one that is dead
    rig.published(again, ACCEPTED)
    eventually(lambda: rig.row(unsure).accepted_us, what="it is noted too")
    assert (rig.board.open, rig.board.waiting) == (3, {"pi-9"})
    assert rig.row(waiting).state == "queued"


def test_a_deadline_that_passed_while_the_server_was_away_leaves_the_broker_time_to_bring_the_answer(rig):
    rig.come()
    command = rig.one(timeout=30)
    rig.wait_publication()
    rig.kill()
    rig.clock.advance(100)
    rig.timers.set.clear()
    rig.start()
    ((seconds, _),) = eventually(lambda: rig.timers.of(Due), what="the deadline is set again")
    assert seconds == RETURN_GRACE
    rig.answer({"id": command, "state": "succeeded"})
    rig.wait_state(command, "succeeded")


def test_while_the_database_is_away_answers_are_kept_and_not_acknowledged(rig):
    command = rig.one()
    rig.away = True
    rig.answer({"id": command, "state": "succeeded"})
    eventually(lambda: rig.timers.of(Retry), what="another attempt is planned")
    with pytest.raises(StoreUnavailable):
        rig.one()
    rig.answer({"id": command, "state": "succeeded"}, token=78)
    assert rig.settled == []
    rig.away = False
    rig.commander.tell(RETRY)
    rig.wait_state(command, "succeeded")
    eventually(lambda: rig.settled == [77, 78], what="the answers are acknowledged")
    rig.one()


def test_a_commander_that_starts_without_a_database_waits_for_it(rig):
    command = rig.one()
    rig.kill()
    rig.away = True
    rig.online.add("pi-1")
    rig.timers.set.clear()
    rig.start()
    eventually(lambda: rig.timers.of(Retry), what="another attempt is planned")
    rig.away = False
    rig.commander.tell(RETRY)
    assert rig.wait_publication().correlation.decode() == command


def test_a_commander_that_is_stopped_in_order_commits_what_it_knows(rig):
    command = rig.one()
    rig.away = True
    rig.answer({"id": command, "state": "succeeded"})
    eventually(lambda: rig.timers.of(Retry), what="the answer waits")
    rig.away = False
    rig.commander.stop(timeout=5)
    rig.wait_state(command, "succeeded")


def test_the_time_between_two_attempts_is_bounded(rig):
    rig.come()
    rig.one()
    for number in range(1, 8):
        rig.published(rig.wait_publication(number), NOBODY_SUBSCRIBED)
        delay, again = eventually(lambda number=number: rig.timers.of(Again)[number - 1 : number], what="a time")[0]
        rig.commander.tell(again)
    assert delay == LONGEST_DELAY


def test_an_order_for_more_devices_than_one_transaction_takes_leaves_one_record(rig, monkeypatch):
    monkeypatch.setattr("actors.commands.actor.SLICE", 2)
    issued = rig.issue(*"abcde", batch=True)
    assert [rig.row(command).serial for command in issued.ids] == list("abcde")
    assert [record["devices"] for record in rig.records("")] == [5]
    rig.kill()
    rig.start()
    eventually(lambda: rig.board.open == 5, what="all of them are found again")


def test_an_answer_that_waits_for_the_database_is_not_buried_as_stuck(rig):
    command = rig.one()
    rig.away = True
    rig.answer({"id": command, "state": "succeeded"}, token=7)
    eventually(lambda: rig.timers.of(Retry), what="the answer waits")
    stuck = [
        StoreDeadLetter(STUCK, "too long", DATA, "devices/pi-1/responses", b"{}", 5, token=token) for token in (7, 8)
    ]
    rig.services.tell("registry", WriteBatch(stuck))
    rig.away = False
    rig.commander.tell(RETRY)
    eventually(lambda: sorted(rig.settled) == [7, 8], what="both have ended")
    assert len(rig.dead_letters()) == 1
    assert rig.row(command).state == "succeeded"
    assert rig.board.held == set()


def test_what_is_due_for_a_device_that_was_deleted_meanwhile_is_forgotten(rig):
    kept, gone, overdue = rig.one("pi-2"), rig.one(), rig.one()
    rig.services.get("registry").ask(
        Execute(lambda database: Command.delete().where(Command.serial == "pi-1").execute(database)), timeout=5
    )
    rig.due(overdue)
    rig.come()
    eventually(lambda: rig.board.open == 1, what="only the other device's is known")
    assert rig.publications == []
    assert rig.row(gone) is None
    rig.commander.tell(Again(gone))
    rig.commander.tell(object())
    rig.come("pi-2")
    assert rig.wait_publication().correlation.decode() == kept
