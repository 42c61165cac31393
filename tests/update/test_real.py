"""Real edges update themselves, from version to version and back; whatever is done to them, one that works runs."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.update import server as update_server
from supervisor.release.keys import PrivateKey
from tests.support.installation import build_wheel
from tests.support.wait import eventually
from tests.update.pi import PATIENCE, Pi, UpdateServer, make_factory
from tests.update.releases import Shop, make_version, repack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

STATES = ["checking", "downloading", "verifying", "installing", "restarting", "confirming", "succeeded"]
NEEDED = ("pykka", "paho-mqtt", "psutil", "msgspec", "zeroconf", "ifaddr", "evdev", "packaging")
NEEDED += ("cryptography", "cffi", "pycparser")
DIES = 'raise RuntimeError("this version is no good")\n'
DEAF = f"""{Path(update_server.__file__).read_text()}
def _deaf(_self): raise UnreachableError("deaf")
UpdateServer._address = _deaf
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"), build_wheel(tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def factory(shop, tmp_path_factory):
    directory = tmp_path_factory.mktemp("factory")
    return make_factory(directory / "venv", make_version(shop.wheel, directory, "1.0.0"))


@pytest.fixture
def server():
    with UpdateServer() as made:
        yield made


@pytest.fixture
def pi(factory, server, shop):
    with Pi(factory, server.url, shop.key) as made:
        yield made


