"""A whole plan: done, found done, changed, broken off, taken back."""

from __future__ import annotations

import json
import os
import pwd
import stat

import pytest

from supervisor.installer import (
    Command,
    Data,
    Directory,
    File,
    Installer,
    InstallError,
    Link,
    Plan,
    Target,
    Unit,
    User,
    Venv,
)
from supervisor.installer.python import Source, is_private
from tests.support.installation import everything_below

MANIFEST = "/opt/it/manifest.json"
STEPS = (
    Directory("/opt/it"),
    Command("reload", undo_command=("reload", "again")),
    File("/etc/it/it.toml", b"a = 1\n", mode=0o640, keep=True),
    Data("/var/lib/it"),
    Link("/usr/local/bin/it", to="/opt/it/it"),
    Command("restart", command=("restart", "it")),
    Unit("it.service"),
)


class Machine:
    """A root, what was said, and the commands that would have changed the running system."""

    def __init__(self, root):
        self.root = root
        self.said = []
        self.ran = []

    @property
    def directory(self):
        """The root as a directory."""
        return Installer(Target(self.root, run=self._run), MANIFEST, self.said.append)

    @property
    def live(self):
        """The root as if it were the running machine."""
        target = Target(self.root, run=self._run)
        target.is_live = True
        return Installer(target, MANIFEST, self.said.append)

    def _run(self, command):
        self.ran.append(" ".join(command))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "root")


def test_what_is_installed_is_there_and_what_is_removed_leaves_nothing(machine):
    machine.directory.install(Plan(STEPS))
    assert (machine.root / "etc/it/it.toml").read_bytes() == b"a = 1\n"
    assert (machine.root / "usr/local/bin/it").is_symlink()
    machine.directory.uninstall()
    assert everything_below(machine.root) == set()


def test_in_a_directory_nothing_of_the_running_system_is_touched(machine):
    machine.directory.install(Plan(STEPS))
    machine.directory.uninstall()
    assert machine.ran == []


def test_on_a_machine_services_are_stopped_first_and_reloads_come_when_their_files_are_gone(machine, needs_root):
    machine.live.install(Plan(STEPS))
    assert machine.ran == ["restart it", "systemctl daemon-reload", "systemctl restart it.service"]
    machine.ran.clear()
    machine.live.uninstall()
    assert machine.ran == ["systemctl stop it.service", "reload again"]


@pytest.fixture
def needs_root():
    if os.geteuid() != 0:
        pytest.skip("only root may change a machine")


def test_a_second_run_finds_everything_done(machine):
    machine.directory.install(Plan(STEPS))
    before = snapshot(machine.root)
    machine.said.clear()
    machine.directory.install(Plan(STEPS))
    assert snapshot(machine.root) == before
    assert not [line for line in machine.said if line.startswith("made")]


def snapshot(root):
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.name not in ("manifest.json", "it")
    }


def test_what_a_new_version_makes_no_more_is_removed(machine):
    machine.directory.install(Plan(STEPS))
    machine.directory.install(Plan([step for step in STEPS if not isinstance(step, Link)]))
    assert not (machine.root / "usr/local/bin/it").is_symlink()


def test_what_others_have_put_into_our_directories_stays(machine):
    (machine.root / "etc").mkdir(parents=True)
    (machine.root / "etc/theirs").touch()
    machine.directory.install(Plan(STEPS))
    (machine.root / "etc/it/theirs").touch()
    machine.directory.uninstall(purge=True)
    assert everything_below(machine.root) == {"/etc", "/etc/theirs", "/etc/it", "/etc/it/theirs"}


def test_data_and_changed_configuration_stay_and_are_told(machine):
    machine.directory.install(Plan(STEPS))
    (machine.root / "etc/it/it.toml").write_text("a = 2\n")
    (machine.root / "var/lib/it/rows.db").touch()
    machine.said.clear()
    machine.directory.uninstall()
    kept = {path for path in everything_below(machine.root) if (machine.root / path[1:]).is_file()}
    assert kept == {"/etc/it/it.toml", "/var/lib/it/rows.db"}
    assert sum("is kept" in line for line in machine.said) == 2


def test_what_would_stand_in_changed_configuration_goes_with_the_installation(machine):
    machine.directory.install(Plan(STEPS))
    config = machine.root / "etc/it/it.toml"
    config.write_text("mine")
    other = File("/etc/it/it.toml", b"a = 2\n", mode=0o640, keep=True)
    machine.directory.install(Plan([other if step.path == other.path else step for step in STEPS]))
    assert (machine.root / "etc/it/it.toml.new").read_text() == "a = 2\n"
    machine.directory.uninstall()
    assert [path.name for path in config.parent.iterdir()] == ["it.toml"]


