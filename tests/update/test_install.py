"""The child that installs: what it refuses, what it leaves behind, and that it ends with whoever has started it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from actors.version import __version__
from edge.update import install
from supervisor.process.lock import FileLock
from supervisor.release.errors import BadReleaseError
from supervisor.release.keys import PrivateKey
from tests.release.support import make_release, make_wheel
from tests.support.wait import eventually

KEY = PrivateKey.generate("the tests")


@pytest.fixture
def place(tmp_path):
    """Keys that are trusted, a directory for releases, and a slot with something in it."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one.pub").write_text(KEY.public.line)
    (tmp_path / "slots" / "b").mkdir(parents=True)
    (tmp_path / "slots" / "b" / "old").touch()
    return tmp_path


def arguments(place, path, *more, running="0.9"):
    given = [str(path), "--slot", str(place / "slots" / "b"), "--keys", str(place / "keys"), "--running", running]
    return [*given, *more]


def run(place, path, *more, **options):
    """What the child says: its states, and its last word."""
    command = [sys.executable, "-m", "edge.update.install", *arguments(place, path, *more, **options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["state"] for line in lines if "state" in line], {**lines[-1], "exit": done.returncode}


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (make_release, "unsigned"),
        (lambda path: make_release(path, PrivateKey.generate()), "wrong_key"),
        (lambda path: make_release(path, KEY, version="0.9"), "older"),
        (lambda path: make_release(path, KEY, platforms=("cp39-linux_mips",)), "wrong_platform"),
        (lambda path: make_release(path, KEY, replaces_from="0.95"), "too_old_to_replace"),
    ],
)
def test_what_is_refused_leaves_the_slot_as_it_was(place, make, code):
    _, last = run(place, make(place))
    assert (last["code"], last["exit"]) == (code, 1)
    assert [path.name for path in (place / "slots" / "b").iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("extra", "code"),
    [({"../evil.py": "evil"}, "bad_name"), ({"zeros": "0" * 5_000_000}, "bomb")],
)
def test_a_hostile_wheel_is_refused_though_it_is_signed(place, extra, code):
    _, last = run(place, make_release(place, KEY, wheels=[make_wheel(place, extra=extra)]))
    assert (last["code"], last["exit"]) == (code, 1)
    assert not list(place.rglob("evil.py"))
    assert (place / "slots" / "b" / "old").exists(), "nothing of it is unpacked, and nothing makes room for it"


def test_a_file_that_is_not_the_servers_is_damaged(place):
    _, last = run(place, make_release(place, KEY), "--sha256", "0" * 64)
    assert last["code"] == "damaged"


@pytest.mark.parametrize(
    ("extra", "free"), [({}, 2**20), ({f"{n}.py": "spam " * 100_000 for n in range(40)}, 80 * 2**20)]
)
def test_a_disk_without_room_is_told_with_figures(place, monkeypatch, extra, free):
    """Room for what the wheels unpack to: 20 MB of a wheel of half a megabyte, and as much of what they compile to."""
    monkeypatch.setattr("supervisor.release.wheels.MOST_RATIO", 1000)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, free))
    release = make_release(place, KEY, wheels=[make_wheel(place, extra=extra)])
    with pytest.raises(BadReleaseError, match=f"{free // 2**20} MB are free") as refused:
        install.install(release, place / "slots/b", keys=[place / "keys"], running="0.9", say=lambda _line: None)
    assert refused.value.code == "no_space"


def test_what_could_not_be_installed_takes_no_room(place):
    _, last = run(place, make_release(place, KEY))
    assert last["code"] == "failed"
    assert [path.name for path in (place / "slots").iterdir()] == [".install.lock"]


def test_pip_does_what_we_say_whatever_is_configured_on_this_machine(place, monkeypatch):
    (place / "pip.conf").write_text(f"[install]\ntarget = {place / 'elsewhere'}\n")
    monkeypatch.setenv("HOME", str(place))
    (place / ".config" / "pip").mkdir(parents=True)
    (place / "pip.conf").rename(place / ".config" / "pip" / "pip.conf")
    installed = []
    monkeypatch.setattr(
        install, "_try_out", lambda python, _version: installed.extend(python.parents[1].rglob("thing.py"))
    )
    path = make_release(place, KEY)
    install.install(path, place / "slots/b", keys=[place / "keys"], running="0.9", say=lambda _line: None)
    assert installed
    assert not (place / "elsewhere").exists()


def python_without(module, path):
    """A Python that has all of ours but one module."""
    code = f"import sys; sys.modules[{module!r}] = None; exec(sys.argv[-1])"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("module", ["evdev", "cryptography"])
def test_a_version_without_what_this_device_has_is_not_taken(place, module):
    """Scanners would be read no more: `muster release build` may leave evdev out. Without the other it is the last."""
    install._try_out(python_without("nothing", place / "python"), __version__)
    with pytest.raises(install.InstallFailedError, match=module):
        install._try_out(python_without(module, place / "python"), __version__)


def test_without_scanners_none_are_needed(place, monkeypatch):
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda _name: None)
    install._try_out(python_without("evdev", place / "python"), __version__)


def test_whatever_goes_wrong_is_told(place, monkeypatch, capsys):
    def break_down(*_arguments, **_options):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(install, "install", break_down)
    monkeypatch.setattr(install.os, "nice", lambda _by: None)
    assert install.main(arguments(place, make_release(place, KEY))) == 1
    assert json.loads(capsys.readouterr().out) == {"code": "failed", "reason": "ZeroDivisionError: by zero"}


def test_a_version_that_cannot_be_imported_has_failed(place):
    states, last = run(place, make_release(place, KEY))  # a wheel without an edge in it
    assert (last["code"], "edge" in last["reason"]) == ("failed", True)
    assert {"verifying", "installing"} == set(states)


def test_what_an_installation_has_left_that_was_cut_off_is_removed(place):
    (place / "slots" / ".wheels-x").mkdir()
    run(place, make_release(place, KEY))
    assert not (place / "slots" / ".wheels-x").exists()


def test_two_never_install_at_a_time(place, monkeypatch, capsys):
    monkeypatch.setattr(install, "LOCK_PATIENCE", 0.0)
    monkeypatch.setattr(install.os, "nice", lambda _by: None)
    with FileLock(place / "slots" / ".install.lock"):
        assert install.main(arguments(place, make_release(place, KEY))) == 1
    assert "is held by process" in capsys.readouterr().out


def test_it_ends_when_its_stdin_does(place):
    release = make_release(place, KEY)
    with FileLock(place / "slots" / ".install.lock"):  # so that it waits
        child = subprocess.Popen(
            [sys.executable, "-m", "edge.update.install", *arguments(place, release, "--with-stdin")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pipesize=-1,
        )
        try:
            assert child.poll() is None
            child.stdin.close()
            eventually(lambda: child.poll() is not None, 20, "the child has ended")
            assert child.returncode == -signal.SIGKILL
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
