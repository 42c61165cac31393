"""A bulk of QoS 1 notifications, from the request until the broker has all, against a bare paho publish loop."""

from __future__ import annotations

import json
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.support import TOKEN, MusterServer, broker, median, muster

COUNT = 5_000
ROUNDS = 3


def body_of(number: int) -> dict[str, object]:
    return {"title": "Temperature alert", "body": f"{number} °C", "data": {}, "priority": "high"}


def bare(port: int) -> float:
    """paho's own loop in its own thread: publish all, wait for the last PUBACK."""
    done, answered = threading.Event(), 0

    def on_publish(*_: object) -> None:
        nonlocal answered
        answered += 1
        if answered == COUNT:
            done.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_publish = on_publish
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    started = time.perf_counter()
    for number in range(COUNT):
        client.publish(f"bare/{number}", json.dumps(body_of(number)), qos=1)
    assert done.wait(60)
    took = time.perf_counter() - started
    client.disconnect()
    client.loop_stop()
    return COUNT / took


def ours(server: MusterServer) -> tuple[float, float]:
    """Return the rate until all are with the broker, and that until all are on disk and the request is answered."""
    bulk = [{"topic": f"ours/{number}", **body_of(number)} for number in range(COUNT)]
    raw = json.dumps({"notifications": bulk}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/notifications/bulk", raw, {"Authorization": f"Bearer {TOKEN}"}
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.loads(answer.read())
    kept = time.perf_counter() - started
    while server.get(f"/api/notifications/{told['id']}?limit=1")["waiting"]:
        time.sleep(0.01)
    return COUNT / (time.perf_counter() - started), COUNT / kept


def run() -> None:
    ratios = []
    with broker() as mosquitto, muster(mosquitto.url) as server:
        for number in range(ROUNDS):
            theirs, (mine, kept) = bare(mosquitto.port), ours(server)
            ratios.append(mine / theirs)
            print(
                f"round {number + 1}: bare {theirs:7.0f}/s   muster {mine:7.0f}/s "
                f"(on disk and answered: {kept:7.0f}/s)   ratio {mine / theirs:.2f}",
                flush=True,
            )
    print(f"median ratio {median(ratios):.2f}, each with a ledger on disk of what became of it")


if __name__ == "__main__":
    run()
