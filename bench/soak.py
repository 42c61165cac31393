"""100 publishers and 10 subscribers of the analysis at once, each with a connection of its own: is memory flat?

`python -m bench soak` takes ten minutes; `MUSTER_SOAK_SECONDS` makes it shorter.
"""

from __future__ import annotations

import json
import os
import threading
import time

import paho.mqtt.client as mqtt

from actors.drivers.simulator import SoilSimulator
from bench.support import broker, muster

PUBLISHERS = 100
SUBSCRIBERS = 10
EVERY = 1.0
"""Seconds between two readings of one publisher: sixty times as often as they publish in the field."""
SAMPLE_EVERY = 30.0


def connect(port: int, name: str) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    client.connect("127.0.0.1", port)
    return client


def publish(port: int, done: threading.Event, sent: list[int]) -> None:
    clients = [connect(port, f"soil-{number}") for number in range(PUBLISHERS)]
    simulators = [SoilSimulator(number) for number in range(PUBLISHERS)]
    for client in clients:
        client.loop_start()
    due = time.monotonic()
    while not done.is_set():
        now = time.time()
        for number, (client, simulator) in enumerate(zip(clients, simulators, strict=True)):
            body = {"timestamp": now, "publisher_id": f"soil-{number}", "sensor_readings": simulator.read(now)}
            client.publish("harit-samarth/sensor/data", json.dumps(body), qos=1)
            sent[0] += 1
        due += EVERY
        done.wait(max(0.0, due - time.monotonic()))
    for client in clients:
        client.disconnect()
        client.loop_stop()


def subscribe(port: int, received: list[int]) -> list[mqtt.Client]:
    clients = []
    for number in range(SUBSCRIBERS):
        client = connect(port, f"reader-{number}")

        def count(*_: object, number: int = number) -> None:
            received[number] += 1

        client.on_message = count
        client.subscribe("harit-samarth/soil-health/analysis", qos=0)
        client.loop_start()
        clients.append(client)
    return clients


def run() -> None:
    seconds = float(os.environ.get("MUSTER_SOAK_SECONDS", "600"))
    with broker() as mosquitto, muster(mosquitto.url) as server:
        done, sent, received = threading.Event(), [0], [0] * SUBSCRIBERS
        readers = subscribe(mosquitto.port, received)
        thread = threading.Thread(target=publish, args=(mosquitto.port, done, sent))
        thread.start()
        started, samples = time.monotonic(), []
        while time.monotonic() - started < seconds:
            time.sleep(min(SAMPLE_EVERY, seconds / 4))
            samples.append(server.rss_mb())
            print(f"{time.monotonic() - started:5.0f} s   RSS {samples[-1]:6.1f} MB   sent {sent[0]}   "
                  f"each subscriber {min(received)} to {max(received)}", flush=True)  # fmt: skip
        done.set()
        thread.join()
        deadline = time.monotonic() + 20
        while (figures := server.get("/api/soil-health/statistics"))["processed"] < sent[
            0
        ] and time.monotonic() < deadline:
            time.sleep(0.2)
        for client in readers:
            client.disconnect()
            client.loop_stop()
    half = samples[len(samples) // 2]
    print(f"sent {sent[0]}, stored {figures['processed']}, failed {figures['failed']}; RSS at half time {half:.1f} MB, "
          f"at the end {samples[-1]:.1f} MB ({(samples[-1] / half - 1) * 100:+.1f} %)", flush=True)  # fmt: skip
