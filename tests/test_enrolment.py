"""Enrolment: the face, the actor and the rules over a real registry and real readers."""

from __future__ import annotations

import hashlib
import hmac
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import msgspec
import pytest

from actors.enrolment.actor import MOST_WRONG_KEYS, EnrolmentActor
from actors.enrolment.messages import Application, Decide, Enrol, EnrolmentError, Granted
from actors.enrolment.proofs import prove_server
from actors.enrolment.rules import APPROVED_FOR_US, Enrolment, rule
from actors.enrolment.steps import consider
from actors.hub.registry import RegistryError
from actors.reader import ReaderActor
from actors.registry import Execute
from actors.runtime import Runtime
from actors.storage.errors import StoreUnavailable
from actors.storage.queries import BadCursor, FindEvents
from actors.writes import Batcher
from edge.enrol import ImpostorError
from edge.enrol import inspect as ask_server
from edge.finding.proof import Secrets
from supervisor.server.enrolment import SLOTS, EnrolmentFace, device_broker, enrolment_actor
from supervisor.server.faces import TokensFace
from supervisor.server.metrics import make_metrics
from supervisor.server.parts import READERS, Parts
from supervisor.server.settings import Broker, Config, Database, Hub
from supervisor.server.settings import Enrolment as Section
from supervisor.server.tree import device_supervisor, registry
from tests.support.muster import Muster
from tests.support.relay import Relay
from tests.support.wait import eventually
from web.enrolments import EnrolmentRefusedError

KEY = "the key of the whole fleet"
NONCE = "0123456789abcdef"
HOST = "muster.example:5000"
OWN = Section(hosts=("muster.example",))
"""The name by which the devices of these tests know the server."""


@contextmanager
def running(url, directory, **settings):
    """Parts with what enrolment needs: registry, readers, devices, the actor itself."""
    runtime = Runtime.system()
    runtime.start()
    settings = {"enrolment_key": KEY, "api_token": "admin-token", "enrolment": OWN, **settings}
    config = Config(data_dir=str(directory), database=Database(url=url), **settings)
    parts = Parts(config, runtime, "0a1b2c3d")
    refs = []

    def launch(name, actor):
        refs.append(runtime.launch(actor))
        parts.services.publish(name, refs[-1])

    launch("registry", registry(parts, url))
    launch("batcher", Batcher(parts.outgoing, runtime.timers))
    for name in READERS:
        launch(name, ReaderActor(url))
    launch("devices", device_supervisor(parts))
    launch("enrolment", enrolment_actor(parts))
    eventually(lambda: parts.registry_board.status.ok and parts.registry_board.status.since, what="the database")
    yield SimpleNamespace(parts=parts, face=EnrolmentFace(parts), launch=launch)
    for ref in reversed(refs):
        ref.stop(timeout=5)
    runtime.stop()


@pytest.fixture
def server(tmp_path):
    with running(f"sqlite:///{tmp_path}/muster.db", tmp_path) as it:
        yield it


@pytest.fixture
def anywhere(database_url, tmp_path):
    """The same, once for each kind of database."""
    with running(database_url, tmp_path) as it:
        yield it


def register(server, device_id="pi-1", *, key=KEY, proof="", address="10.0.0.7", host=HOST, **fields):
    request = {"device_id": device_id, "enrolment_key": key, "hostname": "raspberrypi", **fields}
    return server.face.register(request, proof=proof, address=address, host=host)


def token_of(answer):
    return answer["http"]["token"]


def refusal(ask, *args, **kwargs):
    with pytest.raises(EnrolmentRefusedError) as refused:
        ask(*args, **kwargs)
    return refused.value


def known_as(server, token):
    who = TokensFace(server.parts).verify(token)
    return who and (who.role, who.serial)


def inspect(server, device_id="pi-1", nonce=NONCE, *, address="10.0.0.7", host=HOST):
    return server.face.inspect(device_id, nonce, address=address, host=host)


def state_of(server, device_id="pi-1"):
    return inspect(server, device_id)["state"]


def request_of(server, serial="pi-1"):
    """The name of the request that waits."""
    return next(item["request"] for item in server.face.items(100, "")[0] if item["serial"] == serial)


def records(server, serial="pi-1"):
    """The audit records of a serial, oldest first."""
    page = server.parts.readers.ask(FindEvents(serial=serial))
    return [item["data"] for item in reversed(page.items) if item["kind"] == "enrolment"]


