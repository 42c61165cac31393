"""The adapters between the HTTP face and the server: a real registry and readers, real devices, no broker."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from types import SimpleNamespace

import pytest

from actors.events import coalesce
from actors.link.figures import Figure
from actors.link.status import LinkBoard, LinkState, LinkStatus
from actors.messages import DeviceSnapshot, StoreDeadLetter, StoreReading, WriteBatch
from actors.reader import ReaderActor
from actors.runtime import PooledActor, Runtime
from actors.storage.queries import FindDeadLetters
from actors.writes import Batcher
from supervisor.server.crash_book import CrashBook
from supervisor.server.faces import DeadLettersFace, FleetFace, TokensFace
from supervisor.server.history import HistoryFace
from supervisor.server.parts import READERS, ROOT, Parts
from supervisor.server.settings import Config
from supervisor.server.supervision import LinksFace, SupervisionFace
from supervisor.server.tree import device_supervisor, registry
from tests.storage.build import digest
from tests.support.muster import TOKEN, Api, Muster
from tests.support.wait import eventually
from web.face import ConflictError


class Notebook(PooledActor):
    def __init__(self, told):
        super().__init__()
        self._told = told

    def on_receive(self, message):
        self._told.append(message)


@pytest.fixture
def server(tmp_path):
    """Parts with a registry, readers and devices; subscribers that only write down."""
    url = f"sqlite:///{tmp_path}/muster.db"
    runtime = Runtime.system()
    runtime.start()
    parts = Parts(Config(api_token="the-admin-token", data_dir=str(tmp_path)), runtime, "test")
    told = []
    refs = []

    def launch(name, actor):
        refs.append(runtime.launch(actor))
        parts.services.publish(name, refs[-1])

    launch("registry", registry(parts, url))
    launch("batcher", Batcher(parts.outgoing, parts.runtime.timers))
    for name in READERS:
        launch(name, ReaderActor(url))
    launch("devices", device_supervisor(parts))
    for name in ("subscriber.pi", "subscriber.site"):
        launch(name, Notebook(told))
    eventually(lambda: parts.registry_board.status.ok and parts.registry_board.status.since, what="the database")
    yield SimpleNamespace(parts=parts, told=told)
    for ref in reversed(refs):
        ref.stop(timeout=5)
    runtime.stop()


def store(server, *writes):
    """Let the registry commit these writes."""
    server.parts.services.get("registry").tell(WriteBatch(list(writes)))
    eventually(lambda: server.parts.registry_board.counters.commits, what="the commit")


def pi(serial="pi-1"):
    return DeviceSnapshot(serial=serial, kind="raspberry_pi", family="pi")


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_that_was_made_opens_what_its_role_may(server):
    tokens = TokensFace(server.parts)
    made = tokens.create(name="ci", role="device", serial="pi-1", expires_in=None)
    assert (made["id"], made["name"], made["role"], made["serial"]) == (1, "ci", "device", "pi-1")
    assert tokens.verify(made["token"]) == ("device", "pi-1", "ci")
    assert tokens.verify("the-admin-token") == ("admin", None, "")


def test_tokens_are_listed_without_their_secret(server):
    tokens = TokensFace(server.parts)
    made = tokens.create(name="ci", role="read", serial="", expires_in=60.0)
    (item,) = tokens.items()
    assert item == {name: value for name, value in made.items() if name != "token"}
    assert item["expires_us"] - item["created_us"] == 60_000_000
    assert made["token"] not in str(item)


def test_a_revoked_token_ends_at_once_and_only_once(server):
    tokens = TokensFace(server.parts)
    made = tokens.create(name="ci", role="read", serial="", expires_in=None)
    assert tokens.verify(made["token"]) is not None
    tokens.revoke(made["id"])
    assert tokens.verify(made["token"]) is None
    for unknown in (made["id"], 99):
        with pytest.raises(KeyError):
            tokens.revoke(unknown)


def test_the_tokens_command_and_the_server_understand_each_other(mosquitto):
    with Muster(mosquitto.url) as server:
        code, plain = server.run("token", "create", "ci", "--role", "operate", "--days", "1")
        assert code == 0, plain
        guest = Api(server.address, plain.strip())
        assert guest.call("GET", "/api/devices").status == 200
        assert guest.call("GET", "/api/tokens").status == 403
        code, listed = server.run("token", "list")
        assert code == 0
        assert listed.splitlines()[1].split()[:3] == ["1", "ci", "operate"]
        assert plain.strip() not in listed
        assert server.run("token", "revoke", "1")[0] == 0
        assert guest.call("GET", "/api/devices").status == 401
        assert server.run("token", "revoke", "1")[0] == 1
        assert "revoked" in server.run("token", "list")[1]


def test_who_is_logged_in_stays_so_when_the_http_server_was_restarted(mosquitto):
    with Muster(mosquitto.url) as server:

        def session(method, path, cookie=""):
            connection = http.client.HTTPConnection(server.address, timeout=10)
            with contextlib.closing(connection):
                body = json.dumps({"token": TOKEN}) if method == "POST" else None
                connection.request(method, path, body, {"Cookie": cookie})
                return connection.getresponse()

        cookie = session("POST", "/api/login").getheader("Set-Cookie").partition(";")[0]
        assert session("GET", "/api/session", cookie).status == 200
        with contextlib.suppress(OSError):  # the server that is told so may be gone before it has answered
            server.call("POST", "/api/supervision/http/restart")
        eventually(lambda: server.log.count("serving on") == 2, what="the second start")
        assert session("GET", "/api/session", cookie).status == 200


# -- dead letters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "subscriber"), [("devices/heartbeat", 0), ("monstro/gateway/7/input", 1)], ids=["pi", "site"]
)
def test_a_dead_letter_goes_back_to_the_subscriber_of_its_family_as_no_sign_of_life(server, topic, subscriber):
    store(server, StoreDeadLetter("not_json", "", "local.control", topic, b"{", 1))
    names = ("subscriber.pi", "subscriber.site")
    server.parts.services.withdraw(names[1 - subscriber])
    DeadLettersFace(server.parts).replay(1)
    eventually(lambda: server.told, what="the delivery")
    (delivery,) = server.told[0].items
    assert (delivery.topic, delivery.payload, delivery.live, delivery.token) == (topic, b"{", False, 0)
    assert server.parts.readers.ask(FindDeadLetters()).items[0]["replayed_us"]


@pytest.mark.parametrize(
    ("topic", "words"),
    [("", "has no topic"), ("devices/a b/status", "nobody takes"), ("weather/today", "nobody takes")],
)
def test_what_nobody_could_take_again_is_not_replayed(server, topic, words):
    store(server, StoreDeadLetter("refused", "", "", topic, b"{}", 1))
    with pytest.raises(ConflictError, match=words):
        DeadLettersFace(server.parts).replay(1)
    assert server.told == []
    assert server.parts.readers.ask(FindDeadLetters()).items[0]["replayed_us"] is None


def test_a_dead_letter_that_is_not_there_is_a_key_error(server):
    with pytest.raises(KeyError):
        DeadLettersFace(server.parts).replay(5)


# -- the fleet, history, links ----------------------------------------------------------------------------------------


def test_sites_are_told_with_the_alarms_that_are_open_there(server):
    fleet = FleetFace(server.parts)
    fleet.create(pi())
    server.parts.alarm_tap.open.update({"critical": 2})
    server.parts.alarm_tap.open_at = Counter({pi().site: 1})
    counts = {"total": 1, "online": 0, "offline": 1, "unknown": 0, "flapping": 0, "quarantined": 0, "alarms": 1}
    assert fleet.sites() == [{"site": pi().site} | counts]
    assert fleet.open_alarms() == 2


def test_a_deleted_device_is_told_to_every_page(server):
    fleet = FleetFace(server.parts)
    fleet.create(pi())
    seq = server.parts.ring.last
    assert fleet.delete("pi-1")
    events = coalesce(server.parts.ring.since(seq).events)
    assert [(event.kind, event.key) for event in events] == [("removed", "pi-1")]
    assert not fleet.delete("pi-1")
    assert [event.kind for event in server.parts.ring.since(seq).events] == ["removed"]


def reading(at, measures):
    """One reading of pi-1."""
    return StoreReading(
        serial="pi-1",
        channel="reading",
        ts_us=at,
        digest=digest(f"{at}"),
        rx_us=at,
        clock="",
        source="mqtt",
        measures=measures,
    )


def test_a_page_of_one_metric_is_full_and_holds_nothing_else(server):
    FleetFace(server.parts).create(pi())
    bodies = ['{"a.b":1,"c":2}' if at % 3 else '{"c":2}' for at in range(30)]
    store(server, *(reading(at, body) for at, body in enumerate(bodies)))
    eventually(lambda: server.parts.registry_board.counters.rows == 30, what="the readings")
    history = HistoryFace(server.parts)
    ask = {"metric": "a.b", "since_us": None, "until_us": None, "limit": 15}
    items, cursor = history.readings("pi-1", **ask, cursor="")
    assert [item["measures"] for item in items] == [{"a.b": 1}] * 15
    rest, _ = history.readings("pi-1", **ask, cursor=cursor)
    assert len(rest) == 5


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        ({}, ""),
        ({"broker": "10.0.0.1:1883", "protocol": "5.0"}, "10.0.0.1:1883 · MQTT 5.0"),
        ({"broker": "b:1", "last_error": "connection refused"}, "b:1 · connection refused"),
    ],
)
def test_a_link_tells_its_broker_its_protocol_and_what_went_wrong(status, detail):
    board = LinkBoard(status=LinkStatus(name="local.data", state=LinkState.SUBSCRIBED, **status))
    (item,) = LinksFace(SimpleNamespace(link_boards={"local.data": board})).status()
    assert item["detail"] == detail


@pytest.mark.parametrize("path", ["http", "server/http", "http/", "/http", "server//http", "//server/http//"])
def test_the_page_cannot_be_parked_however_its_path_is_written(path):
    face = SupervisionFace(lambda: pytest.fail("the tree was told"), CrashBook(ROOT))
    with pytest.raises(ValueError, match="the page cannot be parked"):
        face.quarantine(path)


@pytest.fixture
def links():
    names = ("local.control", "local.data")
    told = []
    parts = SimpleNamespace(
        link_boards={name: LinkBoard.of(name) for name in names},
        services=SimpleNamespace(tell=lambda name, message: told.append((name, type(message).__name__))),
        config=SimpleNamespace(brokers=[SimpleNamespace(name="local")]),
    )
    return SimpleNamespace(face=LinksFace(parts), boards=parts.link_boards, told=told)


def test_a_link_is_paused_once_and_resumed_once(links):
    links.face.pause("local.data")
    assert links.boards["local.data"].paused
    with pytest.raises(ConflictError, match=r"local\.data is paused already"):
        links.face.pause("local.data")
    with pytest.raises(ConflictError, match="resume it"):
        links.face.reconnect("local.data")
    links.face.resume("local.data")
    with pytest.raises(ConflictError, match=r"local\.data is not paused"):
        links.face.resume("local.data")
    assert links.told == [("local.data", "PauseOrResume")] * 2
    for order in (links.face.pause, links.face.resume, links.face.reconnect):
        with pytest.raises(KeyError):
            order("nobody")


@pytest.mark.parametrize(
    ("state", "refused", "reason"),
    [
        (LinkState.BACKING_OFF, False, "local.control is backing off; it is the link that hears them"),
        (LinkState.SUBSCRIBED, True, "the broker refuses our user $SYS/broker/#"),
        (LinkState.SUBSCRIBED, False, "the broker tells nothing below $SYS/broker: it is no Mosquitto, or our user"),
    ],
)
def test_a_broker_without_figures_tells_why(links, state, refused, reason):
    board = links.boards["local.control"]
    board.status = LinkStatus(name="local.control", broker="b:1883", state=state)
    board.figures_refused = refused
    (broker,) = links.face.brokers()
    assert (broker["address"], broker["figures"], broker["version"]) == ("b:1883", {}, None)
    assert broker["reason"].startswith(reason)


def test_a_broker_tells_its_figures_and_its_version(links):
    board = links.boards["local.control"]
    board.status = LinkStatus(name="local.control", state=LinkState.SUBSCRIBED)
    board.figures = {
        "version": Figure("version", "mosquitto version 2", "", 1.0),
        "uptime": Figure("uptime", 7, "s", 2.0),
    }
    (broker,) = links.face.brokers()
    assert broker["figures"] == {"uptime": {"value": 7, "unit": "s", "heard_us": 2_000_000}}
    assert (broker["version"], broker["reason"]) == ("mosquitto version 2", None)
