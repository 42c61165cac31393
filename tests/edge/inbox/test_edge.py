"""An edge with all its actors beside a real broker: this test is the server."""

from __future__ import annotations

import contextlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from actors.link.connection import Connection
from actors.outbox import GetStats
from actors.outbox_file import OutboxFile, OutboxUnavailableError
from edge.inbox import actor as actor_module
from edge.inbox.actor import Inbox
from edge.inbox.file import InboxFile, InboxUnavailableError
from edge.inbox.settings import CommandSettings, HandlerSettings, InboxSettings, ProgramSettings
from tests.edge.test_process import Edge
from tests.support.wait import eventually, throughout

OWN = "devices/pi-7"


@pytest.fixture
def edge(tmp_path, mosquitto):
    with contextlib.ExitStack() as stack:

        def make(**settings):
            return stack.enter_context(Edge(tmp_path, mosquitto, **settings))

        yield make


def receipt(state, notification_id="n-1"):
    return lambda body: (body.get("notification_id"), body.get("state")) == (notification_id, state)


def notify(one, notification_id="n-1", **fields):
    one.server.publish(f"{OWN}/notifications", {"id": notification_id, "title": "T", "body": "B", **fields})


def command(one, name, args=None, command_id="c-1", seconds=60.0):
    now = datetime.now(UTC)
    body = {
        "id": command_id,
        "name": name,
        "args": args or {},
        "deadline": (now + timedelta(seconds=seconds)).isoformat(),
        "timestamp": now.isoformat(),
    }
    one.server.publish(f"{OWN}/commands", body)


def answer(one, command_id="c-1"):
    return one.heard("responses", lambda body: body["id"] == command_id and body["state"] != "running")


def confirm(one, *item_ids):
    one.server.publish(f"{OWN}/receipts", {"stored": list(item_ids)})


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_notification_is_received_handed_to_a_file_and_displayed(edge, tmp_path):
    shown = tmp_path / "shown.jsonl"
    one = edge(handlers=(HandlerSettings(kind="file", path=str(shown)),)).start()
    notify(one, priority="high", data={"zone": 3})
    received = one.heard("receipts", receipt("received"))
    assert received["id"] == "n-1.received"
    one.heard("receipts", receipt("displayed"))
    assert lines(shown) == [
        {"title": "T", "body": "B", "data": {"zone": 3}, "priority": "high", "timestamp": "", "id": "n-1"}
    ]


def test_without_handlers_it_stops_at_received(edge):
    one = edge().start()
    notify(one)
    one.heard("receipts", receipt("received"))
    assert one.parts.boards.inbox.describe()["waiting"] == 0


def test_a_copy_is_known_and_its_receipt_given_again(edge, tmp_path):
    shown = tmp_path / "shown.jsonl"
    one = edge(handlers=(HandlerSettings(kind="file", path=str(shown)),)).start()
    notify(one)
    one.heard("receipts", receipt("displayed"))
    confirm(one, "n-1.received", "n-1.displayed")
    notify(one)
    eventually(lambda: one.parts.boards.inbox.counters["duplicates"] == 1, what="the copy")
    eventually(lambda: len([b for b in one.bodies("receipts") if receipt("displayed")(b)]) >= 2, what="the receipt")
    assert len(lines(shown)) == 1


def test_what_came_while_it_slept_is_there_when_it_wakes(edge, tmp_path, mosquitto):
    shown = tmp_path / "shown.jsonl"
    handlers = (HandlerSettings(kind="file", path=str(shown)),)
    one = edge(handlers=handlers).start()
    one.process.stop()
    one.home.close()
    for number in range(20):
        notify(one, f"n-{number}")
    command(one, "ping")
    two = edge(handlers=handlers).start()
    assert answer(two)["state"] == "succeeded"
    eventually(lambda: [line["id"] for line in lines(shown)] == [f"n-{number}" for number in range(20)], what="all")


