"""The routes of rollouts and maintenance windows."""

from __future__ import annotations

import pytest

from actors.targets import Target
from actors.updates.plan import USUAL_WAVES, Plan, Wave
from actors.updates.windows import Window
from tests.web.fake_rollouts import device, rollout
from tests.web.fakes import Client, make_face, view

NIGHT = {"begin": "22:00", "end": "04:00", "timezone": "Europe/Rome"}


@pytest.fixture
def face():
    return make_face(view("pi-1"))


@pytest.fixture
def client(face):
    return Client(face, token="the-operate-token")


def test_a_rollout_is_started_with_the_usual_plan(client, face):
    answer = client.post("/api/rollouts", {"release": "2.0", "all": True})
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/rollouts/r1"
    assert (answer.json["version"], answer.json["status"], answer.json["reason"]) == ("2.0", "running", None)
    assert face.rollouts.asked == {
        "target": Target(all=True),
        "release": "2.0",
        "share": 1.0,
        "plan": Plan(),
        "windows": (),
        "by": "operate",
        "address": "192.0.2.7",
    }


def test_a_plan_may_be_told_in_full(client, face):
    body = {
        "release": "2.0",
        "devices": ["pi-1", "pi-2"],
        "share": 0.5,
        "waves": [{"share": 0.1, "success": 1, "wait": 60}, {"share": 1}],
        "halt": {"failures": 0.2, "silent_after": 1800},
        "deadlines": {"downloading": 7200, "offered": 600},
        "retries": 3,
        "retry_after": 5,
        "window": NIGHT,
        "force": True,
        "trial": 120,
        "call": False,
        "most_active": 7,
    }
    assert client.post("/api/rollouts", body).status == 201
    asked = face.rollouts.asked
    assert asked["target"] == Target(devices=("pi-1", "pi-2"))
    assert (asked["share"], asked["windows"]) == (0.5, (Window(**NIGHT),))
    plan = asked["plan"]
    assert plan.waves == (Wave(share=0.1, success=1, wait=60), Wave(share=1))
    assert (plan.failures, plan.retries, plan.retry_after, plan.force) == (0.2, 3, 5.0, True)
    assert (plan.trial, plan.most_active) == (120.0, 7)
    assert plan.deadlines == {"downloading": 7200, "offered": 600}
    assert (plan.silent_after, plan.call) == (1800, False)
    assert plan.waves != USUAL_WAVES


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"release": ""}, "release"),
        ({"all": False}, "device"),
        ({"device": "pi-1"}, "device"),
        ({"share": 0}, "share"),
        ({"share": 1.5}, "share"),
        ({"waves": []}, "waves"),
        ({"waves": [{"share": 2}]}, "waves[0].share"),
        ({"waves": [{"share": 1}] * 21}, "waves"),
        ({"halt": {"failures": -1}}, "halt.failures"),
        ({"halt": {"when": 1}}, "halt.when"),
        ({"deadlines": {"nonsense": 5}}, "deadlines"),
        ({"deadlines": {"succeeded": 5}}, "deadlines"),
        ({"window": {"begin": "25:00", "end": "01:00"}}, "window.begin"),
        ({"window": {"begin": "22:00", "end": "01:00", "timezone": "Mars/Olympus"}}, "window.timezone"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_its_field(client, face, change, field):
    answer = client.post("/api/rollouts", {"release": "2.0", "all": True} | change)
    assert answer.status == 400, answer.json
    assert answer.error["details"] == {"field": field}
    assert face.rollouts.asked is None


def test_a_refusal_says_why_and_names_the_other_rollout(client):
    answer = client.post("/api/rollouts", {"release": "2.0", "device": "pi-9"})
    assert (answer.status, answer.error["code"]) == (409, "in_rollout")
    assert answer.error["details"] == {"device": "pi-9", "rollout": "r0"}
    answer = client.post("/api/rollouts", {"release": "9.9", "device": "pi-1"})
    assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_rollouts_are_listed_newest_first_by_status_and_in_pages(client, face):
    face.rollouts.rows = {f"r{number}": rollout(f"r{number}") for number in range(1, 4)}
    face.rollouts.rows["r2"]["status"] = "halted"
    page = client.get("/api/rollouts?limit=2").json
    assert [item["id"] for item in page["items"]] == ["r3", "r2"]
    assert [item["id"] for item in client.get(f"/api/rollouts?cursor={page['cursor']}").json["items"]] == ["r1"]
    assert [item["id"] for item in client.get("/api/rollouts?status=halted").json["items"]] == ["r2"]
    assert client.get("/api/rollouts?status=odd").error["details"] == {"field": "status"}


def test_a_rollout_and_its_devices_are_shown(client, face):
    face.rollouts.rows["r1"] = rollout(status="halted", reason="1 of 2 devices failed")
    face.rollouts.of["r1"] = [device("pi-1", "rolled_back", reason="starts"), device("pi-2")]
    shown = client.get("/api/rollouts/r1").json
    assert (shown["wave"], shown["reason"], shown["created"][:4]) == (1, "1 of 2 devices failed", "2025")
    assert shown["counts"] == {"offered": 1, "pending": 19}
    items = client.get("/api/rollouts/r1/devices").json["items"]
    assert [(item["device"], item["state"], item["reason"]) for item in items] == [
        ("pi-1", "rolled_back", "starts"),
        ("pi-2", "offered", None),
    ]
    assert [item["device"] for item in client.get("/api/rollouts/r1/devices?state=offered").json["items"]] == ["pi-2"]
    assert client.get("/api/rollouts/r1/devices?state=odd").error["details"] == {"field": "state"}
    assert client.get("/api/rollouts/r9").status == 404
    assert client.get("/api/rollouts/r9/devices").status == 404


def test_a_rollout_is_paused_resumed_cancelled_and_then_it_is_over(client, face):
    face.rollouts.rows["r1"] = rollout()
    for order, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert client.post(f"/api/rollouts/r1/{order}").json["status"] == status
    assert face.rollouts.asked == {"order": "cancel", "by": "operate", "address": "192.0.2.7"}
    answer = client.post("/api/rollouts/r1/resume")
    assert (answer.status, answer.error["code"]) == (409, "ended")
    assert client.post("/api/rollouts/r9/pause").status == 404


def test_a_retry_is_for_those_that_are_named_or_for_all(client, face):
    face.rollouts.rows["r1"] = rollout()
    assert client.post("/api/rollouts/r1/retry", {}).status == 200
    assert face.rollouts.asked["serials"] is None
    assert client.post("/api/rollouts/r1/retry", {"devices": ["pi-1"]}).status == 200
    assert face.rollouts.asked["serials"] == ("pi-1",)
    assert client.post("/api/rollouts/r1/retry", {"device": "pi-1"}).error["details"] == {"field": "device"}


def test_maintenance_windows_are_set_and_listed_by_site(client, face):
    answer = client.call("PUT", "/api/maintenance-windows/plant-1", {"windows": [NIGHT]})
    assert answer.status == 200
    assert answer.json["windows"] == [NIGHT | {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}]
    assert [item["site"] for item in client.get("/api/maintenance-windows").json["items"]] == ["plant-1"]
    bad = client.call("PUT", "/api/maintenance-windows/plant-1", {"windows": [NIGHT | {"days": ["noon"]}]})
    assert bad.error["details"] == {"field": "windows[0].days[0]"}
    assert client.call("PUT", "/api/maintenance-windows/a+b", {"windows": []}).error["details"] == {"field": "site"}


def test_who_may_only_read_starts_nothing_and_a_device_sees_nothing(face):
    face.rollouts.rows["r1"] = rollout()
    reader = Client(face, token="the-read-token")
    assert reader.get("/api/rollouts").status == reader.get("/api/maintenance-windows").status == 200
    assert reader.post("/api/rollouts", {"release": "2.0", "all": True}).status == 403
    assert reader.post("/api/rollouts/r1/pause").status == 403
    assert reader.post("/api/rollouts/r1/retry", {}).status == 403
    assert reader.call("PUT", "/api/maintenance-windows/x", {"windows": []}).status == 403
    assert Client(face, token="the-device-token").get("/api/rollouts").status == 403
