"""The ledger over a real database, with a link that answers when the test says so."""

from __future__ import annotations

import json

import pykka
import pytest

from actors.device_messages import Told
from actors.link.messages import DROPPED, NOBODY_SUBSCRIBED, Publish, Published
from actors.messages import Delivery, Settled
from actors.notifications import LedgerActor, LedgerBoard
from actors.notifications.ledger import WINDOW
from actors.notifications.receipts import Receipt
from actors.runtime import Directory, Dispatcher, Runtime, SystemClock, Timers
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.store import Store
from actors.topics import parse_pi
from tests.link.rig import Recorder
from tests.notifications.build import LINK, NOON_US, entry, order
from tests.storage.build import Look
from tests.support.wait import eventually


class Clock(SystemClock):
    """The real one, set to noon and beyond."""

    ahead = 0.0

    def time(self):
        return NOON_US / 1_000_000 + self.ahead


class Rig:
    """A ledger and all that it speaks to; `start` again is the next process."""

    def __init__(self, url):
        self.clock = Clock()
        self.runtime = Runtime(self.clock, Dispatcher(self.clock), Timers(self.clock))
        self.runtime.start()
        self.url = url
        self.link, self.data = Recorder(), Recorder()
        self.services = Directory()
        self.services.publish(LINK, self.link)
        self.services.publish("local.data", self.data)
        self.board = LedgerBoard()
        self.up = True
        self.database_away = False
        self.is_writer_slow = False
        self.waiting = []
        """What a slow writer has been asked for, and not done yet."""
        self.asked = 0
        self.changes = []
        self.look = Look(url)
        self.ref = self.store = None

    def start(self):
        self.store = Store(open_database(self.url))
        actor = LedgerActor(
            ask=lambda message: self._write(message.work),
            read=lambda query: self._ask(query.run),
            services=self.services,
            runtime=self.runtime,
            links=[LINK],
            is_up=lambda _link: self.up,
            board=self.board,
            on_change=self.changes.extend,
        )
        self.ref = self.runtime.launch(actor, child_id="ledger")
        return self

    def _write(self, work):
        self.waiting.append(work)
        if self.is_writer_slow:
            self.asked += 1
            raise pykka.Timeout("no answer yet")
        *before, work = self.waiting
        self.waiting = []
        for each in before:
            self._ask(each)
        return self._ask(work)

    def _ask(self, work):
        self.asked += 1
        if self.database_away:
            raise StoreUnavailable("away")
        return self.store.run(work)

    def stop(self):
        self.runtime.shutdown(self.ref)
        eventually(lambda: not self.ref.is_alive(), what="the end of the ledger")

    def close(self):
        if self.ref is not None and self.ref.is_alive():
            self.stop()
        self.look.database.close()
        self.runtime.stop()

    def enter(self, *entries, batch="b1"):
        return self.ref.ask(order(*entries, batch=batch), timeout=10)

    @property
    def published(self):
        return [message for message in list(self.link.told) if isinstance(message, Publish) and message.token]

    def wait_published(self, count):
        eventually(lambda: len(self.published) >= count, what=f"{count} publications")
        return self.published

    def answer(self, message, reason=0, cause="", detail=""):
        self.ref.tell(Published(message.token, reason, cause, detail))

    def states(self):
        return self.look.run("SELECT state, reason FROM delivery ORDER BY id")

    def wait_states(self, *wanted):
        eventually(lambda: self.states() == list(wanted), what=f"{wanted}")

    def receipt(self, state, key="n1", serial="pi-1", *, sender_id="", token=5):
        topic = f"devices/{serial}/receipts"
        came = Delivery("local.data", token, topic, b"", 1, False, False, True, NOON_US, 1.0)
        self.ref.tell(Told(serial, parse_pi(topic), came, "ledger", Receipt(key, state, "", NOON_US, sender_id)))


@pytest.fixture
def rig(tmp_path):
    rig = Rig(f"sqlite:///{tmp_path}/muster.db")
    rig.start()
    yield rig
    rig.close()


def many(count, **fields):
    return [entry(f"n{number}", seq=number, to=(("", f"t/{number}"),), **fields) for number in range(count)]


def test_what_is_entered_is_published_and_accepted(rig):
    assert rig.enter().ids == ("n1",)
    (message,) = rig.wait_published(1)
    assert (message.topic, message.qos, message.retain, message.expiry) == (
        "devices/pi-1/notifications",
        1,
        False,
        None,
    )
    assert (json.loads(message.payload)["id"], message.reply_to) == ("n1", "ledger")
    assert rig.states() == [("queued", "")]
    eventually(lambda: rig.board.under_way == {message.token}, what="it is under way")
    rig.answer(message)
    rig.wait_states(("accepted", ""))
    eventually(lambda: [change.state for change in rig.changes] == ["accepted"], what="pages are told")


