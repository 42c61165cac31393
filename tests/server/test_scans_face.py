"""Scans that are posted and listed: the adapter with a real registry, readers, devices and subscriber; no broker."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from actors.effects import EffectsActor
from actors.messages import StoreDeadLetter, WriteBatch
from actors.payloads import RefusedError
from actors.reader import ReaderActor
from actors.runtime import Runtime, Undelivered
from actors.storage.errors import StoreUnavailable
from actors.subscriber import PiSubscriber
from actors.writes import Batcher
from supervisor.server.faces import DeadLettersFace
from supervisor.server.metrics import MusterCollector
from supervisor.server.parts import READERS, Parts
from supervisor.server.posted import TOO_SLOW
from supervisor.server.scans import ScansFace
from supervisor.server.settings import Config
from supervisor.server.tree import device_supervisor, registry
from tests.support.wait import eventually

EAN = "4006381333931"


@pytest.fixture
def parts(tmp_path):
    """Parts whose scans go the whole way, from the subscriber to the effects."""
    url = f"sqlite:///{tmp_path}/data/muster.db"
    (tmp_path / "data").mkdir()
    runtime = Runtime.system()
    runtime.start()
    made = Parts(Config(api_token="the-admin-token", data_dir=str(tmp_path / "data")), runtime, "test")
    actors = {
        "effects": EffectsActor(made.aftermath),
        "registry": registry(made, url),
        "batcher": Batcher(made.outgoing, runtime.timers),
        **{name: ReaderActor(url) for name in READERS},
        "devices": device_supervisor(made),
        "subscriber.pi": PiSubscriber("subscriber.pi", made.intake),
    }
    refs = []
    for name, actor in actors.items():
        refs.append(runtime.launch(actor))
        made.services.publish(name, refs[-1])
    made.devices.fallback = lambda serial, message: made.services.tell("devices", Undelivered(serial, message))
    eventually(lambda: made.registry_board.status.ok and made.registry_board.status.since, what="the database")
    yield made
    for ref in reversed(refs):
        ref.stop(timeout=5)
    runtime.stop()


def store(parts, *, key="", serial=None, **body):
    return ScansFace(parts).store(json.dumps(body).encode(), idempotency_key=key, serial=serial)


def find(parts, **wanted):
    question = {"limit": 100, "cursor": "", "serial": None, "code": None, "since_us": None, "until_us": None}
    return ScansFace(parts).find(**(question | wanted))


def test_a_scan_is_answered_after_its_commit_and_known_the_second_time(parts):
    first = store(parts, code=EAN, device_id="A", scan_id="s1", scanner="Zebra", clock="ntp", timestamp=1_760_000_000)
    assert first.pop("rx_us") > 1_760_000_000_000_000
    assert first == {
        "scan_id": "s1",
        "stored": True,
        "duplicate": False,
        "device_id": "A",
        "code": EAN,
        "symbology": "EAN-13",
        "valid": True,
        "scanner": "Zebra",
        "clock": "ntp",
        "ts_us": 1_760_000_000_000_000,
    }
    assert [item["scan_id"] for item in find(parts)[0]] == ["s1"]
    assert store(parts, code=EAN, device_id="A", scan_id="s1")["duplicate"]
    assert len(find(parts)[0]) == 1
    assert parts.fleet.get("A").presence in ("online", "unknown")


def test_a_scan_whose_id_is_known_is_answered_as_it_is_stored(parts):
    first = store(parts, code=EAN, device_id="A", scan_id="dup1", timestamp=1_760_000_000)
    again = store(parts, code="BBB", device_id="A", scan_id="dup1", scanner="other", timestamp=1_760_000_009)
    assert again == first | {"duplicate": True}


def test_one_scan_posted_by_many_at_once_is_stored_once(parts):
    answers = []
    posts = [
        threading.Thread(target=lambda: answers.append(store(parts, code=EAN, device_id="A", key="k")["duplicate"]))
        for _ in range(8)
    ]
    for post in posts:
        post.start()
    for post in posts:
        post.join(20)
    assert sorted(answers) == [False] + [True] * 7


def test_scans_that_nothing_names_are_scans_of_their_own(parts):
    answers = [store(parts, code=EAN, device_id="A") for _ in range(3)]
    assert len({answer["scan_id"] for answer in answers}) == 3
    assert not any(answer["duplicate"] for answer in answers)


def test_a_refusal_names_its_reason_and_stores_nothing(parts):
    for body, serial, reason in (
        ({"device_id": "A"}, None, "missing_field"),
        ({"code": "1"}, None, "missing_field"),
        ({"code": "1", "device_id": "B"}, "A", "unbound"),
    ):
        with pytest.raises(RefusedError) as refused:
            store(parts, serial=serial, **body)
        assert refused.value.reason == reason
    assert find(parts) == ([], None)


def test_pages_follow_each_other(parts):
    for number in range(5):
        store(parts, code=str(number), device_id="A", timestamp=number)
    first, cursor = find(parts, limit=3)
    second, end = find(parts, limit=3, cursor=cursor)
    assert [item["code"] for item in first + second] == ["4", "3", "2", "1", "0"]
    assert end is None


def test_while_the_database_is_away_or_slow_nobody_waits_for_it(parts):
    board = parts.registry_board
    healthy = board.status
    board.status = replace(healthy, ok=False)
    with pytest.raises(StoreUnavailable):
        store(parts, code=EAN, device_id="A")
    board.status = replace(healthy, pending=1, oldest_at=parts.runtime.clock.monotonic() - TOO_SLOW - 1)
    with pytest.raises(StoreUnavailable):
        store(parts, code=EAN, device_id="A")
    board.status = healthy
    assert store(parts, code=EAN, device_id="A")["stored"]


def test_a_scan_among_the_dead_letters_can_be_handed_in_again(parts):
    payload = json.dumps({"code": EAN, "scan_id": "s1"}).encode()
    letter = StoreDeadLetter("refused_by_database", "", "local.data", "devices/A/scans", payload, 1, "A")
    parts.services.tell("registry", WriteBatch([letter]))
    DeadLettersFace(parts).replay(1)
    items = eventually(lambda: find(parts)[0], what="the scan")
    assert [(item["device_id"], item["scan_id"]) for item in items] == [("A", "s1")]


def test_scans_are_counted_for_prometheus(parts):
    for _ in range(2):
        store(parts, code=EAN, device_id="A", scan_id="s1")
    family = MusterCollector(parts, dict)._scans()
    assert {sample.labels["event"]: sample.value for sample in family.samples} == {"stored": 1, "duplicates": 1}
