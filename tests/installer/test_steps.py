"""What each step does, finds done, and takes back; in a directory that stands for a root."""

from __future__ import annotations

import stat

import pytest

from supervisor.installer import Data, Directory, File, InstallError, Link, Seed, Target
from supervisor.installer.step import Did


@pytest.fixture
def target(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    return Target(root)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def done(step, target, before=None):
    """Do a step as an installation does: check it, note the intention, carry it out."""
    step.check(target, before)
    return step.apply(target, before or step.intend(target))


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_has_its_content_and_its_mode_at_once(target):
    assert done(File("/etc/it", b"secret", mode=0o640), target).did is Did.MADE
    path = target.path("/etc/it")
    assert (path.read_bytes(), mode(path)) == (b"secret", 0o640)
    assert [entry.name for entry in path.parent.iterdir()] == ["it"]


def test_a_file_that_is_there_already_is_left_alone(target):
    first = done(File("/etc/it", b"same"), target)
    changed = target.path("/etc/it").stat().st_mtime_ns
    assert done(File("/etc/it", b"same"), target, first.record).did is Did.UNCHANGED
    assert target.path("/etc/it").stat().st_mtime_ns == changed


def test_a_file_with_the_wrong_mode_is_mended(target):
    first = done(File("/etc/it", b"secret", mode=0o600), target)
    target.path("/etc/it").chmod(0o644)
    assert done(File("/etc/it", b"secret", mode=0o600), target, first.record).did is Did.MADE
    assert mode(target.path("/etc/it")) == 0o600


def test_a_new_version_replaces_what_we_wrote(target):
    first = done(File("/etc/it", b"one", keep=True), target)
    assert done(File("/etc/it", b"two", keep=True), target, first.record).did is Did.MADE
    assert target.path("/etc/it").read_bytes() == b"two"


def test_configuration_that_was_changed_by_hand_is_kept_and_the_new_one_lies_beside_it(target):
    first = done(File("/etc/it", b"one", keep=True), target)
    target.path("/etc/it").write_bytes(b"mine")
    outcome = done(File("/etc/it", b"two", mode=0o640, keep=True), target, first.record)
    assert outcome.did is Did.KEPT
    assert target.path("/etc/it").read_bytes() == b"mine"
    beside = target.path("/etc/it.new")
    assert (beside.read_bytes(), mode(beside)) == (b"two", 0o640)
    assert str(beside) in outcome.remark


def test_configuration_that_was_there_before_us_is_kept_and_survives_the_removal(target):
    target.path("/etc/it").write_bytes(b"mine")
    outcome = done(File("/etc/it", b"ours", keep=True), target)
    assert outcome.did is Did.KEPT
    assert "changed by hand" in File.undo(outcome.record, target, purge=False)
    assert target.path("/etc/it").read_bytes() == b"mine"


def test_a_foreign_file_is_never_replaced(target):
    target.path("/etc/it").write_bytes(b"mine")
    with pytest.raises(InstallError, match=r"/etc/it exists and is not of Muster's making"):
        File("/etc/it", b"ours").check(target, None)


def test_a_file_whose_writing_was_interrupted_is_written_again(target):
    step = File("/etc/it", b"whole", keep=True)
    intention = step.intend(target)
    target.path("/etc/it").write_bytes(b"ha")
    assert done(step, target, intention).did is Did.MADE
    assert target.path("/etc/it").read_bytes() == b"whole"


def test_a_directory_in_the_place_of_a_file_is_refused(target):
    target.path("/etc/it").mkdir()
    with pytest.raises(InstallError, match="it is no file"):
        File("/etc/it", b"ours").check(target, None)


def test_a_changed_configuration_outlives_the_removal_until_it_is_purged(target):
    outcome = done(File("/etc/it", b"one", keep=True), target)
    target.path("/etc/it").write_bytes(b"mine")
    assert "--purge" in File.undo(outcome.record, target, purge=False)
    assert File.undo(outcome.record, target, purge=True) == ""
    assert not target.path("/etc/it").exists()


def test_the_content_of_a_file_is_never_shown(target):
    step = File("/etc/it", b"hush", mode=0o640, group="muster")
    assert step.describe() == "file /etc/it (0640 root:muster)"
    assert "hush" not in repr(step)


# -- directories ------------------------------------------------------------------------------------------------------


def test_a_directory_is_removed_only_when_it_is_empty(target):
    outcome = done(Directory("/etc/muster", mode=0o750), target)
    assert mode(target.path("/etc/muster")) == 0o750
    target.path("/etc/muster/theirs").touch()
    Directory.undo(outcome.record, target, purge=True)
    assert target.path("/etc/muster/theirs").exists()
    target.path("/etc/muster/theirs").unlink()
    Directory.undo(outcome.record, target, purge=False)
    assert not target.path("/etc/muster").exists()


@pytest.mark.parametrize("kind", [Directory, Data])
def test_a_link_in_the_place_of_a_directory_is_refused(target, kind, tmp_path):
    target.path("/etc/muster").symlink_to(tmp_path)
    with pytest.raises(InstallError, match="it is no directory"):
        kind("/etc/muster").check(target, None)


def test_data_outlives_the_removal_until_it_is_purged(target):
    outcome = done(Data("/etc/data"), target)
    target.path("/etc/data/kept").mkdir()
    assert "holds data" in Data.undo(outcome.record, target, purge=False)
    assert target.path("/etc/data/kept").exists()
    assert Data.undo(outcome.record, target, purge=True) == ""
    assert not target.path("/etc/data").exists()


def test_data_of_an_image_is_emptied_but_for_what_links_lead_to(target, tmp_path):
    done(Data("/etc/data"), target)
    data = target.path("/etc/data")
    (data / "edge").mkdir()
    (data / "edge" / "identity.json").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "theirs").touch()
    (data / "link").symlink_to(tmp_path / "elsewhere")
    assert done(Data("/etc/data", wipe=True), target).did is Did.MADE
    assert list(data.iterdir()) == []
    assert (tmp_path / "elsewhere" / "theirs").exists()


