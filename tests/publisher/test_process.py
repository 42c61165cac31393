"""`muster sensor-publisher` as a process: what it has put arrives, whatever is done to it and to the others."""

from __future__ import annotations

import json
import signal
from collections import defaultdict

import pytest

from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.publishing import DEADLINE, Publisher
from tests.support.wait import eventually
from tests.uplink.fake_muster import TOKEN, FakeMuster


@pytest.fixture
def muster(mosquitto):
    fake = FakeMuster(mosquitto)
    yield fake
    fake.close()


@pytest.fixture
def publisher(tmp_path, mosquitto, muster):
    made = []

    def make(*options, broker=mosquitto.url, server=muster):
        made.append(Publisher(tmp_path, broker, server.url if server is not None else "", TOKEN, *options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def in_order(muster):
    """Whether each station's readings came first in the order in which they were taken."""
    by_station = defaultdict(list)
    for item_id in muster.stored:
        body = muster.bodies[item_id]
        by_station[body["publisher_id"]].append((body["timestamp"], item_id[:12]))
    return all(times == sorted(times) for times in by_station.values())


def test_twenty_stations_publish_through_one_process_in_order(publisher, muster):
    muster.connect()
    one = publisher("--count", "20", "--interval", "0.2").start()
    muster.wait_stored(200, DEADLINE)
    assert one.process.terminate() == 0
    assert {body["publisher_id"] for body in muster.bodies.values()} == {f"S-{number}" for number in range(1, 21)}
    assert in_order(muster)
    assert one.state["phase"] == "stopped"


def test_sigkill_in_mid_stream_loses_nothing_that_was_put(publisher, muster):
    """The server is silent at first, so that the outbox is all there is."""
    muster.gives_receipts = False
    muster.connect()
    one = publisher("--count", "5", "--interval", "0.02").start()
    for _ in range(3):
        before = len(muster.stored)
        muster.wait_stored(before + 100, DEADLINE)
        one.process.kill()
        one.close()
        one.start()
    one.process.kill()
    kept = one.kept
    assert len(kept) >= 300
    muster.gives_receipts = True
    one.start("--interval", "60")
    eventually(lambda: kept <= set(muster.stored), DEADLINE, "all that was kept has arrived")
    one.until(backlog=0)
    assert in_order(muster)


def test_the_broker_away_then_both_then_all_is_back(publisher, muster, mosquitto):
    muster.connect()
    muster.listen()
    one = publisher("--count", "3", "--interval", "0.1").start()
    muster.wait_stored(10)
    one.until(mode="mqtt")
    mosquitto.stop()
    one.until(mode="api")
    eventually(lambda: "api" in muster.ways, DEADLINE, "something came over HTTP")
    muster.close_http()
    eventually(lambda: one.state["backlog"] > 20, DEADLINE, "readings are kept")
    eventually(lambda: "cannot be reached" in one.state["last_error"], DEADLINE)
    mosquitto.start()
    one.until(mode="mqtt")
    one.until(backlog=0)
    one.process.send(signal.SIGSTOP)
    assert in_order(muster)
    assert muster.ways[-1] == "mqtt"
    assert one.process.output.count(": mode api, sending over HTTP now") == 1
    assert one.process.output.count(": mode mqtt, sending over MQTT now") == 1
    one.process.send(signal.SIGCONT)


def test_once_ends_when_the_reading_is_delivered(publisher, muster):
    muster.listen()
    one = publisher("--once", "--mode", "api").start()
    assert one.process.wait(DEADLINE) == 0
    (body,) = muster.bodies.values()
    assert set(body["sensor_readings"]) == {"N", "P", "K", "CO2", "Temperature", "Moisture", "pH"}
    assert one.kept == set()


def test_a_replay_ends_with_its_file_when_all_is_delivered(publisher, muster, tmp_path):
    (tmp_path / "rows.csv").write_text("N,pH\n" + "".join(f"{number},6.5\n" for number in range(30)))
    muster.listen()
    options = ("--driver", "replay", "--file", str(tmp_path / "rows.csv"), "--interval", "0.01", "--mode", "api")
    one = publisher(*options).start()
    assert one.process.wait(DEADLINE) == 0
    assert [muster.bodies[item_id]["sensor_readings"]["N"] for item_id in muster.stored] == list(range(30))


def test_the_simulator_continues_where_it_was(publisher, muster):
    muster.listen()
    for _ in range(2):
        with publisher("--once", "--mode", "api").start().process as process:
            assert process.wait(DEADLINE) == 0
    first, second = (muster.bodies[item_id]["sensor_readings"] for item_id in muster.stored)
    assert second["K"] == pytest.approx(first["K"], abs=15)
    assert second["Temperature"] == pytest.approx(first["Temperature"], abs=1)


def test_status_shows_mode_backlog_and_last_error(publisher, muster, mosquitto):
    one = publisher("--interval", "0.1").start()
    eventually(lambda: one.state.get("backlog", 0) >= 5, DEADLINE, "nobody gives receipts")
    code, text = one.run("status", "--json")
    (state,) = json.loads(text)["items"]
    assert code == 0
    assert (state["id"], state["running"], state["mode"], state["configured"]) == ("S", True, "mqtt", "auto")
    assert state["backlog"] >= 5
    assert state["stations"][0]["readings"] >= 5
    mosquitto.stop()
    one.until(mode="api")
    eventually(lambda: one.state["last_error"], DEADLINE)
    code, text = one.run("status")
    assert code == 0
    assert "api (auto)" in text
    assert one.process.terminate() == 0
    code, text = one.run("status")
    assert code == 1
    assert "down" in text


def test_status_of_a_machine_without_publishers_says_so(publisher):
    code, text = publisher().run("status")
    assert code == 1
    assert "No publisher has run" in text


def test_a_second_process_with_the_same_id_is_refused(publisher):
    one = publisher("--interval", "60").start()
    one.until(phase="running")
    code, text = one.run("--id", "S")
    assert code == 1
    assert "`S` runs already" in text
    assert one.process.running


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--id", "a b"], "not a serial number"),
        (["--driver", "lamp"], "there is no driver `lamp`"),
        (["--driver", "replay"], "needs --file"),
        (["--driver", "replay", "--file", "nothing.csv"], "there is no file"),
        (["--count", "5000"], "--count"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(publisher, arguments, said):
    code, text = publisher().run(*arguments)
    assert code == 2
    assert said in text
    assert "Traceback" not in text


def test_a_server_that_was_started_anew_with_another_broker_is_found(publisher, muster, mosquitto, tmp_path):
    """Nothing is configured: broker, server and token are those of the server that runs here now."""
    rundir = RuntimeDirectory(tmp_path / "run")
    away = f"mqtt://127.0.0.1:{free_port()}"
    files = ServerFiles(url=f"http://127.0.0.1:{free_port()}", token="old", enrolment_key="", broker_url=away, pid=1)
    rundir.publish(files)
    one = publisher("--interval", "0.1", broker="", server=None)
    one.env["MUSTER_API_TOKEN"] = ""
    one.start()
    try:
        one.until(mode="api")
        muster.connect()
        with Mosquitto():  # somebody else's broker is of no interest
            rundir.publish(ServerFiles(url=muster.url, token=TOKEN, enrolment_key="", broker_url=mosquitto.url, pid=2))
            one.until(mode="mqtt")
            muster.wait_stored(5, DEADLINE)
        assert set(muster.ways) == {"mqtt"}
    finally:
        one.close()
        rundir.withdraw()
