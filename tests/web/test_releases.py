"""Releases and updates over the air: the routes."""

from __future__ import annotations

import pytest

from tests.web.fake_releases import RELEASE
from tests.web.fakes import Client, make_face, view

SHA = "c" * 64


@pytest.fixture
def client():
    return Client(make_face(view("pi-1"), view("pi-2")))


@pytest.fixture
def device(client):
    """The same server, asked by pi-1 with its own token."""
    return Client(client.face, token="the-device-token")


# Releases


def test_releases_are_listed_and_shown_with_null_for_what_is_not_known(client):
    shown = client.get("/api/releases/1.2").json
    assert (shown["revoked"], shown["reason"], shown["replaces_from"], shown["uploaded_by"]) == (
        None,
        None,
        None,
        "admin ops",
    )
    assert client.get("/api/releases").json == {"items": [shown], "cursor": None}
    assert client.get("/api/releases?cursor=x").status == 400
    assert (client.get("/api/releases/9").status, client.get("/api/releases/9").error["code"]) == (404, "not_found")


def test_an_upload_begins_and_goes_on_where_the_server_says(client):
    answer = client.post("/api/releases/uploads", {"size": 9, "sha256": SHA, "name": "x.muster"})
    assert (answer.status, answer.json) == (201, {"id": SHA[:32], "offset": 0, "release": None})
    assert answer.headers["Location"] == f"/api/releases/uploads/{SHA[:32]}"
    path = answer.headers["Location"]
    sent = client.call("PATCH", path, body=b"\x00\xff", HTTP_UPLOAD_OFFSET="3")
    assert (sent.status, sent.json) == (200, {"offset": 5, "release": None})
    assert client.face.releases.told[-1] == ("append", SHA[:32], 3, b"\x00\xff", "admin ops")
    wrong = client.call("PATCH", path, body=b"x", HTTP_UPLOAD_OFFSET="4")
    assert (wrong.status, wrong.error["code"], wrong.error["details"]) == (409, "wrong_offset", {"offset": 3})


@pytest.mark.parametrize("offset", ["", "-1", "x", "1" * 13, "1.0"])
def test_an_offset_that_is_none_is_refused(client, offset):
    answer = client.call("PATCH", "/api/releases/uploads/x", body=b"x", HTTP_UPLOAD_OFFSET=offset)
    assert (answer.status, answer.error["details"]) == (400, {"field": "Upload-Offset"})


def test_a_piece_that_is_too_large_is_refused_unread(client):
    answer = client.call("PATCH", "/api/releases/uploads/x", HTTP_UPLOAD_OFFSET="3", CONTENT_LENGTH="900001")
    assert answer.status == 413


@pytest.mark.parametrize(
    "change", [{"size": 0}, {"sha256": "C" * 64}, {"sha256": "c"}, {"name": ""}, {"name": "a\0b"}, {"more": 1}]
)
def test_an_upload_of_nonsense_is_refused_with_its_field(client, change):
    answer = client.post("/api/releases/uploads", {"size": 9, "sha256": SHA, "name": "x"} | change)
    assert (answer.status, answer.error["details"]) == (400, {"field": next(iter(change))})


def test_no_room_for_a_release_is_507(client):
    answer = client.post("/api/releases/uploads", {"size": 9999, "sha256": SHA, "name": "x"})
    assert (answer.status, answer.error["code"]) == (507, "full")


def test_a_release_is_revoked_with_or_without_a_reason_and_deleted(client):
    assert client.post("/api/releases/1.2/revoke", {"reason": "burns"}).json["reason"] == "burns"
    nul = client.post("/api/releases/1.2/revoke", {"reason": "a\0b"})
    assert (nul.status, nul.error["details"]) == (400, {"field": "reason"})
    assert client.call("POST", "/api/releases/1.2/revoke").json["revoked_by"] == "admin ops"
    assert client.call("DELETE", "/api/releases/1.2").status == 204
    assert client.face.releases.told[-1] == ("delete", "1.2", "admin ops")


# What devices ask


def test_a_device_asks_for_itself_and_is_told_that_there_is_nothing(client, device):
    answer = device.get("/api/ota/check_update?version=1.1&platform=cp311-linux_aarch64&python=3.11.2")
    assert answer.json == {"update": False, "reason": "up_to_date"}
    assert client.face.ota.asked == [("pi-1", "1.1", "cp311-linux_aarch64", "3.11.2", True)]


def test_a_device_is_offered_a_release_with_its_path(client, device):
    client.face.ota.offered = True
    answer = device.get("/api/ota/check_update?current_version=1.1").json
    assert answer["url"] == f"/api/ota/download_update?release={RELEASE['id']}"
    assert (answer["update"], answer["version"], answer["size"], answer["deadline"]) == (True, "1.2", 10, 600.0)
    assert client.face.ota.asked[0][1] == "1.1"


