"""Paho's client with a buffer under it: whole PUBLISH packets are taken from the buffer, all else is left to paho.

Paho reads each packet with three `recv` calls and writes each PUBACK on its own; four fifths of a subscriber's time go
there. `BufferedClient` receives 64 KB at a time, decodes PUBLISH itself and joins PUBACKs into one write.

Private names of paho-mqtt 2.2 that are touched, here and nowhere else:
`_sock`, `_sock_recv`, `_in_packet`, `_packet_read`, `_handle_publish`, `_loop_rc_handle`, `_packet_queue`,
`_last_bytes_received`, `_protocol`, `_do_on_publish`, `_handle_pubrec`, `_out_messages`, `_ssl_wrap_socket`,
`_ssl_context`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from actors.link.wire import (
    PUBACK,
    Halt,
    Publication,
    TopicMemory,
    decode_publish,
    join_pubacks,
    take_publishes,
)

#: Bytes asked of the socket at once. Larger gains nothing: the parser is slower than the loopback.
RECEIVE_SIZE = 65_536

_DISCONNECT = b"\xe0\x00"

#: What paho's own decoders may let through on garbage; a broker that sends it has broken the protocol.
_BROKEN_PACKET = (ValueError, KeyError, IndexError, TypeError, struct.error)


class BufferedClient(Client):
    """A paho client for a loop of one's own: `read`, `acknowledge`, `pending`, and paho's `loop_write`, `loop_misc`.

    Not for `loop_start` or `loop_forever`. Only the thread that owns it may call it.
    """

    def __init__(
        self,
        client_id: str,
        *,
        v5: bool,
        clean: bool = True,
        now: Callable[[], float] = time.monotonic,
        topics: TopicMemory | None = None,
    ) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if v5 else clean,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,  # else paho falls back to MQTT 3.1 on its own
            manual_ack=True,
        )
        self.received: list[Publication] = []
        """What `read` took, in order; the owner empties it."""
        self.answered: list[tuple[int, int]] = []
        """(packet id, reason code) of our QoS 1 and 2 publications that the broker answered; the owner empties it."""
        self.dry_at = 0.0
        """Monotonic time: everything that had arrived at our socket before it has been taken."""
        self.last_failure = ""
        """Why the connection last ended, where we noticed it first."""
        self._now = now
        self._topics = TopicMemory() if topics is None else topics
        self._buffer = b""
        self._position = 0
        self._more = False
        self._short = False
        self._tls = False
        self._taken: dict[int, int] = {}
        """Packet id to the reason code with which the broker has taken a QoS 2 publication: its PUBREC."""

    @property
    def v5(self) -> bool:
        """Whether this client speaks MQTT 5."""
        return self._protocol == MQTTProtocolVersion.MQTTv5

    def reconnect(self) -> MQTTErrorCode:
        """Connect (again); bytes of the connection before are forgotten.

        Raises:
            OSError: no connection, or TLS refused.

        """
        self._buffer, self._position = b"", 0
        self._more = self._short = False
        self.last_failure = ""
        code = super().reconnect()
        self._tls = isinstance(self._sock, ssl.SSLSocket)
        return code

    def pending(self) -> bool:
        """Return True when bytes wait here that no `select` on the socket can see."""
        if self._sock is None:
            return False
        return self._more or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def read(self, max_packets: int = 1000, max_seconds: float = 0.005) -> MQTTErrorCode:
        """Take what has arrived, at most `max_packets` publications and about `max_seconds`; never raises.

        A connection that is lost or breaks the protocol is closed and reported through `on_disconnect`, as paho does.
        """
        self._more = self._short = False
        deadline = self._now() + max_seconds
        limit = len(self.received) + max_packets
        while self._sock is not None:
            if len(self.received) >= limit or self._now() >= deadline:
                self._more = True
                break
            try:
                code = self._step(limit)
            except _BROKEN_PACKET as error:
                self.last_failure = f"protocol error: {error}"
                code = MQTTErrorCode.MQTT_ERR_PROTOCOL
            except OSError as error:
                self.last_failure = str(error)
                code = MQTTErrorCode.MQTT_ERR_CONN_LOST
            if code == MQTTErrorCode.MQTT_ERR_AGAIN:
                break
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return self._loop_rc_handle(code)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def acknowledge(self, mids: list[int]) -> None:
        """Send one PUBACK for each packet id, all in one write; without a connection nothing happens."""
        if mids and self._sock is not None:
            self._packet_queue(PUBACK, join_pubacks(mids), 0, 1)

    def drop(self, reason: str) -> None:
        """End the connection without a DISCONNECT; `on_disconnect` is called, and a will is published."""
        self.last_failure = reason
        self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)

    def leave(self, timeout: float = 1.0) -> None:
        """Say DISCONNECT, wait up to `timeout` seconds for the broker to hang up, and close; `on_disconnect` is called.

        Closed with unread bytes a socket sends a reset, which overtakes the DISCONNECT: the will would be published.
        """
        sock = self._sock
        if isinstance(sock, socket.socket) and not self.want_write():
            deadline = time.monotonic() + timeout
            with contextlib.suppress(OSError):
                sock.settimeout(timeout)
                sock.sendall(_DISCONNECT)
                while time.monotonic() < deadline and sock.recv(RECEIVE_SIZE):
                    continue
        self.drop("disconnected")

    def _step(self, limit: int) -> MQTTErrorCode:
        """Take the PUBLISH packets at hand, or let paho have one packet, or receive more bytes."""
        if self._in_packet["command"] == 0:  # paho is not in the middle of a packet
            self._position, halt = take_publishes(
                self._buffer,
                self._position,
                self.received,
                self._topics,
                v5=self.v5,
                limit=limit,
                largest=RECEIVE_SIZE,
            )
            if halt is Halt.FULL:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            if halt is Halt.DRY:
                return self._refill()
        code = self._packet_read()
        # Paho also says "again" after 100 pieces of one huge packet, while more of it may be waiting.
        if code == MQTTErrorCode.MQTT_ERR_AGAIN and not self._short:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return code

    def _refill(self) -> MQTTErrorCode:
        """Receive once behind the bytes that are left of a partial packet."""
        try:
            data = self._receive(RECEIVE_SIZE)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_AGAIN
        if not data:
            self.last_failure = "the broker closed the connection"
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        self._buffer = self._buffer[self._position :] + data
        self._position = 0
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _receive(self, size: int) -> bytes:
        """Call `recv` unless the last one of this round returned less than asked: then the socket was empty.

        TLS returns one record at a time, so there only `BlockingIOError` says so.

        Raises:
            BlockingIOError: nothing there.
            OSError: the connection is lost.

        """
        if self._short:
            raise BlockingIOError
        asked_at = self._now()
        try:
            data = super()._sock_recv(size)
        except BlockingIOError:
            self._short = True
            self.dry_at = asked_at
            raise
        if len(data) < size and data and not self._tls:
            self._short = True
            self.dry_at = asked_at
        self._last_bytes_received = time.monotonic()
        return data

    def _sock_recv(self, bufsize: int) -> bytes:
        """Serve paho from the buffer, then from the socket."""
        if self._position >= len(self._buffer):
            self._buffer, self._position = self._receive(max(bufsize, RECEIVE_SIZE)), 0
        start = self._position
        self._position = min(start + bufsize, len(self._buffer))
        return self._buffer[start : self._position]

    def _handle_publish(self) -> MQTTErrorCode:
        """Take a PUBLISH that paho collected because it was too large for the buffer."""
        body = bytes(self._in_packet["packet"])
        packet = decode_publish(self._in_packet["command"], body, 0, len(body), self._topics, v5=self.v5)
        self.received.append(packet)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _do_on_publish(self, mid: int, reason_code: ReasonCode, properties: Properties) -> MQTTErrorCode:
        """Note the answer; `on_publish` would be called for QoS 0 too, at the price of three objects each."""
        self.answered.append((mid, self._taken.pop(mid, 0) or reason_code.value))
        return super()._do_on_publish(mid, reason_code, properties)

    def _handle_pubrec(self) -> MQTTErrorCode:
        """Keep the reason code, which paho ignores; one that refuses ends the publication (MQTT 5, 4.3.3)."""
        packet = self._in_packet["packet"]
        mid, code = packet[0] << 8 | packet[1], packet[2] if len(packet) > 2 else 0
        if code and mid in self._out_messages:
            self._taken[mid] = code
            if code >= 0x80:
                refusal = ReasonCode(PacketTypes.PUBREC, identifier=code)
                return self._do_on_publish(mid, refusal, Properties(PacketTypes.PUBREC))  # type: ignore[no-untyped-call]
        return super()._handle_pubrec()

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Wrap and shake hands; unlike paho's, a failed handshake leaves no open socket behind."""
        assert self._ssl_context is not None
        wrapped = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self.host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(self.connect_timeout)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped
