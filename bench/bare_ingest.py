"""The bare loop that ingest is compared with: paho, MQTT 5, json.loads, executemany, acknowledgement after the commit.

One thread, one process: `python -m bench.bare_ingest PORT DATABASE COUNT`. It commits what has gathered as soon as the
socket is dry, or 1,000 messages: what a careful person writes in an afternoon.
"""

from __future__ import annotations

import json
import select
import sqlite3
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.properties import PacketTypes, Properties

BATCH = 1000


def main(port: int, path: str, count: int) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    columns = "id INTEGER PRIMARY KEY, device TEXT, ts TEXT, measures TEXT, UNIQUE (device, ts)"
    database.execute(f"CREATE TABLE reading ({columns})")
    gathered: list[mqtt.MQTTMessage] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bare", protocol=mqtt.MQTTv5, manual_ack=True)
    client.on_message = lambda _client, _userdata, message: gathered.append(message)
    client.on_connect = lambda client, *_: client.subscribe("harit-samarth/sensor/data", qos=1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = 65535
    client.connect("127.0.0.1", port, keepalive=0, properties=properties)
    stored = 0
    while stored < count:
        sock = client.socket()
        ready, _, _ = select.select([sock], [sock] if client.want_write() else [], [], 0.0 if gathered else 1.0)
        if ready:
            client.loop_read()
        if client.want_write():
            client.loop_write()
        if gathered and (not ready or len(gathered) >= BATCH):
            rows = []
            for message in gathered:
                body = json.loads(message.payload)
                rows.append((body["publisher_id"], body["timestamp"], json.dumps(body["sensor_readings"])))
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT OR IGNORE INTO reading (device, ts, measures) VALUES (?, ?, ?)", rows)
            database.execute("COMMIT")
            for message in gathered:
                client.ack(message.mid, message.qos)
            stored += len(gathered)
            gathered.clear()
    client.disconnect()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