def test_an_inbox_that_crashes_forgets_nothing(edge, tmp_path, monkeypatch):
    shown = tmp_path / "shown.jsonl"
    one = edge(handlers=(HandlerSettings(kind="file", path=str(shown)),)).start()
    link = one.parts.directory.get("link")
    crashed = threading.Event()

    take = Inbox._take

    def crash(self, deliveries):
        if deliveries.items and not crashed.is_set():
            crashed.set()
            raise RuntimeError("on purpose")
        take(self, deliveries)

    monkeypatch.setattr(Inbox, "_take", crash)
    notify(one)
    one.heard("receipts", receipt("displayed"))
    assert crashed.is_set()
    eventually(lambda: one.parts.boards.link.status.unresolved == 0, what="the acknowledgement")
    assert one.parts.directory.get("link") is link
    assert len(lines(shown)) == 1


def test_a_ping_is_answered_and_a_copy_of_it_answered_again(edge):
    one = edge().start()
    command(one, "ping")
    first = answer(one)
    assert first["state"] == "succeeded"
    assert first["response_id"] == "c-1.succeeded"
    confirm(one, "c-1.succeeded")
    command(one, "ping")
    eventually(lambda: len(one.bodies("responses")) >= 2, what="the answer again")
    assert {body["response_id"] for body in one.bodies("responses")} == {"c-1.succeeded"}


def test_what_is_not_on_the_list_is_refused_with_a_reason(edge):
    one = edge(commands=CommandSettings(allow=("ping",))).start()
    command(one, "format_disk")
    assert "there is no command `format_disk`" in answer(one)["reason"]
    command(one, "reboot", command_id="c-2")
    assert "does not allow `reboot`" in answer(one, "c-2")["reason"]
    one.server.publish(f"{OWN}/commands", {"id": "c-3", "name": 7})
    assert "name" in answer(one, "c-3")["reason"]
    assert one.parts.boards.inbox.counters["refused"] == 3


def test_a_command_whose_deadline_has_passed_is_not_executed(edge, tmp_path):
    touched = tmp_path / "touched"
    one = edge(programs={"touch": ProgramSettings(command=("/usr/bin/touch", str(touched)))})
    one.parts.boards.gauges.clock_quality = "ntp"
    one.start()
    command(one, "run", {"program": "touch"}, seconds=-5)
    eventually(lambda: one.bodies("responses"), what="an answer")
    assert one.bodies("responses")[-1]["state"] == "failed"
    assert "deadline" in one.bodies("responses")[-1]["reason"]
    assert not touched.exists()


def test_a_program_of_the_configuration_runs_and_its_output_is_told(edge):
    one = edge(programs={"greet": ProgramSettings(command=("/bin/echo", "hello"), arguments=1)}).start()
    command(one, "run", {"program": "greet", "arguments": ["you; $HOME"]})
    one.heard("responses", lambda body: body["state"] == "running")
    assert answer(one)["result"] == {"exit_code": 0, "output": "hello you; $HOME\n", "truncated": False}
    command(one, "run", {"program": "greet", "arguments": ["a", "b"]}, command_id="c-2")
    assert "takes at most 1" in answer(one, "c-2")["reason"]
    command(one, "run", {"program": "/bin/sh"}, command_id="c-3")
    assert "is not configured here; configured are: greet" in answer(one, "c-3")["reason"]


def test_a_long_program_keeps_no_ping_waiting_and_is_ended_in_time(edge):
    one = edge(programs={"sleep": ProgramSettings(command=("/bin/sleep", "600"), timeout=2.0)}).start()
    command(one, "run", {"program": "sleep"})
    one.heard("responses", lambda body: body["state"] == "running")
    command(one, "ping", command_id="c-2")
    assert answer(one, "c-2")["state"] == "succeeded"
    assert answer(one)["reason"] == "it took too long and was killed"


def test_a_program_that_is_cancelled_is_ended_and_the_next_begins(edge):
    programs = {
        "sleep": ProgramSettings(command=("/bin/sleep", "600"), timeout=900),
        "echo": ProgramSettings(command=("/bin/echo", "next")),
    }
    one = edge(programs=programs).start()
    command(one, "run", {"program": "sleep"}, seconds=600)
    one.heard("responses", lambda body: body["state"] == "running")
    command(one, "run", {"program": "echo"}, command_id="c-2")
    one.server.publish(f"{OWN}/commands", {"id": "c-1", "cancel": True})
    assert answer(one)["reason"] == "it was cancelled while it ran"
    assert answer(one, "c-2")["result"]["output"] == "next\n"
    eventually(lambda: one.parts.boards.inbox.counters["cancelled"] == 1, what="it is counted")


