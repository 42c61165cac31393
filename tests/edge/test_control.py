"""Commands reach the edge of this machine, whether it runs, starts, ends or is not there at all."""

from __future__ import annotations

import contextlib
import socket
import threading

import msgspec
import pytest

from actors.outbox import Outbox, OutboxBoard, Take
from actors.outbox_file import OutboxFile
from actors.runtime import Directory, ExitReason, SystemClock
from actors.runtime.watchdog import abandon
from edge import client as client_module
from edge import control as control_module
from edge.client import EdgeUnreachableError, ask, queue_scan, read_state
from edge.control import Control
from edge.home import EdgeRunsError, Home, home_of
from edge.identity import Board, IdentityError
from edge.scans import new_scan
from edge.settings import EdgeSettings
from edge.wire import Answer, Request, near
from supervisor.process.private_file import write_private
from tests.edge.test_bearings import CREDENTIALS
from tests.link.rig import Recorder
from tests.support.wait import eventually

NOW_US = 1_790_000_000_000_000


def scan(code="4006381333931"):
    return new_scan(code, scanner="manual", now_us=NOW_US)


def settings_of(data, device_id="pi-7", **more):
    return EdgeSettings(device_id=device_id, data_dir=str(data), **more)


def answers(home):
    try:
        return ask(home, Request("status")).ok
    except EdgeUnreachableError:
        return False


class Edge:
    """The home, the outbox and the control socket of an edge, in this process."""

    def __init__(self, data, runtime, **bounds):
        self.home = Home(home_of(data).path)
        self.runtime = runtime
        self.directory = Directory()
        self.presence = Recorder()
        self.directory.publish("presence", self.presence)
        self.outbox = runtime.launch(Outbox(self.home.outbox, SystemClock(), OutboxBoard(), **bounds))
        self.directory.publish("outbox", self.outbox)
        self.actor = Control(
            self.home.control,
            device_id="pi-7",
            directory=self.directory,
            outbox="outbox",
            status=lambda: {"device_id": "pi-7"},
            commands={"announce": ("presence", "now")},
        )
        self.control = runtime.launch(self.actor)
        eventually(lambda: answers(self.home), what="the edge answers")

    @property
    def kept(self):
        return self.outbox.ask(Take("server"), timeout=10)

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


def kept_in(home, destination="server"):
    """What the outbox of an edge that does not run holds."""
    file = OutboxFile(home.outbox, (), most_items=100, most_bytes=10_000, keep_others=True)
    file.open()
    try:
        return file.take(destination, limit=10, after=0, most_bytes=10_000, kinds=())
    finally:
        file.close()


def ids(items):
    return [item.id for item in items]


def test_a_running_edge_keeps_the_scan_under_its_own_name(edge, data):
    one, two = scan(), scan("two")
    told = queue_scan(settings_of(data, "who-asks"), one)
    queue_scan(settings_of(data), two)
    queue_scan(settings_of(data), one)
    assert ids(edge.kept) == [one.scan_id, two.scan_id]
    first = edge.kept[0]
    assert (first.topic, first.kind, first.payload.decode()) == ("devices/pi-7/scans", "scan", told)
    body = msgspec.json.decode(told)
    assert (body["device_id"], body["scan_id"], body["scanner"]) == ("pi-7", one.scan_id, "manual")


def test_without_an_edge_the_command_writes_the_outbox_itself(data):
    one = scan()
    told = queue_scan(settings_of(data), one)
    (kept,) = kept_in(home_of(data))
    assert (kept.id, kept.topic, kept.payload.decode()) == (one.scan_id, "devices/pi-7/scans", told)
    assert not home_of(data).is_running


def test_what_is_queued_for_the_hub_too_is_owed_to_the_hub(data):
    one = scan()
    queue_scan(settings_of(data, hub_connection_string="HostName=h;DeviceId=d;SharedAccessKey=aw=="), one)
    assert ids(kept_in(home_of(data), "hub")) == [one.scan_id]


def test_whoever_does_not_know_the_hub_leaves_it_what_it_is_owed(data):
    one, two = scan(), scan()
    queue_scan(settings_of(data, hub_connection_string="HostName=h;DeviceId=d;SharedAccessKey=aw=="), one)
    queue_scan(settings_of(data), two)
    assert ids(kept_in(home_of(data), "hub")) == [one.scan_id, two.scan_id]


def test_a_command_never_sets_an_enrolment_aside(data):
    home = home_of(data)
    home.path.mkdir(parents=True)
    for content in (b"{", msgspec.json.encode(CREDENTIALS)):
        home.enrolment.write_bytes(content)
        queue_scan(settings_of(data, "another"), scan())
        assert home.enrolment.read_bytes() == content
    assert not home.enrolment.with_name("enrolment.json.aside").exists()


def test_without_an_edge_an_identity_that_may_not_be_read_is_an_error(data, monkeypatch):
    monkeypatch.setattr(Board, "cpu_serial", lambda _self: "")
    home = home_of(data)
    home.identity.mkdir(parents=True)  # as unreadable as a file of mode 0600 is for others than root
    with pytest.raises(IdentityError, match=r"identity.json cannot be read \(.*\); .*\.$"):
        queue_scan(settings_of(data, ""), scan())
    assert not home.outbox.exists()