def muster(*words):
    command = [sys.executable, "-m", "supervisor.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def wait_for(server, state, timeout=PATIENCE):
    eventually(lambda: server.last["state"] == state, timeout, f"{state} is told, after {server.told_states}")


def test_a_device_goes_from_version_to_version_and_back_unattended(pi, server, shop):
    server.put(shop.make("2.0.0"), "2.0.0")
    wait_for(server, "succeeded")
    assert server.told_states == STATES
    pi.wait_running("2.0.0")
    server.put(shop.make("3.0.0"), "3.0.0")
    wait_for(server, "succeeded")
    pi.wait_running("3.0.0")
    assert pi.launcher["current"] == "a"
    server.put(shop.make("2.5.0"), "2.5.0")
    wait_for(server, "refused")
    assert server.last["reason"] == "older"
    server.put(shop.make("2.5.0"), "2.5.0", force=True)
    wait_for(server, "succeeded")
    pi.wait_running("2.5.0")
    assert pi.starts == 1, "a restart is an exec: nobody had to start it"


def test_a_release_as_it_is_built_brings_everything_that_it_needs(pi, server, shop, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in NEEDED:
        repack(name, wheels)
    assert muster("release", "keygen", "--out", tmp_path, "--name", "signer").returncode == 0
    (pi.directory / "keys" / "signer.pub").write_text((tmp_path / "signer.pub").read_text())
    own = make_version(shop.wheel, tmp_path, "2.0.0", lent=False)
    signed = ("--key", tmp_path / "signer.pem", "--out", tmp_path / "out")
    built = muster("release", "build", own, "--wheels", wheels, "--offline", *signed)
    assert built.returncode == 0, built.stdout + built.stderr
    (release,) = (tmp_path / "out").glob("*.muster")
    server.put(release, "2.0.0")
    wait_for(server, "succeeded")
    pi.wait_running("2.0.0")
    packages = next((pi.home / "slots/b/lib").glob("python*/site-packages"))
    assert not list(packages.glob("*.pth"))
    assert (packages / "cryptography").is_dir()


@pytest.mark.parametrize("state", STATES)
def test_a_power_cut_at_any_state_ends_on_the_new_version(pi, server, shop, state):
    cuts = []

    def cut(told):
        if told == state and not cuts:
            cuts.append(told)
            pi.power_cut()

    server.on_state = cut
    server.put(shop.make("2.0.0"), "2.0.0")
    wait_for(server, "succeeded")
    pi.wait_running("2.0.0")
    assert cuts == [state]
    assert pi.launcher["trial"] is None


def test_a_version_that_dies_at_its_start_goes_back_and_stays_away(pi, server, shop):
    server.put(shop.make("2.0.0", {"edge/__main__.py": DIES}), "2.0.0")
    wait_for(server, "rolled_back")
    assert server.last["reason"] == "starts"
    pi.wait_running("1.0.0")
    server.put(shop.make("2.0.0"), "2.0.0")
    wait_for(server, "refused")
    assert server.last["reason"] == "blocked"
    code, told = pi.run("update")
    assert code == 0
    assert "blocked   2.0.0 (starts)" in told


def test_a_version_that_cannot_reach_the_server_goes_back_at_its_deadline(pi, server, shop):
    server.put(shop.make("2.0.0", {"edge/update/server.py": DEAF}), "2.0.0", deadline=6)
    wait_for(server, "rolled_back")
    assert server.last["reason"] == "deadline"
    pi.wait_running("1.0.0")


def test_a_trial_while_the_server_is_away_proves_nothing_and_is_repeated(pi, server, shop):
    def leave(state):
        if state == "restarting":
            server.is_there = False

    server.on_state = leave
    server.put(shop.make("2.0.0"), "2.0.0", deadline=6)
    eventually(lambda: "whether 2.0.0 has failed is not known" in pi.log, PATIENCE, "it waits for the server")
    assert pi.launcher["last"]["reason"] == "deadline"
    server.on_state, server.is_there = (lambda _state: None), True
    assert pi.run("update", "--now")[0] == 0
    wait_for(server, "succeeded")
    assert ("postponed", "unconfirmed") in [(body["state"], body.get("reason")) for body in server.told]
    assert "rolled_back" not in server.told_states
    pi.wait_running("2.0.0")


def test_a_version_that_cannot_be_imported_is_never_started(pi, server, shop):
    server.put(shop.make("2.0.0", {"edge/tree.py": DIES}), "2.0.0")
    wait_for(server, "failed")
    assert "this version is no good" in server.last["detail"]
    assert pi.launcher["last"] is None


def test_a_signed_release_that_would_write_elsewhere_is_refused(pi, server, shop):
    server.put(shop.make("2.0.0", {"../../../evil.py": "evil"}), "2.0.0")
    wait_for(server, "refused")
    assert server.last["reason"] == "bad_name"
    pi.wait_running("1.0.0")
    assert not list(pi.directory.rglob("evil.py"))


def test_what_must_not_be_installed_is_refused_and_told_why(pi, server, shop):
    for damage, reason in DAMAGES.items():
        release = shop.make("2.0.0", key=PrivateKey.generate() if reason == "wrong_key" else None)
        release.write_bytes(damage(release.read_bytes()))
        server.put(release, "2.0.0")
        wait_for(server, "refused")
        assert server.last["reason"] == reason, server.last
    assert pi.launcher == {"current": "factory", "trial": None, "last": None}
    pi.wait_running("1.0.0")


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = {
    lambda content: content: "wrong_key",
    lambda content: flip(content, len(content) // 2): "tampered",
    lambda content: content[:-30_000]: "truncated",
    lambda content: content.replace(b"wheels/muster", b"../../x/muster", 1): "not_a_release",
    lambda _content: b"no release at all" * 1000: "not_a_release",
}


def runs_on(server, version):
    """Wait until this version asks the server again."""
    server.askers.clear()
    eventually(lambda: version in server.askers, PATIENCE, f"{version} asks")
    assert set(server.askers) == {version}


@pytest.fixture
def small(factory, server, shop, needs):
    """A device with a disk of 120 MB."""
    needs("unshare")
    if os.geteuid():
        pytest.skip("only root may mount")
    with Pi(factory, server.url, shop.key, disk_mb=120) as made:
        yield made


def test_a_release_for_which_the_disk_has_no_room_is_refused(small, server, shop):
    big = {"edge/much.bin": random.Random(1).randbytes(45 * 2**20).hex()[: 45 * 2**20]}
    server.put(shop.make("2.0.0", big), "2.0.0")
    wait_for(server, "refused")
    assert server.last["reason"] == "no_space"
    assert server.ranges == [], "nothing was downloaded"
    runs_on(server, "1.0.0")


def test_a_disk_that_has_become_full_when_it_is_installed_is_told_and_gets_its_room_back(small, server, shop):
    filler = small.disk / "filler"

    def fill(state):
        # The edge waits for this answer before it downloads; what it downloads has room, what it installs has not.
        if state == "downloading" and not filler.exists():
            with filler.open("wb", buffering=0) as file:
                while shutil.disk_usage(small.disk).free > 20 * 2**20:
                    file.write(b"x" * 2**20)

    server.on_state = fill
    server.put(shop.make("2.0.0"), "2.0.0")
    wait_for(server, "refused")
    assert server.last["reason"] == "no_space"
    runs_on(server, "1.0.0")
    assert not [path for path in (small.disk / "update").glob("[ds]*/*") if path.name != ".install.lock"]
    filler.unlink()
    server.put(shop.make("2.0.0"), "2.0.0")
    server.on_state = lambda _state: None
    wait_for(server, "succeeded")
    runs_on(server, "2.0.0")


def test_a_download_that_is_cut_off_goes_on_where_it_was(pi, server, shop):
    server.cut_after = 100_000
    server.put(shop.make("2.0.0"), "2.0.0")
    wait_for(server, "succeeded")
    assert server.ranges == ["", "bytes=100000-"]


def test_a_device_that_holds_updates_back_is_updated_once_it_lets_go(pi, server, shop):
    pi.wait_running("1.0.0")
    assert pi.run("update", "--hold", "harvest")[0] == 0
    server.put(shop.make("2.0.0"), "2.0.0")
    wait_for(server, "postponed")
    assert server.last["detail"] == "harvest"
    assert "held      harvest" in pi.run("update")[1]
    assert pi.run("update", "--release")[0] == 0
    wait_for(server, "succeeded")
