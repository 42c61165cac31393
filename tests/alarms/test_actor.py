"""The alarms' actors in a server's parts: figures, the database away at the start, what is deleted and forgotten."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from actors.alarms.actor import AlarmsActor
from actors.alarms.messages import Acknowledge, AlarmError, ListRules, Look
from actors.alarms.tap import MOST_READINGS, AlarmTap, Interest
from actors.messages import DeleteDevice, StoreDevice, StoreReading
from actors.notifications import NotificationError
from actors.reader import ReaderActor
from actors.runtime import Runtime
from actors.storage.alarms import FindAlarms
from actors.storage.database import open_database
from actors.storage.errors import StoreUnavailable
from actors.storage.models import Alarm, AlarmNotice
from actors.storage.retention import RetentionRules
from actors.storage.store import Store
from actors.writes import Batcher
from supervisor import Supervisor
from supervisor.pki.certificates import make_authority
from supervisor.server.alarms import AlarmsFace, DeviceNotifier, Figures, alarms_actor
from supervisor.server.parts import READERS, Parts
from supervisor.server.settings import Broker, Config, Database, Tls
from supervisor.server.tree import registry
from tests.alarms.rig import Rig, offline
from tests.support.wait import eventually
from web.alarms import AlarmRefusedError

RULE = offline(name="made")
WHO = {"by": "operate anna", "address": "10.0.0.9"}


@contextmanager
def running(directory, **settings):
    """Parts with a registry, readers, and the root of a tree."""
    runtime = Runtime.system()
    runtime.start()
    url = f"sqlite:///{directory}/muster.db"
    config = Config(data_dir=str(directory), database=Database(url=url), api_token="admin-token", **settings)
    parts = Parts(config, runtime, "0a1b2c3d")
    refs = [runtime.launch(Supervisor(runtime=runtime, name="server", children=()))]

    def launch(name, actor):
        refs.append(runtime.launch(actor))
        parts.services.publish(name, refs[-1])

    launch("registry", registry(parts, url))
    launch("batcher", Batcher(parts.outgoing, runtime.timers))
    for name in READERS:
        launch(name, ReaderActor(url))
    eventually(lambda: parts.registry_board.status.ok and parts.registry_board.status.since, what="the database")
    yield SimpleNamespace(parts=parts, face=AlarmsFace(parts), launch=launch, root=refs[0])
    for ref in reversed(refs):
        ref.stop(timeout=5)
    runtime.stop()


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as it:
        it.launch("alarms", alarms_actor(it.parts, it.root))
        yield it


def figures(it):
    return {(figure.kind, figure.name): figure.value for figure in Figures(it.parts, it.root)()}


def test_a_link_that_is_down_is_raised_shown_and_answered_over_the_face(tmp_path):
    with running(tmp_path) as it:
        it.launch("alarms", alarms_actor(it.parts, it.root))
        it.face.make_rule(RULE, **WHO)
        it.face.change_rule("broker-link", {"lasts": 0}, **WHO)
        (first, _) = eventually(lambda: it.face.items(**WANTED)[0], what="the links' alarms")
        assert first["summary"].startswith("the link local.")
        assert it.face.acknowledge(first["id"], **WHO)["acknowledged_by"] == "operate anna"
        until_us = int((it.parts.runtime.clock.time() + 60) * 1e6)
        assert it.face.silence(first["id"], until_us, **WHO)["silenced_by"] == "operate anna"
        assert it.face.find(first["id"])["notices"] == []
        assert it.face.find(999) is None
        kinds = {event.kind for event in it.parts.ring.since(0).events}
        assert "alarm" in kinds
        assert it.parts.alarm_tap.open["critical"] == 2


WANTED = {
    "limit": 10,
    "cursor": "",
    "state": "open",
    "rule": "broker-link",
    "severity": "critical",
    "serial": None,
    "site": None,
}


def test_rules_are_made_changed_and_deleted_over_the_face(server):
    made = server.face.make_rule(RULE, **WHO)
    assert (made["origin"], made["changed_by"], made["lasts"]) == ("api", "operate anna", 60.0)
    assert server.face.change_rule("made", {"severity": "info"}, **WHO)["severity"] == "info"
    listed = {item["name"]: item for item in server.face.rules()}
    assert (listed["made"]["severity"], listed["offline"]["lasts"], listed["queue-depth"]["over"]) == (
        "info",
        300.0,
        20_000.0,
    )
    server.face.drop_rule("made", **WHO)
    for ask, status in (
        (lambda: server.face.drop_rule("made", **WHO), 404),
        (lambda: server.face.change_rule("offline", {"lasts": -1}, **WHO), 400),
        (lambda: server.face.drop_rule("offline", **WHO), 409),
    ):
        with pytest.raises(AlarmRefusedError) as refused:
            ask()
        assert refused.value.status == status


def test_alarms_that_are_turned_off_raise_nothing(tmp_path):
    from actors.alarms.settings import AlarmSettings

    with running(tmp_path, alarms=AlarmSettings(enabled=False)) as it:
        it.launch("alarms", alarms_actor(it.parts, it.root))
        it.face.change_rule("broker-link", {"lasts": 0}, **WHO)
        ref = it.parts.services.get("alarms")
        for _ in range(3):
            ref.ask(ListRules(), timeout=5)
            ref.tell(Look(ref.actor_urn))
        assert ref.ask(ListRules(), timeout=5)
        assert it.face.items(**WANTED)[0] == []
        assert it.parts.on_presence == [listener for listener in it.parts.on_presence if "alarm" not in repr(listener)]


def test_the_server_tells_its_figures_by_link_queue_and_file(tmp_path):
    (tmp_path / "ca.pem").write_bytes(make_authority("a test").cert)
    (tmp_path / "broken.pem").write_text("no certificate")
    tls = Tls(ca=str(tmp_path / "ca.pem"), cert=str(tmp_path / "broken.pem"), key=str(tmp_path / "none.pem"))
    broker = Broker(name="yard", configured_url="mqtts://127.0.0.1:1", tls=tls)
    with running(tmp_path, brokers=(broker,)) as it:
        known = figures(it)
    assert (known["broker_link", "yard.control"], known["broker_link", "yard.data"]) == (1.0, 1.0)
    assert known["broker_dropped", "yard"] == known["quarantine", "server"] == known["dead_letters", "server"] == 0
    assert {"registry", "dispatcher"} <= {name for kind, name in known if kind == "queue_depth"}
    ends = {name: days for (kind, name), days in known.items() if kind == "certificate_expiry"}
    assert list(ends) == [str(tmp_path / "ca.pem")]
    assert dt.timedelta(days=3_640) < dt.timedelta(days=ends[str(tmp_path / "ca.pem")]) < dt.timedelta(days=3_660)


def test_while_the_database_is_away_at_the_start_orders_are_refused_and_looks_go_on(tmp_path):
    runtime = Runtime.manual()

    class Desk:
        is_away, loads, looks = True, 0, 0

        def load(self):
            Desk.loads += 1
            if Desk.is_away:
                raise StoreUnavailable("away")

        def look(self):
            Desk.looks += 1

        def acknowledge(self, order):
            raise AlarmError("not_found", f"none of {order.id}")

        def rules(self):
            return []

    system = Runtime.system()
    system.start()
    try:
        ref = system.launch(AlarmsActor(Desk(), runtime))
        order = Acknowledge(id=1, **WHO)
        with pytest.raises(StoreUnavailable):
            ref.ask(order, timeout=5)
        ref.tell(Look("another incarnation's"))
        assert ref.ask(ListRules(), timeout=5) == []
        Desk.is_away = False
        with pytest.raises(AlarmError, match="none of 1"):
            ref.ask(order, timeout=5)
        ref.tell("nonsense")
        ref.tell(Look(ref.actor_urn))
        assert ref.ask(ListRules(), timeout=5) == []
        assert (Desk.loads, Desk.looks) == (3, 1)
        ref.stop(timeout=5)
    finally:
        system.stop()


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (NotificationError("unknown_group", "there is no group crew"), LookupError),
        (NotificationError("too_large", "too large"), ValueError),
        (StoreUnavailable("away"), TimeoutError),
    ],
)
def test_a_notification_that_cannot_be_kept_is_refused_as_the_courier_understands_it(server, raised, seen):
    notifier = DeviceNotifier(server.parts)

    class Broken:
        def send(self, *_, **__):
            raise raised

    notifier._notifier = Broken()
    with pytest.raises(seen, match=str(raised)):
        notifier.notify({"group": "crew"}, title="t", body="b", data={}, priority="high", key="k")


def reading(number, measures='{"t": 1}'):
    return StoreReading(f"s{number}", "data", number, b"", 0, "", "mqtt", measures)


def test_the_tap_takes_only_what_rules_are_about_and_counts_what_it_cannot_hold():
    tap = AlarmTap()
    tap.put([reading(1)])
    assert tap.take_readings() == []
    tap.interest = Interest(["t"])
    tap.put([reading(number) for number in range(MOST_READINGS + 5)] + [reading(-1, '{"x": 1}')])
    taken = tap.take_readings()
    assert (len(taken), taken[0].serial, tap.counts["reading_missed"]) == (MOST_READINGS, "s5", 5)
    for presence in ("offline", "online"):
        tap.changed("a", presence)
    assert (tap.take_presence(), tap.take_presence()) == ({"a": "online"}, {})


def test_old_alarms_are_forgotten_and_a_deleted_device_takes_its_own_with_it(database_url):
    rig = Rig(database_url, offline())
    rig.device("a")
    rig.device("b")
    rig.dark("a", "b")
    rig.pass_time(80)
    rig.back("a", "b")
    rig.deliver()
    rig.pass_time(2)
    rig.deliver()
    rig.dark("b")
    rig.pass_time(80)
    store = Store(open_database(database_url), rules=RetentionRules(events_days=30))
    store.open()
    store.begin_expiry()
    while store.is_expiry_due:
        store.expire(rig.now_us + 40 * 86_400_000_000)
    assert [row["serial"] for row in rig.alarms()] == ["b"]
    assert rig.store.run(lambda database: AlarmNotice.select().count(database)) == 1
    assert rig.store.run(lambda database: Alarm.select().where(Alarm.open_key.is_null()).count(database)) == 0
    assert rig.store.run(FindAlarms(serial="a").run).items == []
    store.commit([StoreDevice(rig.fleet.record("b").snapshot)])
    store.commit([DeleteDevice("b")])
    assert rig.open() == ["device:b"]  # until the desk ends it
    rig.fleet.remove("b")
    rig.pass_time(60, steps=60)
    assert [row["cleared_why"] for row in rig.alarms()] == ["device_removed"]
    store.close()
    rig.store.close()
