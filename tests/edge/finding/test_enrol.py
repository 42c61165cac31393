"""The client of enrolment against a server that does what Muster does, and against others."""

import pytest

from edge.enrol import (
    EnrolmentError,
    ImpostorError,
    Introduction,
    KeyRefusedError,
    NotApprovedError,
    StrangerError,
    check_health,
    inspect,
    register,
)
from edge.finding.proof import Secrets
from tests.support.registrar import KEY, Registrar
from tests.support.relay import Relay

OWN = Secrets(KEY)
HELLO = Introduction("pi-host", "b8:27:eb:00:00:01", "raspberry_pi")


@pytest.fixture
def server():
    with Registrar() as server:
        yield server


def ask(server, own=OWN, device="pi-1"):
    return inspect(server.url, device, own, ca_file="")


def enrol(server, own=OWN, device="pi-1"):
    return register(server.url, device, HELLO, own, claim="a" * 32, ca_file="")


def test_a_server_says_who_it_is_and_proves_it(server):
    found = ask(server)
    assert (found.server_id, found.state, found.mqtt.port) == ("srv-1", "unknown", 1883)
    assert found.verdict == (True, False)
    assert server.secrets_seen == []


def test_a_device_enrols_and_is_known_by_its_token(server):
    granted = enrol(server)
    assert (granted.mqtt.username, granted.connection_string) == ("devices", "mqtt://devices:shared@127.0.0.1:1883")
    assert server.posted == [
        {
            "device_id": "pi-1",
            "enrolment_key": KEY,
            "claim": "a" * 32,
            "hostname": "pi-host",
            "mac_address": "b8:27:eb:00:00:01",
            "device_type": "raspberry_pi",
        }
    ]
    found = ask(server, Secrets("", granted.http.token))
    assert found.verdict == (False, True)
    assert "secret" not in repr(granted)
    assert granted.http.token not in repr(granted)


def test_the_token_is_shown_for_an_enrolment_anew(server):
    token = enrol(server).http.token
    assert enrol(server, Secrets(KEY, token)).http.token != token
    assert server.bearers == [token]


def test_a_server_with_another_key_is_an_impostor(server):
    server.key = "another-key-altogether"
    with pytest.raises(ImpostorError, match="does not prove"):
        ask(server)


def test_one_that_passes_the_question_on_is_an_impostor_at_its_own_address(server):
    with Relay(server.url) as relay:
        server.owns = lambda address: address == f"127.0.0.1:{server.port}"
        with pytest.raises(ImpostorError, match=r"it says that `\S+` is not its own, set `enrolment.hosts`"):
            ask(relay)
        # Nor does it help to name the server where it asks on: the proof is for an address that nobody has dialled.
        relay.host = f"127.0.0.1:{server.port}"
        with pytest.raises(ImpostorError, match="does not prove"):
            ask(relay)
    assert server.secrets_seen == []


def test_a_server_says_in_a_bounded_sentence_why_it_proves_nothing(server):
    server.owns = lambda _address: False
    server.tamper = lambda answer: {**answer, "detail": "a\x1b[31mb" * 200}
    with pytest.raises(ImpostorError) as caught:
        ask(server)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_proof_that_was_heard_before_is_worth_nothing(server):
    heard = []
    server.tamper = lambda answer: heard.append(answer) or heard[0]
    ask(server)
    with pytest.raises(ImpostorError):
        ask(server)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda _: {},
        lambda answer: {**answer, "proofs": None},
        lambda answer: {**answer, "server_id": 7},
        lambda answer: {**answer, "server_id": "x" * 5000},
        lambda answer: {**answer, "mqtt": {"host": "", "port": 1883}},
        lambda answer: {**answer, "mqtt": {"host": "h", "port": 123456}},
    ],
)
def test_an_answer_of_another_shape_is_none(server, tamper):
    server.tamper = tamper
    with pytest.raises(StrangerError, match="not Muster"):
        ask(server)


def test_an_operator_has_to_decide(server):
    server.approves = False
    with pytest.raises(NotApprovedError) as caught:
        enrol(server)
    assert not caught.value.denied

    server.states["pi-1"] = "denied"
    with pytest.raises(NotApprovedError) as caught:
        enrol(server)
    assert caught.value.denied


def test_a_wrong_key_is_said_in_the_servers_words(server):
    with pytest.raises(KeyRefusedError, match=r"401: the enrolment key is not the one of this server's fleet"):
        enrol(server, Secrets("wrong"))


@pytest.mark.parametrize("status", [429, 500, 503, 404, 302])
def test_what_may_pass_is_tried_again(server, status):
    server.status = status
    with pytest.raises(EnrolmentError, match=str(status)) as caught:
        enrol(server)
    assert type(caught.value) is EnrolmentError


def test_credentials_of_another_device_are_not_taken(server):
    class Elsewhere(Registrar):
        def _post(self, body, authorization):
            status, answer = super()._post(body, authorization)
            return status, {**answer, "device_id": "pi-2"}

    with Elsewhere() as other, pytest.raises(EnrolmentError, match="another device"):
        enrol(other)


def test_health_tells_muster_from_others(server):
    check_health(server.url, ca_file="")
    server.is_muster = False
    with pytest.raises(StrangerError, match="not Muster"):
        check_health(server.url, ca_file="")
