"""What sealing costs: a message sealed and opened, in microseconds; decoding a sealed reading against a plain one."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from typing import Any

from actors.messages import Deliveries, Delivery
from actors.payload_keys.book import PayloadKeys
from actors.payload_keys.envelope import Channel, new_private_key, public_key
from actors.runtime import Directory
from actors.subscriber import Intake, PiSubscriber

SERIAL, TOPIC = "pi-7", "devices/pi-7/readings"
MEASURES = {"N": 41.0, "P": 32.0, "K": 180.0, "CO2": 620.0, "Temperature": 21.5, "Moisture": 33.0, "pH": 6.4}
READING = json.dumps({"id": "01a1fe985d34-4a3f20cb", "timestamp": "2026-01-01T00:00:00.000Z", **MEASURES}).encode()
MESSAGES = 500
ROUNDS = 40


def microseconds(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return what one call of each costs, in the best of several rounds; in turns, since the machine has other work."""
    rounds = [{name: timeit.timeit(work, number=MESSAGES) for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: min(one[name] for one in rounds) / MESSAGES * 1e6 for name in works}


def delivery(payload: bytes) -> Delivery:
    return Delivery(
        link="local.data",
        token=1,
        topic=TOPIC,
        payload=payload,
        qos=1,
        retain=False,
        dup=False,
        live=True,
        rx_us=1,
        rx_at=0.0,
    )


def run() -> None:
    own, private, nobody = new_private_key(), new_private_key(), PayloadKeys()
    keys = PayloadKeys()
    keys.load(lambda: own, {SERIAL: public_key(private)})
    device = Channel(private, public_key(own), SERIAL, to="server")
    sealed = device.seal(TOPIC, READING)
    desk: Any = None  # nothing is refused
    server, plain = (
        PiSubscriber("subscriber.pi", Intake(Directory(), Directory(), desk, {}, keys=book)) for book in (keys, nobody)
    )
    one_plain, one_sealed = (Deliveries("local.data", [delivery(one)], 0.0) for one in (READING, sealed))
    costs = microseconds(
        {
            "derive": lambda: Channel(own, public_key(private), SERIAL, to="device"),
            "seal": lambda: keys.seal("devices/pi-7/commands", READING),
            "plain": lambda: plain.on_receive(one_plain),
            "sealed": lambda: server.on_receive(one_sealed),
        }
    )
    what = {
        "derive": "once for a device",
        "seal": f"a message of {len(READING)} bytes for a device",
        "plain": f"a reading of {len(MEASURES)} measures through its subscriber",
        "sealed": "the same, sealed",
    }
    for name, cost in costs.items():
        print(f"{name:10}{cost:8.1f} us {what[name]}", flush=True)
    ratio = costs["sealed"] / costs["plain"]
    print(f"{'ratio':10}{ratio:8.2f} sealed to plain; {len(sealed)} bytes instead of {len(READING)}", flush=True)
