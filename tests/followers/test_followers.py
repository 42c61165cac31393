from __future__ import annotations

import logging
import sys

import msgspec
import pytest

from actors.followers import AuditSettings, Followers, Sink, SinkSettings
from actors.runtime import Directory
from tests.followers.support import Box, ids, lines, soil, station
from tests.storage.build import device, reading
from tests.support.wait import eventually

PLUGIN = """
from tests.followers.support import Box

made = []


def make(settings):
    box = Box()
    box.settings = dict(settings)
    made.append(box)
    return box


def fussy(settings):
    raise KeyError("url")


def wrong(settings):
    return "no sink"
"""
POINTS = """
[muster.sinks]
good = muster_test_plugin:make
second = muster_test_plugin:make
fussy = muster_test_plugin:fussy
wrong = muster_test_plugin:wrong
missing = muster_no_such_module:make
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package that is installed beside Muster, as the import system sees it."""
    folder = tmp_path / "site"
    info = folder / "muster_test_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: muster-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (folder / "muster_test_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    import muster_test_plugin

    yield muster_test_plugin
    del sys.modules["muster_test_plugin"]


@pytest.fixture
def services():
    return Directory()


@pytest.fixture
def run(tmp_path, readers, runtime, services):
    """`run(audit, sinks)` makes the followers and starts them all, as a supervisor would."""
    started = []

    def start(audit=None, sinks=None, **options):
        followers = Followers(
            audit or AuditSettings(),
            sinks or {},
            data_dir=tmp_path / "data",
            ask=readers.ask,
            runtime=runtime,
            services=services,
            **({"is_ours": lambda _row: True} | options),
        )
        for child in followers.children:
            ref = runtime.launch(child.start(), child_id=child.name)
            services.publish(child.name, ref)
            started.append(ref)
        return followers

    yield start
    for ref in started:
        ref.stop(timeout=10)


def caught_up(followers, cursor):
    return all(status.ok and status.cursor == cursor for status in followers.statuses())


def test_the_audit_trail_is_on_unless_switched_off(run):
    assert [child.name for child in run().children] == ["audit"]
    assert [child.name for child in run(AuditSettings(enabled=False)).children] == []


def test_each_accepted_reading_of_a_station_has_one_line_in_each_file(store, run, tmp_path):
    pi = device("pi-1", kind="raspberry_pi", family="pi")
    store.commit([station(), pi, soil(1), reading("pi-1"), soil(2)])
    store.commit([soil(2), soil(3, health_index=55.5, status="Fair", anomalies='[{"kind":"unusual"}]')])
    followers = run(AuditSettings(analysed=True))
    eventually(lambda: caught_up(followers, 4))
    assert ids(tmp_path / "data") == [1, 3, 4]
    assert ids(tmp_path / "data", "sensor_readings") == [1, 3, 4]
    last = lines(tmp_path / "data", "sensor_readings")[-1]
    assert (last["N"], last["health_index"], last["status"]) == ("3", "55.5", "Fair")
    assert last["anomalies"] == '[{"kind":"unusual"}]'
    assert lines(tmp_path / "data")[-1]["publisher_id"] == "soil-1"


def test_readings_are_written_when_the_followers_are_woken(store, run, tmp_path):
    store.commit([station()])
    followers = run()
    for at in range(1, 6):
        store.commit([soil(at)])
        followers.wake()
    eventually(lambda: ids(tmp_path / "data") == [1, 2, 3, 4, 5])


def test_each_server_audits_its_own_stations(store, run, tmp_path):
    store.commit([station("soil-1", "north"), station("soil-2", "south")])
    for at in range(1, 11):
        store.commit([soil(at, f"soil-{1 + at % 2}")])
    followers = run(is_ours=lambda row: row.site == "south")
    eventually(lambda: caught_up(followers, 10))
    assert {line["site"] for line in lines(tmp_path / "data")} == {"south"}
    assert len(lines(tmp_path / "data")) == 5


def test_a_plug_in_gets_its_section_and_every_reading(store, run, plugin):
    store.commit([station(), device("log-1"), soil(1), reading("log-1")])
    followers = run(AuditSettings(enabled=False), {"good": {"url": "x", "deep": {"a": 1}, "from_start": True}})
    assert [child.name for child in followers.children] == ["sink.good"]
    eventually(lambda: caught_up(followers, 2))
    box = plugin.made[-1]
    assert box.settings == {"url": "x", "deep": {"a": 1}}
    assert box.ids == [1, 2]


def test_a_broken_plug_in_is_left_out_and_the_others_work(run, plugin, store, caplog):
    store.commit([station(), soil(1)])
    sections = {name: {"from_start": True} for name in ("fussy", "missing", "good", "wrong", "unknown")}
    followers = run(sinks=sections)
    assert [child.name for child in followers.children] == ["audit", "sink.good"]
    assert set(followers.broken) == {"fussy", "missing", "wrong", "unknown"}
    assert "KeyError" in followers.broken["fussy"]
    assert "no plug-in is installed as unknown" in followers.broken["unknown"]
    assert "no sink" in followers.broken["wrong"]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 4
    eventually(lambda: caught_up(followers, 1))


def test_a_plug_in_that_fails_holds_up_nobody_and_loses_nothing(run, plugin, store, tmp_path):
    store.commit([station()])
    followers = run(sinks={"good": {"from_start": True}, "second": {"from_start": True}})
    eventually(lambda: caught_up(followers, 0) and all(status.since for status in followers.statuses()))
    good, second = plugin.made[-2:]
    good.error = RuntimeError("broken")
    for at in range(1, 21):
        store.commit([soil(at)])
    followers.wake()
    eventually(lambda: len(second.ids) == len(ids(tmp_path / "data")) == 20, 20)
    assert good.ids == []
    good.error = None
    eventually(lambda: good.ids == list(range(1, 21)), 30)


def test_a_sink_that_hangs_gathers_no_mail(run, plugin, store, services):
    store.commit([station(), soil(1)])
    followers = run(AuditSettings(enabled=False), {"good": {"from_start": True}})
    eventually(lambda: plugin.made[-1].ids == [1])
    box = plugin.made[-1]
    box.gate.clear()
    box.entered.clear()
    store.commit([soil(2)])
    followers.wake()
    assert box.entered.wait(10)
    store.commit([soil(3)])
    for _ in range(1000):
        followers.wake()
    assert services.get("sink.good").actor_inbox.depth() <= 1
    box.gate.set()
    eventually(lambda: box.ids == [1, 2, 3])


def test_the_sink_of_the_tests_is_a_sink():
    assert isinstance(Box(), Sink)


def test_the_settings_decode_from_their_sections():
    audit = msgspec.convert({"analysed": True, "max_bytes": 2**20, "days": 0}, AuditSettings)
    assert audit == AuditSettings(enabled=True, analysed=True, max_bytes=2**20, days=0)
    assert msgspec.convert({"influx-2": {"url": "x"}}, SinkSettings) == {"influx-2": {"url": "x"}}


@pytest.mark.parametrize("section", [{"day": 3}, {"days": -1}, {"max_bytes": 10}, {"enabled": "yes"}])
def test_a_wrong_setting_is_refused(section):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(section, AuditSettings)


@pytest.mark.parametrize("name", ["../up", "", "a b", "x" * 65])
def test_the_name_of_a_sink_is_safe_as_the_name_of_a_file(name):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({name: {}}, SinkSettings)
