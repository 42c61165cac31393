"""One server process per data directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from supervisor.server.instance import Instance, InstanceError, public_name

HOLDER = """
import sys, time
from pathlib import Path
from supervisor.server.instance import Instance
instance = Instance(Path(sys.argv[1]))
print(instance.id, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    process.instance_id = process.stdout.readline().strip()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_id_is_kept_between_runs(tmp_path):
    with Instance(tmp_path) as first:
        identity = first.id
    with Instance(tmp_path) as second:
        assert second.id == identity
    assert len(identity) == 16


def test_two_directories_have_different_ids(tmp_path):
    with Instance(tmp_path / "a") as one, Instance(tmp_path / "b") as other:
        assert one.id != other.id


def test_the_directory_and_its_files_are_for_the_user_alone(tmp_path):
    with Instance(tmp_path / "new" / "data"):
        assert (tmp_path / "new" / "data").stat().st_mode & 0o077 == 0
        assert (tmp_path / "new" / "data" / "instance.lock").stat().st_mode & 0o077 == 0


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path, holder):
    with pytest.raises(InstanceError, match=rf"pid {holder.pid}\b.*--data-dir\.$"):
        Instance(tmp_path)


def test_a_second_instance_in_the_same_process_is_refused_too(tmp_path):
    with Instance(tmp_path), pytest.raises(InstanceError, match=str(os.getpid())):
        Instance(tmp_path)


def test_the_directory_is_free_again_after_a_sigkill(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Instance(tmp_path) as heir:
        assert heir.id == holder.instance_id


def test_a_refused_attempt_does_not_erase_the_pid(tmp_path, holder):
    for _ in range(2):
        with pytest.raises(InstanceError, match=str(holder.pid)):
            Instance(tmp_path)


def test_a_damaged_id_is_not_replaced_in_silence(tmp_path):
    (tmp_path / "instance").write_text("")
    with pytest.raises(InstanceError, match="does not hold an instance id"):
        Instance(tmp_path)
    (tmp_path / "instance").unlink()
    with Instance(tmp_path) as instance:
        assert instance.id


def test_a_directory_that_cannot_be_made_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InstanceError, match="cannot be used: Not a directory"):
        Instance(tmp_path / "file" / "data")


def test_closing_twice_is_harmless(tmp_path):
    instance = Instance(tmp_path)
    instance.close()
    instance.close()


def test_the_name_for_the_world_does_not_give_the_id_away(tmp_path):
    with Instance(tmp_path) as instance:
        assert instance.server_id == public_name(instance.id)
        assert instance.id not in instance.server_id
        assert instance.server_id != public_name("another")
