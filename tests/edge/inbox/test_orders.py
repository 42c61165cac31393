"""Which commands are executed, and what is answered about those that are not, in virtual time."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors.commands.payloads import LARGEST_ARGS, encode_command
from actors.messages import Delivery
from actors.timestamps import rfc3339
from edge.inbox.board import InboxBoard
from edge.inbox.commands import Commands
from edge.inbox.file import InboxFile, InboxUnavailableError
from edge.inbox.items import LONGEST_REASON
from edge.inbox.led import Led
from edge.inbox.messages import LARGEST_COMMAND, Answer
from edge.inbox.notifications import ATTEMPTS, NotificationDesk
from edge.inbox.orders import MOST_WAITING, CommandDesk
from edge.inbox.settings import CommandSettings, HandlerSettings
from edge.inbox.twin import EdgeTwin

NOW_US = 1_795_234_567_000_000
SECOND = 1_000_000


class Desk:
    """The desk of commands over a real file; boots and restarts are played."""

    def __init__(self, path):
        self.path = path
        self.clock = "ntp"
        self.boot = 1
        self.now_us = NOW_US
        self.start()

    def start(self):
        self.board = InboxBoard()
        self.file = InboxFile(self.path)
        self.file.open()
        self.desk = CommandDesk(
            self.file,
            device_id="pi-7",
            boot_id=f"boot-{self.boot}",
            commands=Commands(CommandSettings(), {}, SimpleNamespace(), home="/"),
            board=self.board,
            clock_quality=lambda: self.clock,
        )

    def reboot(self):
        self.file.close()
        self.boot += 1
        self.start()

    def restart(self):
        self.file.close()
        self.start()

    def take(self, name="ping", command_id="c-1", *, seconds=60, server_ahead=0, **more):
        sent = self.now_us + server_ahead * SECOND
        body = {
            "id": command_id,
            "name": name,
            "deadline": rfc3339(sent + seconds * SECOND),
            "timestamp": rfc3339(sent),
        }
        self.deliver({**body, **more})

    def deliver(self, body):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        delivery = Delivery("link", 1, "devices/pi-7/commands", payload, 1, False, False, True, self.now_us, 0.0)
        with self.file.transaction():
            self.desk.take(delivery, self.now_us)

    def begin(self, lane="inbox.commands"):
        with self.file.transaction():
            found = self.desk.next_job(lane, self.now_us)
        return found and (found[0], found[1].command.id)

    def meet(self, lane="inbox.commands"):
        with self.file.transaction():
            self.desk.interrupted(lane)

    def answers(self):
        return [json.loads(item.payload) for _, item in self.desk.responses(self.now_us)]


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "inbox.db")
    yield made
    made.file.close()


def test_commands_are_begun_in_their_order_and_once(desk):
    desk.take(command_id="c-1")
    desk.take(command_id="c-2")
    desk.take(command_id="c-1")
    assert [desk.begin()[1], desk.begin()[1], desk.begin()] == ["c-1", "c-2", None]
    assert desk.board.counters["duplicates"] == 1


def test_the_deadline_counts_until_it_begins(desk):
    desk.take(seconds=60)
    desk.now_us += 61 * SECOND
    assert desk.begin() is None
    (answer,) = desk.answers()
    assert (answer["state"], answer["response_id"]) == ("failed", "c-1.failed")
    assert "had passed before it could begin" in answer["reason"]


def test_without_a_deadline_it_may_begin_at_any_time(desk):
    desk.take(deadline="")
    desk.now_us += 10**12
    assert desk.begin() is not None


def test_a_clock_that_nobody_has_set_counts_from_the_sending(desk):
    desk.clock = "unsynced"
    desk.take(seconds=60, server_ahead=10**6)
    desk.now_us += 59 * SECOND
    assert desk.begin() is not None
    desk.take(command_id="c-2", seconds=60, server_ahead=-(10**6))
    assert desk.begin() is not None
    desk.take(command_id="c-3", seconds=60, server_ahead=10**6)
    desk.now_us += 61 * SECOND
    assert desk.begin() is None


def test_a_clock_that_nobody_has_set_cannot_tell_after_a_boot(desk):
    desk.take()
    desk.reboot()
    desk.clock = "unsynced"
    assert desk.begin() is None
    assert "its clock cannot tell" in desk.answers()[0]["reason"]


def test_a_command_that_waited_goes_on_after_a_boot(desk):
    desk.take()
    desk.reboot()
    assert desk.begin() is not None


@pytest.mark.parametrize(
    ("name", "lane", "how", "expected"),
    [
        ("ping", "inbox.commands", "restart", ("failed", "it was interrupted: the edge was started anew while it ran")),
        ("ping", "inbox.commands", "worker", ("failed", "it was interrupted: the edge was started anew while it ran")),
        ("restart", "inbox.commands", "restart", ("succeeded", None)),
        ("restart", "inbox.commands", "worker", None),
        ("reboot", "inbox.programs", "reboot", ("succeeded", None)),
        ("reboot", "inbox.programs", "worker", None),
        ("reboot", "inbox.programs", "restart", ("failed", "the edge was started anew, but the machine was not")),
    ],
)
def test_an_interruption_is_the_end_or_the_purpose(desk, name, lane, how, expected):
    desk.take(name)
    begun = desk.begin(lane)
    with desk.file.transaction():
        desk.desk.end(begun[0], Answer("running", later=True))
    if how != "worker":
        getattr(desk, how)()
    desk.meet(lane)
    found = [(answer["state"], answer.get("reason")) for answer in desk.answers()]
    assert found == ([expected] if expected else [])
    assert desk.begin(lane) is None


def test_a_machine_that_was_booted_between_arrival_and_execution_has_not_been_rebooted_by_it(desk):
    desk.take("reboot")
    desk.reboot()
    desk.begin("inbox.programs")
    desk.restart()
    desk.meet("inbox.programs")
    assert desk.answers()[0]["state"] == "failed"


def test_answers_are_given_until_the_outbox_has_them(desk):
    desk.take()
    seq, _ = desk.begin()
    with desk.file.transaction():
        desk.desk.end(seq, Answer("succeeded", {"x": 1}))
    desk.restart()
    assert [(answer["id"], answer["result"]) for answer in desk.answers()] == [("c-1", {"x": 1})]
    with desk.file.transaction():
        desk.file.mark_command(seq, told=True)
    assert desk.answers() == []


def test_too_many_are_refused(desk):
    for number in range(MOST_WAITING + 1):
        desk.take(command_id=f"c-{number}")
    assert [answer["id"] for answer in desk.answers()] == [f"c-{MOST_WAITING}"]


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        (b"{", None),
        (b"[]", None),
        ({"name": "ping"}, None),
        ({"id": "", "name": "ping"}, None),
        ({"id": "x" * 101, "name": "ping"}, None),
        ({"id": "c-1\0", "name": "ping"}, None),
        ({"id": "c-1"}, "name"),
        ({"id": "c-1", "name": "ping", "args": []}, "args"),
        ({"id": "c-1", "name": "ping", "deadline": "soon"}, "`deadline`"),
        ({"id": "c-1", "name": "ping", "deadline": "2026-11-21T00:00:00"}, "`deadline`"),
        ({"id": "c-1", "name": "ping", "args": {"x": "y" * LARGEST_COMMAND}}, f"more than {LARGEST_COMMAND}"),
    ],
)
def test_what_cannot_be_read_is_counted_and_answered_where_it_has_an_id(desk, body, answered):
    desk.deliver(body)
    assert desk.board.counters["unreadable"] == 1
    assert desk.begin() is None
    reasons = [answer["reason"] for answer in desk.answers()]
    assert len(reasons) == (answered is not None)
    assert all(answered in reason for reason in reasons)


def test_the_largest_command_that_a_server_gives_is_taken(desk):
    args = '{"x":"' + "y" * (LARGEST_ARGS - 8) + '"}'
    until_us = desk.now_us + 60 * SECOND
    desk.deliver(
        encode_command("s" * 64, "0" * 32, "n" * 64, args, deadline_us=until_us, now_us=desk.now_us).replace(
            b"n" * 64, b"ping"
        )
    )
    assert desk.begin()[1] == "0" * 32


def test_a_command_that_is_cancelled_before_it_begins_does_not_begin(desk):
    desk.take()
    desk.deliver({"id": "c-1", "cancel": True})
    assert desk.begin() is None
    (answer,) = desk.answers()
    assert (answer["state"], answer["reason"]) == ("failed", "it was cancelled before it began")


def test_a_command_that_is_cancelled_before_it_comes_does_not_begin(desk):
    desk.deliver({"id": "c-1", "cancel": True})
    desk.take()
    assert desk.begin() is None
    assert [answer["state"] for answer in desk.answers()] == ["failed"]


def test_what_has_ended_before_it_is_cancelled_is_answered_as_it_was(desk):
    desk.take()
    seq, _ = desk.begin()
    with desk.file.transaction():
        desk.desk.end(seq, Answer("succeeded"))
    desk.deliver({"id": "c-1", "cancel": True})
    assert [answer["state"] for answer in desk.answers()] == ["succeeded"]


def test_a_reason_is_told_as_far_as_anybody_keeps_it(desk):
    desk.take()
    seq, _ = desk.begin()
    with desk.file.transaction():
        desk.desk.end(seq, Answer("failed", reason="x" * 300_000))
    assert len(desk.answers()[0]["reason"]) == LONGEST_REASON


# Notifications


class Notifications:
    """The desk of notifications over a real file."""

    def __init__(self, path, *names):
        self.file = InboxFile(path)
        self.file.open()
        self.board = InboxBoard()
        handlers = {name: HandlerSettings(kind="file", path="/x") for name in names}
        self.twin = EdgeTwin(30.0, handlers)
        self.desk = NotificationDesk(self.file, device_id="pi-7", handlers=names, twin=self.twin, board=self.board)

    def take(self, body, **flags):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        flags = {"retain": False, "dup": False, **flags}
        delivery = Delivery(
            "link", 1, "devices/pi-7/notifications", payload, 1, flags["retain"], flags["dup"], True, NOW_US, 0.0
        )
        with self.file.transaction():
            self.desk.take(delivery, NOW_US)
            self.desk.trim()

    def job(self, now=0.0):
        with self.file.transaction():
            return self.desk.next_job(now)

    def finish(self, found, now=0.0, **troubles):
        with self.file.transaction():
            self.desk.finished(*found, troubles, now)

    def told(self):
        return [(body["notification_id"], body["state"]) for body in self.bodies()]

    def bodies(self):
        return [json.loads(item.payload) for _, item in self.desk.receipts(NOW_US)]


@pytest.fixture
def notices(tmp_path):
    with_files = []

    def make(*names):
        made = Notifications(tmp_path / "inbox.db", *names)
        with_files.append(made)
        return made

    yield make
    for made in with_files:
        made.file.close()


def test_only_the_handler_that_failed_is_given_it_again(notices):
    desk = notices("a", "b")
    desk.take({"id": "n-1"})
    found = desk.job()
    assert found[1].names == ("a", "b")
    desk.finish(found, b="no paper")
    assert desk.job(1.9) is None
    assert desk.desk.next_at() == 2.0
    again = desk.job(2.0)
    assert again[1].names == ("b",)
    desk.finish(again, 2.0)
    assert desk.told() == [("n-1", "displayed")]


def test_after_three_times_it_has_failed_with_the_reason(notices):
    desk = notices("a")
    desk.take({"id": "n-1"})
    for number in range(ATTEMPTS):
        desk.finish(desk.job(100.0 * number), 100.0 * number, a="no paper")
    assert desk.told() == [("n-1", "failed")]
    assert desk.bodies()[0]["reason"] == "a: no paper"
    assert desk.board.counters["failed"] == 1


def test_one_that_always_kills_its_handler_is_given_up(notices):
    desk = notices("a")
    desk.take({"id": "n-1"})
    assert [desk.job() is not None for _ in range(ATTEMPTS + 1)] == [True] * ATTEMPTS + [False]
    assert "interrupted" in desk.bodies()[0]["reason"]


def test_one_that_fails_does_not_hold_up_the_next(notices):
    desk = notices("a")
    desk.take({"id": "n-1"})
    desk.take({"id": "n-2"})
    desk.finish(desk.job(), a="no paper")
    assert desk.job()[1].notification.id == "n-2"


def test_priorities_and_switches_decide_who_is_given_it(notices):
    desk = notices("a", "b")
    desk.twin.kept = desk.twin.desire(1, {"handlers": {"a": {"min_priority": "high"}, "b": {"enabled": False}}})
    desk.take({"id": "n-1", "priority": "normal"})
    assert desk.job() is None
    assert desk.told() == [("n-1", "received")]
    desk.take({"id": "n-2", "priority": "urgent"})
    assert desk.job()[1].names == ("a",)


def test_without_an_id_only_what_says_that_it_is_a_copy_is_one(notices):
    desk = notices("a")
    desk.take({"title": "door"})
    desk.take({"title": "door"})
    desk.take({"title": "door"}, dup=True)
    desk.take({"title": "door"}, retain=True)
    assert desk.board.counters["notifications"] == 2
    assert desk.bodies() == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"id": "n-1", "title": 3}, "title"),
        ({"id": "n-1", "priority": "top"}, "priority"),
        ({"id": "n-1", "data": []}, "data"),
        (b"hello", None),
        ({"id": "x" * 101}, None),
    ],
)
def test_a_notification_that_cannot_be_read_fails_with_the_field(notices, body, reason):
    desk = notices("a")
    desk.take(body)
    assert desk.board.counters["unreadable"] == 1
    assert [reason in told["reason"] for told in desk.bodies()] == [True] * (reason is not None)


def test_a_full_inbox_drops_the_oldest_and_says_so(notices, monkeypatch):
    desk = notices("a")
    monkeypatch.setattr(InboxFile.overflow, "__defaults__", (3, 10_000))
    for number in range(5):
        desk.take({"id": f"n-{number}"})
    assert desk.told()[:3] == [("n-0", "failed"), ("n-1", "failed"), ("n-2", "received")]
    assert desk.board.counters["dropped"] == 2
    desk.take({"id": "n-5", "body": "x" * 9_970})
    assert desk.board.counters["dropped"] == 5


# The file


def test_a_corrupt_file_is_set_aside(tmp_path):
    path = tmp_path / "inbox.db"
    path.write_bytes(b"not a database at all" * 100)
    file = InboxFile(path)
    aside = file.open()
    assert aside.read_bytes().startswith(b"not a database")
    with file.transaction():
        file.keep_setting("x", b"1")
    assert file.setting("x") == b"1"
    file.close()


def test_what_cannot_be_opened_or_is_closed_is_a_sentence(tmp_path):
    (tmp_path / "inbox.db").mkdir()
    file = InboxFile(tmp_path / "inbox.db")
    with pytest.raises(InboxUnavailableError, match="cannot be opened"):
        file.open()
    with pytest.raises(InboxUnavailableError, match="is not open"), file.transaction():
        pass
    with pytest.raises(InboxUnavailableError, match="is not open"):
        file.setting("x")


def test_a_transaction_is_all_or_nothing(tmp_path):
    file = InboxFile(tmp_path / "inbox.db")
    file.open()
    with contextlib.suppress(ZeroDivisionError), file.transaction():
        file.keep_setting("x", b"1")
        raise ZeroDivisionError
    assert file.setting("x") == b""
    file.close()


def test_old_ids_are_forgotten_and_what_is_not_over_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.inbox.file.MOST_IDS", {"notification": 2, "command": 2})
    file = InboxFile(tmp_path / "inbox.db")
    file.open()
    with file.transaction():
        for number in range(5):
            state = "waiting" if number == 0 else "received"
            file.add_notification(f"n-{number}", b"", b"{}", state, 0, tell=number == 1)
            file.add_command(f"c-{number}", b"{}", lane="x", boot_id="", until_us=0, now_us=0)
        file.forget_old()
    assert [number for number in range(5) if file.find_notification(f"n-{number}")] == [0, 1, 3, 4]
    assert all(file.find_command(f"c-{number}") for number in range(5))
    file.close()


# The LED


def test_the_led_blinks_and_is_as_before(tmp_path):
    trigger = tmp_path / "sys/class/leds/led0/trigger"
    trigger.parent.mkdir(parents=True)
    trigger.write_text("none [mmc0] timer heartbeat")
    led = Led(tmp_path)
    assert led.blink() == "led0"
    assert trigger.read_text() == "timer"
    led.restore()
    assert trigger.read_text() == "mmc0"
    led.restore()
    assert Led(Path("/nowhere")).blink() == ""