def actions(server, serial="pi-1"):
    return [record["action"] for record in records(server, serial)]


# -- the first enrolment ----------------------------------------------------------------------------------------------


def test_the_fleet_key_buys_credentials_that_open_the_api_for_this_device_alone(anywhere):
    answer = register(anywhere)
    assert (answer["device_id"], answer["server_id"]) == ("pi-1", anywhere.parts.server_id)
    assert known_as(anywhere, token_of(answer)) == ("device", "pi-1")
    assert state_of(anywhere) == "enrolled"
    (record,) = records(anywhere)
    assert (record["action"], record["by"], record["from"]) == ("enrolled", "device", "10.0.0.7")


def test_an_enrolled_device_is_on_the_roll_call_before_it_has_spoken(server):
    register(server, mac_address="b8:27:eb:00:00:01", device_type="Raspberry-Pi")
    view = eventually(lambda: server.parts.fleet.get("pi-1"), what="the record of the device")
    known = view.snapshot
    assert (known.kind, known.hostname, known.mac_address) == ("raspberry_pi", "raspberrypi", "b8:27:eb:00:00:01")
    assert view.presence == "unknown" or known.presence == "offline"


def test_a_wrong_key_is_refused_recorded_and_changes_nothing(server):
    refused = refusal(register, server, key="the key of another fleet")
    assert (refused.status, refused.code) == (401, "bad_key")
    assert "another fleet" not in refused.message
    (record,) = eventually(lambda: records(server), what="the record")
    assert record["action"] == "wrong_key"
    assert state_of(server) == "unknown"


def test_wrong_keys_fill_no_table(server):
    for _ in range(MOST_WRONG_KEYS + 5):
        refusal(register, server, key="guessed")
    board = server.parts.enrolment_board
    eventually(lambda: board.counts["wrong_key"] == MOST_WRONG_KEYS + 5, what="all are counted")
    page = server.parts.readers.ask(FindEvents(serial="pi-1", limit=1000))
    assert len(page.items) == MOST_WRONG_KEYS


@pytest.mark.parametrize(
    ("request_body", "field"),
    [
        ({"enrolment_key": KEY}, "device_id"),
        ({"device_id": "pi-1", "enrolment_key": "k" * 257}, "enrolment_key"),
        ({"device_id": "../etc", "enrolment_key": KEY}, "device_id"),
        ({"device_id": "pi-1\n", "enrolment_key": KEY}, "device_id"),
        ({"device_id": "p" * 65, "enrolment_key": KEY}, "device_id"),
        ({"device_id": 7, "enrolment_key": KEY}, "device_id"),
        ({"device_id": "pi-1", "enrolment_key": KEY, "hostname": "a\x00b"}, "hostname"),
        ({"device_id": "pi-1", "enrolment_key": KEY, "mac_address": "m" * 65}, "mac_address"),
        ({"device_id": "pi-1", "enrolment_key": KEY, "claim": "UPPER"}, "claim"),
    ],
)
def test_a_bad_field_is_named(server, request_body, field):
    refused = refusal(server.face.register, request_body, proof="", address="10.0.0.7", host=HOST)
    assert (refused.status, refused.code, refused.details) == (400, "bad_field", {"field": field})
    assert KEY not in refused.message


# -- who enrols again -------------------------------------------------------------------------------------------------


def test_a_second_enrolment_without_proof_waits_and_the_first_stays_valid(anywhere):
    first = register(anywhere)
    refused = refusal(register, anywhere, address="10.0.0.66", hostname="impostor")
    assert (refused.status, refused.code) == (409, "pending")
    assert refused.details == {"device_id": "pi-1", "state": "pending"}
    (row,), cursor = anywhere.face.items(10, "")
    assert (row["state"], row["address"], row["hostname"], cursor) == ("pending", "10.0.0.66", "impostor", None)
    assert "claim" not in row
    assert known_as(anywhere, token_of(first)) == ("device", "pi-1")
    assert actions(anywhere) == ["enrolled", "waits"]


def test_one_that_asks_again_and_again_leaves_one_record(server):
    register(server)
    for _ in range(3):
        refusal(register, server)
    assert actions(server) == ["enrolled", "waits"]