@pytest.mark.parametrize(
    ("priority", "answer", "state", "reason"),
    [
        ("low", (0,), "sent", ""),
        ("urgent", (0,), "accepted", ""),
        ("normal", (NOBODY_SUBSCRIBED,), "accepted", "no_subscribers"),
        ("normal", (0x87,), "failed", "refused by the broker: not_authorized"),
        ("normal", (0xA0,), "failed", "refused by the broker: 0xa0"),
        ("normal", (DROPPED, "expired", "too late"), "expired", "too late"),
        ("normal", (DROPPED, "invalid", "too large for the broker"), "failed", "too large for the broker"),
        ("normal", (DROPPED, "abandoned", "broke"), "failed", "broke"),
    ],
)
def test_every_answer_of_a_link_has_its_state(rig, priority, answer, state, reason):
    rig.enter(entry(priority=priority))
    rig.answer(rig.wait_published(1)[0], *answer)
    rig.wait_states((state, reason))
    assert rig.board.counts[state] == 1


def test_what_a_link_gives_back_is_sent_again(rig):
    rig.enter()
    rig.answer(rig.wait_published(1)[0], DROPPED, "link_down", "no broker")
    first, second = rig.wait_published(2)
    assert first == second
    rig.answer(second)
    rig.wait_states(("accepted", ""))


def test_nothing_is_sent_while_the_link_is_down(rig):
    rig.up = False
    rig.enter()
    rig.ref.ask(order(batch="b1"), timeout=10)  # handled behind the first look
    assert rig.published == []
    rig.up = True
    rig.wait_published(1)


def test_a_bulk_is_sent_within_a_window(rig):
    count = WINDOW + 100
    rig.enter(*many(count))
    sent = rig.wait_published(WINDOW)
    assert len(sent) == WINDOW
    for message in sent:
        rig.answer(message)
    for message in rig.wait_published(count)[WINDOW:]:
        rig.answer(message)
    eventually(lambda: set(rig.states()) == {("accepted", "")}, what="all are accepted")
    assert len({message.topic for message in rig.published}) == len(rig.published) == count


def test_an_urgent_one_does_not_wait_for_a_bulk(rig):
    rig.enter(*many(WINDOW + 100))
    sent = rig.wait_published(WINDOW)
    rig.enter(entry("urgent", priority="urgent", to=(("", "now"),)), batch="b2")
    for message in sent:
        rig.answer(message)
    assert rig.wait_published(WINDOW + 1)[WINDOW].topic == "now"


def test_the_next_process_goes_on_where_this_one_was(rig):
    rig.enter(*many(3))
    for message in rig.wait_published(3)[:2]:
        rig.answer(message)
    rig.wait_states(("accepted", ""), ("accepted", ""), ("queued", ""))
    rig.stop()
    rig.link.told.clear()
    rig.start()
    (message,) = rig.wait_published(1)
    assert message.topic == "t/2"
    rig.answer(message)
    rig.wait_states(*[("accepted", "")] * 3)


def test_the_time_that_is_left_goes_with_it_and_what_is_too_late_is_not_sent(rig):
    rig.enter(entry("n1", expires_us=NOON_US + 60_000_000), entry("n2", seq=1, expires_us=NOON_US - 1))
    (message,) = rig.wait_published(1)
    assert message.expiry == 60.0
    rig.answer(message)
    rig.wait_states(("accepted", ""), ("expired", "its time was over before it could be sent"))
    assert len(rig.published) == 1


def test_what_waits_for_a_link_expires_there(rig):
    rig.up = False
    rig.enter(entry(expires_us=NOON_US + 60_000_000))
    rig.clock.ahead = 61.0
    rig.wait_states(("expired", "its time was over before it could be sent"))
    assert rig.published == []


def test_what_was_handed_to_a_link_that_is_down_now_expires_too_and_is_counted_once(rig):
    rig.enter(entry(expires_us=NOON_US + 60_000_000))
    (message,) = rig.wait_published(1)
    rig.up = False
    rig.clock.ahead = 61.0
    rig.wait_states(("expired", "its time was over before it could be sent"))
    rig.answer(message, DROPPED, "expired", "its time was over before it could be sent")
    eventually(lambda: not rig.board.under_way and rig.board.counts["expired"], what="the link's answer")
    assert rig.board.counts["expired"] == 1


