"""Releases on a real server: uploads and downloads that are cut at any moment, and files that nobody should have."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from supervisor.release.keys import PrivateKey
from supervisor.release.platform import own_platform
from tests.release.support import make_release, make_wheel
from tests.support.muster import MusterUp
from tests.support.processes import Process
from tests.support.releasing import trust
from tests.support.wait import eventually

SIZE = 30_000_000
"""Bytes of a release that takes a while."""
CUT = (http.client.IncompleteRead, ConnectionResetError)
"""What a client sees of an answer that ends before its length."""


@pytest.fixture(scope="module")
def key():
    return PrivateKey.generate("tests")


@pytest.fixture(scope="module")
def large(tmp_path_factory, key):
    """A signed release that takes a while."""
    directory = tmp_path_factory.mktemp("large")
    wheel = make_wheel(directory, extra={"thing.bin": os.urandom(SIZE)})
    return make_release(directory, key, wheels=[wheel])


@pytest.fixture
def start(key):
    """A server that trusts the key; `start(config)` with lines of its file."""
    with contextlib.ExitStack() as stack:

        def run(config=""):
            server = MusterUp()
            trust(server.data, key)
            (server.directory / "muster.toml").write_text(config)
            return stack.enter_context(server)

        yield run


def command(server, *arguments):
    """`muster release ...` of the same user, running."""
    env = server.env | {"MUSTER_HTTP": "", "MUSTER_API_TOKEN": ""}
    return Process.module("supervisor.cli", "release", *arguments, env=env, cwd=server.directory)


def part_of(server):
    """The size of the one upload, 0 for none."""
    return sum(path.stat().st_size for path in (server.data / "releases").glob("*.part"))


def stored(server):
    return sorted((server.data / "releases").iterdir())


def test_an_upload_goes_on_after_its_client_was_killed(start, large):
    server = start()
    with command(server, "upload", str(large)) as client:
        eventually(lambda: part_of(server), what="some of it has arrived")
        client.kill()
    there = part_of(server)
    assert 0 < there < large.stat().st_size
    code, said = server.run("release", "upload", str(large), "--json", timeout=60)
    assert code == 0, said
    assert json.loads(said)["version"] == "1.0"
    assert [path.read_bytes() for path in stored(server)] == [large.read_bytes()]
    assert server.metric("muster_release_events_total", event="resumed") == 1
    # Once more is no work and no harm.
    assert server.run("release", "upload", str(large))[0] == 0
    server.stop()


def test_an_upload_waits_for_a_server_that_was_killed(start, large):
    server = start()
    with command(server, "upload", str(large)) as client:
        eventually(lambda: part_of(server), what="some of it has arrived")
        server.kill()
        assert part_of(server) < large.stat().st_size
        server.restart()
        assert client.wait(60) == 0, client.describe()
    assert [path.read_bytes() for path in stored(server)] == [large.read_bytes()]
    assert server.metric("muster_release_events_total", event="resumed") >= 1
    server.kill()
    server.restart()
    assert [item["version"] for item in server.items("/api/releases")] == ["1.0"]
    server.stop()


def test_what_nobody_has_signed_who_is_trusted_is_refused_by_its_code(start, key, tmp_path):
    server = start()
    good = make_release(tmp_path, key)
    spoiled = {"unsigned": make_release(make(tmp_path / "u")), "wrong_key": None, "tampered": tmp_path / "t.muster"}
    spoiled["wrong_key"] = make_release(make(tmp_path / "w"), PrivateKey.generate())
    spoiled["tampered"].write_bytes(good.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05"))
    for code, path in spoiled.items():
        status, said = server.run("release", "upload", str(path))
        assert (status, "is not taken" in said) == (1, True), said
        assert server.metric("muster_releases_refused_total", code=code) == 1
    assert stored(server) == []
    noise = tmp_path / "noise.muster"
    noise.write_bytes(b"x" * 5_000)
    assert server.run("release", "upload", str(noise))[0] == 1
    assert server.run("release", "upload", str(tmp_path / "none"))[0] == 2
    assert server.run("release", "upload", str(good))[0] == 0
    server.stop()


def make(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_a_release_is_listed_revoked_and_deleted_by_command(start, key, tmp_path):
    server = start()
    for version in ("1.0", "1.1"):
        wheel = make_wheel(tmp_path, version=version)
        path = make_release(tmp_path, key, wheels=[wheel], version=version)
        assert server.run("release", "upload", str(path))[0] == 0
    other = make_release(make(tmp_path / "other"), key, version="1.1.0")
    code, said = server.run("release", "upload", str(other))
    assert (code, "a version is given once" in said) == (1, True)
    listed = json.loads(server.run("release", "list", "--json")[1])["items"]
    assert [item["version"] for item in listed] == ["1.1", "1.0"]
    assert server.run("release", "revoke", "1.0", "--reason", "it burns") == (0, "Release 1.0 is revoked.\n")
    assert "revoked" in server.run("release", "list")[1]
    assert server.get("/api/releases/1.0")["reason"] == "it burns"
    server.post("/api/devices", {"serial": "pi-1"}, expect=201)
    server.post("/api/rollouts", {"release": "1.1", "all": True}, expect=201)
    code, said = server.run("release", "delete", "1.1")
    assert (code, "being rolled out" in said) == (1, True)
    assert server.run("release", "delete", "1.0") == (0, "Release 1.0 is deleted.\n")
    assert len(stored(server)) == 1
    server.stop()


class Edge:
    """A device with a token of its own."""

    def __init__(self, server, serial):
        self.address = server.address
        server.post("/api/devices", {"serial": serial}, expect=201)
        body = {"name": serial, "role": "device", "serial": serial}
        self.headers = {"Authorization": f"Bearer {server.post('/api/tokens', body, expect=201)['token']}"}

    def begin(self, path, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", path, headers=self.headers | headers)
        return connection, connection.getresponse()

    def get(self, path):
        connection, answer = self.begin(path)
        with contextlib.closing(connection):
            return answer.status, answer.read()


def test_a_device_downloads_what_it_is_offered_and_goes_on_by_range(start, large, tmp_path):
    server = start()
    assert server.run("release", "upload", str(large), timeout=60)[0] == 0
    edge, stranger = Edge(server, "pi-1"), Edge(server, "pi-2")
    platform = own_platform()
    asking = f"/api/ota/check_update?version=0.9&platform={platform}&python=3.11.2"
    assert json.loads(edge.get(asking)[1])["update"] is False
    server.post("/api/rollouts", {"release": "1.0", "device": "pi-1"}, expect=201)
    offer = json.loads(edge.get(asking)[1])
    assert (offer["update"], offer["version"], offer["size"]) == (True, "1.0", large.stat().st_size)
    assert json.loads(stranger.get(asking)[1])["update"] is False
    assert stranger.get(f"{asking}&device_id=pi-1")[0] == 403

    # The connection breaks, twice; the second time the server goes with it.
    fetched = tmp_path / "fetched.muster"
    with fetched.open("wb") as file:
        for _ in range(2):
            connection, answer = edge.begin(offer["url"], Range=f"bytes={file.tell()}-")
            etag = answer.headers["ETag"]
            file.write(answer.read(5_000_000))
            connection.close()
        server.kill()
        server.restart()
        connection, answer = edge.begin(offer["url"], **{"Range": f"bytes={file.tell()}-", "If-Range": etag})
        assert (answer.status, answer.headers["ETag"]) == (206, etag)
        file.write(answer.read())
        connection.close()
    assert fetched.read_bytes() == large.read_bytes()
    assert server.call("GET", "/metrics").status == 200
    server.stop()


def test_a_release_that_is_revoked_is_downloaded_no_further(start, large):
    server = start("[updates]\ndownload_rate = 2000000\n")
    assert server.run("release", "upload", str(large), timeout=60)[0] == 0
    edge = Edge(server, "pi-1")
    server.post("/api/rollouts", {"release": "1.0", "all": True}, expect=201)
    asking = f"/api/ota/check_update?version=0.9&platform={own_platform()}"
    offer = json.loads(edge.get(asking)[1])
    connection, answer = edge.begin(offer["url"])
    with contextlib.closing(connection):
        assert answer.read(100_000)
        assert server.run("release", "revoke", "1.0")[0] == 0
        with pytest.raises(CUT):
            answer.read()
    status, body = edge.get(offer["url"])
    assert (status, json.loads(body)["error"]["code"]) == (410, "revoked")
    assert json.loads(edge.get(asking)[1])["update"] is False
    eventually(lambda: server.metric("muster_downloads_total", outcome="revoked") == 1, what="it is counted")
    server.stop()


def test_two_hundred_devices_that_download_at_once_leave_the_api_to_others(start, large):
    """Those without a place are told so; the server answers all others as ever."""
    server = start("[updates]\ndownloads = 8\n")
    assert server.run("release", "upload", str(large), timeout=60)[0] == 0
    path = f"/api/ota/download_update?release={server.get('/api/releases/1.0')['id']}"
    edges = [Edge(server, f"pi-{number}") for number in range(200)]
    expected, seen, over = large.read_bytes(), Counter(), threading.Event()

    def fetch(edge):
        status, body = edge.get(path)
        seen[status] += 1
        seen["whole"] += body == expected

    threads = [threading.Thread(target=fetch, args=(edge,), daemon=True) for edge in edges]
    watcher = threading.Thread(target=lambda: [thread.join(60) for thread in threads] and over.set(), daemon=True)
    for thread in (*threads, watcher):
        thread.start()
    answered = 0
    while not over.wait(0.05):  # within the limit of a token's requests
        assert server.call("GET", "/api/health").status == 200
        answered += 1
    assert answered
    assert set(seen) == {200, 503, "whole"}
    assert seen[200] + seen[503] == 200
    assert seen["whole"] == seen[200] >= 8
    assert server.metric("muster_downloads_total", outcome="busy") == seen[503]
    server.stop()
