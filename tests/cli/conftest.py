"""A fake of the HTTP API, and a way to run `muster` in this process."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from supervisor.cli.main import run

TOKEN = "s3cret"


class Call(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    token: str
    body: object
    last_id: str = ""


class FakeServer:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self):
        self.answers = {}
        self.calls: list[Call] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                status, body = fake.answer(self)
                if hasattr(body, "__next__"):
                    self.pour(body)
                    return
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def pour(self, parts):
                """Write an answer without an end, part after part."""
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                with contextlib.suppress(OSError):  # the reader has gone
                    for part in parts:
                        self.wfile.write(part)
                        self.wfile.flush()

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = do  # noqa: N815

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, request):
        parts = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        call = Call(
            request.command,
            unquote(parts.path),
            dict(parse_qsl(parts.query)),
            token,
            json.loads(body) if body else None,
            request.headers.get("Last-Event-ID") or "",
        )
        self.calls.append(call)
        if token != TOKEN and call.path != "/api/health":
            return error(401, "this token is not known")
        answer = self.answers.get((call.method, call.path), error(404, "there is nothing here"))
        return answer(call) if callable(answer) else answer

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def error(status, message):
    return status, {"error": {"code": "x", "message": message, "details": {}}}


@pytest.fixture
def server():
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    for name in ("MUSTER_SERVER_URL", "MUSTER_API_TOKEN", "MUSTER_BROKER_URL", "MUSTER_CONFIG", "MUSTER_HTTP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUSTER_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("MUSTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def muster(capsys):
    """Run `muster` with arguments in this process."""

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return call


@pytest.fixture
def muster_at(muster, server, monkeypatch):
    """The same, with server and token in the environment."""
    monkeypatch.setenv("MUSTER_SERVER_URL", server.url)
    monkeypatch.setenv("MUSTER_API_TOKEN", TOKEN)
    return muster