def test_pages_are_told_of_what_expires_while_a_link_is_down(rig):
    rig.up = False
    rig.enter(*many(3, expires_us=NOON_US + 60_000_000))
    rig.clock.ahead = 61.0
    eventually(lambda: [change.state for change in rig.changes] == ["expired"] * 3, what="pages are told")
    assert {change.topic for change in rig.changes} == {"t/0", "t/1", "t/2"}
    assert rig.board.counts["expired"] == 3


def test_a_receipt_that_comes_again_or_late_is_stored_and_changes_no_count(rig):
    rig.enter()
    rig.answer(rig.wait_published(1)[0])
    rig.wait_states(("accepted", ""))
    for number, state in enumerate(("displayed", "displayed", "received", "failed")):
        rig.receipt(state, sender_id=f"r{number}", token=number + 1)
    eventually(lambda: rig.board.counts["repeated_receipts"] == 3, what="they are counted")
    counts = rig.board.counts
    assert (counts["displayed"], counts["received"], counts["failed"]) == (1, 0, 0)
    assert sorted(token for told in rig.data.told for token in told.tokens) == [1, 2, 3, 4]
    assert [change.state for change in rig.changes] == ["accepted", "displayed"]


def test_a_receipt_is_settled_and_answered_behind_the_commit(rig):
    rig.enter()
    rig.receipt("displayed", sender_id="r1")
    rig.wait_states(("displayed", ""))
    eventually(lambda: rig.data.told == [Settled([5])], what="it is settled")
    (answer,) = [message for message in list(rig.link.told) if message.topic == "devices/pi-1/receipts"]
    assert json.loads(answer.payload)["stored"] == ["r1"]
    rig.answer(rig.wait_published(1)[0])  # the broker's answer comes late, and takes nothing back
    eventually(lambda: rig.board.counts["accepted"] == 1, what="it has come")
    rig.wait_states(("displayed", ""))


def test_a_receipt_for_what_there_is_not_is_settled_refused_and_counted(rig):
    rig.receipt("received", key="none", sender_id="r1")
    eventually(lambda: rig.data.told == [Settled([5])], what="it is settled")
    (answer,) = rig.link.told
    assert json.loads(answer.payload)["refused"] == {"r1": "unknown_notification"}
    assert rig.board.counts["unknown_receipts"] == 1


def test_while_the_database_is_away_requests_fail_and_news_wait(rig):
    rig.enter()
    (message,) = rig.wait_published(1)
    rig.database_away = True
    rig.answer(message)
    rig.receipt("received", sender_id="r1")
    with pytest.raises(StoreUnavailable):
        rig.enter(entry("n2"), batch="b2")
    assert rig.data.told == []
    assert rig.states() == [("queued", "")]
    rig.database_away = False
    rig.wait_states(("received", ""))
    eventually(lambda: rig.data.told == [Settled([5])], what="it is settled")


def test_numbers_that_are_given_again_are_sent_all_the_same(rig):
    rig.enter(*many(3))
    for message in rig.wait_published(3):
        rig.answer(message)
    rig.wait_states(*[("accepted", "")] * 3)
    rig.look.run("DELETE FROM delivery")
    rig.enter(entry("again"), batch="b2")
    assert json.loads(rig.wait_published(4)[3].payload)["id"] == "again"


def test_an_answer_to_a_predecessor_is_counted_and_changes_nothing(rig):
    rig.ref.tell(Published(99, 0))
    eventually(lambda: rig.board.counts["late_answers"] == 1, what="it is counted")


def test_a_batch_that_comes_again_is_neither_kept_nor_sent_again(rig):
    rig.enter()
    rig.answer(rig.wait_published(1)[0])
    rig.wait_states(("accepted", ""))
    assert not rig.enter().is_new
    assert rig.board.counts["notifications"] == 1
    assert len(rig.published) == 1


def test_what_is_committed_after_its_answer_was_given_up_is_sent_all_the_same(rig):
    eventually(lambda: rig.asked >= 5, what="the first look")
    rig.is_writer_slow = True
    with pytest.raises(pykka.Timeout):
        rig.enter(entry("n1"))
    asked = rig.asked
    eventually(lambda: rig.asked > asked, what="a look that finds nothing yet")
    rig.is_writer_slow = False

    rig.wait_published(1)


def test_however_often_something_is_entered_while_a_link_is_down_the_ledger_looks_at_one_pace(rig):
    rig.up = False
    for number in range(50):
        rig.enter(entry(f"n{number}"), batch=f"b{number}")

    eventually(lambda: len(rig.runtime.timers) == 1, what="one time to look")
