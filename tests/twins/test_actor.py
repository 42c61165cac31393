"""Who changes what is desired and publishes it: with a real database, links that are played, and time that stands."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pykka
import pytest

from actors.device_messages import Told
from actors.link.messages import DROPPED, Published
from actors.link.status import LinkBoard, LinkState, LinkStatus
from actors.messages import DeleteDevice, StoreTwinReport
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.store import Store
from actors.storage.twins import FindTwins
from actors.twins import actor as module
from actors.twins.actor import SETTLE, Begin, TryAgain, TwinActor, TwinBoard, TwinSurroundings
from actors.twins.lane import WINDOW
from actors.twins.messages import Change, ChangeMany, LinkUp, TwinError, TwinsStored
from tests.storage.build import NOON, device

LOCAL, REMOTE = "local.control", "remote.control"


class Directory:
    """Writes down who was told what."""

    def __init__(self):
        self.told = []

    def tell(self, name, message):
        self.told.append((name, message))


class Stage:
    """One actor, called by hand."""

    def __init__(self, url, *links, fleet=()):
        self.store = Store(open_database(url))
        self.store.open()
        self.fleet = set(fleet)
        self.services, self.board, self.shown, self.timers = Directory(), TwinBoard(), [], []
        self.boards = {link: LinkBoard.of(link) for link in links}
        self.write_fails = self.read_fails = self.fail_after_next = None
        self.actor = self.make()

    def make(self):
        clock = SimpleNamespace(time=lambda: NOON / 1e6 + len(self.timers), monotonic=lambda: 0.0)
        timers = SimpleNamespace(after=lambda seconds, _ref, message: self.timers.append((seconds, message)))
        around = TwinSurroundings(
            runtime=SimpleNamespace(clock=clock, timers=timers),
            services=self.services,
            write=self._write,
            read=self._read,
            knows=self.fleet.__contains__,
            links=self.boards,
            on_change=self.shown.append,
            board=self.board,
        )
        return TwinActor(around)

    def _write(self, message):
        if self.write_fails is not None:
            raise self.write_fails
        self.write_fails, self.fail_after_next = self.fail_after_next, None
        return self.store.run(message.work)

    def _read(self, query):
        if self.read_fails is not None:
            raise self.read_fails
        return self.store.run(query.run)

    def say(self, message):
        return self.actor.on_receive(message)

    def declare(self, *serials):
        self.fleet |= set(serials)
        self.store.commit([device(serial) for serial in serials])

    def change(self, serial="A1", version=0, **patch):
        return self.say(Change(serial, patch, version, "operate joe", "10.0.0.7"))

    def delete(self, serial):
        self.fleet.discard(serial)
        result = self.store.commit([DeleteDevice(serial)])
        self.say(TwinsStored([], result.deleted))

    def connect(self, link=LOCAL):
        self.say(LinkUp(link))

    def fire(self, kind):
        """Let the time come that was set for a message of this kind."""
        due = [entry for entry in self.timers if isinstance(entry[1], kind)]
        for entry in due:
            self.timers.remove(entry)
            self.say(entry[1])
        return [seconds for seconds, _ in due]

    def published(self, link=LOCAL):
        """What the link was told since the last time: (topic, body or None), in order."""
        mine = [message for name, message in self.services.told if name == link]
        self.services.told = [entry for entry in self.services.told if entry[0] != link]
        self.last = mine
        assert all(message.retain and message.qos == 1 and message.reply_to == "twins" for message in mine)
        return [(each.topic.split("/")[1], body_of(each)) for each in mine]

    def answer(self, reason=0, cause=""):
        """Let the broker answer everything of the last `published`."""
        for message in self.last:
            self.say(Published(message.token, reason, cause, "why" if cause else ""))

    def counts(self, *names):
        return tuple(self.board.counts[name] for name in names)

    def twin(self, serial="A1"):
        found = self.store.run(FindTwins((serial,)).run)
        return found[0] if found else None


def body_of(message):
    return msgspec.json.decode(message.payload) if message.payload else None


@pytest.fixture
def stage(tmp_path):
    made = Stage(f"sqlite:///{tmp_path}/muster.db", LOCAL)
    made.declare("A1", "B2")
    yield made
    made.store.close()


def desired(version, **body):
    return {"version": version, "desired": body}


# Changes


def test_a_change_is_committed_recorded_shown_and_then_published(stage):
    stage.connect()
    changed = stage.change(heartbeat=15)
    assert (changed.twin.desired_version, changed.is_new) == (1, True)
    assert stage.published() == [("A1", desired(1, heartbeat=15))]
    kept = stage.twin()
    assert (kept.desired, kept.desired_version, kept.changed_by) == ({"heartbeat": 15}, 1, "operate joe")
    assert stage.shown == ["A1"]
    ((text,),) = stage.store.run(lambda db: db.execute_sql("SELECT data FROM event WHERE kind = 'twin'").fetchall())
    told = msgspec.json.decode(text)
    assert (told["action"], told["by"], told["from"]) == ("desired", "operate joe", "10.0.0.7")
    assert (told["version"], told["changed"]) == (1, ["heartbeat"])


def test_of_two_operators_with_one_version_the_second_is_told_that_there_is_another(stage):
    stage.connect()
    stage.change(version=0, a=1)
    with pytest.raises(TwinError) as refused:
        stage.change(version=0, b=2)
    assert refused.value.code == "conflict"
    assert refused.value.details == {"serial": "A1", "desired_version": 1}
    assert stage.twin().desired == {"a": 1}
    assert len(stage.published()) == 1
    assert stage.counts("changed", "conflict") == (1, 1)


def test_a_change_that_changes_nothing_is_neither_recorded_nor_published(stage):
    stage.connect()
    stage.change(a={"b": 1})
    stage.published()
    again = stage.change(version=1, a={"b": 1}, c=None)
    assert (again.is_new, again.twin.desired_version) == (False, 1)
    assert stage.published() == []
    assert stage.counts("changed", "unchanged") == (1, 1)


def test_true_in_place_of_one_is_a_change(stage):
    stage.change(a=1)
    assert stage.change(version=1, a=True).twin.desired_version == 2


def test_the_first_change_counts_even_if_it_desires_nothing(stage):
    assert stage.change().twin.desired_version == 1


@pytest.mark.parametrize(
    ("serial", "patch", "code"),
    [
        ("C3", {"a": 1}, "not_found"),
        ("A1", {"a": "x" * 40_000}, "too_large"),
        ("A1", {"a": "\0"}, "bad_field"),
    ],
)
def test_what_is_refused_changes_nothing_and_is_counted(stage, serial, patch, code):
    stage.connect()
    with pytest.raises(TwinError) as refused:
        stage.change(serial, **patch)
    assert refused.value.code == code
    assert (stage.twin(serial), stage.published(), stage.counts("refused")) == (None, [], (1,))


def test_the_next_version_is_higher_than_what_a_device_reports_from_before_it_was_deleted(stage):
    stage.store.commit([StoreTwinReport(serial="A1", version=41, reported="{}", rx_us=NOON)])
    assert stage.change(a=1).twin.desired_version == 42


def test_a_version_that_a_device_has_invented_does_not_count(stage):
    stage.store.commit([StoreTwinReport(serial="A1", version=2**52, reported="{}", rx_us=NOON)])
    assert stage.change(a=1).twin.desired_version == 1


def test_a_device_that_was_deleted_and_comes_back_never_sees_a_version_twice(stage):
    stage.connect()
    for version in range(3):
        stage.change(version=version, number=version)
    stage.published()
    stage.answer()
    stage.delete("A1")
    stage.published()
    stage.answer()
    stage.declare("A1")
    assert stage.twin() is None
    assert stage.change(number=2).twin.desired_version == 4
    assert stage.change(version=4, number=3).twin.desired_version == 5


def test_a_patch_for_many_is_applied_to_each_whatever_its_version(stage):
    stage.connect()
    stage.change("A1", a=1)
    stage.published()
    outcomes = stage.say(ChangeMany(["A1", "B2", "C3"], {"b": 2}, "admin", ""))
    assert [getattr(each, "code", None) or each.twin.desired_version for each in outcomes] == [2, 1, "not_found"]
    assert stage.published() == [("A1", desired(2, a=1, b=2)), ("B2", desired(1, b=2))]


def test_many_devices_are_changed_in_transactions_of_a_bounded_size(stage, monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", 2)
    stage.declare("C3", "D4", "E5")
    assert len(stage.say(ChangeMany(["A1", "B2", "C3", "D4", "E5"], {"b": 2}, "admin", ""))) == 5


# When the database does not answer


@pytest.mark.parametrize("error", [StoreUnavailable("away"), pykka.Timeout("late"), pykka.ActorDeadError("gone")])
def test_a_change_that_may_have_been_committed_unheard_is_published_later(stage, error):
    stage.connect()
    stage.write_fails = error
    with pytest.raises(type(error)):
        stage.change(a=1)
    stage.write_fails = None
    stage.store.run(lambda db: stage.actor._carry_out(db, Change("A1", {"a": 1}, 0, "joe", ""), NOON))
    assert stage.published() == []
    assert stage.fire(TryAgain)
    assert stage.published() == [("A1", desired(1, a=1))]


def test_a_change_is_published_later_when_it_cannot_be_read_at_once(stage):
    stage.connect()
    stage.fail_after_next = StoreUnavailable("away")
    assert stage.change(a=1).is_new
    assert stage.published() == []
    stage.write_fails = None
    assert stage.fire(TryAgain)
    assert stage.published() == [("A1", desired(1, a=1))]


def test_a_passage_that_the_database_interrupts_goes_on_later(stage):
    stage.change(a=1)
    stage.read_fails = StoreUnavailable("away")
    stage.connect()
    assert stage.published() == []
    stage.read_fails = None
    stage.fire(TryAgain)
    assert stage.published() == [("A1", desired(1, a=1))]


def test_while_the_database_stays_away_the_attempts_come_at_growing_pauses(stage):
    stage.change(a=1)
    stage.read_fails = StoreUnavailable("away")
    stage.connect()
    pauses = [stage.fire(TryAgain) for _ in range(12)]
    assert all(len(pause) == 1 for pause in pauses)
    assert all(pause[0] <= module.RETRY_CAP for pause in pauses)


# Links


def test_what_is_desired_while_the_link_is_down_is_published_when_it_is_up(stage):
    stage.change("A1", a=1)
    stage.change("B2", b=2)
    assert stage.published() == []
    stage.connect()
    assert stage.published() == [("A1", desired(1, a=1)), ("B2", desired(1, b=2))]


def test_everything_is_published_again_when_the_link_comes_back_since_the_broker_may_have_forgotten_it(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    stage.answer()
    stage.connect()
    assert stage.published() == []
    assert stage.fire(Begin) == [SETTLE]
    assert stage.published() == [("A1", desired(1, a=1))]


def test_a_link_that_flaps_fills_no_queue(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    for _ in range(5):
        stage.connect()
    stage.fire(Begin)
    assert stage.published() == [("A1", desired(1, a=1))]


def test_an_actor_that_starts_anew_publishes_everything_on_the_links_that_are_up(stage):
    stage.change(a=1)
    stage.boards[LOCAL].status = LinkStatus(name=LOCAL, state=LinkState.SUBSCRIBED)
    stage.actor = stage.make()
    stage.actor.on_start()
    assert stage.published() == [("A1", desired(1, a=1))]


def test_an_answer_to_a_predecessor_means_nothing(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    before = stage.last
    stage.actor = stage.make()
    stage.actor.on_start()
    stage.connect()
    stage.published()
    assert not {message.token for message in before} & {message.token for message in stage.last}
    for message in before:
        stage.say(Published(message.token, DROPPED, "overflow", "full"))
    assert stage.counts("publish_failed") == (0,)


def test_twins_of_devices_that_this_server_does_not_know_and_reports_alone_are_not_published(stage):
    stage.change("A1", a=1)
    stage.store.commit([StoreTwinReport(serial="B2", version=0, reported='{"x":1}', rx_us=NOON)])
    stage.fleet.discard("A1")
    stage.connect()
    assert stage.published() == []


def test_a_large_fleet_is_published_a_window_at_a_time_and_a_change_does_not_wait_for_the_rest(stage):
    serials = [f"d{number:04d}" for number in range(WINDOW + 20)]
    stage.declare(*serials)
    stage.say(ChangeMany(serials, {"a": 1}, "admin", ""))
    stage.connect()
    first = stage.published()
    assert [serial for serial, _ in first] == serials[:WINDOW]
    stage.change("B2", b=1)
    assert stage.published() == []
    stage.last = stage.last or []
    stage.say(Published(first_token(stage), 0))
    assert stage.published()[:1] == [("B2", desired(1, b=1))]


def first_token(stage):
    lane = stage.actor._lanes[LOCAL]
    return next(iter(lane._in_flight))


def test_every_broker_retains_every_twin(tmp_path):
    stage = Stage(f"sqlite:///{tmp_path}/muster.db", LOCAL, REMOTE)
    stage.declare("A1")
    stage.connect(LOCAL)
    stage.change(a=1)
    assert (stage.published(LOCAL), stage.published(REMOTE)) == ([("A1", desired(1, a=1))], [])
    stage.connect(REMOTE)
    assert stage.published(REMOTE) == [("A1", desired(1, a=1))]
    stage.store.close()


@pytest.mark.parametrize(("reason", "cause"), [(0x87, ""), (DROPPED, "overflow"), (DROPPED, "abandoned")])
def test_what_the_broker_does_not_take_is_published_again_later(stage, reason, cause):
    stage.connect()
    stage.change(a=1)
    stage.published()
    stage.answer(reason, cause)
    assert stage.counts("published", "publish_failed") == (0, 1)
    assert stage.published() == []
    stage.fire(TryAgain)
    assert stage.published() == [("A1", desired(1, a=1))]
    stage.answer(0x10)  # nobody has subscribed yet: it is retained all the same
    assert stage.counts("published") == (1,)
    assert stage.timers == []


def test_what_is_too_large_for_the_broker_is_not_tried_again(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    stage.answer(DROPPED, "invalid")
    assert (stage.counts("publish_failed"), stage.timers) == ((1,), [])


# Reports, and the end of devices


def test_a_report_goes_to_the_writer_with_its_token_and_pages_learn_of_it_after_the_commit(stage):
    report = StoreTwinReport(serial="A1", version=1, reported="{}", rx_us=NOON, link="local.data", token=7)
    stage.say(Told("A1", None, None, "twins", report))
    assert stage.services.told == [("notary", report)]
    assert stage.shown == []
    stage.say(TwinsStored(["A1", "A1"], []))
    assert (stage.shown, stage.counts("reported")) == (["A1"], (2,))


def test_of_a_storm_of_reports_pages_are_told_a_few(stage):
    stage.say(TwinsStored([f"d{number}" for number in range(1_000)], []))
    assert len(stage.shown) == module.MOST_SHOWN
    assert stage.counts("reported") == (1_000,)


def test_what_brokers_retain_of_a_deleted_device_is_taken_back_and_then_its_row_goes(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    stage.answer()
    stage.delete("A1")
    assert stage.twin().to_clear
    assert stage.published() == [("A1", None)]
    stage.answer()
    assert (stage.twin(), stage.counts("cleared")) == (None, (1,))


def test_a_device_that_is_deleted_while_the_broker_is_away_is_cleared_when_it_is_back(stage):
    stage.change(a=1)
    stage.delete("A1")
    stage.actor = stage.make()
    stage.actor.on_start()
    stage.connect()
    assert stage.published() == [("A1", None)]
    stage.answer()
    assert stage.twin() is None


def test_a_deleted_device_is_cleared_only_when_every_broker_has_forgotten_it(tmp_path):
    stage = Stage(f"sqlite:///{tmp_path}/muster.db", LOCAL, REMOTE)
    stage.declare("A1")
    for link in (LOCAL, REMOTE):
        stage.connect(link)
    stage.change(a=1)
    for link in (LOCAL, REMOTE):
        stage.published(link)
        stage.answer()
    stage.delete("A1")
    stage.published(LOCAL)
    stage.answer()
    assert stage.twin().to_clear
    assert stage.published(REMOTE) == [("A1", None)]
    stage.answer()
    assert stage.twin() is None
    stage.store.close()


def test_a_device_that_comes_back_before_it_was_cleared_keeps_what_is_desired_of_it_now(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    stage.answer()
    stage.delete("A1")
    stage.published()
    clearing = stage.last
    stage.declare("A1")
    stage.change(b=2)
    assert stage.published() == [("A1", desired(2, b=2))]
    stage.last = clearing + stage.last
    stage.answer()
    assert stage.twin().desired == {"b": 2}


def test_a_row_that_cannot_be_dropped_now_is_dropped_at_the_next_connection(stage):
    stage.connect()
    stage.change(a=1)
    stage.published()
    stage.answer()
    stage.delete("A1")
    stage.published()
    stage.write_fails = StoreUnavailable("away")
    stage.answer()
    stage.write_fails = None
    assert stage.twin().to_clear
    stage.connect()
    stage.fire(Begin)
    assert stage.published() == [("A1", None)]
    stage.answer()
    assert stage.twin() is None


def test_a_message_that_nobody_knows_and_a_link_that_is_none_of_ours_are_passed_over(stage, caplog):
    stage.say(LinkUp("other.control"))
    stage.say(SimpleNamespace())
    assert "unexpected message" in caplog.text
