"""Twins from outside: over HTTP, MQTT and the command line, through ends of the server, the broker and the database."""

from __future__ import annotations

import random
import threading

import pytest

from tests.support.databases import Postgres
from tests.support.mqtt import Device
from tests.support.wait import eventually

GROUND = {"heartbeat": 30, "led": {"on": True, "colour": "red"}}


def desired(serial):
    return f"devices/{serial}/twin/desired"


def reported(serial):
    return f"devices/{serial}/twin/reported"


def twin(server, serial):
    return server.get(f"/api/devices/{serial}/twin")


def patch(server, serial, version, **changes):
    return server.call("PATCH", f"/api/devices/{serial}/twin", {"version": version, "desired": changes})


def declare(server, *serials):
    for serial in serials:
        server.post("/api/devices", {"serial": serial, "kind": "raspberry_pi"}, expect=201)


def retained(broker, *serials):
    """What the broker would tell a device that connects now; None of those of which it retains nothing."""
    with Device(broker.url) as device:
        for serial in serials:
            device.subscribe(desired(serial))
        # Retained messages of a subscription come before what is published after it.
        device.publish("marker", b"1")
        device.subscribe("marker")
        device.publish("marker", b"2")
        device.next("marker")
        told = {message.topic: message.json for message in device.received if message.retain and message.payload}
    return [told.get(desired(serial)) for serial in serials]


def eventually_retained(broker, **wanted):
    """Wait until the broker retains exactly this, by serial."""
    serials = [serial.replace("_", "-") for serial in wanted]
    eventually(lambda: retained(broker, *serials) == list(wanted.values()), 30, f"{wanted} is retained")


def doc(version, **body):
    return {"version": version, "desired": body}


def test_what_is_desired_waits_for_the_device_and_what_it_reports_ends_the_difference(site, broker):
    declare(site, "tw-1")
    answer = patch(site, "tw-1", 0, **GROUND)
    assert (answer.status, answer.body["difference"]) == (200, GROUND)
    first = answer.body["desired_version"]
    eventually_retained(broker, tw_1=doc(first, **GROUND))
    with Device(broker.url) as device:
        device.subscribe(desired("tw-1"))
        assert device.next(desired("tw-1")).json == doc(first, **GROUND)
        device.subscribe("devices/tw-1/receipts")
        device.publish(reported("tw-1"), {"version": first, "reported": GROUND | {"uptime": 7}, "id": "r1"})
        assert device.next("devices/tw-1/receipts").json["stored"] == ["r1"]
        state = twin(site, "tw-1")
        assert (state["difference"], state["reported"]["uptime"], state["reported_version"]) == ({}, 7, first)
        patch(site, "tw-1", first, led={"colour": None})
        assert device.next(desired("tw-1")).json == doc(first + 1, heartbeat=30, led={"on": True})
    assert site.device("tw-1")["presence"] == "online"
    kinds = [event["kind"] for event in site.items("/api/devices/tw-1/events")]
    assert kinds.count("twin") == 2


def test_a_report_that_is_none_is_a_dead_letter_and_its_sender_is_told(site, wire):
    wire.subscribe("devices/tw-2/receipts")
    wire.publish(reported("tw-2"), {"version": 1, "reported": "on", "id": "r1"})
    assert wire.next("devices/tw-2/receipts").json["refused"] == {"r1": "wrong_type"}
    (letter,) = [letter for letter in site.dead_letters() if letter["serial"] == "tw-2"]
    assert letter["topic"] == reported("tw-2")


