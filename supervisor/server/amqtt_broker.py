"""The fallback broker in pure Python: amqtt with three faults mended, on loopback only, for trying Muster out.

Started as a script by `supervisor.server.embedded`: `python -P amqtt_broker.py PORT`. It forgets everything when it
ends and keeps no messages for clients that are away, so Muster calls it 'not durable'. Mended here:

- amqtt sends every newcomer the retained messages of everybody's subscriptions. Ours sends what the client subscribed.
- amqtt never notices a client that has fallen silent, so the last will of a dead device never comes. Ours closes the
  connection after one and a half keepalives (MQTT 3.1.1, section 3.1.2.10).
- amqtt reads the CONNECT of MQTT 5 as if it were 3.1.1, waits for bytes that never come, and so never answers. Ours
  refuses the version (section 3.1.2.2), and the client tries 3.1.1.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from typing import Any

from amqtt.broker import Broker
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload

_CONFIG = {
    "plugins": {
        "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        "amqtt.plugins.sys.broker.BrokerSysPlugin": {"sys_interval": 10},
    },
}
_SILENCE = 1.5
_PROTOCOL_LEVEL = 4


class VersionedPayload(ConnectPayload):  # type: ignore[misc]
    """The rest of a CONNECT, read only where its version says how."""

    @classmethod
    async def from_stream(cls, reader: Any, fixed_header: Any, variable_header: Any) -> Any:
        """Read it, or leave a foreign one alone: amqtt then answers with CONNACK 0x01 and closes the connection."""
        if variable_header is None or variable_header.proto_level == _PROTOCOL_LEVEL:
            return await super().from_stream(reader, fixed_header, variable_header)
        payload = cls()
        payload.client_id = payload.will_topic = ""
        payload.will_message = b""
        return payload


ConnectPacket.PAYLOAD = VersionedPayload


class MendedBroker(Broker):  # type: ignore[misc]
    """amqtt's broker without its leak of retained messages, and with keepalives that end."""

    async def _initialize_client_session(self, *connection: Any) -> tuple[Any, Any]:
        handler, session = await super()._initialize_client_session(*connection)
        # amqtt waits `keep_alive` for the next packet; a client has half as long again.
        session.keep_alive = round(session.keep_alive * _SILENCE)
        handler.handle_read_timeout = lambda: _give_up(handler)
        return handler, session

    async def _publish_retained_messages_for_subscription(self, subscription: tuple[str, int], session: Any) -> None:
        subscribers = self._subscriptions.get(subscription[0], ())
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def _give_up(handler: Any) -> None:
    """End the session of a silent client; the broker then publishes its will and closes the connection."""
    task = asyncio.ensure_future(handler.handle_connection_closed())
    # asyncio keeps only a weak reference to a task.
    _ENDING.add(task)
    task.add_done_callback(_ENDING.discard)


_ENDING: set[asyncio.Future[None]] = set()


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    broker = MendedBroker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, **_CONFIG})
    await broker.start()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()
    with suppress(TimeoutError):
        await asyncio.wait_for(broker.shutdown(), timeout=2.0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s")
    asyncio.run(serve(int(sys.argv[1])))
