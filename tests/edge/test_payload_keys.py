"""The keys of an edge: kept, exchanged, used on its link."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from actors.payload_keys.envelope import (
    BadKeyError,
    Channel,
    new_private_key,
    public_key,
    read_envelope,
    read_key,
    show_key,
)
from actors.uplink.poster import ServerAddress
from edge.home import Places
from edge.payload_keys import exchanger as exchanger_module
from edge.payload_keys.exchanger import KeyExchanger, Look, Renew
from edge.payload_keys.keys import ChangedKeyError, PayloadKeys, Refused
from tests.support.registrar import Registrar
from tests.support.wait import eventually

TOKEN = "a-token"


@pytest.fixture
def home(tmp_path):
    return Places(tmp_path)


def load(home, device_id="pi-7", *, encrypt=True):
    keys = PayloadKeys(home, device_id, encrypt=encrypt)
    keys.prepare()
    return keys


class Server:
    """The server's side of the channel."""

    def __init__(self):
        self.private = new_private_key()
        self.public = show_key(public_key(self.private))

    def channel(self, keys, serial="pi-7"):
        return Channel(self.private, read_key(keys.public()), serial, to="device")


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def keys(home, server):
    keys = load(home)
    keys.adopt(server.public, "srv-1")
    return keys


def test_without_encryption_nothing_is_made_and_nothing_changed(home):
    keys = load(home, encrypt=False)
    assert keys.is_ready
    assert not home.payload_key.exists()
    assert keys.seal("devices/pi-7/readings", b"{}", "") == b"{}"
    assert keys.open("devices/pi-7/commands", b"{}") == b"{}"


def test_nothing_is_said_before_both_keys_are_there(home, server):
    keys = load(home)
    assert not keys.is_ready
    assert keys.adopt(server.public, "srv-1")
    assert keys.is_ready
    assert load(home).is_ready, "and after a restart at once"
    assert home.payload_key.stat().st_mode & 0o777 == 0o600


def test_all_that_is_ours_is_sealed_and_the_server_opens_it(keys, server):
    channel = server.channel(keys)
    verbs = ("readings", "scans", "responses", "receipts", "twin/reported", "announce", "status", "heartbeat")
    for topic in ("harit-samarth/sensor/data", *(f"devices/pi-7/{verb}" for verb in verbs)):
        assert channel.open(topic, read_envelope(keys.seal(topic, b"secret", ""))) == b"secret"
    assert keys.seal("muster/links/marker", b"plain", "") == b"plain"


def test_on_topics_of_ours_only_the_server_is_believed(keys, server):
    topic = "devices/pi-7/commands"
    assert keys.open(topic, server.channel(keys).seal(topic, b"do it")) == b"do it"
    stranger = Server().channel(keys)
    for payload in (b"do it", b"", stranger.seal(topic, b"do it"), server.channel(keys).seal("other", b"do it")):
        with pytest.raises(Refused):
            keys.open(topic, payload)
    assert keys.open("server/requests", b"{}") == b"{}"


def test_what_we_have_said_ourselves_is_passed_over(keys):
    topic = "devices/pi-7/receipts"
    assert keys.open(topic, keys.seal(topic, b"{}", "")) is None
    assert keys.counts["own"] == 1
    with pytest.raises(Refused, match="other side"):
        keys.open("devices/pi-7/commands", keys.seal("devices/pi-7/commands", b"{}", ""))


def test_a_server_that_shows_another_key_is_refused_until_the_file_is_removed(home, keys, server):
    with pytest.raises(ChangedKeyError, match=r"payload-key\.json"):
        keys.adopt(Server().public, "srv-1")
    assert keys.key_id == server.channel(keys).key_id
    home.payload_key.unlink()
    assert load(home).adopt(Server().public, "srv-1")


def test_another_server_may_have_another_key(keys):
    assert keys.adopt(Server().public, "srv-2")


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"device_id": "pi-7", "private": "AAAA"}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_gives_way_to_a_new_key(home, keys, damage):
    before = keys.public()
    home.payload_key.write_bytes(damage)
    assert load(home).public() != before


def test_the_key_of_another_device_is_not_used(home, keys):
    copied = load(home, "pi-8")
    assert copied.public() != keys.public()
    assert not copied.is_ready