def test_operators_who_count_up_at_once_overwrite_nobody(site):
    declare(site, "tw-3")
    floor = patch(site, "tw-3", 0).body["desired_version"]
    rounds, conflicts = 8, []

    def count_up(name):
        done = 0
        while done < rounds:
            seen = twin(site, "tw-3")
            total = seen["desired"].get("total", 0)
            answer = patch(site, "tw-3", seen["desired_version"], total=total + 1, **{name: done + 1})
            if answer.status == 200:
                done += 1
            else:
                assert answer.status == 409, answer
                conflicts.append(name)

    operators = [threading.Thread(target=count_up, args=(f"op{number}",)) for number in range(5)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join(60)
    state = twin(site, "tw-3")
    assert state["desired"] == {"total": 5 * rounds} | {f"op{number}": rounds for number in range(5)}
    assert state["desired_version"] - floor == 5 * rounds
    assert site.metric("muster_twins_total", event="conflict") >= len(conflicts)


def test_a_group_is_changed_in_one_call(site, broker):
    declare(site, "tw-4a", "tw-4b", "tw-4c")
    for serial in ("tw-4a", "tw-4b"):
        assert site.call("PATCH", f"/api/devices/{serial}", {"group": "twins-4"}).status == 200
    answer = site.call("PATCH", "/api/twins", {"group": "twins-4", "desired": {"heartbeat": 9}})
    assert (answer.status, answer.body["changed"]) == (200, 2)
    first, second = (doc(item["desired_version"], heartbeat=9) for item in answer.body["items"])
    eventually_retained(broker, tw_4a=first, tw_4b=second, tw_4c=None)


def test_what_is_retained_of_a_deleted_device_is_taken_back(site, broker):
    declare(site, "tw-5")
    patch(site, "tw-5", 0, secret="x")
    eventually(lambda: retained(broker, "tw-5") != [None], what="it is retained")
    assert site.call("DELETE", "/api/devices/tw-5").status == 204
    eventually_retained(broker, tw_5=None)
    assert site.call("GET", "/api/devices/tw-5/twin").status == 404


def test_the_command_line_sets_waits_and_shows(site, broker):
    declare(site, "tw-6")
    code, told = site.run("twin", "set", "tw-6", "heartbeat=15", "led.on=true")
    assert code == 0, told
    first = twin(site, "tw-6")["desired_version"]
    assert f"desired is version {first} by admin" in told
    ahead = first + 1
    with Device(broker.url) as device:
        device.publish(reported("tw-6"), {"version": ahead, "reported": {"heartbeat": 16, "led": {"on": True}}})
    eventually(lambda: twin(site, "tw-6")["reported_version"] == ahead, what="the report")
    code, told = site.run("twin", "set", "tw-6", "heartbeat=16", "--wait", "0.1")
    assert code == 1, told  # the next version is higher still, and nobody has applied it
    code, told = site.run("twin", "get", "tw-6")
    assert code == 0
    assert "differs" not in told
    code, told = site.run("twin", "set", "tw-6", "a=1", "--version", str(first))
    assert code == 1
    assert f"is at version {ahead + 1}, not {first}" in told


def test_an_actor_that_is_restarted_publishes_what_is_desired(site, broker):
    declare(site, "tw-7")
    first = patch(site, "tw-7", 0, a=1).body["desired_version"]
    site.supervise("twins", "restart")
    eventually(lambda: patch(site, "tw-7", first, b=2).status == 200, what="it answers again")
    eventually_retained(broker, tw_7=doc(first + 1, a=1, b=2))


def test_a_broker_that_has_forgotten_everything_is_told_again(mosquitto, muster):
    server = muster()
    serials = [f"pi-{number}" for number in range(30)]
    declare(server, *serials)
    assert server.call("PATCH", "/api/twins", {"devices": serials, "desired": {"a": 1}}).body["changed"] == 30
    eventually(lambda: None not in retained(mosquitto, *serials), what="everything is retained")
    mosquitto.kill()
    (mosquitto.directory / "mosquitto.db").unlink(missing_ok=True)
    assert patch(server, "pi-0", 1, b=2).status == 200  # while the broker is away
    assert server.call("DELETE", "/api/devices/pi-1").status == 204
    mosquitto.start()
    wanted = [doc(2, a=1, b=2), None, *([doc(1, a=1)] * 28)]
    eventually(lambda: retained(mosquitto, *serials) == wanted, 40, "everything is retained again")
    server.stop()


def test_a_device_that_is_deleted_while_the_broker_is_away_is_cleared_even_after_a_restart(mosquitto, muster):
    server = muster()
    declare(server, "gone", "here")
    for serial in ("gone", "here"):
        patch(server, serial, 0, a=1)
    eventually_retained(mosquitto, gone=doc(1, a=1), here=doc(1, a=1))
    mosquitto.stop()
    assert server.call("DELETE", "/api/devices/gone").status == 204
    server.wait_health(lambda health: health["database"]["pending"] == 0)
    server.kill()
    mosquitto.start()
    assert retained(mosquitto, "gone") == [doc(1, a=1)]
    server.restart()
    eventually_retained(mosquitto, gone=None, here=doc(1, a=1))
    server.stop()


@pytest.mark.timeout(180)
def test_a_server_that_is_killed_again_and_again_loses_no_change_that_it_has_confirmed(mosquitto, muster):
    server = muster()
    serials = [f"pi-{number}" for number in range(10)]
    declare(server, *serials)
    confirmed = dict.fromkeys(serials, 0)
    done = threading.Event()

    def operate():
        number = 0
        while not done.is_set():
            serial = serials[number % len(serials)]
            number += 1
            try:
                answer = patch(server, serial, twin(server, serial)["desired_version"], number=number)
                if answer.status == 200:
                    confirmed[serial] = number
            except (OSError, AssertionError):  # it is being killed
                done.wait(0.01)

    operator = threading.Thread(target=operate)
    operator.start()
    for _ in range(3):
        before = sum(confirmed.values())
        eventually(lambda before=before: sum(confirmed.values()) > before + random.randint(100, 2_000), 60, "changes")
        server.kill()
        server.restart()
    done.set()
    operator.join(60)
    kept = [twin(server, serial) for serial in serials]
    assert [state["desired"]["number"] >= confirmed[state["serial"]] for state in kept] == [True] * 10
    wanted = [doc(state["desired_version"], **state["desired"]) for state in kept]
    eventually(lambda: retained(mosquitto, *serials) == wanted, 40, "the broker retains what the database has")
    server.stop()


def test_every_database_keeps_twins(mosquitto, muster, database_url):
    server = muster(database_url=database_url)
    declare(server, "pi-1")
    patch(server, "pi-1", 0, name="pümp \N{ROCKET}", led={"on": True})
    with Device(mosquitto.url) as device:
        device.publish(reported("pi-1"), {"version": 1, "reported": {"name": "pümp \N{ROCKET}", "led": {"on": False}}})
    state = eventually(lambda: (t := twin(server, "pi-1"))["reported_version"] and t, what="the report")
    assert state["difference"] == {"led": {"on": True}}
    assert patch(server, "pi-1", 0, x=1).status == 409
    server.restart()
    again = twin(server, "pi-1")
    assert again == state
    eventually_retained(mosquitto, pi_1=doc(1, name="pümp \N{ROCKET}", led={"on": True}))
    server.stop()


def test_while_the_database_is_away_changes_are_refused_and_reports_wait_for_it(mosquitto, muster):
    with Postgres() as database, Device(mosquitto.url) as device:
        server = muster(database_url=database.fresh_database())
        declare(server, "pi-1")
        patch(server, "pi-1", 0, a=1)
        eventually_retained(mosquitto, pi_1=doc(1, a=1))
        database.stop()
        device.publish(reported("pi-1"), {"version": 1, "reported": {"a": 1}})
        server.wait_health(lambda health: not health["database"]["ok"], what="misses the database")
        assert patch(server, "pi-1", 1, b=2).status == 503
        database.start()
        eventually(lambda: patch(server, "pi-1", 1, b=2).status == 200, 30, "changes are taken again")
        eventually(lambda: twin(server, "pi-1")["reported"] == {"a": 1}, 30, "the report is stored")
        eventually_retained(mosquitto, pi_1=doc(2, a=1, b=2))
        server.stop()