def test_the_token_of_before_is_proof_and_ends_with_its_use(anywhere):
    first = token_of(register(anywhere))
    second = token_of(register(anywhere, proof=first))
    assert known_as(anywhere, first) is None
    assert known_as(anywhere, second) == ("device", "pi-1")
    assert actions(anywhere) == ["enrolled", "enrolled_again"]
    assert refusal(register, anywhere, proof=first).status == 409


def test_the_token_of_another_device_or_an_operator_is_no_proof(server):
    register(server)
    other = token_of(register(server, "pi-2"))
    assert refusal(register, server, proof=other).status == 409
    assert refusal(register, server, proof="admin-token").status == 409


def test_an_approval_lets_one_enrolment_through(anywhere):
    first = token_of(register(anywhere))
    refusal(register, anywhere)
    row = anywhere.face.approve("pi-1", "ada", "10.0.0.1")
    assert (row["state"], row["changed_by"]) == ("approved", "ada")
    second = token_of(register(anywhere))
    assert known_as(anywhere, first) is None
    assert known_as(anywhere, second) == ("device", "pi-1")
    assert refusal(register, anywhere).status == 409
    assert actions(anywhere) == ["enrolled", "waits", "approve", "enrolled_again", "waits"]
    assert [record["by"] for record in records(anywhere)] == ["device", "device", "ada", "device", "device"]


def test_an_approval_is_for_the_one_that_was_seen_to_wait(server):
    register(server, claim="a" * 32)
    refusal(register, server, claim="b" * 32)
    server.face.approve("pi-1", "ada", "")
    assert refusal(register, server, claim="c" * 32).code == "pending"
    assert refusal(register, server, claim="b" * 32).code == "pending"
    server.face.approve("pi-1", "ada", "")
    assert known_as(server, token_of(register(server, claim="b" * 32))) == ("device", "pi-1")


def test_an_approval_of_the_request_that_was_seen_is_not_for_one_that_came_after_it(anywhere):
    register(anywhere)
    refusal(register, anywhere, claim="b" * 32)
    seen = request_of(anywhere)
    refusal(register, anywhere, claim="b" * 32)
    assert request_of(anywhere) == seen, "who only asks again is the same"
    refusal(register, anywhere, claim="c" * 32)
    refused = refusal(anywhere.face.approve, "pi-1", "ada", "", seen)
    assert (refused.status, refused.code) == (409, "changed")
    assert state_of(anywhere) == "pending"
    anywhere.face.approve("pi-1", "ada", "", request_of(anywhere))
    anywhere.face.approve("pi-1", "ada", "", request_of(anywhere))  # pressed twice
    assert refusal(register, anywhere, claim="b" * 32).code == "pending"


@pytest.mark.parametrize("field", ["hostname", "mac_address", "device_type"])
def test_who_says_something_else_of_itself_is_another_request(server, field):
    register(server)
    refusal(register, server)
    seen = request_of(server)
    refusal(register, server, **{field: "other"})
    assert request_of(server) != seen


def test_an_approval_before_a_new_card_has_asked_is_for_its_first_request(anywhere):
    first = token_of(register(anywhere, claim="a" * 32))
    assert request_of(anywhere) == ""
    anywhere.face.approve("pi-1", "ada", "")
    assert known_as(anywhere, token_of(register(anywhere, claim="b" * 32))) == ("device", "pi-1")
    assert known_as(anywhere, first) is None
    assert "whoever asks next" in records(anywhere)[1]["detail"]


def test_a_revoked_device_with_a_new_card_needs_one_approval(server):
    register(server, claim="a" * 32)
    server.face.revoke("pi-1", "ada", "")
    server.face.approve("pi-1", "ada", "")
    register(server, claim="b" * 32)
    assert state_of(server) == "enrolled"


def test_a_device_whose_answer_was_lost_repeats_its_claim(server):
    first = token_of(register(server, claim="a" * 32))
    second = token_of(register(server, claim="a" * 32))
    assert known_as(server, first) is None
    assert known_as(server, second) == ("device", "pi-1")


def test_a_denied_device_is_refused_until_it_is_approved(server):
    register(server)
    refusal(register, server)
    assert server.face.deny("pi-1", "ada", "")["state"] == "denied"
    refused = refusal(register, server)
    assert (refused.status, refused.code, refused.details["state"]) == (409, "denied", "denied")
    server.face.approve("pi-1", "ada", "")
    register(server)
    assert state_of(server) == "enrolled"


