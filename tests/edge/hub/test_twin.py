"""The twin without a hub: what it asks, what it reports, and when."""

from __future__ import annotations

import msgspec
import pytest

from edge.hub.board import HubCounters
from edge.hub.settings_twin import SettingsTwin
from edge.hub.topics import TwinAnswer
from edge.hub.twin import ANSWER_WITHIN, FULL_EVERY, REPORT_EVERY, Twin


class Rig:
    def __init__(self):
        self.facts = {"ip_address": "10.0.0.7"}
        self.heartbeats = []
        self.counters = HubCounters()
        self.twin = Twin(SettingsTwin(lambda: dict(self.facts), self.heartbeats.append), self.counters)
        self.now = 1_000.0
        self.request_id = ""

    def ask(self):
        """Return what is published next: `GET`, a patch, or None."""
        request = self.twin.next_request(self.now)
        if request is None:
            return None
        self.request_id = request.topic.rpartition("=")[2]
        return "GET" if "/GET/" in request.topic else msgspec.json.decode(request.payload)

    def answer(self, status=204, body=None):
        payload = b"" if body is None else msgspec.json.encode(body)
        self.twin.take_answer(TwinAnswer(status, self.request_id), payload, self.now)

    def patch(self, version, **desired):
        self.twin.take_patch(version, msgspec.json.encode(desired | {"$version": version}), self.now)

    def begin(self, desired=None, reported=None):
        """Connect, and have the twin fetched and reported."""
        self.twin.begin(self.now)
        assert self.ask() == "GET"
        self.answer(200, {"desired": {"$version": 4} | (desired or {}), "reported": reported or {}})
        report = self.ask()
        if report is not None:
            self.answer()
        return report


@pytest.fixture
def rig():
    return Rig()


def test_the_first_report_follows_the_get(rig):
    assert rig.begin() == {"online": True, "ip_address": "10.0.0.7"}
    assert rig.ask() is None


def test_after_thirty_seconds_only_what_changed_is_reported(rig):
    rig.begin()
    rig.facts["ip_address"] = "10.0.0.8"
    assert rig.ask() is None
    rig.now += REPORT_EVERY
    assert rig.ask() == {"ip_address": "10.0.0.8"}


def test_every_hour_everything_is_reported(rig):
    rig.begin()
    rig.now += FULL_EVERY
    assert rig.ask() == {"online": True, "ip_address": "10.0.0.7"}
    rig.answer()
    rig.now += REPORT_EVERY
    assert rig.ask() is None


def test_a_fact_that_is_gone_is_deleted(rig):
    rig.begin()
    rig.facts["ip_address"] = None
    rig.now += REPORT_EVERY
    assert rig.ask() == {"ip_address": None}
    rig.answer()
    rig.now += REPORT_EVERY
    assert rig.ask() is None


def test_a_second_connection_reports_what_the_hub_does_not_have(rig):
    rig.begin()
    assert rig.begin(reported={"online": False, "ip_address": "10.0.0.7", "$version": 9}) == {"online": True}


def test_what_others_have_reported_stays(rig):
    assert "module" not in rig.begin(reported={"module": {"x": 1}})


def test_a_patch_that_is_not_newer_is_dropped(rig):
    rig.begin(desired={"heartbeat": 20})
    rig.patch(4, heartbeat=40)
    rig.patch(3, heartbeat=50)
    assert (rig.heartbeats, rig.twin.version) == ([20], 4)


def test_a_patch_is_applied_and_reported_at_once(rig):
    rig.begin(desired={"heartbeat": 20})
    rig.patch(5, heartbeat=40)
    assert rig.heartbeats == [20, 40]
    assert rig.ask() == {"applied": {"heartbeat": 40}}


def test_a_patch_during_a_report_is_reported_next(rig):
    rig.begin()
    rig.facts["ip_address"] = "10.0.0.8"
    rig.now += REPORT_EVERY
    rig.ask()
    rig.patch(5, heartbeat=40)
    rig.answer()
    assert rig.ask() == {"applied": {"heartbeat": 40}}


def test_a_setting_that_is_no_longer_desired_is_set_back_and_deleted(rig):
    rig.begin(desired={"heartbeat": 20})
    rig.patch(5, heartbeat=None)
    assert rig.heartbeats == [20, None]
    assert rig.ask() == {"applied": {"heartbeat": None}}


def test_a_missing_patch_fetches_the_whole_twin(rig):
    rig.begin()
    rig.patch(7, heartbeat=40)
    assert rig.heartbeats == []
    assert rig.ask() == "GET"
    rig.answer(200, {"desired": {"heartbeat": 40, "$version": 7}, "reported": {}})
    assert (rig.heartbeats, rig.twin.version) == ([40], 7)


def test_patches_before_the_twin_wait_for_it(rig):
    rig.twin.begin(rig.now)
    rig.ask()
    rig.patch(6, heartbeat=60)
    rig.patch(5, heartbeat=50)
    rig.patch(4, heartbeat=40)
    rig.answer(200, {"desired": {"heartbeat": 45, "$version": 4}, "reported": {}})
    assert (rig.heartbeats, rig.twin.version) == ([60], 6)


def test_a_hub_that_does_not_answer_is_asked_again(rig):
    rig.twin.begin(rig.now)
    assert rig.ask() == "GET"
    rig.now += ANSWER_WITHIN
    rig.ask()
    assert "did not answer" in rig.twin.last_error
    rig.now += 300
    rig.ask()
    rig.answer(200, {"desired": {"$version": 1}, "reported": {}})
    assert rig.twin.last_error == ""


def test_pauses_grow_while_the_hub_throttles(rig, monkeypatch):
    attempts = []
    monkeypatch.setattr("edge.hub.twin.compute_backoff", lambda attempt, **_: attempts.append(attempt) or 1.0)
    rig.twin.begin(rig.now)
    for _ in range(3):
        assert rig.ask() == "GET"
        rig.answer(429)
        assert rig.ask() is None
        rig.now += 1
    assert attempts == [0, 1, 2]


def test_a_refused_report_waits_for_its_turn(rig):
    rig.begin()
    rig.facts["ip_address"] = "10.0.0.8"
    rig.now += REPORT_EVERY
    rig.ask()
    rig.answer(400)
    assert rig.twin.last_error == "the hub refused the report with status 400"
    assert rig.ask() is None
    rig.now += REPORT_EVERY
    assert rig.ask() == {"ip_address": "10.0.0.8"}


def test_an_answer_that_nobody_waits_for_is_dropped(rig):
    rig.begin()
    rig.answer(500)
    assert rig.twin.last_error == ""


def test_a_twin_that_cannot_be_read_is_fetched_again(rig):
    rig.twin.begin(rig.now)
    rig.ask()
    rig.twin.take_answer(TwinAnswer(200, rig.request_id), b"[", rig.now)
    assert "cannot be read" in rig.twin.last_error
    rig.now += 300
    assert rig.ask() == "GET"


def test_the_farewell_says_offline_if_the_hub_has_us_online(rig):
    assert rig.twin.farewell(rig.now) is None
    rig.begin()
    assert msgspec.json.decode(rig.twin.farewell(rig.now).payload) == {"online": False}