def test_an_edge_that_is_just_starting_is_waited_for(data, runtime):
    """It has the lock and no socket yet."""
    held = Home(home_of(data).path)
    failures, one = [], scan()

    def queue():
        try:
            queue_scan(settings_of(data), one, patience=30.0)
        except EdgeUnreachableError as error:
            failures.append(error)

    thread = threading.Thread(target=queue)
    thread.start()
    held.close()
    thread.join(40)
    assert not failures
    assert ids(kept_in(home_of(data))) == [one.scan_id]


def test_a_socket_that_was_left_behind_is_no_edge(data, runtime):
    home = home_of(data)
    home.path.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left, near(home.control) as name:
        left.bind(name)
    one = scan()
    queue_scan(settings_of(data), one)
    assert ids(kept_in(home)) == [one.scan_id]
    edge = Edge(data, runtime)
    assert ask(home, Request("status")).status == {"device_id": "pi-7"}
    edge.stop()


def test_a_scan_that_nobody_can_keep_is_said(data):
    held = Home(home_of(data).path)
    with pytest.raises(EdgeUnreachableError, match="could not be kept"):
        queue_scan(settings_of(data), scan(), patience=0.0)
    held.close()


def test_a_scan_for_which_there_is_no_room_is_refused_at_once_with_the_reason(data, runtime):
    edge = Edge(data, runtime, most_items=1)
    one = scan()
    queue_scan(settings_of(data), one)
    with pytest.raises(EdgeUnreachableError, match=r"could not be kept: the outbox .* is full: 1 items or"):
        queue_scan(settings_of(data), scan("two"), patience=300.0)
    assert ids(edge.kept) == [one.scan_id]
    edge.stop()


def test_without_an_edge_a_full_outbox_refuses_the_scan_too(data, monkeypatch):
    monkeypatch.setattr(client_module, "MOST_ITEMS", 1)
    one = scan()
    queue_scan(settings_of(data), one)
    with pytest.raises(EdgeUnreachableError, match=r"could not be kept: the outbox .* is full: 1 items or"):
        queue_scan(settings_of(data), scan("two"), patience=300.0)
    assert ids(kept_in(home_of(data))) == [one.scan_id]


def test_a_command_is_told_to_who_it_is_for(edge, data):
    assert ask(home_of(data), Request("announce")) == Answer(ok=True)
    assert edge.presence.told == ["now"]


SCAN = b'{"command": "scan", "scan": {"scan_id": "0123456789ab-0123456789abcdef", "code": "%s", "symbology": "%s"}}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"[" * 60_000, "cannot be read"),
        (b'{"command": "dance"}', "there is no command 'dance'"),
        (b'{"command": "scan"}', "`scan` is missing"),
        (b'{"command": "scan", "scan": {"code": "1"}}', "cannot be read"),
        (b'{"command": "scan", "scan": {"code": "1", "scan_id": "a\\nb"}}', "cannot be read"),
        (SCAN % (b"1" * 5_000, b"EAN"), "cannot be read"),
        (SCAN % (b"", b"EAN"), "a code has 1 to 4096 characters"),
        (SCAN % (b"1", b"E" * 65), "cannot be read"),
        (SCAN % (b"1", b"E\\n"), "a symbology has at most"),
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


def trickle(sock, stop):
    """A byte now and then, and never a whole line."""
    with contextlib.suppress(OSError):
        while not stop.wait(0.02):
            sock.sendall(b" ")


def test_a_client_that_dribbles_keeps_nobody_from_the_edge_for_long(edge, data, monkeypatch):
    monkeypatch.setattr(control_module, "READ_TIMEOUT", 0.3)
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX) as slow, near(edge.home.control) as name:
        slow.connect(name)
        thread = threading.Thread(target=trickle, args=(slow, stop))
        thread.start()
        try:
            assert ask(home_of(data), Request("status"), timeout=20.0).ok
        finally:
            stop.set()
            thread.join(20)


def test_a_request_that_never_ends_is_not_kept_in_memory(edge, data):
    with socket.socket(socket.AF_UNIX) as client, near(edge.home.control) as name:
        client.connect(name)
        with contextlib.suppress(OSError):
            client.sendall(b"x" * 1_000_000)
        assert ask(home_of(data), Request("status"), timeout=20.0).ok


def test_a_sever_ends_the_talk_with_a_client_and_whoever_was_given_up_leaves_the_name_to_its_successor(
    data, runtime, monkeypatch
):
    monkeypatch.setattr(control_module, "READ_TIMEOUT", 300.0)
    edge = Edge(data, runtime)
    with socket.socket(socket.AF_UNIX) as silent, near(edge.home.control) as name:
        silent.connect(name)
        eventually(lambda: edge.actor._client is not None, what="it talks")
        abandon(edge.actor, ExitReason.HUNG)
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
    eventually(lambda: edge.actor._listener is None, what="its end")
    assert edge.home.control.exists()
    edge.outbox.stop(timeout=10)
    edge.home.close()


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
