"""How the commands find their server, and what they say when there is none."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor.cli.client import ApiClient, ApiError, NoServerError
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from tests.cli.conftest import TOKEN, error


@pytest.fixture
def running(server, tmp_path):
    """The fake server, as a `muster up` of this user leaves itself in the runtime directory."""
    directory = RuntimeDirectory(tmp_path / "run")
    directory.publish(ServerFiles(server.url, TOKEN, "k", "mqtt://127.0.0.1:1", os.getpid()))
    server.answers["GET", "/api/devices"] = (200, {"items": [], "cursor": None})
    yield server
    directory.withdraw()


def test_a_running_server_is_found_with_its_token(muster, running):
    assert muster("devices").code == 0
    assert running.calls[-1].token == TOKEN


def test_a_server_named_by_flag_comes_before_the_environment(muster, running, monkeypatch):
    monkeypatch.setenv("MUSTER_SERVER_URL", "http://127.0.0.1:1")
    assert muster("devices", "--url", running.url).code == 0


def test_the_token_of_the_runtime_directory_is_sent_to_no_other_server(muster, running):
    result = muster("devices", "--url", running.url.replace("127.0.0.1", "localhost"))
    assert result.code == 1
    assert running.calls[-1].token == ""
    assert "MUSTER_API_TOKEN" in result.err


def test_a_token_can_come_from_a_file(muster, server, tmp_path):
    server.answers["GET", "/api/devices"] = (200, {"items": [], "cursor": None})
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert muster("devices", "--url", server.url, "--token-file", str(tmp_path / "token")).code == 0
    result = muster("devices", "--url", server.url, "--token-file", str(tmp_path / "absent"))
    assert result.code == 1
    assert "cannot be read: No such file or directory." in result.err


@pytest.mark.parametrize("raw", [b"", b" \n", b"\xff\xfe", b"two\nlines", "schlüssel".encode()])
def test_a_file_without_a_token_is_refused_and_no_other_token_is_taken(muster, running, tmp_path, raw):
    (tmp_path / "token").write_bytes(raw)
    result = muster("devices", "--token-file", str(tmp_path / "token"))
    assert result.code == 1
    assert "holds no token." in result.err
    assert running.calls == []


def test_a_variable_without_a_token_is_refused(muster, running, monkeypatch):
    monkeypatch.setenv("MUSTER_API_TOKEN", "two\nlines")
    result = muster("devices")
    assert (result.code, result.err) == (1, "muster: MUSTER_API_TOKEN holds no token.\n")


def test_without_a_server_one_is_told_how_to_start_or_name_one(muster):
    result = muster("status")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "muster up" in result.err


def test_a_server_that_is_not_there_is_one_sentence(muster):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    result = muster("status", "--url", f"http://127.0.0.1:{port}")
    assert (result.code, result.out) == (1, "")
    assert result.err == f"muster: The server at http://127.0.0.1:{port} cannot be reached: Connection refused.\n"


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_none_is_refused(muster, url):
    result = muster("status", "--url", url)
    assert result.code == 1
    assert "http://host:port" in result.err


def test_the_servers_own_words_are_passed_on(muster_at, server):
    server.answers["GET", "/api/resolve"] = error(404, "no device of this type was found")
    result = muster_at("resolve")
    assert result.code == 1
    assert result.err.endswith("answers: no device of this type was found.\n")


def test_something_else_on_that_port_is_recognised(muster_at, server):
    server.answers["GET", "/api/supervision"] = (200, b"<html>hello</html>")
    result = muster_at("tree")
    assert result.code == 1
    assert "is not a Muster server" in result.err


def test_the_runtime_directory_of_another_user_is_one_sentence(muster, tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    result = muster("status")
    assert result.code == 1
    assert "chmod 700" in result.err


def test_a_path_in_the_url_is_kept(server):
    server.answers["GET", "/muster/api/devices"] = (200, {"items": [1], "cursor": None})
    with ApiClient(f"{server.url}/muster/", TOKEN) as client:
        assert list(client.pages("/api/devices")) == [1]


def test_pages_are_followed_up_to_the_limit(server):
    def page(call):
        start = int(call.query.get("cursor", 0))
        size = int(call.query["limit"])
        return 200, {"items": list(range(start, start + size)), "cursor": str(start + size)}

    server.answers["GET", "/api/devices"] = page
    with ApiClient(server.url, TOKEN) as client:
        assert list(client.pages("/api/devices", limit=1500)) == list(range(1500))
    assert [call.query["limit"] for call in server.calls] == ["1000", "500"]


def test_errors_carry_status_and_body(server):
    with ApiClient(server.url, TOKEN) as client, pytest.raises(ApiError) as caught:
        client.get("/api/nothing")
    assert (caught.value.status, caught.value.body["error"]["message"]) == (404, "there is nothing here")


def test_no_server_error_is_not_an_api_error():
    with pytest.raises(NoServerError):
        ApiClient("nonsense")
