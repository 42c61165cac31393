"""The device's side of an Azure IoT Hub over TLS, as far as one device can tell: MQTT 3.1.1, tokens, twin, methods.

It keeps to the limits of the real one: a token is verified and expires, the newest connection of a device wins, QoS 2
and a sixth subscription end the connection, keys of a twin have no dots. What it had to refuse stands in `violations`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from actors.hub.sas import sign
from tests.support.certificates import Authority
from tests.support.wait import eventually

KEY = b"0123456789abcdef0123456789abcdef"
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    0x10, 0x20, 0x30, 0x40, 0x80, 0x90, 0xC0, 0xD0, 0xE0,
)  # fmt: skip
LARGEST = 256 * 1024


class Event(NamedTuple):
    """A message to the cloud."""

    properties: dict[str, str]
    payload: bytes

    @property
    def id(self):
        return self.properties["$.mid"]


class EndConnectionError(Exception):
    """The hub ends a connection."""


class FakeHub:
    """One hub with one device. A context manager."""

    def __init__(self, directory: Path, device_id: str = "D-1", host: str = "localhost"):
        self.device_id, self.host = device_id, host
        self.events: list[Event] = []
        self.tokens: list[str] = []
        """Of each connection that was let in."""
        self.refusals = 0
        self.violations: list[str] = []
        self.patches: list[dict] = []
        """Reported properties as they came."""
        self.gets = 0
        self.answers: list[tuple[int, bytes]] = []
        """Of direct methods."""
        self.statuses: list[int] = []
        """What the next requests of the twin are answered with, instead of success; 0 means not at all."""
        self.desired: dict = {"$version": 1}
        self.reported: dict = {"$version": 1}
        self.key = KEY
        self.holds_acks = False
        self.subscriptions: set[str] = set()
        self.now = time.time
        self.authority = Authority(directory)
        issued = self.authority.issue("hub")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(issued.cert_file, issued.key_file)
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._current: ssl.SSLSocket | None = None
        self._lock = threading.RLock()
        self._packet_id = 0
        self.port = 0

    @property
    def connection_string(self):
        return f"HostName={self.host};DeviceId={self.device_id};SharedAccessKey={base64.b64encode(KEY).decode()}"

    @property
    def is_connected(self):
        return self._current is not None

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *_):
        self.stop()

    def listen(self):
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def stop(self):
        """End all that it began."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def cut(self):
        """End the connection without a word."""
        with self._lock:
            if self._current is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._current, socket.SHUT_RDWR)

    # What an operator of the hub does

    def desire(self, **patch):
        """Change desired properties; told to the device if it is there."""
        with self._lock:
            version = self.desired["$version"] + 1
            self.desired = _merge(self.desired, patch) | {"$version": version}
            if "$iothub/twin/PATCH/properties/desired/#" in self.subscriptions and self._current is not None:
                body = json.dumps(patch | {"$version": version}).encode()
                self._publish(self._current, f"$iothub/twin/PATCH/properties/desired/?$version={version}", body)

    def call(self, name: str, request_id: str = "7"):
        """Call a direct method; return status and body."""
        with self._lock:
            self._publish(self._current, f"$iothub/methods/POST/{name}/?$rid={request_id}", b"{}")
        return eventually(lambda: self.answers and self.answers[-1], what="the answer of a direct method")

    # Connections

    def _run(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            self._run(self._serve, plain)

    def _serve(self, plain):
        with contextlib.suppress(OSError, EndConnectionError):
            plain.settimeout(10)
            try:
                sock = self._context.wrap_socket(plain, server_side=True)
            except OSError:
                plain.close()
                raise
            with sock:
                try:
                    self._let_in(sock)
                    sock.settimeout(60)
                    while True:
                        self._handle(sock, *_read_packet(sock))
                finally:
                    with self._lock:
                        if self._current is sock:
                            self._current = None

    def _let_in(self, sock):
        header, body = _read_packet(sock)
        assert header & 0xF0 == CONNECT
        protocol, at = _text(body, 0)
        level, flags = body[at], body[at + 1]
        client_id, at = _text(body, at + 4)
        username, at = _text(body, at)
        password, _ = _text(body, at)
        wanted = f"{self.host}/{self.device_id}/?api-version=2021-04-12"
        good = (protocol, level, client_id, username) == ("MQTT", 4, self.device_id, wanted)
        if not good or not flags & 0xC0 or not self._verifies(password):
            self.refusals += 1
            sock.sendall(bytes([CONNACK, 2, 0, 5]))
            raise EndConnectionError
        with self._lock:
            self.cut()
            self.subscriptions = set()
            self.tokens.append(password)
            sock.sendall(bytes([CONNACK, 2, 0, 0]))
            self._current = sock

    def _verifies(self, token: str) -> bool:
        fields = dict(parse_qsl(token.removeprefix("SharedAccessSignature ")))
        resource = f"{self.host}/devices/{self.device_id}"
        return int(fields["se"]) > self.now() and token == sign(resource, self.key, int(fields["se"]))

    def _handle(self, sock, header, body):
        with self._lock:
            match header & 0xF0:
                case 0x30:
                    self._take(sock, header, body)
                case 0x80:
                    self._subscribe(sock, body)
                case 0xC0:
                    sock.sendall(bytes([PINGRESP, 0]))
                case 0xE0:
                    raise EndConnectionError

    def _subscribe(self, sock, body):
        at, codes = 2, []
        while at < len(body):
            topic, at = _text(body, at)
            self.subscriptions.add(topic)
            codes.append(min(body[at], 1))
            at += 1
        if len(self.subscriptions) > 5:
            self._violated("more than five subscriptions")
        sock.sendall(bytes([SUBACK, 2 + len(codes)]) + body[:2] + bytes(codes))

    def _take(self, sock, header, body):
        qos = header >> 1 & 3
        topic, at = _text(body, 0)
        if qos == 2 or len(body) > LARGEST:
            self._violated("QoS 2, or more than 256 KB")
        payload = body[at + 2 * (qos > 0) :]
        if topic.startswith(prefix := f"devices/{self.device_id}/messages/events/"):
            self.events.append(Event(dict(parse_qsl(topic.removeprefix(prefix))), payload))
            if qos and not self.holds_acks:
                sock.sendall(bytes([PUBACK, 2]) + body[at : at + 2])
        elif topic.startswith("$iothub/methods/res/"):
            self.answers.append((int(topic.split("/")[3]), payload))
        elif topic.startswith("$iothub/twin/"):
            self._twin(sock, topic, payload)
        else:
            self._violated(f"topic {topic}")

    def _twin(self, sock, topic, payload):
        request_id = dict(parse_qsl(topic.partition("?")[2]))["$rid"]
        status = self.statuses.pop(0) if self.statuses else None
        body, extra = b"", ""
        if topic.startswith("$iothub/twin/GET/"):
            self.gets += 1
            body = json.dumps({"desired": self.desired, "reported": self.reported}).encode()
            status = 200 if status is None else status
        else:
            patch = json.loads(payload)
            self._check_keys(patch)
            if status is None:
                self.patches.append(patch)
                self.reported = _merge(self.reported, patch) | {"$version": self.reported["$version"] + 1}
                extra = f"&$version={self.reported['$version']}"
            status = 204 if status is None else status
        if status:
            answer = body if status == 200 else b""
            self._publish(sock, f"$iothub/twin/res/{status}/?$rid={request_id}{extra}", answer)

    def _check_keys(self, document):
        for key, value in document.items():
            if set(key) & set(".$ "):
                self._violated(f"key {key!r}")
            if isinstance(value, dict):
                self._check_keys(value)

    def _publish(self, sock, topic, payload):
        self._packet_id = self._packet_id % 65535 + 1
        encoded = topic.encode()
        qos = 2 if "desired" in topic else 0  # the flag bits of QoS 1
        packet_id = struct.pack(">H", self._packet_id) if qos else b""
        body = struct.pack(">H", len(encoded)) + encoded + packet_id + payload
        sock.sendall(bytes([PUBLISH | qos]) + _length(len(body)) + body)

    def _violated(self, what):
        self.violations.append(what)
        raise EndConnectionError


def _merge(known, patch):
    merged = dict(known)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key, {}), value)
        else:
            merged[key] = value
    return merged


def _text(body, at):
    end = at + 2 + int.from_bytes(body[at : at + 2])
    return body[at + 2 : end].decode(), end


def _length(number):
    out = bytearray()
    while True:
        number, byte = divmod(number, 128)
        out.append(byte | (128 if number else 0))
        if not number:
            return bytes(out)


def _read_packet(sock):
    header = _read(sock, 1)[0]
    length = shift = 0
    while True:
        byte = _read(sock, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return header, _read(sock, length)


def _read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EndConnectionError
        data += piece
    return data
