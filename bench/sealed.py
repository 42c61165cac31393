"""What sealing costs: a message sealed and opened, in microseconds; decoding a sealed reading against a plain one."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from typing import Any

from actors.messages import Delivery
from actors.payload_keys.book import PayloadKeys
from actors.payload_keys.envelope import Channel, new_private_key, public_key
from actors.runtime import Directory
from actors.subscriber import Intake, PiSubscriber

SERIAL, TOPIC = "pi-7", "devices/pi-7/readings"
MEASURES = {"N": 41.0, "P": 32.0, "K": 180.0, "CO2": 620.0, "Temperature": 21.5, "Moisture": 33.0, "pH": 6.4}
READING = json.dumps({"id": "01a1fe985d34-4a3f20cb", "timestamp": "2026-01-01T00:00:00.000Z", **MEASURES}).encode()
MESSAGES = 2_000
ROUNDS = 9


def microseconds(work: Callable[[], object]) -> float:
    """Return what one call costs in the best of several rounds."""
    return min(timeit.repeat(work, number=MESSAGES, repeat=ROUNDS)) / MESSAGES * 1e6


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
    one_plain, one_sealed = delivery(READING), delivery(sealed)
    decode = {"decode plain": lambda: plain._decode(one_plain), "decode sealed": lambda: server._decode(one_sealed)}
    derive = microseconds(lambda: Channel(own, public_key(private), SERIAL, to="device"))
    seal = microseconds(lambda: keys.seal("devices/pi-7/commands", READING))
    costs = {name: microseconds(work) for name, work in decode.items()}
    ratio = costs["decode sealed"] / costs["decode plain"]
    print(f"{'derive':15}{derive:8.1f} us once for a device", flush=True)
    print(f"{'seal':15}{seal:8.1f} us a message of {len(READING)} bytes", flush=True)
    for name, cost in costs.items():
        print(f"{name:15}{cost:8.1f} us a reading of {len(MEASURES)} measures", flush=True)
    print(f"{'ratio':15}{ratio:8.2f} times a plain one; {len(sealed)} bytes instead of {len(READING)}", flush=True)