def test_what_was_denied_is_the_request_and_not_the_device_that_has_a_token(server):
    token = token_of(register(server))
    server.face.deny("pi-1", "ada", "")
    assert known_as(server, token) == ("device", "pi-1")
    assert inspect(server)["proofs"]["device"]


def test_a_valid_token_does_not_undo_a_denial(anywhere):
    token = token_of(register(anywhere))
    anywhere.face.deny("pi-1", "ada", "")
    assert refusal(register, anywhere, proof=token).code == "denied"
    assert (state_of(anywhere), known_as(anywhere, token)) == ("denied", ("device", "pi-1"))
    anywhere.face.approve("pi-1", "ada", "")
    register(anywhere, proof=token)
    assert state_of(anywhere) == "enrolled"


def test_a_revoked_device_has_nothing_left(anywhere):
    token = token_of(register(anywhere))
    by_hand = TokensFace(anywhere.parts).create(name="x", role="device", serial="pi-1", expires_in=None)["token"]
    assert known_as(anywhere, token) is not None
    assert anywhere.face.revoke("pi-1", "ada", "10.0.0.1")["state"] == "denied"
    assert known_as(anywhere, token) is None
    assert known_as(anywhere, by_hand) is None
    assert inspect(anywhere)["proofs"]["device"] == ""
    assert refusal(register, anywhere, proof=token).code == "denied"
    assert actions(anywhere) == ["enrolled", "revoke"]


def test_nobody_decides_on_a_serial_that_has_never_asked(server):
    for decide in (server.face.approve, server.face.deny, server.face.revoke):
        refused = refusal(decide, "pi-9", "ada", "")
        assert (refused.status, refused.code) == (404, "not_found")


def test_of_two_that_enrol_one_serial_at_once_one_is_enrolled(anywhere):
    outcomes = []
    barrier = threading.Barrier(2)

    def ask():
        barrier.wait(10)
        try:
            outcomes.append(register(anywhere) and 201)
        except EnrolmentRefusedError as refused:
            outcomes.append(refused.status)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == [201, 409]


def test_everybody_waits_where_an_operator_has_to_approve_everybody(tmp_path):
    section = Section(approve="always", hosts=OWN.hosts)
    with running(f"sqlite:///{tmp_path}/muster.db", tmp_path, enrolment=section) as server:
        assert refusal(register, server).status == 409
        assert state_of(server) == "pending"
        server.face.approve("pi-1", "ada", "")
        assert known_as(server, token_of(register(server))) == ("device", "pi-1")
        assert actions(server) == ["waits", "approve", "enrolled"]


def test_serials_that_are_invented_fill_no_table(server):
    register(server, "a")
    register(server, "b")
    full = Enrol(Application(device_id="c", enrolment_key=KEY), "", "10.0.0.7")
    known = Enrol(Application(device_id="b", enrolment_key=KEY), "", "10.0.0.7")

    def ask(request):
        work = Execute(lambda database: consider(database, request, 1, all_wait=False, most=2))
        return server.parts.ask_registry(work).outcome

    assert (ask(full), ask(known)) == ("full", "waits")
    assert state_of(server, "c") == "unknown"


# -- rules ------------------------------------------------------------------------------------------------------------


def outcome(known, claim="", *, is_proven=False, all_wait=False, now_us=0):
    return rule(known, claim, is_proven=is_proven, all_wait=all_wait, now_us=now_us).outcome


def test_an_approval_that_nobody_uses_ends_after_a_day():
    row = Enrolment(serial="a", state="approved", approved_until_us=APPROVED_FOR_US)
    assert outcome(row, now_us=APPROVED_FOR_US - 1) == "granted"
    assert outcome(row, now_us=APPROVED_FOR_US) == "waits"
    assert row.state_at(APPROVED_FOR_US) == "pending"
    assert msgspec.structs.replace(row, token_id=1).state_at(APPROVED_FOR_US) == "enrolled"


def test_proof_is_good_in_every_state_but_one_that_an_operator_has_ended():
    for state in ("pending", "approved", "enrolled"):
        assert outcome(Enrolment(serial="a", state=state), is_proven=True) == "granted"
    assert outcome(Enrolment(serial="a", state="denied"), is_proven=True) == "refused"


def test_a_claim_is_worth_nothing_to_one_that_is_denied_or_waits():
    for state, expected in (("denied", "refused"), ("pending", "waits"), ("enrolled", "granted")):
        assert outcome(Enrolment(serial="a", state=state, claim="c"), "c") == expected
    assert outcome(Enrolment(serial="a", state="enrolled")) == "waits"


# -- what a device may know before ------------------------------------------------------------------------------------


def test_the_server_proves_that_it_knows_the_key_and_the_token(anywhere):
    told = inspect(anywhere)
    message = f"muster-server\n{anywhere.parts.server_id}\npi-1\n{NONCE}\n{HOST}".encode()
    expected = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()
    assert (told["state"], told["proofs"]) == (
        "unknown",
        {"enrolment_key": expected, "device": "", "enrolment_key_new": ""},
    )
    token = token_of(register(anywhere))
    stored = hashlib.sha256(token.encode()).hexdigest().encode()
    told = inspect(anywhere)
    assert told["proofs"]["device"] == hmac.new(stored, message, hashlib.sha256).hexdigest()
    assert told["mqtt"] == {"host": "muster.example", "port": 1883, "tls": False}


def test_a_proof_is_for_one_server_one_device_and_one_nonce():
    asked = {"server_id": "s", "device_id": "d", "nonce": "n", "address": "a"}
    assert len({prove_server(KEY, **(asked | {name: "x"})) for name in asked} | {prove_server(KEY, **asked)}) == 5


def test_a_server_proves_itself_only_to_who_has_dialled_it(server):
    told = inspect(server, host="10.9.8.7:5000")
    assert told["proofs"] == {"enrolment_key": "", "device": "", "enrolment_key_new": ""}
    assert "`10.9.8.7:5000` is none of its own" in told["detail"]
    assert "enrolment.hosts" in told["detail"]
    assert inspect(server)["detail"] == ""
    for host in ("", "a b", "muster.example", "user@muster.example:5000", "muster.example:x"):
        told = inspect(server, host=host)
        assert (told["proofs"]["enrolment_key"], told["state"]) == ("", "unknown")
        assert "Host header" in told["detail"]
    spelled = inspect(server, host="MUSTER.Example:5000")["proofs"]
    assert spelled == inspect(server)["proofs"]


@pytest.mark.parametrize("nonce", ["", "0123456789abcde", "0123456789ABCDEF", "g" * 16, "0" * 65, "0123456789abcdef\n"])
def test_a_bad_nonce_is_refused(server, nonce):
    refused = refusal(inspect, server, "pi-1", nonce)
    assert (refused.status, refused.details) == (400, {"field": "nonce"})


def test_a_device_that_is_none_is_told_nothing(server):
    assert refusal(inspect, server, "a/b").details == {"field": "device_id"}


# -- the broker that devices are told of ------------------------------------------------------------------------------


def broker_for(host, url="", **section):
    config = Config(brokers=(Broker(configured_url=url),), enrolment=Section(**section))
    return device_broker(config, host).url


def test_a_broker_on_the_servers_machine_is_where_the_server_was_found():
    assert broker_for("muster.local:5000") == "mqtt://muster.local:1883"
    assert broker_for("[fd00::7]:5000") == "mqtt://[fd00::7]:1883"
    assert broker_for("127.0.0.1:5000") == "mqtt://127.0.0.1:1883"
    assert broker_for("") == "mqtt://127.0.0.1:1883"
    assert broker_for("a b/c?") == "mqtt://127.0.0.1:1883"
    assert broker_for("[::1") == "mqtt://127.0.0.1:1883"


def test_a_broker_elsewhere_is_where_it_is_and_the_servers_password_stays_here():
    assert broker_for(HOST, "mqtts://server:secret@broker.example") == "mqtts://broker.example:8883"


def test_devices_get_the_user_that_is_configured_for_them():
    given = {"broker_url": "mqtts://fleet:f%40st@public.example:8884"}
    assert broker_for(HOST, "mqtt://server:secret@10.0.0.2", **given) == given["broker_url"]
    named = {"username": "fleet", "password": "p:w"}
    assert broker_for(HOST, "mqtt://server:secret@10.0.0.2", **named) == "mqtt://fleet:p%3Aw@10.0.0.2:1883"


