"""`muster-edge install --root DIR`: every file of it, and that what is installed works from there."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import tomllib
from pathlib import Path

import pytest

from edge import install
from edge.scanner import devices
from edge.settings import EdgeSettings
from supervisor.installer import InstallError
from supervisor.release.keys import PrivateKey, load_trusted
from tests.support.certificates import Authority
from tests.support.installation import ALONE, build_wheel, everything_below, lend_packages, run
from tests.support.muster import MusterUp
from tests.support.processes import Process

KEY = "a-fleet-key-of-the-tests"
EXPECTED = {
    "/etc/muster/edge.toml": 0o640,
    "/etc/sysusers.d/muster-edge.conf": 0o644,
    "/etc/systemd/system/muster-edge.service": 0o644,
    "/etc/tmpfiles.d/muster-edge.conf": 0o644,
    "/etc/udev/rules.d/70-muster-scanner.rules": 0o644,
    "/opt/muster-edge/launcher.py": 0o644,
    "/opt/muster-edge/manifest.json": 0o600,
}
UNIT = "etc/systemd/system/muster-edge.service"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def edge_install(tmp_path, monkeypatch, wheel, capsys):
    """`edge_install(...)`: installs into `tmp_path/root`; `uninstall=True` removes. Exit code and what it said."""
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)

    def call(*flags, uninstall=False):
        command = ["uninstall"] if uninstall else ["install", "--wheel-dir", str(wheel.parent)]
        code = install.main([*command, "--root", str(tmp_path / "root"), *map(str, flags)])
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


@pytest.fixture
def without_venv(monkeypatch):
    """Everything but the environment, which takes its time."""

    def plan(choices, source):
        whole = PLAN(choices, source)
        return install.Plan([step for step in whole.steps if step.kind != "venv"], whole.remembered)

    monkeypatch.setattr(install, "plan_edge", plan)


PLAN = install.plan_edge


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return path


def modes(root):
    files = {path: (root / path[1:]).lstat().st_mode for path in everything_below(root)}
    return {path: stat.S_IMODE(mode) for path, mode in files.items() if stat.S_ISREG(mode)}


def settings(root):
    return tomllib.loads((root / "etc/muster/edge.toml").read_text())["edge"]


def test_what_is_installed_runs_from_the_directory_and_its_removal_leaves_nothing(edge_install, root, tmp_path):
    assert edge_install()[0] == 0
    assert modes(root) == EXPECTED
    lend_packages(root / "opt/muster-edge/venv")
    for command in ("usr/local/bin/muster-edge", "opt/muster-edge/venv/bin/muster-edge"):
        done = run(root / command, "--version")
        assert re.fullmatch(r"muster-edge \d+\.\d+\.\d+\n", done.stdout), done
    # Found elsewhere, as when the directory has become a root.
    (root / "opt").rename(tmp_path / "opt")
    assert run(tmp_path / "opt/muster-edge/venv/bin/muster-edge", "--version").returncode == 0
    (tmp_path / "opt").rename(root / "opt")
    code, told = edge_install(uninstall=True)
    assert (code, everything_below(root)) == (0, set()), told


@pytest.mark.slow
def test_an_edge_that_is_installed_finds_its_server_and_is_online(edge_install, root, tmp_path, needs):
    needs("mosquitto")
    edge_install()
    lend_packages(root / "opt/muster-edge/venv")
    flags = ("run", "--config", root / "etc/muster/edge.toml", "--data-dir", tmp_path / "data")
    with MusterUp() as up:
        blank = {name: "" for name in os.environ if name.startswith(("MUSTER_", "MQTT_"))}
        env = blank | {"MUSTER_RUNTIME_DIR": str(up.directory / "run"), "MUSTER_DEVICE_ID": "installed"}
        with Process(root / "usr/local/bin/muster-edge", *flags, env=env, cwd="/") as process:
            up.wait_presence("installed", "online")
            process.send(signal.SIGTERM)
            assert process.wait(20) == 0, process.describe()
        up.wait_presence("installed", "offline")


def test_systemd_finds_nothing_wrong_with_the_unit(edge_install, root, tmp_path, needs, without_venv):
    analyze = needs("systemd-analyze")
    assert edge_install()[0] == 0
    text = (root / UNIT).read_text()
    unit = tmp_path / "muster-edge.service"
    unit.write_text(re.sub("ExecStart=/usr/bin/python3", "ExecStart=/bin/true", text))
    done = run(analyze, "verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (root / "etc/systemd/system/multi-user.target.wants/muster-edge.service").resolve() == root / UNIT


def test_the_unit_restarts_for_ever_and_may_do_little(edge_install, root, without_venv):
    edge_install()
    lines = (root / UNIT).read_text().splitlines()
    wanted = {"Type=notify", "Restart=always", "RestartSec=10", "StartLimitIntervalSec=0", "WatchdogSec=60"}
    wanted |= {
        "User=muster-edge",
        "SupplementaryGroups=input video",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "LimitCORE=0",
    }
    wanted |= {"Environment=MALLOC_ARENA_MAX=1", "CapabilityBoundingSet=", "StateDirectory=muster-edge"}
    assert wanted <= set(lines)
    (command,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    started = (
        "/opt/muster-edge/launcher.py --home /var/lib/muster-edge/update --factory /opt/muster-edge/venv/bin/python"
    )
    assert command == f"/usr/bin/python3 -I {started} run -- run --config /etc/muster/edge.toml"


# -- updates ----------------------------------------------------------------------------------------------------------


def command_of(root):
    return re.search("^ExecStart=(.*)$", (root / UNIT).read_text(), re.MULTILINE)[1]


def keys_of(root):
    return load_trusted([root / "etc/muster/release-keys"])


def test_the_launcher_that_is_installed_is_ours_and_root_alone_may_change_it(edge_install, root, without_venv):
    edge_install()
    made = root / "opt/muster-edge/launcher.py"
    assert made.read_bytes() == Path(install.launcher.__file__).read_bytes()
    assert stat.S_IMODE(made.stat().st_mode) == 0o644


def test_an_edge_that_is_installed_is_started_by_its_launcher(edge_install, root, tmp_path):
    edge_install()
    lend_packages(root / "opt/muster-edge/venv")
    words = command_of(root).replace(" /opt", f" {root}/opt").replace("/var/lib/muster-edge", str(tmp_path / "state"))
    (*before, _run, _dashes, _command, _config, _file) = words.split()
    done = run(*before, "run", "--", "--version")
    assert re.fullmatch(r"muster-edge \d+\.\d+\.\d+\n", done.stdout), done
    made = [path for path in root.rglob("*") if not path.is_relative_to(root / "var")]
    open_to_others = [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not open_to_others, "root alone changes what root runs, and what is trusted"
    into_the_service = [path for path in made if path.is_symlink() and "/var/" in str(path.readlink())]
    assert not into_the_service, "root runs nothing that the service may write"


def test_release_keys_are_added_and_remembered(edge_install, root, tmp_path, without_venv):
    ours, theirs = PrivateKey.generate("ours").public, PrivateKey.generate("theirs").public
    (tmp_path / "ours.pub").write_text(ours.line)
    (tmp_path / "theirs.pub").write_text(theirs.line)
    _, told = edge_install()
    assert "without --release-key this device installs no update" in told
    _, told = edge_install("--release-key", tmp_path / "ours.pub")
    assert "without --release-key" not in told
    edge_install("--release-key", tmp_path / "theirs.pub")
    assert keys_of(root) == {key.key_id: key for key in (ours, theirs)}
    edge_install()
    assert len(keys_of(root)) == 2
    edge_install(uninstall=True)
    assert keys_of(root) == {}


def test_a_key_that_is_none_is_refused_by_name(edge_install, root, tmp_path):
    (tmp_path / "bad.pub").write_text("ssh-ed25519 AAAA\n")
    code, told = edge_install("--release-key", tmp_path / "bad.pub")
    assert (code, root.exists()) == (1, False)
    assert "bad.pub, line 1: a release key begins with" in told


def test_without_updates_python_is_started_and_there_is_no_launcher(edge_install, root, without_venv):
    edge_install()
    edge_install("--no-updates")
    assert command_of(root) == "/opt/muster-edge/venv/bin/python -P -m edge run --config /etc/muster/edge.toml"
    assert not (root / "opt/muster-edge/launcher.py").exists()
    edge_install()
    assert "launcher" not in command_of(root)


def test_what_is_installed_by_hand_runs_and_a_repetition_leaves_updates_alone(edge_install, root, tmp_path, wheel):
    edge_install()
    home = root / "var/lib/muster-edge/update"
    home.mkdir()
    kept = {"state.json", "updater.json", "slots"}
    for name in kept:
        (home / name).touch()
    (home / "current").symlink_to("slots/b")
    edge_install("--server", "http://muster.example:5000")
    assert {path.name for path in home.iterdir()} == {*kept, "current"}
    os.utime(wheel, (0, 0))  # another wheel, as far as one can tell
    edge_install()
    assert {path.name for path in home.iterdir()} == {"slots"}
    edge_install(uninstall=True)
    assert not home.exists()


def test_the_users_and_modes_of_an_image_are_made_at_its_first_boot(edge_install, root, needs, without_venv, key_file):
    edge_install("--enrolment-key-file", key_file)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\ninput:x:101:\n")
    if os.geteuid() != 0:
        pytest.skip("systemd-sysusers and systemd-tmpfiles change owners, which only root may")
    done = run(needs("systemd-sysusers"), f"--root={root}")
    assert done.returncode == 0, done.stderr
    group = dict(line.split(":x:") for line in (root / "etc/group").read_text().splitlines())
    assert group["input"].endswith("muster-edge")
    number = int(group["muster-edge"].partition(":")[0])
    done = run(needs("systemd-tmpfiles"), "--create", f"--root={root}", root / "etc/tmpfiles.d/muster-edge.conf")
    assert done.returncode == 0, done.stderr
    for name in ("edge.toml", "edge-enrolment-key"):
        status = (root / "etc/muster" / name).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, number, 0o640)


def test_what_was_chosen_stands_in_the_configuration(edge_install, root, key_file, tmp_path, without_venv):
    authority = Authority(tmp_path)
    flags = ["--server", "https://muster.example:5000/", "--enrolment-key-file", key_file, "--ca", authority.ca_file]
    assert edge_install(*flags, "--log-file", "--no-scanner")[0] == 0
    assert settings(root) == {
        "data_dir": "/var/lib/muster-edge",
        "server_url": "https://muster.example:5000",
        "enrolment_key_file": "/etc/muster/edge-enrolment-key",
        "ca_file": "/etc/muster/edge-ca.pem",
        "log_file": "/var/log/muster-edge/edge.log",
        "broker": {"ca_file": "/etc/muster/edge-ca.pem"},
        "scanner": {"enabled": False},
    }
    assert (root / "etc/muster/edge-enrolment-key").read_text() == f"{KEY}\n"
    assert (root / "etc/muster/edge-ca.pem").read_text() == authority.ca_file.read_text()


def test_a_run_without_flags_repeats_what_the_last_one_was_told(edge_install, root, key_file, without_venv):
    edge_install("--server", "http://muster.example:5000", "--enrolment-key-file", key_file)
    before = settings(root)
    code, told = edge_install()
    assert (code, settings(root)) == (0, before)
    assert "made" not in told
    edge_install("--log-file")
    assert settings(root) == before | {"log_file": "/var/log/muster-edge/edge.log"}


def test_what_was_changed_by_hand_is_kept_and_told(edge_install, root, without_venv):
    edge_install()
    (root / "etc/muster/edge.toml").write_text('[edge]\nlog = "json"\n')
    code, told = edge_install("--server", "http://muster.example:5000")
    assert (code, settings(root)) == (0, {"log": "json"})
    assert "edge.toml was changed by hand and is kept" in told
    assert "muster.example" in (root / "etc/muster/edge.toml.new").read_text()


def test_data_stays_until_it_is_purged(edge_install, root, without_venv):
    edge_install()
    (root / "var/lib/muster-edge/edge").mkdir()
    (root / "var/lib/muster-edge/edge/outbox.db").touch()
    code, told = edge_install(uninstall=True)
    assert code == 0
    assert "muster-edge is kept: it holds data" in told
    assert edge_install()[0] == 0
    edge_install("--purge", uninstall=True)
    assert everything_below(root) == {"/var", "/var/lib"}  # which were there before the second time


def test_a_dry_run_says_what_it_would_do_and_does_nothing(edge_install, root):
    code, told = edge_install("--dry-run")
    assert code == 0
    assert not root.exists()
    for path in (*EXPECTED, "/usr/local/bin/muster-edge", "system user muster-edge in input, video"):
        assert path in told or path == install.MANIFEST


# -- an image for many ------------------------------------------------------------------------------------------------


def test_an_image_carries_no_identity(edge_install, root, key_file, without_venv):
    edge_install()
    home = root / "var/lib/muster-edge/edge"
    home.mkdir()
    for name in ("identity.json", "enrolment.json", "outbox.db", "state.json"):
        (home / name).write_text("of this board")
    (root / "var/lib/muster-edge/update").mkdir()
    (root / "var/lib/muster-edge/update/current").symlink_to("slots/b")
    (root / "var/log/muster-edge/edge.log").write_text("of this board")
    code, told = edge_install("--golden", "--enrolment-key-file", key_file)
    assert code == 0
    assert "carries no identity" in told
    left = [root / path[1:] for path in everything_below(root)]
    assert not [path for path in left if path.is_file() and "of this board" in path.read_text(errors="replace")]
    assert list((root / "var/lib/muster-edge").iterdir()) == []
    assert (root / "etc/systemd/system/multi-user.target.wants/muster-edge.service").is_symlink()


@pytest.mark.parametrize("key", install.OF_ONE_DEVICE)
def test_an_image_whose_configuration_names_one_device_is_refused(edge_install, root, key, without_venv):
    edge_install()
    (root / "etc/muster/edge.toml").write_text(f'[edge]\n{key} = "of-one"\n')
    code, told = edge_install("--golden")
    assert code == 1
    assert f"sets `{key}`" in told


def test_of_an_image_nothing_is_started_and_it_is_emptied_when_nothing_runs(wheel):
    source = install.Source(str(wheel), ())
    kinds = [(step.kind, step.path) for step in PLAN(install.Choices(golden=True), source).steps]
    unit = kinds.index(("unit", "muster-edge.service"))
    assert kinds[unit + 1 :] == [("data", "/var/lib/muster-edge"), ("data", "/var/log/muster-edge")]
    (step,) = [step for step in PLAN(install.Choices(golden=True), source).steps if step.kind == "unit"]
    assert not step.start


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "content", "reason"),
    [
        ("--enrolment-key-file", "short", "holds no enrolment key: 16 printable characters"),
        ("--ca", "no certificate", "is no file of certificates"),
        ("--ca", "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----", "is no file of certificates"),
    ],
)
def test_a_file_that_is_no_good_is_refused_by_name(edge_install, tmp_path, flag, content, reason):
    (tmp_path / "given").write_text(content)
    code, told = edge_install(flag, tmp_path / "given")
    assert code == 1
    assert f"{tmp_path}/given {reason}" in told
    assert not (tmp_path / "root").exists()


def test_a_file_that_is_missing_is_refused_by_name(edge_install, tmp_path):
    code, told = edge_install("--ca", tmp_path / "missing")
    assert (code, told.count("\n")) == (1, 1)
    assert f"{tmp_path}/missing cannot be read" in told


def test_a_server_that_is_no_url_is_refused(edge_install, root):
    code, told = edge_install("--server", "muster.example")
    assert code == 1
    assert "server_url" in told
    assert not root.exists()


def test_wrong_usage_ends_with_two(edge_install):
    with pytest.raises(SystemExit) as ended:
        edge_install("--colour")
    assert ended.value.code == 2


def test_a_machine_is_changed_by_root_alone(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install.main(["install"]) == 1
    assert "`sudo`" in capsys.readouterr().err


def test_a_machine_without_the_python_of_the_launcher_is_refused_before_anything_is_made(monkeypatch, capsys):
    monkeypatch.setattr(install, "SYSTEM_PYTHON", "/absent/python3")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert install.main(["install", "--dry-run"]) == 1
    assert "/absent/python3" in capsys.readouterr().err
    install.main(["install", "--dry-run", "--no-updates"])
    assert "/absent/python3" not in capsys.readouterr().err


def test_without_a_key_one_is_told_that_it_is_missing(edge_install, without_venv):
    assert "without --enrolment-key-file" in edge_install()[1]


def test_secrets_are_shown_nowhere(edge_install, root, key_file, without_venv):
    _, told = edge_install("--enrolment-key-file", key_file)
    assert KEY not in told
    assert KEY not in repr(install.Choices(key=KEY))
    assert KEY not in repr(PLAN(install.Choices(key=KEY), install.Source("x", ())))
    manifest = root / "opt/muster-edge/manifest.json"
    assert json.loads(manifest.read_text())["remembered"]["key"] == KEY
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o600


def test_every_setting_that_is_written_is_one_that_an_edge_knows():
    known = set(EdgeSettings.__struct_fields__)
    assert set(install.OF_ONE_DEVICE) <= known


def test_udev_knows_the_scanners_that_the_edge_knows():
    assert {int(vendor, 16) for vendor in install.SCANNER_VENDORS} == set(devices._VENDORS)


def test_a_configuration_that_is_not_toml_stops_an_image(tmp_path):
    (tmp_path / "edge.toml").write_text("[edge")
    with pytest.raises(InstallError, match=r"edge\.toml cannot be read"):
        install.refuse_identity(tmp_path / "edge.toml")