def test_a_command_that_was_interrupted_is_not_executed_again(edge, tmp_path):
    counted = tmp_path / "counted"
    programs = {
        "count": ProgramSettings(command=("/bin/sh", "-c", f"echo x >> {counted}; exec sleep 600"), timeout=900)
    }
    one = edge(programs=programs).start()
    command(one, "run", {"program": "count"}, seconds=600)
    eventually(counted.exists, what="the program runs")
    one.process.stop()
    one.home.close()
    two = edge(programs=programs).start()
    assert "interrupted" in answer(two)["reason"]
    command(two, "run", {"program": "count"}, seconds=600)
    throughout(0.5, lambda: counted.read_text() == "x\n", "the program has run once")


def test_a_worker_that_is_killed_leaves_an_answer(edge):
    one = edge(programs={"sleep": ProgramSettings(command=("/bin/sleep", "600"), timeout=900)}).start()
    command(one, "run", {"program": "sleep"}, seconds=600)
    one.heard("responses", lambda body: body["state"] == "running")
    one.parts.runtime.kill(one.parts.directory.get("inbox.programs"))
    assert "interrupted" in answer(one)["reason"]
    command(one, "run", {"program": "nothing"}, command_id="c-2")
    assert "not configured" in answer(one, "c-2")["reason"]


def test_the_log_the_status_and_who_it_is_are_told(edge):
    one = edge().start()
    command(one, "status", command_id="c-1")
    assert answer(one, "c-1")["result"]["device_id"] == "pi-7"
    command(one, "identify", command_id="c-2")
    assert answer(one, "c-2")["result"]["device_id"] == "pi-7"
    command(one, "logs", {"lines": 5}, command_id="c-3")
    told = answer(one, "c-3")["result"]["lines"]
    assert 0 < len(told) <= 5
    assert any("which device this is" in line for line in told)
    command(one, "logs", {"lines": 0}, command_id="c-4")
    assert "`lines` has to be" in answer(one, "c-4")["reason"]
    before = len(one.bodies("announce"))
    command(one, "announce", command_id="c-5")
    assert answer(one, "c-5")["state"] == "succeeded"
    eventually(lambda: len(one.bodies("announce")) > before, what="the announcement")


def test_a_twin_is_applied_reported_and_kept(edge, mosquitto):
    one = edge().start()
    one.server.publish(f"{OWN}/twin/desired", {"version": 3, "desired": {"heartbeat": 7, "color": 1}}, retain=True)
    told = one.heard("twin/reported", lambda body: body["version"] == 3)
    assert told["reported"]["heartbeat"] == 7
    assert told["reported"]["errors"] == {"color": "there is no such setting"}
    eventually(lambda: one.parts.pace.seconds == 7, what="the interval")
    one.process.stop()
    one.home.close()
    two = edge().start()
    assert two.heard("twin/reported")["version"] == 3
    eventually(lambda: two.parts.pace.seconds == 7, what="the interval")


def test_a_device_that_was_deleted_has_its_settings_as_configured_again(edge):
    one = edge().start()
    one.server.publish(f"{OWN}/twin/desired", {"version": 3, "desired": {"heartbeat": 7}}, retain=True)
    one.heard("twin/reported", lambda body: body["reported"]["heartbeat"] == 7)
    one.server.publish(f"{OWN}/twin/desired", b"", retain=True)
    usual = one.parts.settings.heartbeat
    one.heard("twin/reported", lambda body: (body["version"], body["reported"]["heartbeat"]) == (3, usual))


def test_a_server_that_is_behind_learns_which_version_this_device_has(edge):
    one = edge().start()
    one.server.publish(f"{OWN}/twin/desired", {"version": 7, "desired": {"heartbeat": 7}})
    one.heard("twin/reported", lambda body: body["version"] == 7)
    before = len(one.bodies("twin/reported"))
    one.server.publish(f"{OWN}/twin/desired", {"version": 4, "desired": {"heartbeat": 9}})
    eventually(lambda: len(one.bodies("twin/reported")) > before, what="another report")
    assert one.bodies("twin/reported")[-1]["version"] == 7


