"""One of several workers that share the messages of a topic filter: MQTT 5, `$share/{group}/{filter}`."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

GROUP = "workers"
"""Who names the same group shares; another name gets everything again."""
AWAY = 60
"""Seconds for which the broker keeps our part while we are away."""
LONGEST_PAUSE = 30
"""Seconds between two attempts to connect."""
AT_ONCE = 10
"""Messages that we hold and have not acknowledged: the others go to other workers."""


def work(topic: str, payload: bytes | bytearray) -> None:
    """Do what there is to do; put your own here."""
    sys.stdout.write(f"{topic} {payload.decode(errors='replace')}\n")
    sys.stdout.flush()


def main() -> None:
    """Work until Ctrl-C."""
    if len(sys.argv) != 4:
        sys.exit("usage: worker.py mqtt://[user:password@]host[:port] FILTER NAME")
    at, wanted, name = urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, f"{GROUP}-{name}", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    if at.username:
        client.username_pw_set(unquote(at.username), unquote(at.password or ""))

    def connected(client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            sys.exit(f"the broker refuses us: {reason}")
        client.subscribe(f"$share/{GROUP}/{wanted}", qos=1)

    def subscribed(_client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        sys.stderr.write(f"{name}: {reasons[0]}\n")

    def arrived(client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        work(message.topic, message.payload)
        client.ack(message.mid, message.qos)  # only now: a worker that dies before has done nothing

    def unanswered(client: mqtt.Client, _data: Any) -> None:
        sys.stderr.write(f"nobody answers at {client.host}:{client.port} yet\n")

    client.on_connect, client.on_connect_fail = connected, unanswered
    client.on_subscribe, client.on_message = subscribed, arrived
    client.reconnect_delay_set(1, LONGEST_PAUSE)
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval, session.ReceiveMaximum = AWAY, AT_ONCE
    client.connect_async(at.hostname or "127.0.0.1", at.port or 1883, clean_start=False, properties=session)
    try:
        client.loop_forever(retry_first_connection=True)
    except KeyboardInterrupt:
        client.disconnect()


if __name__ == "__main__":
    main()
