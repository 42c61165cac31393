"""Stands for a Muster server as far as an edge that looks for one can tell: health, proofs and enrolment, over HTTP."""

from __future__ import annotations

import hashlib
import json
import secrets
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from actors.enrolment.proofs import prove_server
from tests.support.ports import free_port

KEY = "a-fleet-key-for-the-tests"
HEALTH = {"status": "ok", "version": "0.1.0", "broker": {"connected": True}, "devices": {"total": 0}}


class Registrar:
    """One server; a context manager. What it was asked is in `asked`, `posted` and `bearers`."""

    def __init__(self, *, key=KEY, server_id="srv-1", host="127.0.0.1", port=None, certificate=None) -> None:
        self.key = key
        self.server_id = server_id
        self.host, self.port = host, port or free_port()
        self.certificate = certificate
        self.mqtt: dict[str, Any] = {"host": "127.0.0.1", "port": 1883, "tls": False}
        self.account = {"username": "devices", "password": "shared"}
        self.hub = ""
        self.states: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.approves = True
        """Whether a first enrolment is granted without an operator."""
        self.status: int | None = None
        """What every POST answers, whatever is asked."""
        self.is_muster = True
        self.tamper: Callable[[dict[str, Any]], dict[str, Any]] = dict
        """Changes what a question is answered with."""
        self.owns: Callable[[str], bool] = lambda address: True
        """Whether `host:port` of a Host header is its own address: only then it gives proofs."""
        self.asked: list[str] = []
        """Paths of all GETs."""
        self.posted: list[dict[str, Any]] = []
        self.bearers: list[str] = []
        """What was sent as authorization, with any request."""
        self.serve: Callable[[BaseHTTPRequestHandler], bool] = lambda _request: False
        """Answers a request that is none of a registrar's; False for one that is."""
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}"

    @property
    def secrets_seen(self) -> list[str]:
        """Everything secret that reached this server."""
        return [body["enrolment_key"] for body in self.posted if "enrolment_key" in body] + self.bearers

    def __enter__(self):
        registrar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if registrar.serve(self):
                    return
                registrar.asked.append(self.path)
                self._answer(*registrar._get(self.path, self.headers.get("Host", "")))

            def do_POST(self):
                if registrar.serve(self):
                    return
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                registrar.posted.append(body)
                self._answer(*registrar._post(body, self.headers.get("Authorization", "")))

            def _answer(self, status, body):
                if self.headers.get("Authorization"):
                    registrar.bearers.append(self.headers["Authorization"].removeprefix("Bearer "))
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True

            def handle_error(self, *_):
                """Who hangs up has its reasons."""

        self._http = Server((self.host, self.port), Handler)
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate.cert_file, self.certificate.key_file)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        server, self._http = self._http, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _get(self, path, address):
        parts = urlsplit(path)
        if not self.is_muster:
            return 200, {"hello": "world"}
        if parts.path == "/api/health":
            return 200, HEALTH
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        device, nonce = query["device_id"], query["nonce"]
        token = self.tokens.get(device, "")
        digest = hashlib.sha256(token.encode()).hexdigest()
        keys = {"enrolment_key": self.key, "device": digest if token else ""}
        asked = {"server_id": self.server_id, "device_id": device, "nonce": nonce, "address": address.lower()}
        is_own = self.owns(address)
        answer = {
            "server_id": self.server_id,
            "version": "0.1.0",
            "device_id": device,
            "state": self.states.get(device, "unknown"),
            "mqtt": self.mqtt,
            "proofs": {name: prove_server(key, **asked) if key and is_own else "" for name, key in keys.items()},
            "detail": "" if is_own else f"`{address}` is not its own, set `enrolment.hosts`",
            "timestamp": "2026-01-01T00:00:00.000Z",
        }
        return 200, self.tamper(answer)

    def _post(self, body, authorization):
        if self.status is not None:
            return self.status, _error("x", "told so")
        device = body["device_id"]
        state = self.states.get(device, "unknown")
        token = self.tokens.get(device)
        is_proven = token is not None and authorization == f"Bearer {token}"
        if body.get("enrolment_key") != self.key and not is_proven:
            return 401, _error("bad_key", "the enrolment key is not the one of this server's fleet")
        if not is_proven and state not in ("approved", *(("unknown",) if self.approves else ())):
            self.states[device] = state = state if state == "denied" else "pending"
            return 409, _error(state, f"{device} is {state}", device_id=device, state=state)
        self.states[device] = "enrolled"
        self.tokens[device] = token = secrets.token_hex(16)
        mqtt = {**self.mqtt, **self.account}
        return 201, {
            "device_id": device,
            "server_id": self.server_id,
            "connection_string": self.hub or f"mqtt://devices:shared@{mqtt['host']}:{mqtt['port']}",
            "mqtt": mqtt,
            "http": {"token": token},
        }


def _error(code, message, **details):
    return {"error": {"code": code, "message": message, "details": details}}
