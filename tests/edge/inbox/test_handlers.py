"""Who is given notifications, and what is said when one could not take it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import EntryPoint

import pytest

from edge.inbox import handlers as module
from edge.inbox.handlers import HandlerError, Handlers, HandlersJob, make_handler
from edge.inbox.messages import Notification
from edge.inbox.programs import Programs
from edge.inbox.settings import HandlerSettings

FIRE = Notification(title="Fire", body="Leave\nnow", priority="urgent", id="n-1", data={"floor": 3})


def give(notification=FIRE, **settings):
    make_handler(HandlerSettings(**settings), Programs())(notification)


def script(tmp_path, text):
    path = tmp_path / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return (str(path),)


def test_a_program_reads_the_notification_and_has_its_fields_as_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSTER_API_TOKEN", "secret")
    said = tmp_path / "said"
    give(
        kind="program", command=script(tmp_path, f'cat > {said}; echo "$MUSTER_PRIORITY $MUSTER_API_TOKEN." >> {said}')
    )
    first, second = said.read_text().splitlines()
    assert json.loads(first)["data"] == {"floor": 3}
    assert second == "urgent ."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo first; echo no paper; exit 3", r"exit code 3: no paper$"),
        ("kill -9 $$", r"ended by signal 9$"),
        ("sleep 60", r"took too long and was killed$"),
    ],
)
def test_a_program_that_fails_is_told_with_its_last_line(tmp_path, text, reason):
    with pytest.raises(HandlerError, match=reason):
        give(kind="program", command=script(tmp_path, text), timeout=0.5)


def test_a_program_that_is_not_there_is_told(tmp_path):
    with pytest.raises(HandlerError, match="cannot be started: No such file"):
        give(kind="program", command=(str(tmp_path / "nothing"),))


def test_a_file_gets_a_line_each(tmp_path):
    path = tmp_path / "log"
    give(kind="file", path=str(path))
    give(kind="file", path=str(path))
    assert [json.loads(line)["body"] for line in path.read_text().splitlines()] == ["Leave\nnow"] * 2
    with pytest.raises(HandlerError, match="cannot be written: No such file"):
        give(kind="file", path=str(tmp_path / "no" / "directory"))
    with pytest.raises(HandlerError, match="is no ordinary file"):
        give(kind="file", path="/dev/null")


def test_a_fifo_gets_a_line_while_somebody_reads_it(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(HandlerError, match="nobody reads it"):
        give(kind="fifo", path=str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        give(kind="fifo", path=str(path))
        assert json.loads(os.read(reader, 65_536))["id"] == "n-1"
        with pytest.raises(HandlerError, match="too slow"):
            give(Notification(body="x" * 200_000), kind="fifo", path=str(path), timeout=0.2)
    finally:
        os.close(reader)
    (tmp_path / "plain").touch()
    with pytest.raises(HandlerError, match="is no FIFO"):
        give(kind="fifo", path=str(tmp_path / "plain"))


class Web(BaseHTTPRequestHandler):
    """Answers with the status in the path."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((json.loads(body), self.headers["Idempotency-Key"]))
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def web():
    with HTTPServer(("127.0.0.1", 0), Web) as server:
        server.taken = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_http_on_this_machine_is_posted_to(web):
    url = f"http://127.0.0.1:{web.server_port}"
    give(kind="http", url=f"{url}/204")
    ((body, key),) = web.taken
    assert (body["title"], key) == ("Fire", "n-1")
    with pytest.raises(HandlerError, match="answered with status 500"):
        give(kind="http", url=f"{url}/500")


def test_http_that_does_not_answer_is_told():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(HandlerError, match="does not answer: Connection refused"):
        give(kind="http", url=f"http://localhost:{port}/")


def test_an_id_of_any_characters_is_posted(web):
    give(Notification(id="n-é☃"), kind="http", url=f"http://127.0.0.1:{web.server_port}/204")
    ((body, key),) = web.taken
    assert (body["id"], key) == ("n-é☃", "n-%C3%A9%E2%98%83")


def test_http_that_answers_drop_by_drop_has_no_more_time_than_any_other():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ended = threading.Event()

        def drip():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(HandlerError, match="does not answer: it took too long"):
                give(kind="http", url=f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.5)
        finally:
            ended.set()
            thread.join()


def test_python_is_found_by_its_entry_point(monkeypatch):
    taken = []
    monkeypatch.setattr(HandlersJob, "taken", taken, raising=False)
    found = {"siren": EntryPoint("siren", f"{__name__}:sound", module.GROUP)}
    found["broken"] = EntryPoint("broken", f"{__name__}:nothing", module.GROUP)
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group, name: [found[name]] if name in found else []
    )
    give(kind="python", entry_point="siren")
    assert taken == [FIRE]
    with pytest.raises(HandlerError, match="cannot be loaded"):
        give(kind="python", entry_point="broken")
    with pytest.raises(HandlerError, match="there is no entry point `gone`"):
        give(kind="python", entry_point="gone")


def sound(notification):
    HandlersJob.taken.append(notification)


def test_one_that_fails_keeps_nothing_from_the_others(tmp_path):
    path = tmp_path / "log"
    handlers = Handlers(
        {
            "bad": HandlerSettings(kind="python", entry_point="gone"),
            "good": HandlerSettings(kind="file", path=str(path)),
        }
    )
    job, troubles = handlers.do(HandlersJob(FIRE, ("bad", "good")))
    assert list(troubles) == ["bad"]
    assert path.exists()
    assert job.notification is FIRE
