"""The runtime directory: found by the same user, hidden from others, ignored when its server is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.process.rundir import (
    RuntimeDirectory,
    RuntimeDirectoryError,
    ServerFiles,
    find_server,
    runtime_directory,
)

FILES = ServerFiles(
    url="http://127.0.0.1:5000", token="t0ken", enrolment_key="k3y", broker_url="mqtt://127.0.0.1:1883", pid=os.getpid()
)
HOLDER = """
import sys, time
from pathlib import Path
from supervisor.process.rundir import RuntimeDirectory, ServerFiles
RuntimeDirectory(Path(sys.argv[1])).publish(ServerFiles("http://h:1", "t", "k", "mqtt://h", 1))
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def published(path):
    directory = RuntimeDirectory(path)
    directory.publish(FILES)
    yield directory
    directory.withdraw()


@pytest.fixture
def holder(path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_variable_of_ours_decides_first(tmp_path):
    environ = {"MUSTER_RUNTIME_DIR": "/somewhere", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert runtime_directory(environ) == Path("/somewhere")


def test_the_users_own_runtime_directory_comes_next(tmp_path):
    assert runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "muster"


@pytest.mark.parametrize("value", ["", "relative", "/does/not/exist"])
def test_without_a_usable_one_it_is_below_tmp(value):
    assert runtime_directory({"XDG_RUNTIME_DIR": value}) == Path(f"/tmp/muster-{os.geteuid()}")


def test_the_runtime_directory_of_another_user_is_not_used(tmp_path):
    stranger = os.geteuid() + 1
    assert runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)}, uid=stranger) == Path(f"/tmp/muster-{stranger}")


def test_what_a_server_publishes_is_found(path, published):
    assert find_server(path) == FILES


def test_a_server_of_the_release_before_that_tells_of_no_authority_is_found(path, published):
    (path / "ca-file").unlink()
    assert find_server(path) == FILES


def test_everything_in_it_is_for_the_user_alone(path, published):
    assert path.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()}
    assert modes == dict.fromkeys(("url", "ca-file", "token", "enrolment-key", "broker-url", "pid", "lock"), 0o600)


def test_a_file_that_stood_there_open_to_all_is_closed(path):
    path.mkdir(mode=0o700)
    (path / "token").write_text("old")
    (path / "token").chmod(0o666)
    directory = RuntimeDirectory(path)
    directory.publish(FILES)
    assert (path / "token").stat().st_mode & 0o777 == 0o600
    directory.withdraw()


def test_a_server_that_stops_leaves_nothing_to_find(path, published):
    published.withdraw()
    assert find_server(path) is None
    assert not (path / "token").exists()
    published.withdraw()


def test_publishing_again_replaces_what_is_told(path, published):
    published.publish(ServerFiles("http://127.0.0.1:6000", "t", "k", "mqtt://h", FILES.pid))
    assert find_server(path).url == "http://127.0.0.1:6000"


def test_the_files_of_a_killed_server_are_ignored(path, holder):
    assert find_server(path) is not None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (path / "token").exists()
    assert find_server(path) is None


def test_a_new_server_takes_over_from_a_killed_one(path, holder):
    holder.kill()
    holder.wait()
    directory = RuntimeDirectory(path)
    directory.publish(FILES)
    assert find_server(path) == FILES
    directory.withdraw()


def test_a_second_server_is_refused_while_the_first_one_runs(path, holder):
    with pytest.raises(RuntimeDirectoryError, match="MUSTER_RUNTIME_DIR"):
        RuntimeDirectory(path).publish(FILES)
    assert find_server(path).url == "http://h:1"


def test_no_directory_means_no_server(path):
    assert find_server(path) is None


def test_a_directory_that_is_open_to_others_is_refused(path, published):
    path.chmod(0o755)
    with pytest.raises(RuntimeDirectoryError, match="chmod 700"):
        find_server(path)


def test_a_link_in_place_of_the_directory_is_refused(tmp_path, path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeDirectoryError, match="not a directory"):
        RuntimeDirectory(path).publish(FILES)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a directory of another user")
def test_a_directory_of_another_user_is_refused(path):
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(RuntimeDirectoryError, match="belongs to another user"):
        find_server(path)


def test_secrets_appear_in_no_representation():
    assert "t0ken" not in repr(FILES)
    assert "k3y" not in repr(FILES)