def test_a_strict_umask_does_not_lock_the_service_out(machine):
    before = os.umask(0o077)
    try:
        machine.directory.install(Plan(STEPS))
    finally:
        os.umask(before)
    assert stat.S_IMODE((machine.root / "usr/local/bin").stat().st_mode) == 0o755


def test_what_cannot_be_undone_any_more_holds_nothing_up(machine, needs_root):
    machine.live.install(Plan(STEPS))

    def gone(command):
        raise InstallError(f"`{command[0]}` ended with exit code 5: Unit not found.")

    installer = machine.live
    installer._target._run = gone
    installer.uninstall()
    assert not everything_below(machine.root) & {"/etc/it", "/opt/it"}
    assert any("exit code 5" in line for line in machine.said)


def test_purging_leaves_nothing_at_all(machine):
    machine.directory.install(Plan(STEPS))
    (machine.root / "etc/it/it.toml").write_text("a = 2\n")
    (machine.root / "var/lib/it/rows.db").touch()
    machine.directory.uninstall(purge=True)
    assert everything_below(machine.root) == set()


def test_a_dry_run_says_every_step_and_touches_nothing(machine):
    machine.directory.describe(Plan(STEPS))
    assert machine.said == [step.describe() for step in STEPS]
    assert not machine.root.exists()


def test_what_is_in_the_way_is_told_before_anything_is_done(machine):
    (machine.root / "usr/local/bin").mkdir(parents=True)
    (machine.root / "usr/local/bin/it").touch()
    with pytest.raises(InstallError, match="usr/local/bin/it exists"):
        machine.directory.install(Plan(STEPS))
    assert everything_below(machine.root) == {"/usr", "/usr/local", "/usr/local/bin", "/usr/local/bin/it"}


def test_an_installation_that_was_broken_off_can_be_removed_and_can_be_finished(machine, tmp_path):
    wheel = tmp_path / "broken.whl"
    wheel.touch()
    venv = Venv("/opt/it/venv", Source(str(wheel), ()), commands=())

    def fail(_command):
        raise InstallError("pip has no network.")

    broken = Installer(Target(machine.root, run=fail), MANIFEST, machine.said.append)
    with pytest.raises(InstallError, match="no network"):
        broken.install(Plan([*STEPS[:3], venv, *STEPS[3:]]))
    machine.directory.install(Plan(STEPS))
    assert not (machine.root / "opt/it/builds").exists()
    machine.directory.uninstall()
    assert everything_below(machine.root) == set()


def test_the_manifest_is_for_root_alone_and_remembers_choices(machine):
    machine.directory.install(Plan(STEPS, {"password": "hush"}))
    assert stat.S_IMODE((machine.root / MANIFEST[1:]).stat().st_mode) == 0o600
    assert machine.directory.manifest.remembered == {"password": "hush"}
    assert not any("hush" in line for line in machine.said)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": 9, "records": [], "remembered": {}})])
def test_a_damaged_manifest_is_refused_by_name(machine, content):
    machine.directory.install(Plan(STEPS))
    (machine.root / MANIFEST[1:]).write_text(content)
    with pytest.raises(InstallError, match=r"The manifest .*/opt/it/manifest.json cannot be used"):
        _ = machine.directory


def test_removing_what_is_not_installed_says_so(machine):
    with pytest.raises(InstallError, match="Nothing is installed here"):
        machine.directory.uninstall()


