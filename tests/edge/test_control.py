"""Commands reach the edge of this machine, whether it runs, starts, ends or is not there at all."""

from __future__ import annotations

import socket
import threading

import msgspec
import pytest

from actors.outbox import Outbox, OutboxBoard, Take
from actors.outbox_file import Item
from actors.runtime import Directory, SystemClock
from edge import control as control_module
from edge.client import EdgeUnreachableError, ask, queue_scan, read_state
from edge.control import Control
from edge.home import EdgeRunsError, Home, home_of
from edge.wire import Answer, Request, near
from supervisor.process.private_file import write_private
from tests.link.rig import Recorder
from tests.support.wait import eventually


def item(name="one", payload=b"{}"):
    return Item(name, "scan", "devices/pi-7/scans", payload, 1)


def answers(home):
    try:
        return ask(home, Request("status")).ok
    except EdgeUnreachableError:
        return False


class Edge:
    """The home, the outbox and the control socket of an edge, in this process."""

    def __init__(self, data, runtime):
        self.home = Home(home_of(data).path)
        self.runtime = runtime
        self.directory = Directory()
        self.presence = Recorder()
        self.directory.publish("presence", self.presence)
        self.outbox = runtime.launch(Outbox(self.home.outbox, SystemClock(), OutboxBoard()))
        self.directory.publish("outbox", self.outbox)
        self.control = runtime.launch(
            Control(
                self.home.control,
                directory=self.directory,
                outbox="outbox",
                status=lambda: {"device_id": "pi-7"},
                commands={"announce": ("presence", "now")},
            )
        )
        eventually(lambda: answers(self.home), what="the edge answers")

    @property
    def kept(self):
        return [found.id for found in self.outbox.ask(Take("server"), timeout=10)]

    def stop(self):
        self.control.stop(timeout=10)
        self.outbox.stop(timeout=10)
        self.home.close()


@pytest.fixture
def data(tmp_path):
    """Longer than the 107 bytes that a socket's name may have."""
    path = tmp_path / ("d" * 120)
    path.mkdir()
    return path


@pytest.fixture
def edge(data, runtime):
    made = Edge(data, runtime)
    yield made
    made.stop()


def kept_in(home):
    """What the outbox of an edge that does not run holds."""
    from actors.outbox_file import OutboxFile

    file = OutboxFile(home.outbox, ("server",), most_items=100, most_bytes=10_000)
    file.open()
    try:
        return [found.id for found in file.take("server", limit=10, after=0, most_bytes=10_000, kinds=())]
    finally:
        file.close()


def test_a_running_edge_keeps_the_scan(edge, data):
    queue_scan(home_of(data), item("one"))
    queue_scan(home_of(data), item("two", b"\x00\xff"))
    queue_scan(home_of(data), item("one"))
    assert edge.kept == ["one", "two"]


def test_without_an_edge_the_command_writes_the_outbox_itself(data):
    queue_scan(home_of(data), item())
    assert kept_in(home_of(data)) == ["one"]
    assert not home_of(data).is_running


def test_what_is_queued_for_the_hub_too_is_owed_to_the_hub(data, runtime):
    queue_scan(home_of(data), item(), destinations=("server", "hub"))
    outbox = runtime.launch(Outbox(home_of(data).outbox, SystemClock(), OutboxBoard(), destinations=("server", "hub")))
    assert [found.id for found in outbox.ask(Take("hub"), timeout=10)] == ["one"]
    outbox.stop(timeout=10)


def test_an_edge_that_is_just_starting_is_waited_for(data, runtime):
    """It has the lock and no socket yet."""
    held = Home(home_of(data).path)
    failures = []

    def queue():
        try:
            queue_scan(home_of(data), item(), patience=30.0)
        except EdgeUnreachableError as error:
            failures.append(error)

    thread = threading.Thread(target=queue)
    thread.start()
    held.close()
    thread.join(40)
    assert not failures
    assert kept_in(home_of(data)) == ["one"]


def test_a_socket_that_was_left_behind_is_no_edge(data, runtime):
    home = home_of(data)
    home.path.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left, near(home.control) as name:
        left.bind(name)
    queue_scan(home, item())
    assert kept_in(home) == ["one"]
    edge = Edge(data, runtime)
    assert ask(home, Request("status")).status == {"device_id": "pi-7"}
    edge.stop()


def test_a_scan_that_nobody_can_keep_is_said(data):
    held = Home(home_of(data).path)
    with pytest.raises(EdgeUnreachableError, match="could not be kept"):
        queue_scan(home_of(data), item(), patience=0.0)
    held.close()


def test_a_command_is_told_to_who_it_is_for(edge, data):
    assert ask(home_of(data), Request("announce")) == Answer(ok=True)
    assert edge.presence.told == ["now"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"command": "dance"}', "there is no command 'dance'"),
        (b'{"command": "scan"}', "`item` is missing"),
        (b'{"command": "scan", "item": {"id": ""}}', "cannot be read"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(edge, line, said):
    with socket.socket(socket.AF_UNIX) as client, near(edge.home.control) as name:
        client.settimeout(20)
        client.connect(name)
        client.sendall(line + b"\n")
        answer = msgspec.json.decode(client.makefile("rb").readline(), type=Answer)
    assert not answer.ok
    assert said in answer.error


def test_a_silent_client_keeps_nobody_from_the_edge_for_long(edge, data, monkeypatch):
    monkeypatch.setattr(control_module, "READ_TIMEOUT", 0.1)
    with socket.socket(socket.AF_UNIX) as silent, near(edge.home.control) as name:
        silent.connect(name)
        assert ask(home_of(data), Request("status"), timeout=20.0).ok


def test_a_client_that_hangs_up_harms_nobody(edge, data):
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client, near(edge.home.control) as name:
            client.connect(name)
            client.sendall(b'{"command": "status"}\n')
    assert ask(home_of(data), Request("status"), timeout=20.0).ok


def test_only_the_user_and_the_group_of_the_edge_may_scan(edge):
    assert edge.home.control.stat().st_mode & 0o777 == 0o660
    assert edge.home.path.stat().st_mode & 0o777 == 0o750


def test_the_socket_goes_with_the_edge(data, runtime):
    Edge(data, runtime).stop()
    with pytest.raises(EdgeUnreachableError, match="No edge answers"):
        ask(home_of(data), Request("status"))


def test_the_state_is_what_the_edge_says_else_what_it_wrote_last(data, runtime):
    home = home_of(data)
    assert read_state(home) is None
    home.path.mkdir(parents=True)
    write_private(home.state, b'{"device_id": "pi-6"}')
    assert read_state(home) == {"device_id": "pi-6", "running": False}
    edge = Edge(data, runtime)
    assert read_state(home) == {"device_id": "pi-7", "running": True}
    edge.stop()
    home.state.write_bytes(b"{")
    assert read_state(home) is None


def test_one_edge_at_a_time_uses_a_directory(data):
    with Home(home_of(data).path) as held:
        with pytest.raises(EdgeRunsError, match="An edge runs already"):
            Home(held.path, patience=0.0)
        assert home_of(data).is_running


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeRunsError, match="cannot be used: Not a directory"):
        Home(tmp_path / "file" / "edge")
