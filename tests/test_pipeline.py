"""The pipeline's own state: retained, said again when it changes and once a minute."""

from __future__ import annotations

import msgspec
import pytest

from actors.link.messages import Publish
from actors.pipeline import REPEAT_EVERY, PipelineActor, PipelineState
from actors.statistics import PipelineStatistics
from tests.support.world import Server


class Pipeline:
    def __init__(self):
        self.server = Server()
        self.statistics = PipelineStatistics()
        self.state = PipelineState(["a", "b/c"], self.statistics, self.server.clock)
        self.database_ok = True
        self.server.runtime.launch(
            PipelineActor(
                self.server.runtime,
                self.server.services,
                self.state,
                links=["local.control"],
                is_database_ok=lambda: self.database_ok,
            )
        )

    @property
    def said(self):
        told = [m for m in self.server.told["local.control"] if isinstance(m, Publish)]
        return [(m.topic, msgspec.json.decode(m.payload)) for m in told]


@pytest.fixture
def pipeline():
    return Pipeline()


def test_nothing_is_said_while_nothing_changes(pipeline):
    pipeline.server.advance(REPEAT_EVERY - 2)
    assert pipeline.said == []


def test_its_figures_are_said_once_a_minute_on_every_prefix(pipeline):
    pipeline.statistics.receive(3, 1)
    pipeline.server.advance(REPEAT_EVERY + 2)
    assert [(topic, body["status"], body["received"]) for topic, body in pipeline.said] == [
        ("a/status", "online", 3),
        ("b/c/status", "online", 3),
    ]


def test_a_database_that_is_away_and_returns_is_said_at_once(pipeline):
    pipeline.database_ok = False
    pipeline.server.advance(1.5)
    pipeline.database_ok = True
    pipeline.server.advance(1.5)
    assert [body["status"] for topic, body in pipeline.said if topic == "a/status"] == ["degraded", "online"]


def test_the_state_is_retained_and_tells_when(pipeline):
    (topic, payload, qos, retain), _ = pipeline.state.announcements("offline")
    assert (topic, qos, retain) == ("a/status", 1, True)
    body = msgspec.json.decode(payload)
    assert body["status"] == "offline"
    assert body["message"]
    assert body["timestamp"].endswith("Z")
