"""The helpers themselves: a helper that lies would make every other test lie."""

from __future__ import annotations

import signal
import socket
import sqlite3
import sys
from contextlib import closing
from urllib.parse import urlsplit

import psutil
import psycopg
import pymysql
import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device, Will
from tests.support.need import need, unavailable
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.wait import eventually


def python(code: str, **options) -> Process:
    return Process(sys.executable, "-c", code, **options)


# Waiting and needs


def test_eventually_returns_the_first_truthy_value():
    values = iter([None, 0, "seen", "later"])
    assert eventually(lambda: next(values)) == "seen"


def test_eventually_names_what_it_waited_for_and_the_last_value():
    with pytest.raises(AssertionError, match=r"a device: not within 0\.05 s; last value \[\]"):
        eventually(list, timeout=0.05, what="a device")


def test_a_missing_program_skips_the_test_and_says_which(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs no-such-broker"):
        need("no-such-broker")


def test_a_missing_program_fails_the_test_under_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI=true, but this test needs a moon"):
        unavailable("needs a moon")


def test_the_first_program_that_is_installed_is_taken():
    assert need("no-such-shell", "sh").endswith("/sh")


def test_a_free_port_is_given_out_once_and_is_free():
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    with socket.create_server(("127.0.0.1", ports[0])):
        pass


# Processes


def test_a_line_of_output_is_found_in_stdout_and_stderr():
    with python("import sys; print('one'); print('port 4711', file=sys.stderr); sys.stdin.read()") as process:
        assert process.wait_for_line(r"port (\d+)")[1] == "4711"


def test_half_a_line_is_not_yet_a_line():
    with (
        python("import time; print('port 47', end='', flush=True); time.sleep(60)") as process,
        pytest.raises(AssertionError, match="not within"),
    ):
        process.wait_for_line(r"port \d+", timeout=0.5)


def test_waiting_for_a_line_ends_with_the_process_and_shows_its_output():
    with (
        python("raise SystemExit('out of paper')") as process,
        pytest.raises(AssertionError, match=r"(?s)ended without.*exit code 1.*out of paper"),
    ):
        process.wait_for_line("ready")


def test_a_signal_reaches_the_process_and_its_exit_code_comes_back():
    with python("import time; print('up'); time.sleep(60)") as process:
        process.wait_for_line("up")
        assert process.terminate() == -signal.SIGTERM


def test_closing_ends_the_whole_group():
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid); p.wait()"
    with python(code) as process:
        child = psutil.Process(int(process.wait_for_line(r"^(\d+)$")[1]))
        assert process.descendants() == [child]
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child is gone")


def test_a_process_dies_with_the_tests_that_started_it(needs, tmp_path):
    needs("setpriv")
    code = (
        "from tests.support.processes import Process\n"
        "print(Process('sleep', '60').pid)\n"
        "import signal; signal.pause()\n"
    )
    with python(code, env={"TMPDIR": str(tmp_path)}) as tests:
        sleeper = psutil.Process(int(tests.wait_for_line(r"^(\d+)$")[1]))
        tests.kill()
        eventually(lambda: not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE, what="it died")


# MQTT


def test_a_message_goes_from_device_to_device(mosquitto):
    with Device(mosquitto.url) as sender, Device(mosquitto.url) as receiver:
        receiver.subscribe("devices/#")
        sender.publish("devices/announce", {"device_id": "a"})
        sender.publish("devices/a/status", "online", qos=0)
        assert receiver.next("devices/+/status").payload == b"online"
        assert receiver.next().json == {"device_id": "a"}
        assert [message.topic for message in receiver.received] == ["devices/announce", "devices/a/status"]


def test_silence_is_an_assertion_error(mosquitto):
    with Device(mosquitto.url) as receiver, pytest.raises(AssertionError, match="no a message on nothing/here"):
        receiver.next("nothing/here", timeout=0.1)


def test_a_dropped_device_leaves_its_will(mosquitto):
    with Device(mosquitto.url) as watcher:
        watcher.subscribe("devices/status")
        with Device(mosquitto.url, will=Will("devices/status", {"status": "offline"})) as device:
            device.drop()
            assert watcher.next("devices/status").json == {"status": "offline"}


def test_a_device_that_leaves_politely_leaves_no_will(mosquitto):
    with Device(mosquitto.url) as watcher:
        watcher.subscribe("#")
        with Device(mosquitto.url, will=Will("devices/status", "offline")):
            pass
        watcher.publish("end", b"")
        assert watcher.next().topic == "end"


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_the_broker_comes_back_on_its_port_and_devices_reconnect(mosquitto, ending):
    with Device(mosquitto.url) as device:
        device.publish("kept", b"1", retain=True)
        eventually((mosquitto.directory / "mosquitto.db").exists, what="autosave")
        getattr(mosquitto, ending)()
        assert not mosquitto.running
        mosquitto.start()
        eventually(device.client.is_connected, what="reconnected")
        device.subscribe("kept")
        assert device.next("kept").payload == b"1"


def test_a_broker_with_users_refuses_strangers():
    with Mosquitto(users={"ann": "secret"}) as broker:
        with pytest.raises(AssertionError, match="refused: Not authorized"), Device(broker.url):
            pass
        with Device(broker.url.replace("//", "//ann:secret@")) as device:
            device.publish("a", b"")


def test_a_broker_with_tls_is_trusted_by_its_authority():
    with Mosquitto(tls=True) as broker:
        assert broker.url.startswith("mqtts://")
        with Device(broker.url, ca_file=broker.authority.ca_file) as device:
            device.publish("a", b"")


def test_extra_lines_reach_the_brokers_configuration():
    with Mosquitto(config=["max_packet_size 100"]) as broker, Device(broker.url) as device:
        device.publish("a", b"x" * 10)
        assert b"max_packet_size 100\n" in (broker.directory / "mosquitto.conf").read_bytes()


# Databases


def execute(url: str, sql: str) -> list:
    address = urlsplit(url)
    name = address.path.removeprefix("/")
    if address.scheme == "sqlite":
        connection = sqlite3.connect(address.path, isolation_level=None)
    elif address.scheme == "postgresql":
        connection = psycopg.connect(url, autocommit=True)
    else:
        connection = pymysql.connect(
            host=address.hostname,
            port=address.port,
            user=address.username,
            password=address.password,
            database=name,
            autocommit=True,
        )
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if sql.startswith("SELECT") else []


@pytest.mark.parametrize("turn", [1, 2])
def test_every_database_starts_empty_and_takes_any_text(database_url, turn):
    execute(database_url, "CREATE TABLE thing (name VARCHAR(20))")
    execute(database_url, f"INSERT INTO thing VALUES ('naïve 😀 {turn}')")
    assert execute(database_url, "SELECT name FROM thing") == [(f"naïve 😀 {turn}",)]


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_database_server_keeps_what_was_committed(request, kind, ending):
    server = request.getfixturevalue(kind)
    url = server.fresh_database()
    execute(url, "CREATE TABLE thing (n INT)")
    execute(url, "INSERT INTO thing VALUES (7)")
    getattr(server, ending)()
    server.start()
    assert execute(url, "SELECT n FROM thing") == [(7,)]


# The browser


def test_the_browser_runs_scripts(page):
    page.set_content("<p id=out></p><script>out.textContent = 6 * 7</script>")
    assert page.text_content("#out") == "42"
