"""`/api/register_device` and `/api/enrolments`."""

from __future__ import annotations

import msgspec
import pytest

from actors.runtime import ManualClock
from tests.web.fake_enrolments import asker
from tests.web.fakes import Client, make_face
from web.answers_enrolment import EnrolledDevice, Enrolment, Enrolments, Introduction
from web.enrolments import EnrolmentRefusedError
from web.limits import Rate, Rates

URL = "/api/register_device"
QUESTION = f"{URL}?device_id=pi-1&nonce=0123456789abcdef"
REQUEST = {"device_id": "pi-1", "hostname": "raspberrypi", "enrolment_key": "the-fleet-key-1234"}


def hold(answer, type_):
    """The answer has all fields of the type and no other field."""
    assert msgspec.to_builtins(msgspec.convert(answer, type_)) == answer


def stranger(**known):
    return Client(make_face(**known), token=None)


# A device asks


def test_who_asks_is_shown_the_proofs_of_the_server_without_a_token():
    client = stranger()
    answer = client.get(QUESTION, HTTP_HOST="muster.local:5000")
    assert answer.status == 200
    hold(answer.json, Introduction)
    assert answer.json["state"] == "unknown"
    assert client.face.enrolments.asked == {
        "device_id": "pi-1",
        "nonce": "0123456789abcdef",
        "address": "192.0.2.7",
        "host": "muster.local:5000",
    }


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({"HTTP_HOST": "muster.local"}, "muster.local:80"),
        ({"HTTP_HOST": "[fd00::7]"}, "[fd00::7]:80"),
        ({"HTTP_HOST": "muster.example", "wsgi.url_scheme": "https"}, "muster.example:443"),
        ({"HTTP_HOST": "muster.example:443", "wsgi.url_scheme": "https"}, "muster.example:443"),
        ({}, ""),
    ],
)
def test_the_port_that_a_client_leaves_out_is_that_of_its_scheme(headers, host):
    client = stranger()
    client.get(QUESTION, **headers)
    assert client.face.enrolments.asked["host"] == host


def test_a_question_without_a_nonce_is_400_and_named():
    answer = stranger().get(f"{URL}?device_id=pi-1")
    assert (answer.status, answer.error["code"], answer.error["details"]) == (400, "bad_field", {"field": "nonce"})


def test_the_fleets_key_gives_credentials_with_201():
    client = stranger()
    answer = client.post(URL, REQUEST, HTTP_HOST="muster.local")
    assert answer.status == 201
    hold(answer.json, EnrolledDevice)
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.face.enrolments.asked == {
        "request": REQUEST,
        "proof": "",
        "address": "192.0.2.7",
        "host": "muster.local",
    }


def test_a_wrong_key_is_401_with_a_code_of_its_own():
    answer = stranger().post(URL, REQUEST | {"enrolment_key": "a guess"})
    assert (answer.status, answer.error["code"]) == (401, "bad_key")


def test_a_second_enrolment_without_proof_is_409_and_waits():
    client = stranger()
    client.post(URL, REQUEST)
    answer = client.post(URL, REQUEST)
    assert (answer.status, answer.error["code"]) == (409, "pending")
    assert answer.error["details"] == {"device_id": "pi-1", "state": "pending"}


def test_a_token_that_is_shown_is_the_proof():
    client = stranger()
    client.post(URL, REQUEST)
    assert client.post(URL, REQUEST, HTTP_AUTHORIZATION="Bearer the-device-token").status == 201


@pytest.mark.parametrize("header", ["Bearer long-forgotten", "Bearer \xff", "Basic dGhl", "Bearer " + "x" * 600])
def test_a_token_that_nobody_knows_is_no_proof_and_no_reason_to_refuse_the_key(header):
    client = stranger()
    assert client.get(QUESTION, HTTP_AUTHORIZATION=header).status == 200
    assert client.post(URL, REQUEST, HTTP_AUTHORIZATION=header).status == 201
    assert client.post(URL, REQUEST, HTTP_AUTHORIZATION=header).status == 409


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_400(body):
    answer = stranger().call("POST", URL, body=body)
    assert (answer.status, answer.error["code"]) == (400, "bad_request")


def test_a_body_longer_than_any_request_is_413_unread():
    answer = stranger().call("POST", URL, body=b" " * 8193)
    assert (answer.status, answer.error["details"]) == (413, {"limit": 8192})


def test_a_hub_that_does_not_answer_is_503_with_the_time_to_wait():
    client = stranger()

    def register(*_, **__):
        raise EnrolmentRefusedError(503, "hub_unavailable", "the IoT hub does not answer")

    client.face.enrolments.register = register
    answer = client.post(URL, REQUEST)
    assert (answer.status, answer.error["code"], answer.headers["Retry-After"]) == (503, "hub_unavailable", "5")