def test_a_device_speaks_for_itself_alone(client, device):
    for answer in (
        device.get("/api/ota/check_update?device_id=pi-2"),
        device.post("/api/ota/update_status", {"state": "checking", "version": "1.2", "device_id": "pi-2"}),
    ):
        assert (answer.status, answer.error["code"]) == (403, "unbound")
    assert device.get("/api/ota/check_update?device_id=pi-1").status == 200
    assert client.face.ota.asked == [("pi-1", "", "", "", True)]
    assert client.face.ota.reports == []


def test_who_is_no_device_names_one_and_nothing_is_noted_of_it(client):
    reader = Client(client.face, token="the-read-token")
    assert reader.get("/api/ota/check_update?device_id=pi-2&current_version=1.0").status == 200
    assert client.face.ota.asked == [("pi-2", "1.0", "", "", False)]
    unnamed = reader.get("/api/ota/check_update")
    assert (unnamed.status, unnamed.error["details"]) == (400, {"field": "device_id"})
    for stranger in ("pi-9", "%00", "a%20b"):
        answer = reader.get(f"/api/ota/check_update?device_id={stranger}")
        assert answer.status in (400, 404)
    assert reader.post("/api/ota/update_status", {"state": "checking", "version": "1.2"}).status == 403


def test_a_device_reports_and_is_told_whether_to_commit(client, device):
    body = {"state": "confirming", "version": "1.2", "nonce": "n", "rollout": "r1", "of_a_later_release": 1}
    assert device.post("/api/ota/update_status", body).json == {"commit": False}
    client.face.ota.commit = True
    assert device.post("/api/ota/update_status", body).json == {"commit": True}
    report = client.face.ota.reports[0]
    assert (report.serial, report.state, report.version, report.nonce) == ("pi-1", "confirming", "1.2", "n")
    assert report.progress is None


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("state", {"state": "pending"}),
        ("state", {"state": "dancing"}),
        ("version", {"version": "x" * 65}),
        ("progress", {"progress": 1.5}),
        ("progress", {"progress": "half"}),
        ("detail", {"detail": "x" * 501}),
        ("reason", {"reason": "x" * 65}),
    ],
)
def test_a_report_of_nonsense_is_refused_with_its_field(device, field, change):
    answer = device.post("/api/ota/update_status", {"state": "checking", "version": "1.2"} | change)
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


# Downloads

PATH = f"/api/ota/download_update?release={RELEASE['id']}"
ETAG = f'"{RELEASE["sha256"]}"'


def test_a_download_is_the_file_with_its_tag(client, device):
    answer = device.get(PATH)
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert (answer.headers["ETag"], answer.headers["Accept-Ranges"]) == (ETAG, "bytes")
    assert answer.headers["Content-Length"] == "10"
    assert client.face.releases.outcomes == {"whole": 1}


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=3-", 206, b"3456789", "bytes 3-9/10"),
        ("bytes=3-5", 206, b"345", "bytes 3-5/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-4", 206, b"6789", "bytes 6-9/10"),
        ("bytes=-99", 200, b"0123456789", None),
        ("bytes=0-", 200, b"0123456789", None),
        ("bytes=5-3", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=1-2,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_range_gets_that_part_and_what_is_none_gets_all(client, asked, status, body, told):
    answer = client.get(PATH, HTTP_RANGE=asked)
    assert (answer.status, answer.body, answer.headers.get("Content-Range")) == (status, body, told)
    assert answer.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(client, asked):
    answer = client.get(PATH, HTTP_RANGE=asked)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10")
    assert answer.error["code"] == "range_not_satisfiable"


def test_a_range_of_another_file_gets_all_of_this_one(client):
    assert client.get(PATH, HTTP_RANGE="bytes=3-", HTTP_IF_RANGE='"other"').status == 200
    assert client.get(PATH, HTTP_RANGE="bytes=3-", HTTP_IF_RANGE=ETAG).status == 206


def test_who_has_the_file_is_told_so_and_who_asks_for_its_head_gets_no_body(client):
    assert client.get(PATH, HTTP_IF_NONE_MATCH=ETAG).status == 304
    head = client.call("HEAD", PATH)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "10", b"")
    assert client.face.releases.outcomes == {}


def test_what_is_not_there_or_revoked_is_told_apart(client):
    assert client.get("/api/ota/download_update").error["details"] == {"field": "release"}
    assert client.get("/api/ota/download_update?release=x").status == 404
    client.face.releases.revoked.add(RELEASE["id"])
    assert (client.get(PATH).status, client.get(PATH).error["code"]) == (410, "revoked")


def test_nobody_without_a_token_gets_a_release(client):
    assert Client(client.face, token=None).get(PATH).status == 401


def test_where_all_places_are_taken_one_is_told_when_to_come_back(client):
    places = client.site.downloads.places
    while places.take():
        pass
    answer = client.get(PATH)
    assert (answer.status, answer.error["code"]) == (503, "busy")
    assert 5 <= int(answer.headers["Retry-After"]) <= 30
    assert client.face.releases.outcomes == {"busy": 1}
    places.give_back()
    assert client.get(PATH).status == 200
    assert client.get(PATH).status == 200  # and gave its place back
