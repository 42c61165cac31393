import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actors.resolver import DeviceNotFoundError, ServerRefusedError, ServerUnreachableError, find
from actors.resolver.client import MAX_ANSWER
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from tests.resolver.support import silent
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PI = {
    "serial": "817994ccfe14",
    "address": "192.168.1.100",
    "hostname": "raspberrypi",
    "mac_address": "2c:cf:67:6c:45:f2",
    "method": "roll_call",
    "port": 22,
    "presence": "online",
    "last_seen": "2025-08-22T15:30:00.250Z",
}


class Server(http.server.ThreadingHTTPServer):
    """A Muster server that knows one answer; it keeps the questions."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = (200, json.dumps(PI).encode())
        self.questions = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.questions.append((self.path, self.headers.get("Authorization")))
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.delenv("MUSTER_SERVER_URL", raising=False)
    monkeypatch.delenv("MUSTER_API_TOKEN", raising=False)
    monkeypatch.setenv("MUSTER_RUNTIME_DIR", str(tmp_path / "run"))
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refuse(server, status, message):
    server.answer = (status, json.dumps({"error": {"code": "x", "message": message, "details": None}}).encode())


def test_the_address_is_learned_from_the_server(server):
    found = find(url=server.url, token="secret")
    assert (found.address, found.port, found.method, found.presence) == ("192.168.1.100", 22, "roll_call", "online")
    assert found.last_seen_us == 1_755_876_600_250_000
    assert found.to_json() == PI
    assert server.questions == [("/api/resolve?type=raspberry_pi", "Bearer secret")]


def test_server_and_token_come_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("MUSTER_SERVER_URL", f"{server.url}/")
    monkeypatch.setenv("MUSTER_API_TOKEN", "from-outside")
    assert find("gate way&x").serial == PI["serial"]
    assert server.questions == [("/api/resolve?type=gate+way%26x", "Bearer from-outside")]


def test_without_a_token_none_is_sent(server):
    find(url=server.url)
    assert server.questions == [("/api/resolve?type=raspberry_pi", None)]


@pytest.fixture
def runtime_directory(server, tmp_path):
    """The runtime directory as a server of this user leaves it while it runs."""
    directory = RuntimeDirectory(tmp_path / "run")
    directory.publish(ServerFiles(server.url, "left-here", "k", "mqtt://127.0.0.1:1", os.getpid()))
    yield tmp_path / "run"
    directory.withdraw()


def test_on_the_servers_machine_nothing_needs_to_be_configured(server, runtime_directory):
    assert find().serial == PI["serial"]
    assert find(url=f"{server.url}/").serial == PI["serial"]
    assert [authorization for _, authorization in server.questions] == ["Bearer left-here"] * 2


def test_the_runtime_directory_below_xdg_is_found(server, monkeypatch, tmp_path):
    monkeypatch.delenv("MUSTER_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    directory = RuntimeDirectory(tmp_path / "muster")
    directory.publish(ServerFiles(server.url, "left-here", "k", "mqtt://127.0.0.1:1", os.getpid()))
    assert find().serial == PI["serial"]
    directory.withdraw()


def test_the_token_left_here_is_sent_to_no_other_server(server, runtime_directory):
    find(url=server.url.replace("127.0.0.1", "localhost"))
    assert server.questions == [("/api/resolve?type=raspberry_pi", None)]


def test_what_was_said_and_the_environment_come_before_the_runtime_directory(server, runtime_directory, monkeypatch):
    find(token="mine")
    monkeypatch.setenv("MUSTER_API_TOKEN", "from-outside")
    find()
    assert [authorization for _, authorization in server.questions] == ["Bearer mine", "Bearer from-outside"]


def test_a_runtime_directory_that_others_can_open_is_not_believed(server, runtime_directory):
    runtime_directory.chmod(0o755)
    find(url=server.url)
    assert server.questions == [("/api/resolve?type=raspberry_pi", None)]


def test_what_a_killed_server_has_left_is_not_believed(server, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    for name, text in (("url", server.url), ("token", "left-here"), ("lock", "")):
        (tmp_path / "run" / name).write_text(text)
    find(url=server.url)
    assert server.questions == [("/api/resolve?type=raspberry_pi", None)]


def test_a_device_that_is_not_found_is_an_error_of_its_own(server):
    refuse(server, 404, "the primary raspberry_pi answers nowhere")
    with pytest.raises(DeviceNotFoundError, match="the primary raspberry_pi answers nowhere"):
        find(url=server.url)


def test_a_refusal_tells_the_servers_reason(server):
    refuse(server, 401, "a token is needed")
    with pytest.raises(ServerRefusedError, match="401: a token is needed"):
        find(url=server.url)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"serial": 7}', b"x" * (MAX_ANSWER + 1), b"\xff"])
def test_an_answer_that_makes_no_sense_is_refused(server, body):
    server.answer = (200, body)
    with pytest.raises(ServerRefusedError, match="cannot be read"):
        find(url=server.url)


def test_a_redirect_is_not_followed(server):
    server.answer = (302, b"")
    with pytest.raises(ServerRefusedError, match="302: no reason given"):
        find(url=server.url, token="secret")
    assert len(server.questions) == 1


def test_a_server_that_is_not_there_is_an_error_that_names_no_password():
    port = free_port()
    with pytest.raises(ServerUnreachableError, match=f"no answer from 127.0.0.1:{port}") as caught:
        find(url=f"http://me:secret@127.0.0.1:{port}")
    assert "secret" not in str(caught.value)


def test_a_server_that_keeps_silent_is_given_up():
    with silent("127.0.0.1") as port, pytest.raises(ServerUnreachableError):
        find(url=f"http://127.0.0.1:{port}", timeout=0.1)


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "mqtt://127.0.0.1", "http://", "file:///etc/passwd"])
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(ValueError, match="is not http"):
        find(url=url)


def test_finding_loads_nothing_but_the_standard_library():
    heavy = ["peewee", "bottle", "zeroconf", "psutil", "pykka", "paho", "msgspec"]
    script = f"import sys; from actors.resolver import find; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def example(server, *arguments):
    environment = os.environ | {"MUSTER_SERVER_URL": server.url, "MUSTER_API_TOKEN": "secret"}
    command = [sys.executable, "docs/examples/find_pi.py", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )


def test_the_example_prints_the_address(server):
    done = example(server)
    assert (done.returncode, done.stdout) == (0, "192.168.1.100\n")
    assert "817994ccfe14 (raspberrypi), found by roll_call, online" in done.stderr


def test_the_example_tells_a_missing_device_from_a_refusal(server):
    refuse(server, 404, "none known")
    assert example(server, "gateway").returncode == 1
    assert server.questions[-1][0] == "/api/resolve?type=gateway"
    refuse(server, 403, "role read is needed")
    assert example(server).returncode == 2


def test_the_python_in_the_documentation_runs(server, monkeypatch, capsys):
    monkeypatch.setenv("MUSTER_SERVER_URL", server.url)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "resolver.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/resolver.md", "exec"), {})
    assert capsys.readouterr().out == "192.168.1.100 22 roll_call\n"


def test_the_answer_in_the_documentation_is_a_real_one():
    from actors.resolver import Resolution

    (body,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "resolver.md").read_text(), re.DOTALL)
    assert Resolution.from_json(json.loads(body), checked_at=0.0).to_json() == json.loads(body)