def test_a_disk_that_refuses_the_key_is_tried_again(home, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.payload_keys.keys.write_private", refuse)
    keys = load(home)
    assert not keys.is_ready
    monkeypatch.undo()
    keys.load()
    assert keys.public()


def test_while_a_new_key_is_given_nothing_is_said_or_believed_in_plain(keys, server):
    topic = "devices/pi-7/commands"
    sealed = server.channel(keys).seal(topic, b"do it")
    keys.renew()
    for unsealed in ("devices/pi-7/readings", "harit-samarth/sensor/data"):
        with pytest.raises(BadKeyError, match="no key"):
            keys.seal(unsealed, b"secret", "")
    for payload in (b"do it", sealed):
        with pytest.raises(Refused):
            keys.open(topic, payload)


# The exchange


class Bearings:
    """A server that is known, and credentials."""

    def __init__(self, url):
        self.address = ServerAddress(url, TOKEN, "")
        self.credentials = SimpleNamespace(server_id="srv-1")

    def server(self):
        return self.address


class Exchange:
    """A server that takes keys, and what is seen of it."""

    def __init__(self, server):
        self.server, self.given, self.changes = server, [], []
        self.answer = lambda: (200, {"server_key": server.public})
        self.exchanger = self.bearings = None

    def serve(self, request):
        if not request.path.endswith("/payload_key"):
            return False
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        status, told = self.answer()
        request.send_response(status)
        content = json.dumps(told).encode()
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
        self.given.append((request.path, body["key"], request.headers["Authorization"]))
        return True


@pytest.fixture
def exchange(server, runtime, monkeypatch):
    """`exchange(keys)`: a server, and a running exchanger beside it; `exchange(keys, answer=...)` answers otherwise."""
    monkeypatch.setattr(exchanger_module, "TICK", 0.05)
    monkeypatch.setattr(exchanger_module, "AGAIN", 0.1)
    refs = []
    with Registrar() as registrar:

        def start(keys, answer=None):
            made = Exchange(server)
            made.answer = answer or made.answer
            registrar.serve = made.serve
            made.bearings = Bearings(registrar.url)
            actor = KeyExchanger(
                keys=keys,
                bearings=made.bearings,
                device_id="pi-7",
                runtime=runtime,
                on_changed=lambda: made.changes.append(keys.key_id),
            )
            made.exchanger = runtime.launch(actor, child_id="payload_keys")
            refs.append(made.exchanger)
            return made

        yield start
        for ref in refs:
            ref.stop(block=True, timeout=10)


def test_keys_are_exchanged_with_the_devices_own_token(home, exchange, server):
    keys = load(home)
    seen = exchange(keys)
    eventually(lambda: seen.changes, 20, "the link may connect")
    assert seen.given == [("/api/devices/pi-7/payload_key", keys.public(), f"Bearer {TOKEN}")]
    assert seen.changes == [server.channel(keys).key_id]
    assert load(home).key_id == keys.key_id


def test_who_has_exchanged_keys_before_gives_its_own_once_more_and_changes_nothing(keys, exchange):
    seen = exchange(keys)
    eventually(lambda: seen.given, 20, "the server is given the key")
    assert seen.changes == []


def test_after_an_enrolment_the_key_is_given_again(keys, exchange):
    seen = exchange(keys)
    eventually(lambda: len(seen.given) == 1, 20, "the first exchange")
    seen.bearings.address = seen.bearings.address._replace(token="another")
    eventually(lambda: len(seen.given) == 2, 20, "the second one")
    assert seen.given[1][2] == "Bearer another"


def test_what_is_refused_makes_the_device_ask_whether_its_key_is_known_still(keys, exchange):
    seen = exchange(keys)
    eventually(lambda: len(seen.given) == 1, 20, "the first exchange")
    for _ in range(100):
        keys.refuse("devices/pi-7/commands", "it is not sealed")
    eventually(lambda: len(seen.given) == 2, 20, "the second one, and no third")
    assert keys.counts["refused"] == 100


def test_a_server_that_has_forgotten_the_key_and_says_nothing_is_given_it_again(keys, exchange, monkeypatch):
    """One that was restored from an older backup hears dead letters, and has no reason to speak."""
    monkeypatch.setattr(exchanger_module, "AFRESH", 0.1, raising=False)
    seen = exchange(keys)
    eventually(lambda: len(seen.given) > 2, 5, "again and again")
    assert (seen.changes, keys.is_ready) == ([], True)


@pytest.mark.parametrize(
    "answer",
    [(503, {}), (404, {}), (200, {}), (200, {"server_key": "A" * 44}), (200, {"server_key": show_key(bytes(32))})],
)
def test_a_server_that_gives_no_key_is_asked_again_and_nothing_is_said(home, exchange, answer):
    keys = load(home)
    seen = exchange(keys, answer=lambda: answer)
    eventually(lambda: len(seen.given) > 1, 20, "asked again")
    assert not keys.is_ready
    assert seen.changes == []
    assert keys.detail


def test_another_key_of_the_same_server_is_not_taken(keys, exchange, server):
    before = keys.key_id
    seen = exchange(keys, answer=lambda: (200, {"server_key": Server().public}))
    eventually(lambda: "another payload key" in keys.detail, 20, "it is told")
    assert (keys.key_id, seen.changes) == (before, [])


def test_a_new_key_is_given_before_anything_is_sealed_with_it(keys, exchange, server, home):
    before = keys.key_id
    seen = exchange(keys)
    eventually(lambda: seen.given, 20, "the first exchange")
    seen.exchanger.tell(Renew())
    eventually(lambda: len(seen.changes) == 2, 20, "the link has ended and may connect again")
    assert seen.changes[0] == ""
    assert seen.changes[1] == keys.key_id == server.channel(keys).key_id != before
    assert load(home).key_id == keys.key_id


def test_a_look_of_an_earlier_incarnation_is_not_continued(keys, exchange):
    seen = exchange(keys)
    eventually(lambda: seen.given, 20, "the first exchange")
    seen.exchanger.tell(Look("a predecessor's"))
    assert seen.exchanger.is_alive()