def test_guessing_at_the_fleets_key_is_slowed_down_and_later_let_in_again():
    clock = ManualClock()
    client = stranger(clock=clock)
    guesses = [client.post(URL, REQUEST | {"enrolment_key": f"guess-{n}"}).status for n in range(31)]
    assert guesses == [401] * 30 + [429]
    refused = client.post(URL, REQUEST)
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.error["message"] == "too many attempts to enrol from this address"
    assert client.post(URL, REQUEST | {"device_id": "pi-2"}, REMOTE_ADDR="192.0.2.8").status == 201
    clock.advance(1)
    assert client.post(URL, REQUEST).status == 201


def test_questions_have_a_limit_of_their_own():
    client = Client(make_face(), token=None, rates=Rates(inspect=Rate(1, 2)))
    assert [client.get(QUESTION).status for _ in range(3)] == [200, 200, 429]
    assert client.post(URL, REQUEST).status == 201


def test_a_site_whose_devices_all_wait_for_an_operator_is_never_refused_a_question():
    clock = ManualClock()
    client = stranger(clock=clock)
    # Its power comes back: 200 devices ask at once, try to enrol and ask again; then each asks every 15 s.
    assert {client.get(QUESTION).status for _ in range(400)} == {200}
    for _ in range(8):
        clock.advance(15)
        assert {client.get(QUESTION).status for _ in range(400)} == {200}


# An operator decides


@pytest.fixture
def office():
    client = Client(make_face())
    rows = client.face.enrolments.rows
    rows["pi-1"] = asker("pi-1", "enrolled", enrolled_us=1_760_000_000_000_000, mac_address="2c:cf:67:6c:45:f2")
    rows["pi-2"] = asker("pi-2")
    return client


def test_who_waits_is_listed_first(office):
    answer = office.get("/api/enrolments").json
    hold(answer, Enrolments)
    assert [(item["serial"], item["state"]) for item in answer["items"]] == [("pi-2", "pending"), ("pi-1", "enrolled")]
    assert answer["items"][0]["mac_address"] is None
    assert answer["items"][0]["requested"] == "2025-10-09T08:53:20.000Z"


def test_enrolments_come_in_pages(office):
    first = office.get("/api/enrolments?limit=1").json
    rest = office.get(f"/api/enrolments?limit=1&cursor={first['cursor']}").json
    assert [item["serial"] for item in first["items"] + rest["items"]] == ["pi-2", "pi-1"]
    refused = office.get("/api/enrolments?cursor=made-up")
    assert (refused.status, refused.error["details"]) == (400, {"field": "cursor"})


def test_a_decision_is_answered_with_what_is_known_then_and_names_who_took_it_and_from_where(office):
    approved = office.post("/api/enrolments/pi-2/approve")
    hold(approved.json, Enrolment)
    assert (approved.json["state"], approved.json["approved_until"]) == ("approved", "2025-10-10T08:53:20.000Z")
    assert office.post("/api/enrolments/pi-2/deny").json["state"] == "denied"
    assert office.call("DELETE", "/api/enrolments/pi-1").status == 204
    assert office.face.enrolments.decided == [
        ("approve", "pi-2", "admin ops", "192.0.2.7"),
        ("deny", "pi-2", "admin ops", "192.0.2.7"),
        ("revoke", "pi-1", "admin ops", "192.0.2.7"),
    ]


def test_an_approval_of_a_request_that_does_not_wait_any_more_is_409(office):
    (seen,) = [item for item in office.get("/api/enrolments").json["items"] if item["state"] == "pending"]
    office.face.enrolments.rows["pi-2"]["request"] = "came-later"
    refused = office.post("/api/enrolments/pi-2/approve", {"request": seen["request"]})
    assert (refused.status, refused.error["code"]) == (409, "changed")
    assert office.face.enrolments.decided == []
    assert office.post("/api/enrolments/pi-2/approve", {"request": "came-later"}).status == 200
    assert office.post("/api/enrolments/pi-2/approve", {"request": 7}).status == 400
    assert office.post("/api/enrolments/pi-2/approve", {"requets": "x"}).status == 400


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "pi-9/approve"), ("POST", "pi-9/deny"), ("DELETE", "pi-9"), ("POST", "a%20b/deny")]
)
def test_a_decision_about_one_who_never_asked_is_404(office, method, path):
    answer = office.call(method, f"/api/enrolments/{path}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert office.post("/api/enrolments/pi-2/hug").status == 404


def test_operators_see_and_only_admins_decide(office):
    office.token = "the-operate-token"
    assert office.get("/api/enrolments").status == 200
    assert office.post("/api/enrolments/pi-2/approve").status == 403
    office.token = "the-read-token"
    assert office.get("/api/enrolments").status == 403
    assert office.face.enrolments.decided == []


def test_a_decision_by_cookie_needs_our_header():
    client = Client(make_face(), token=None)
    client.face.enrolments.rows["pi-2"] = asker("pi-2")
    client.get("/login?key=the-page-key")
    assert client.post("/api/enrolments/pi-2/approve").status == 403
    assert client.post("/api/enrolments/pi-2/approve", HTTP_X_MUSTER_CSRF="1").status == 200
    assert client.face.enrolments.decided == [("approve", "pi-2", "admin", "192.0.2.7")]
