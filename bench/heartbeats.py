"""QoS 0 heartbeats into device state, against a bare paho + json.loads loop that counts."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from bench.support import MusterServer, broker, first_write, median, muster, start_publisher

COUNT = 60_000
DEVICES = 1_000
ROUNDS = 5

BARE = """
import json, select, sys, time
import paho.mqtt.client as mqtt
seen, state = 0, {}
def on_message(client, userdata, message):
    global seen
    body = json.loads(message.payload)
    state[body["device_id"]] = (time.monotonic(), body["status"])
    seen += 1
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_message = on_message
client.on_connect = lambda client, *_: client.subscribe("devices/heartbeat", qos=0)
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]), keepalive=0)
last = 0.0
while seen < int(sys.argv[2]):
    before = seen
    client.loop(1.0)
    if seen == before and seen and time.monotonic() - last > 2.0:
        break
    if seen != before:
        last = time.monotonic()
        stamp = time.time()
print(json.dumps([seen, stamp]), flush=True)
"""


def bare() -> tuple[float, int]:
    with broker() as mosquitto:
        loop = subprocess.Popen(
            [sys.executable, "-c", BARE, str(mosquitto.port), str(COUNT)], stdout=subprocess.PIPE, text=True
        )
        assert loop.stdout is not None
        assert loop.stdout.readline().strip() == "ready"
        publisher = start_publisher(mosquitto.port, count=COUNT, sensors=DEVICES, qos=0, kind="heartbeat")
        started = first_write(publisher)
        seen, ended = json.loads(loop.stdout.readline())
        publisher.wait()
        loop.wait()
        return seen / (ended - started), seen


def handled(server: MusterServer) -> int:
    for line in server.get_text("/metrics").splitlines():
        if line.startswith('muster_messages_total{verb="heartbeat"}'):
            return int(float(line.split()[-1]))
    return 0


def ours() -> tuple[float, int]:
    with broker() as mosquitto, muster(mosquitto.url) as server:
        publisher = start_publisher(mosquitto.port, count=COUNT, sensors=DEVICES, qos=0, kind="heartbeat")
        started = first_write(publisher)
        seen, changed = 0, time.time()
        while seen < COUNT and time.time() - changed < 3.0:
            now = handled(server)
            if now != seen:
                seen, changed = now, time.time()
            time.sleep(0.1)
        publisher.wait()
        return seen / (changed - started), seen


def run() -> None:
    ratios = []
    for number in range(ROUNDS):
        (theirs, their_count), (mine, my_count) = bare(), ours()
        ratios.append(mine / theirs)
        print(
            f"round {number + 1}: bare {theirs:8.0f}/s ({their_count} arrived)   "
            f"muster {mine:8.0f}/s ({my_count} arrived)   ratio {mine / theirs:.2f}",
            flush=True,
        )
    print(f"median ratio {median(ratios):.2f} (budget: at least 1.0)")