def test_on_a_machine_others_than_root_are_told_of_their_ways(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for attempt in (lambda: machine.live.install(Plan(STEPS)), machine.live.uninstall):
        with pytest.raises(InstallError, match=r"sudo.*--dry-run.*--root DIR"):
            attempt()
    machine.directory.install(Plan(STEPS))


# -- users ------------------------------------------------------------------------------------------------------------


def test_a_user_is_made_with_a_group_of_its_own_and_goes_when_it_owns_nothing_any_more(machine, needs_root):
    user = User("muster-no-such-user", home="/var/lib/it", groups=("root", "no-such-group"))
    machine.live.install(Plan([Directory("/opt/it"), user, Data("/var/lib/it")]))
    add, groups = machine.ran
    assert add.startswith("useradd --system --user-group --no-create-home --home-dir /var/lib/it")
    assert groups == "usermod --append --groups root muster-no-such-user"


def test_a_user_that_was_there_before_us_stays(machine, needs_root):
    machine.live.install(Plan([Directory("/opt/it"), User("nobody", home="/var/lib/it")]))
    machine.live.uninstall()
    assert machine.ran == []


def test_a_user_of_ours_stays_while_its_data_does(machine, needs_root):
    record = {"kind": "user", "path": "nobody", "home": "/var/lib/it", "ours": "yes"}
    target = machine.live._target
    (machine.root / "var/lib/it").mkdir(parents=True)
    assert "nobody is kept" in User.undo(record, target, purge=False)
    (machine.root / "var/lib/it").rmdir()
    User.undo(record, target, purge=False)
    assert machine.ran == ["userdel nobody"]


def test_a_user_of_an_earlier_installation_is_known_by_its_home_and_shell(machine, needs_root):
    nobody = pwd.getpwnam("nobody")
    user = User("nobody", home=nobody.pw_dir)
    assert user.intend(machine.live._target)["ours"] == ("yes" if nobody.pw_shell == "/usr/sbin/nologin" else "")
    assert not User("nobody", home="/elsewhere").intend(machine.live._target)["ours"]


def test_an_image_makes_the_same_user_at_its_first_boot():
    user = User("muster-edge", home="/var/lib/muster-edge", groups=("input", "video"))
    assert user.sysusers().decode().splitlines() == [
        'u muster-edge - "Muster" /var/lib/muster-edge /usr/sbin/nologin',
        "m muster-edge input",
        "m muster-edge video",
    ]


# -- environments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wheel_dir", "expected"),
    [
        ("", "", ["muster-fleet[edge]==1.2"]),
        ("muster-fleet==2.0", "", ["muster-fleet[edge]==2.0"]),
        ("/some/muster.whl", "", ["/some/muster.whl[edge]"]),
        ("muster-fleet>=1.2", "", ["muster-fleet[edge]>=1.2"]),
        ("muster-fleet @ https://h/m.whl ", "", ["muster-fleet[edge] @ https://h/m.whl "]),
        ("", "/wheels", ["--no-index", "--find-links", "/wheels", "muster-fleet[edge]"]),
        ("muster-fleet==2.0", "/wheels", ["--no-index", "--find-links", "/wheels", "muster-fleet[edge]==2.0"]),
    ],
)
def test_pip_is_told_where_to_take_muster_from(tmp_path, given, wheel_dir, expected):
    source = Source.choose(given, wheel_dir, ("edge",), home=tmp_path, version="1.2")
    assert source.arguments == expected


def test_a_checkout_installs_itself_with_its_pinned_versions(tmp_path):
    (tmp_path / "setup.py").touch()
    (tmp_path / "constraints.txt").touch()
    source = Source.choose("", "", ("edge", "scanner"), home=tmp_path, version="1.2")
    assert source.arguments == ["--constraint", f"{tmp_path}/constraints.txt", f"{tmp_path}[edge,scanner]"]
    assert source.fingerprint == ""


@pytest.mark.parametrize(("path", "private"), [("/root/x/python3", True), ("/home/me/p", True), ("/usr/bin/p", False)])
def test_an_interpreter_in_a_home_is_none_for_a_service(path, private):
    assert is_private(path) == private


def test_a_source_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(InstallError, match=r"/no/such.whl, from where"):
        Source.choose("/no/such.whl", "", (), home=tmp_path, version="1").check()


class Pip:
    """Stands for `python -m venv` and `pip install`."""

    def __init__(self):
        self.fails = False
        self.built = 0

    def __call__(self, command):
        if "venv" in command:
            build = command[-1]
            os.makedirs(f"{build}/bin")  # noqa: PTH103 - a path as text
            open(f"{build}/bin/python", "w").close()  # noqa: PTH123
        elif self.fails:
            raise InstallError("pip has no network.")
        else:
            self.built += 1


@pytest.fixture
def environment(machine, tmp_path):
    pip = Pip()
    installer = Installer(Target(machine.root, run=pip), MANIFEST, machine.said.append)
    wheel = tmp_path / "muster.whl"
    wheel.write_text("one")
    venv = Venv("/opt/it/venv", Source(str(wheel), ()), commands=(("it", "it"),))
    return pip, installer, wheel, Plan([Directory("/opt/it"), venv]), machine.root / "opt/it"


def test_the_same_wheel_is_installed_once(environment):
    pip, installer, wheel, plan, _ = environment
    installer.install(plan)
    installer.install(plan)
    assert pip.built == 1
    wheel.write_text("another")
    installer.install(plan)
    assert pip.built == 2


def test_a_build_that_fails_leaves_the_last_one_in_use(environment):
    pip, installer, wheel, plan, place = environment
    installer.install(plan)
    good = (place / "venv").resolve()
    wheel.write_text("another")
    pip.fails = True
    with pytest.raises(InstallError, match="no network"):
        installer.install(plan)
    assert (place / "venv").resolve() == good
    pip.fails = False
    installer.install(plan)
    assert (place / "venv").resolve() != good


def test_only_the_last_build_is_kept_beside_the_one_in_use(environment):
    _, installer, wheel, plan, place = environment
    for content in ("a", "b", "c", "d"):
        wheel.write_text(content * 5)
        wheel.touch()
        installer.install(plan)
    kept = sorted(build.name for build in (place / "builds").iterdir())
    assert len(kept) == 2
    assert (place / "venv").resolve().name == kept[-1]