def test_the_credentials_are_in_the_answer_and_in_the_connection_string(tmp_path):
    section = Section(username="fleet", password="p@ss", hosts=OWN.hosts)
    with running(f"sqlite:///{tmp_path}/muster.db", tmp_path, enrolment=section) as server:
        answer = register(server)
        mqtt = {"host": "muster.example", "port": 1883, "username": "fleet", "password": "p@ss", "tls": False}
        assert answer["mqtt"] == mqtt
        assert answer["connection_string"] == "mqtt://fleet:p%40ss@muster.example:1883"


# -- an IoT Hub -------------------------------------------------------------------------------------------------------


def with_hub(server, identify):
    """Let enrolments go through a hub."""
    parts = server.parts
    actor = EnrolmentActor(
        ask=parts.ask_registry,
        clock=parts.runtime.clock,
        board=parts.enrolment_board,
        all_wait=False,
        identify=identify,
        declare=lambda device: None,
        on_change=lambda serial: None,
        on_tokens=parts.tokens.forget,
    )
    server.launch("enrolment", actor)


def test_with_a_hub_the_connection_string_is_the_hubs(server):
    with_hub(server, lambda serial: f"HostName=h.example;DeviceId={serial};SharedAccessKey=a2V5")
    answer = register(server)
    assert answer["connection_string"] == "HostName=h.example;DeviceId=pi-1;SharedAccessKey=a2V5"
    assert answer["mqtt"]["host"] == "muster.example"


def test_a_hub_that_fails_leaves_all_as_it_was(server):
    failing = [True]

    def identify(serial):
        if failing:
            raise RegistryError("the hub h.example cannot be reached")
        return f"DeviceId={serial}"

    with_hub(server, identify)
    refused = refusal(register, server)
    assert (refused.status, refused.code) == (503, "hub_unavailable")
    assert state_of(server) == "unknown"
    assert actions(server) == ["hub_failed"]
    failing.clear()
    assert register(server)["connection_string"] == "DeviceId=pi-1"


def test_a_hub_that_is_configured_and_away_is_a_reason_to_ask_again_later(tmp_path):
    hub = Hub(service_connection_string="HostName=127.0.0.1;SharedAccessKeyName=registry;SharedAccessKey=c2VjcmV0")
    with running(f"sqlite:///{tmp_path}/muster.db", tmp_path, hub=hub) as server:
        refused = refusal(register, server)
    assert (refused.status, refused.code) == (503, "hub_unavailable")
    assert "c2VjcmV0" not in refused.message


def test_the_hub_is_asked_only_for_who_is_enrolled(server):
    asked = []
    with_hub(server, lambda serial: asked.append(serial) or f"DeviceId={serial}")
    register(server)
    refusal(register, server)
    refusal(register, server, key="a wrong one")
    assert asked == ["pi-1"]


def test_with_a_hub_that_is_silent_only_some_wait_and_all_others_are_told_to_come_again(server):
    held, release = threading.Event(), threading.Event()

    def identify(serial):
        held.set()
        release.wait(30)
        return f"DeviceId={serial}"

    with_hub(server, identify)
    outcomes = []

    def ask(number):
        try:
            outcomes.append(register(server, f"pi-{number}") and 201)
        except EnrolmentRefusedError as refused:
            outcomes.append((refused.status, refused.code))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(SLOTS + 5)]
    for thread in threads:
        thread.start()
    assert held.wait(20)
    eventually(lambda: len(outcomes) == 5, what="the answers to those that have no slot")
    release.set()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes, key=str) == [(503, "busy")] * 5 + [201] * SLOTS
    register(server, "pi-99")


def test_an_enrolment_that_nobody_waits_for_any_more_changes_nothing(server):
    now = server.parts.runtime.clock.monotonic()
    late = Enrol(Application(device_id="pi-1", enrolment_key=KEY), "", "10.0.0.7", now - 1)
    with pytest.raises(EnrolmentError, match="ask again"):
        server.parts.services.get("enrolment").ask(late)
    assert state_of(server) == "unknown"


# -- operators --------------------------------------------------------------------------------------------------------


def test_those_that_wait_are_listed_first_page_by_page(anywhere):
    for serial in ("a", "b", "c", "d", "e"):
        register(anywhere, serial)
    for serial in ("c", "e"):
        refusal(register, anywhere, serial)
    found, cursor = [], ""
    while cursor is not None:
        page, cursor = anywhere.face.items(2, cursor)
        found += [item["serial"] for item in page]
    assert found == ["c", "e", "a", "b", "d"]


def test_a_cursor_of_another_list_is_refused(server):
    with pytest.raises(BadCursor):
        server.face.items(10, "17")


