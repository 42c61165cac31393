"""Stands for the Muster server: takes readings over MQTT and HTTP, keeps each once, and answers with receipts."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.ports import free_port
from tests.support.wait import eventually

TOKEN = "a-token-for-the-tests"
PATH = "/api/soil-health/analyze"


class FakeMuster:
    """One server. `connect` and `listen` bring up its two sides, `disconnect` and `close_http` take them away."""

    def __init__(self, broker=None):
        self.stored: list[str] = []
        """Ids in the order in which each came first."""
        self.ways: list[str] = []
        """How each came first: `mqtt` or `api`."""
        self.bodies: dict[str, dict] = {}
        self.copies = 0
        """How many times something came that was there already."""
        self.poison: set[str] = set()
        """Values of N that are refused."""
        self.unbound: set[int] = set()
        """Values of N that count as of another device."""
        self.gives_receipts = True
        self.status: int | None = None
        """What HTTP answers, whatever is asked; None answers as Muster does."""
        self.port = free_port()
        self.keys: list[str] = []
        self._broker = broker
        self._client = None
        self._http = None
        self._lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # MQTT, with a persistent session as the real one has

    def connect(self):
        client = paho.Client(
            CallbackAPIVersion.VERSION2, f"fake-muster-{self.port}", clean_session=False, reconnect_on_failure=True
        )
        client.reconnect_delay_set(0.05, 0.2)
        subscribed = threading.Event()
        client.on_connect = lambda c, *_: c.subscribe("+/sensor/data", 1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", self._broker.port, keepalive=10)
        client.loop_start()
        assert subscribed.wait(10)
        client.publish("server/discovery", json.dumps({"server_id": "x", "status": "online"}), 1, retain=True)
        self._client = client
        return self

    def disconnect(self):
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def receipt(self, serial, **body):
        self._client.publish(f"devices/{serial}/receipts", json.dumps(body))

    def _on_message(self, client, _userdata, message):
        body = json.loads(message.payload)
        reason = self._take(body, "mqtt")
        if not self.gives_receipts:
            return
        answer = {"refused": {body["id"]: reason}} if reason else {"stored": [body["id"]], "refused": {}}
        client.publish(f"devices/{body['publisher_id']}/receipts", json.dumps(answer))

    # HTTP

    def listen(self):
        muster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if muster._http is None:  # a connection that was kept alive beyond the end of the server
                    self.close_connection = True
                    return
                status, body = muster._answer(self, raw)
                answer = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._http = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def close_http(self):
        if self._http is not None:
            server, self._http = self._http, None
            server.shutdown()
            server.server_close()

    def close(self):
        self.disconnect()
        self.close_http()

    def _answer(self, request, raw):
        if self.status is not None:
            return self.status, {"error": {"code": "x", "message": "told so", "details": {}}}
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": {"code": "unauthorized", "message": "no such token", "details": {}}}
        if request.path != PATH:
            return 404, {"error": {"code": "not_found", "message": "nothing here", "details": {}}}
        body = json.loads(raw)
        self.keys.append(request.headers["Idempotency-Key"])
        if body["sensor_readings"].get("N") in self.unbound:
            return 403, {"error": {"code": "forbidden", "message": "not yours", "details": {"reason": "unbound"}}}
        known = body["id"] in self.bodies
        reason = self._take(body, "api")
        if reason:
            return 400, {"error": {"code": "invalid", "message": reason, "details": {"field": "N"}}}
        return (200 if known else 201), {"id": body["id"], "stored": True, "duplicate": known}

    def _take(self, body, way):
        """Keep a body; return why it is refused, or nothing."""
        if body["sensor_readings"].get("N") in self.poison:
            return "beyond physics"
        with self._lock:
            if body["id"] in self.bodies:
                self.copies += 1
            else:
                self.bodies[body["id"]] = body
                self.stored.append(body["id"])
                self.ways.append(way)
        return ""

    def wait_stored(self, number, timeout=20.0):
        eventually(lambda: len(self.stored) >= number, timeout, f"{number} stored")
        return self.stored