def test_a_setting_changed_by_command_is_reported_until_the_twin_says_otherwise(edge):
    one = edge().start()
    command(one, "set", {"heartbeat": 9})
    assert answer(one)["result"]["heartbeat"] == 9
    one.heard("twin/reported", lambda body: body["reported"]["heartbeat"] == 9)
    command(one, "set", {"heartbeat": 0}, command_id="c-2")
    assert "`heartbeat` has to be a number of seconds" in answer(one, "c-2")["reason"]
    one.server.publish(f"{OWN}/twin/desired", {"version": 1, "desired": {"heartbeat": 20}})
    one.heard("twin/reported", lambda body: body["reported"]["heartbeat"] == 20)


def test_a_restart_ends_the_process_and_is_answered_by_the_next(edge):
    one = edge().start()
    command(one, "restart")
    assert one.process.wait() == 75
    one.process.stop()
    one.home.close()
    two = edge().start()
    assert answer(two)["state"] == "succeeded"


def test_a_reboot_runs_what_is_configured_and_a_machine_that_stays_up_is_told(edge, tmp_path):
    settings = CommandSettings(reboot=("/usr/bin/touch", str(tmp_path / "rebooted")))
    one = edge(commands=settings).start()
    command(one, "reboot", seconds=600)
    eventually((tmp_path / "rebooted").exists, what="the reboot")
    throughout(0.3, lambda: all(body["state"] == "running" for body in one.bodies("responses")), "no answer yet")
    one.process.stop()
    one.home.close()
    two = edge(commands=settings).start()
    assert "the machine was not" in answer(two)["reason"]


def test_retained_commands_and_nonsense_harm_nobody(edge):
    one = edge().start()
    one.server.publish(f"{OWN}/commands", {"id": "c-0", "name": "restart"}, retain=True)
    one.server.publish(f"{OWN}/commands", b"\xff\x00")
    one.server.publish(f"{OWN}/notifications", b"hello")
    one.server.publish(f"{OWN}/twin/desired", b"[]")
    one.server.publish(f"{OWN}/twin/desired", b"")
    eventually(lambda: one.parts.boards.inbox.counters["unreadable"] == 3, what="all of it")
    command(one, "ping")
    assert answer(one)["state"] == "succeeded"


def test_notifications_come_on_further_topics_too(edge, tmp_path):
    shown = tmp_path / "shown.jsonl"
    one = edge(
        inbox=InboxSettings(topics=("emergency/building-a/all",)),
        handlers=(HandlerSettings(kind="file", path=str(shown)),),
    ).start()
    one.server.publish("emergency/building-a/all", {"title": "Fire"})
    eventually(lambda: [line["title"] for line in lines(shown)] == ["Fire"], what="the alarm")
    throughout(0.3, lambda: not one.bodies("receipts"), "nobody asked for a receipt")


def test_with_mqtt_311_the_session_is_kept_too(edge, tmp_path, monkeypatch):
    make = Connection.__init__

    def make_old(self, **settings):
        make(self, **settings)
        self._v5 = False

    monkeypatch.setattr(Connection, "__init__", make_old)
    shown = tmp_path / "shown.jsonl"
    handlers = (HandlerSettings(kind="file", path=str(shown)),)
    one = edge(handlers=handlers).start()
    assert one.parts.boards.link.status.protocol == "3.1.1"
    one.process.stop()
    one.home.close()
    notify(one)
    two = edge(handlers=handlers).start()
    two.heard("receipts", receipt("displayed"))
    assert len(lines(shown)) == 1


def test_topics_that_are_wanted_no_longer_are_given_up(edge):
    one = edge(inbox=InboxSettings(topics=("old/topic",))).start()
    one.process.stop()
    one.home.close()
    two = edge().start()
    eventually(lambda: "old/topic" not in two.home.subscriptions.read_text(), what="the end of the subscription")
    two.server.publish("old/topic", {"title": "x"})
    notify(two)
    two.heard("receipts", receipt("received"))
    assert two.parts.boards.inbox.counters["notifications"] == 1


