"""What was read reaches the outbox in order, whatever the outbox does."""

from __future__ import annotations

import pytest

from actors.outbox import OutboxUnavailableError, Put
from actors.runtime import Directory, PooledActor, Runtime
from edge.scanner.board import MOST_UNSAVED, ScannerBoard
from edge.scanner.messages import Keep, SaveAgain
from edge.scanner.saver import NO_ANSWER, SAVE_AGAIN, ScanSaver
from edge.scans import make_scan
from tests.link.rig import Recorder


class FakeOutbox(PooledActor):
    """Keeps, refuses, or says nothing."""

    def __init__(self):
        super().__init__()
        self.mood = "keeps"
        self.kept = {}
        self.puts = []

    def on_receive(self, message):
        self.puts.append(message)
        if self.mood == "refuses":
            error = OutboxUnavailableError("the disk is full")
            message.reply_to.set_exception((type(error), error, None))
        elif self.mood == "keeps":
            self.kept |= {item.id: item for item in message.items}
            message.reply_to.set(len(message.items))


class Rig:
    def __init__(self):
        self.runtime, self.directory, self.board = Runtime.manual(), Directory(), ScannerBoard()
        self.outbox = FakeOutbox()
        self.directory.publish("outbox", self.runtime.launch(self.outbox))
        self.start()

    def start(self):
        saver = ScanSaver(outbox="outbox", directory=self.directory, runtime=self.runtime, board=self.board)
        self.saver = self.runtime.launch(saver)
        self.runtime.run()

    def scan(self, *codes):
        items = [make_scan("pi-1", code, clock="ntp", now_us=1) for code in codes]
        for item in items:
            self.saver.tell(Keep(item))
        self.runtime.run()
        return [item.id for item in items]


@pytest.fixture
def rig():
    return Rig()


def test_a_scan_is_forgotten_once_the_outbox_has_it(rig):
    ids = rig.scan("a", "b", "c")

    assert list(rig.outbox.kept) == ids
    assert (len(rig.board.unsaved), rig.board.saved, rig.board.last_error) == (0, 3, "")


def test_scans_wait_while_the_outbox_takes_none_and_go_in_order(rig):
    rig.outbox.mood = "refuses"
    ids = rig.scan("a", "b") + rig.scan("c")
    assert rig.board.last_error == "the disk is full"
    assert len(rig.outbox.puts) == 1

    rig.outbox.mood = "keeps"
    rig.runtime.advance(SAVE_AGAIN)

    assert list(rig.outbox.kept) == ids
    assert (len(rig.board.unsaved), rig.board.saved, rig.board.last_error) == (0, 3, "")


def test_an_outbox_that_never_answers_is_asked_again(rig):
    rig.outbox.mood = "says nothing"
    ids = rig.scan("a", "b")

    rig.outbox.mood = "keeps"
    rig.runtime.advance(NO_ANSWER)

    assert list(rig.outbox.kept) == ids
    assert not rig.board.unsaved


def test_the_next_incarnation_goes_on_with_what_was_left(rig):
    rig.outbox.mood = "says nothing"
    ids = rig.scan("a", "b")
    rig.runtime.kill(rig.saver)

    rig.outbox.mood = "keeps"
    rig.start()
    rig.outbox.puts[0].reply_to.set(1)  # late, to nobody
    rig.runtime.run()

    assert list(rig.outbox.kept) == ids
    assert not rig.board.unsaved


def test_on_the_way_out_everything_is_left_to_the_outbox(rig):
    outbox = Recorder()
    rig.directory.publish("outbox", outbox)
    ids = rig.scan("a", "b")

    rig.saver.stop(block=False)
    rig.runtime.run()

    last = outbox.told[-1]
    assert isinstance(last, Put)
    assert [item.id for item in last.items] == ids
    assert last.reply_to is None


def test_memory_is_bounded_and_the_newest_is_refused(rig, caplog):
    rig.outbox.mood = "refuses"
    ids = rig.scan("first") + rig.scan(*(f"c{number}" for number in range(MOST_UNSAVED + 1)))

    rig.outbox.mood = "keeps"
    rig.runtime.advance(SAVE_AGAIN)

    assert rig.board.not_kept == 2
    assert list(rig.outbox.kept) == ids[:-2]
    assert "a scan is refused: 1000 wait already because the disk is full" in caplog.text
    assert rig.board.saved == MOST_UNSAVED


def test_an_answer_to_an_earlier_put_settles_nothing(rig):
    rig.outbox.mood = "says nothing"
    rig.scan("a")
    first = rig.outbox.puts[0].reply_to
    rig.runtime.advance(NO_ANSWER)

    first.set(1)
    rig.saver.tell(SaveAgain(0))
    rig.saver.tell("nonsense")
    rig.runtime.run()

    assert len(rig.board.unsaved) == 1