# -- links ------------------------------------------------------------------------------------------------------------


def test_a_link_leads_to_the_same_place_wherever_the_root_is(target):
    done(Directory("/etc/a"), target)
    outcome = done(Link("/etc/a/link", to="/etc/b"), target)
    assert outcome.record["to"] == "../b"
    assert done(Link("/etc/a/link", to="/etc/b"), target, outcome.record).did is Did.UNCHANGED
    turned = done(Link("/etc/a/link", to="/etc/c"), target, outcome.record)
    assert str(target.path("/etc/a/link").readlink()) == "../c"
    Link.undo(turned.record, target, purge=False)
    assert not target.path("/etc/a/link").is_symlink()


def test_a_link_that_somebody_has_turned_is_theirs(target):
    outcome = done(Link("/etc/link", to="/etc/b"), target)
    target.path("/etc/link").unlink()
    target.path("/etc/link").symlink_to("theirs")
    Link.undo(outcome.record, target, purge=True)
    assert target.path("/etc/link").is_symlink()


def test_a_foreign_file_in_the_place_of_a_link_is_refused(target):
    target.path("/etc/link").touch()
    with pytest.raises(InstallError, match="not of Muster's making"):
        Link("/etc/link", to="/etc/b").check(target, None)


# -- the target -------------------------------------------------------------------------------------------------------


def test_nothing_is_written_outside_the_directory_through_a_link_in_it(target, tmp_path):
    (tmp_path / "outside").mkdir()
    target.path("/opt").symlink_to(tmp_path / "outside")
    with pytest.raises(InstallError, match="leads out of"):
        target.path("/opt/it")


def test_a_command_that_fails_is_told_with_its_last_words(target):
    with pytest.raises(InstallError, match=r"ended with exit code 3: out of luck\.$"):
        target.run(["sh", "-c", "echo well; echo out of luck. >&2; exit 3"])
    with pytest.raises(InstallError, match="`no-such-command` cannot be run"):
        target.run(["no-such-command"])


# -- what a service begins with ----------------------------------------------------------------------------------------

SEED = Seed("/var/lib/it/keys", {"key": b"secret", "list": b""}, user="it")


@pytest.fixture
def seeded(target):
    """The record of a seed that was made."""
    target.path("/var/lib/it").mkdir(parents=True)
    outcome = done(SEED, target)
    assert outcome.did is Did.MADE
    return outcome.record


def test_a_seed_is_made_whole_and_for_its_owner_alone(target, seeded):
    path = target.path(SEED.path)
    assert {each.name: (each.read_bytes(), mode(each)) for each in path.iterdir()} == {
        "key": (b"secret", 0o600),
        "list": (b"", 0o600),
    }
    assert mode(path) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["keys"]


def test_a_seed_that_an_interruption_has_left_half_made_is_made_anew(target):
    half = target.path("/var/lib/it/.keys.muster")
    half.mkdir(parents=True)
    (half / "key").write_bytes(b"sec")
    assert done(SEED, target).did is Did.MADE
    assert (target.path(SEED.path) / "key").read_bytes() == b"secret"


def test_what_a_service_has_made_of_a_seed_is_never_touched(target, seeded):
    (target.path(SEED.path) / "key").write_bytes(b"another")
    again = Seed(SEED.path, {"key": b"new"}, user="it")
    assert done(again, target, seeded).did is Did.UNCHANGED
    assert Seed.undo(seeded, target, purge=False) == ""
    assert (target.path(SEED.path) / "key").read_bytes() == b"another"


def test_a_seed_that_nobody_has_used_is_removed(target, seeded):
    Seed.undo(seeded, target, purge=False)
    assert not target.path(SEED.path).exists()
    assert Seed.undo(seeded, target, purge=False) == ""


def test_a_seed_that_was_there_before_us_is_not_ours_to_remove(target):
    path = target.path(SEED.path)
    path.mkdir(parents=True)
    for name, content in SEED.files.items():
        (path / name).write_bytes(content)
    record = done(SEED, target).record
    Seed.undo(record, target, purge=False)
    assert path.exists()