def test_pages_are_told_and_every_step_is_counted(server):
    register(server)
    refusal(register, server)
    server.face.approve("pi-1", "ada", "")
    batch = server.parts.ring.since(0)
    assert [event.key for event in batch.events if event.kind == "enrolment"] == ["pi-1"] * 3
    text = make_metrics(server.parts, lambda: health_of(server))().decode()
    for event in ("granted", "waits", "approve"):
        assert f'muster_enrolments_total{{event="{event}"}} 1.0' in text


def health_of(server):
    return {
        "status": "ok",
        "devices": {**server.parts.fleet.counts()},
        "actors": {"alive": 1, "restarts": 0, "quarantined": 0},
    }


def test_secrets_are_in_no_representation():
    application = Application(device_id="pi-1", enrolment_key=KEY, claim="a" * 32)
    shown = f"{application!r} {Enrol(application, 'digest', '')!r} {Granted('t0ken', 'SharedAccessKey=x')!r}"
    assert KEY not in shown
    assert "t0ken" not in shown
    assert "SharedAccessKey" not in shown
    assert "a" * 32 not in shown


def test_without_the_actor_or_its_database_the_asker_is_told_so(server):
    def away(_message):
        raise StoreUnavailable("the database is away")

    broken = EnrolmentActor(
        ask=away,
        clock=server.parts.runtime.clock,
        board=server.parts.enrolment_board,
        all_wait=False,
        identify=None,
        declare=lambda device: None,
        on_change=lambda serial: None,
        on_tokens=lambda: None,
    )
    server.launch("enrolment", broken)
    with pytest.raises(StoreUnavailable):
        register(server)
    refusal(register, server, key="wrong")  # there is no record of it, and the actor lives on
    with pytest.raises(StoreUnavailable):
        server.face.approve("pi-1", "ada", "")


def test_the_actor_answers_what_it_knows_and_drops_the_rest(server):
    ref = server.parts.services.get("enrolment")
    assert ref.ask("what?") is None
    with pytest.raises(EnrolmentError):
        ref.ask(Decide("deny", "pi-9", "ada", ""))


# -- end to end -------------------------------------------------------------------------------------------------------


def test_a_device_enrols_over_http_and_an_operator_decides_by_command(mosquitto):
    with Muster(mosquitto.url, env={"MUSTER_ENROLMENT_KEY": KEY}) as server:
        request = {"device_id": "pi-1", "hostname": "shed", "enrolment_key": KEY}
        made = server.post("/api/register_device", request, expect=201)
        assert server.call("POST", "/api/register_device", request).status == 409
        code, listed = server.run("enrolment", "list")
        assert code == 0
        assert listed.splitlines()[1].split()[:3] == ["pi-1", "pending", "shed"]
        assert server.run("enrolment", "approve", "pi-1")[0] == 0
        again = server.post("/api/register_device", request, expect=201)
        assert made["http"]["token"] != again["http"]["token"]
        told = server.get("/api/register_device", device_id="pi-1", nonce=NONCE)
        asked = {"server_id": told["server_id"], "device_id": "pi-1", "nonce": NONCE}
        address = server.address
        assert told["proofs"]["enrolment_key"] == prove_server(KEY, **asked, address=address)
        assert server.run("enrolment", "revoke", "pi-1")[0] == 0
        kinds = [event["kind"] for event in server.items("/api/devices/pi-1/events")]
        assert kinds.count("enrolment") == 5
        secrets = (KEY, made["http"]["token"], again["http"]["token"])
        assert not any(secret in server.log for secret in secrets)


def test_a_relay_that_a_device_finds_gets_no_key(mosquitto):
    own = Secrets(KEY)
    with Muster(mosquitto.url, env={"MUSTER_ENROLMENT_KEY": KEY}) as server:
        url = f"http://{server.address}"
        with Relay(url) as relay, pytest.raises(ImpostorError):
            ask_server(relay.url, "pi-1", own, ca_file="")
        with Relay(url, host=url.removeprefix("http://")) as relay, pytest.raises(ImpostorError):
            ask_server(relay.url, "pi-1", own, ca_file="")
        assert ask_server(url, "pi-1", own, ca_file="").verdict.by_key
        named = url.replace("127.0.0.1", "localhost")
        assert ask_server(named, "pi-1", own, ca_file="").verdict.by_key
