"""`POST /api/devices/{serial}/certificate`: a device for itself, an administrator for all, nobody else."""

from __future__ import annotations

import msgspec
import pytest

from tests.web.fakes import Client, make_face, view
from web.answers_enrolment import DeviceCertificate

URL = "/api/devices/pi-1/certificate"
REQUEST = {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}


def client(token):
    return Client(make_face(view("pi-1"), view("pi-2")), token=token)


def test_a_device_gets_one_for_itself():
    caller = client("the-device-token")
    answer = caller.post(URL, REQUEST, HTTP_HOST="muster.local:5000")
    assert answer.status == 201
    assert msgspec.to_builtins(msgspec.convert(answer.json, DeviceCertificate)) == answer.json
    assert caller.face.enrolments.asked["serial"] == "pi-1"
    assert caller.face.enrolments.asked["host"] == "muster.local:5000"


@pytest.mark.parametrize(
    ("token", "url", "status"),
    [
        ("the-device-token", "/api/devices/pi-2/certificate", 403),
        ("the-operate-token", URL, 403),
        ("the-read-token", URL, 403),
        (None, URL, 401),
        ("the-admin-token", URL, 201),
    ],
)
def test_others_need_the_rights_of_an_administrator(token, url, status):
    assert client(token).post(url, REQUEST).status == status


@pytest.mark.parametrize("body", [{}, {"csr": ""}, {"csr": 7}, {"csr": "x" * 5_000}, {"csr": "a", "more": 1}])
def test_a_body_that_is_none_names_its_field(body):
    answer = client("the-device-token").post(URL, body)
    assert answer.status == 400
    assert any(field in answer.json["error"]["message"] for field in ("csr", "more"))


def test_what_is_no_request_is_refused_with_the_field():
    answer = client("the-device-token").post(URL, {"csr": "hello"})
    assert (answer.status, answer.json["error"]["details"]) == (400, {"field": "csr"})