def test_a_disk_that_takes_nothing_is_waited_for_and_nothing_is_lost(edge, tmp_path, monkeypatch):
    monkeypatch.setattr(actor_module, "AGAIN_AFTER", 0.2)
    shown = tmp_path / "shown.jsonl"
    one = edge(handlers=(HandlerSettings(kind="file", path=str(shown)),)).start()
    transaction, full = InboxFile.transaction, threading.Event()
    full.set()

    def fail(self):
        if full.is_set():
            raise InboxUnavailableError("the disk is full")
        return transaction(self)

    monkeypatch.setattr(InboxFile, "transaction", fail)
    notify(one)
    eventually(lambda: one.parts.boards.inbox.last_error == "the disk is full", what="the trouble is shown")
    assert one.parts.boards.link.status.unresolved == 1
    full.clear()
    one.heard("receipts", receipt("displayed"))
    eventually(lambda: one.parts.boards.link.status.unresolved == 0, what="the acknowledgement")
    assert one.parts.boards.inbox.last_error == ""
    assert len(lines(shown)) == 1


def test_a_corrupt_inbox_is_set_aside_and_counted_and_a_new_one_takes_what_comes(edge):
    one = edge()
    path = one.home.path / "inbox.db"
    path.write_bytes(b"not a database at all" * 100)
    notify(one.start())
    one.heard("receipts", receipt("received"))
    assert one.parts.boards.inbox.describe()["corrupt_files"] == 1
    assert len(list(path.parent.glob("inbox.db.corrupt-*"))) == 1


def test_an_outbox_that_takes_nothing_gets_the_answers_when_it_does(edge, monkeypatch):
    monkeypatch.setattr(actor_module, "AGAIN_AFTER", 0.2)
    one = edge().start()
    put, full = OutboxFile.put, threading.Event()
    full.set()

    def fail(self, items):
        if full.is_set():
            raise OutboxUnavailableError("the outbox is full")
        return put(self, items)

    monkeypatch.setattr(OutboxFile, "put", fail)
    notify(one)
    command(one, "ping")
    eventually(lambda: one.parts.boards.inbox.last_error == "the outbox is full", what="the trouble is shown")
    full.clear()
    one.heard("receipts", receipt("received"))
    assert answer(one)["state"] == "succeeded"


def test_however_much_comes_while_the_outbox_is_full_it_is_tried_again_at_one_pace(edge, monkeypatch, caplog):
    monkeypatch.setattr(actor_module, "AGAIN_AFTER", 1.0)
    one = edge().start()
    one.heard("announce")
    timers = len(one.parts.runtime.timers)
    put, full = OutboxFile.put, threading.Event()
    full.set()

    def fail(self, items):
        if full.is_set():
            raise OutboxUnavailableError("the outbox is full")
        return put(self, items)

    monkeypatch.setattr(OutboxFile, "put", fail)
    taken = one.parts.boards.inbox.counters
    for number in range(30):
        notify(one, f"n-{number}")
        eventually(lambda wanted=number + 1: taken["notifications"] == wanted, what="it has come")
    assert len(one.parts.runtime.timers) < timers + 10
    assert [record.message for record in caplog.records if record.name == "edge.inbox.actor"] == ["the outbox is full"]
    for number in range(30, 1_200):
        one.server.client.publish(f"{OWN}/notifications", json.dumps({"id": f"n-{number}"}), 1)
    eventually(lambda: taken["notifications"] == 1_200, what="all have come")
    full.clear()
    outbox = one.parts.directory.get("outbox")
    eventually(lambda: outbox.ask(GetStats(), timeout=10).items >= 1_200, what="all receipts are in the outbox")


def test_the_first_that_is_heard_of_it_is_its_announcement(edge):
    one = edge().start()
    one.heard("twin/reported")
    topics = [message.topic for message in list(one.server.received)]
    assert topics.index(f"{OWN}/announce") < topics.index(f"{OWN}/twin/reported")
