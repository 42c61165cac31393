"""What is no good backup is refused with a reason, and nothing is touched by it."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tarfile

import pytest

from actors.storage.database import MIGRATIONS
from actors.storage.sealed import keyring, use_keyring
from supervisor.backup import make, restore
from supervisor.backup.archive import ArchiveWriter
from supervisor.backup.contents import About
from supervisor.backup.databases import copier_for, find_program
from supervisor.backup.errors import BackupError
from supervisor.backup.make import make_backup, verify_backup
from supervisor.backup.restore import restore_backup, restore_configuration
from supervisor.backup.secret import Key
from supervisor.process.lock import FileLock
from supervisor.server.sealing import KeyFile
from tests.backup.conftest import KEY, rows_of
from tests.backup.test_round import code_of


@pytest.fixture(params=["sqlite"])
def database_url(request, tmp_path):
    """One database is enough here."""
    return f"sqlite:///{tmp_path}/unused.db"


@pytest.fixture(autouse=True)
def _own_keys():
    before = keyring()
    yield
    use_keyring(before)


@pytest.fixture
def backup(home, tmp_path):
    make_backup(home.source, tmp_path / "b", KEY)
    return tmp_path / "b"


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_refused_before_anything_is_touched(home, backup, place):
    raw = bytearray(backup.read_bytes())
    raw[int(len(raw) * place)] ^= 1
    backup.write_bytes(raw)
    before, names = rows_of(home.url), sorted(home.data.iterdir())
    assert code_of(restore_backup, backup, home.target, KEY, force=True) in {"tampered", "truncated"}
    assert (rows_of(home.url), sorted(home.data.iterdir())) == (before, names)


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.7, 0.999])
def test_a_file_that_was_cut_off_is_refused(home, backup, keep):
    os.truncate(backup, int(backup.stat().st_size * keep))
    assert code_of(verify_backup, backup, KEY) in {"truncated", "not_a_backup"}
    assert code_of(restore_backup, backup, home.target, KEY, force=True) in {"truncated", "not_a_backup"}


def test_another_key_opens_nothing(home, backup):
    assert code_of(restore_backup, backup, home.target, Key(b"1" * 32), force=True) == "wrong_key"


def test_another_file_is_no_backup(home, tmp_path):
    (tmp_path / "x").write_bytes(b"something else" * 100)
    assert code_of(verify_backup, tmp_path / "x", KEY) == "not_a_backup"


def test_a_backup_is_never_overwritten(home, backup):
    before = backup.read_bytes()
    assert code_of(make_backup, home.source, backup, KEY) == "exists"
    assert backup.read_bytes() == before


def test_two_backups_at_a_time_are_one_too_many(home, tmp_path):
    with FileLock(home.data / "backup.lock"):
        assert code_of(make_backup, home.source, tmp_path / "b", KEY) == "busy"


def test_a_backup_for_another_database_is_refused(home, backup):
    target = home.target._replace(copier=copier_for("postgresql://127.0.0.1:1/x"))
    target.copier.refuse_busy = lambda: None
    assert code_of(restore_backup, backup, target, KEY, force=True) == "other_database"


def test_a_backup_of_a_newer_release_is_refused(home, backup, monkeypatch):
    known = {path.stem for path in MIGRATIONS.glob("[0-9]*.py")}
    monkeypatch.setattr(restore, "known_migrations", lambda: known - {"0008_alarms"})
    with pytest.raises(BackupError, match="0008_alarms") as caught:
        restore_backup(backup, home.target, KEY, force=True)
    assert caught.value.code == "newer"


def test_a_full_disk_leaves_no_half_file(home, tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(make.ArchiveWriter, "add", full)
    assert code_of(make_backup, home.source, tmp_path / "b", KEY) == "no_space"
    assert not list(tmp_path.glob("b*"))


def test_a_damaged_database_is_no_backup(home, tmp_path):
    """It would be a backup that nothing can be restored from."""
    path = home.data / "muster.db"
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2 // 4096 * 4096
    raw[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(raw)
    assert code_of(make_backup, home.source, tmp_path / "b", KEY) == "database"
    assert not list(tmp_path.glob("b*"))


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_disk_without_links_holds_backups_too(home, tmp_path, monkeypatch, number):
    """As most USB sticks have it: FAT knows no hard links."""

    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    make_backup(home.source, tmp_path / "b", KEY)
    verify_backup(tmp_path / "b", KEY)
    before = (tmp_path / "b").read_bytes()
    assert code_of(make_backup, home.source, tmp_path / "b", KEY) == "exists"
    assert [path.name for path in tmp_path.glob("b*")] == ["b"]
    assert (tmp_path / "b").read_bytes() == before


def test_what_fails_at_the_very_end_leaves_no_backup_either(home, tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(make, "write_private", full)
    assert code_of(make_backup, home.source, tmp_path / "b", KEY) == "no_space"
    assert not list(tmp_path.glob("b*"))


def test_backups_in_the_data_directory_are_in_no_backup(home, tmp_path):
    """Each would hold all those before."""
    make_backup(home.source, home.data / "first", KEY)
    made = make_backup(home.source, tmp_path / "b", KEY)
    assert "data/first" not in {member.name for member in made.manifest.files}
    assert made.manifest.left_out == (f"{home.data}/first: a backup",)


def test_the_sealing_keys_are_in_the_backup_wherever_they_lie(home, tmp_path):
    keys = KeyFile(tmp_path / "keys/sealing.key")
    keys.path.parent.mkdir()
    keys.prepare()
    source = home.source._replace(sealing=keys, noted=keys.load().current)
    make_backup(source, tmp_path / "b", KEY)
    (written,) = restore_configuration(tmp_path / "b", KEY, root=tmp_path / "root")
    assert written.read_text() == keys.path.read_text()
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_backup_without_the_key_of_its_sealed_values_says_so(home, tmp_path):
    source = home.source._replace(sealing=KeyFile(home.data / "sealing.key"), noted="01234567")
    assert "01234567" in make_backup(source, tmp_path / "b", KEY).manifest.left_out[0]


def test_a_rotation_in_the_middle_of_a_backup_leaves_no_value_without_its_key(home, tmp_path, monkeypatch):
    """The files are read before the database, which may hold values of the new key already."""
    keys = KeyFile(home.data / "sealing.key")
    keys.prepare()
    source, made = home.source._replace(sealing=keys), []
    genuine = source.copier.dump

    def dump(path):
        if not made:
            made.append(keys.rotate(None))
        return genuine(path)

    monkeypatch.setattr(source.copier, "dump", dump)
    make_backup(source, tmp_path / "b", KEY)
    keys.path.unlink()
    restore_backup(tmp_path / "b", home.target, KEY, force=True)
    assert made[0] in keys.load()


def test_a_file_that_changes_while_it_is_read_is_read_again(home, tmp_path, monkeypatch):
    """The audit trail begins a new file in the middle of the backup: each of its lines is in the backup once."""
    trail = home.data / "mqtt_sensor_received.csv"
    genuine, calls = make.ArchiveWriter.add, []

    def add(self, name, path):
        genuine(self, name, path)
        if path == trail and not calls:
            calls.append(name)
            trail.rename(trail.with_name("mqtt_sensor_received-1.csv"))
            trail.write_text("id,time\n")

    monkeypatch.setattr(make.ArchiveWriter, "add", add)
    made = make_backup(home.source, tmp_path / "b", KEY)
    sizes = {member.name: member.size for member in made.manifest.files}
    assert sizes["data/mqtt_sensor_received.csv"] == len("id,time\n")
    assert sizes["data/mqtt_sensor_received-1.csv"] == len("id,time\n1,2\n")


def write_hostile(path, home, member):
    """A backup sealed with the right key by somebody who means no good, or by a bug."""
    with path.open("wb") as file, ArchiveWriter(file, KEY) as writer:
        writer.add_about(About(1, "1", "now", "", "sqlite", (), str(home.data)))
        writer._tar.addfile(member, io.BytesIO(b"x" * member.size))
        writer.finish(rows=None, left_out=())


@pytest.mark.parametrize("name", ["data/../../escaped", "/escaped", "data/./x", "data//x"])
def test_a_name_that_leads_elsewhere_is_refused(home, tmp_path, name):
    member = tarfile.TarInfo(name)
    member.size = 1
    write_hostile(tmp_path / "b", home, member)
    assert code_of(restore_backup, tmp_path / "b", home.target, KEY, force=True) == "tampered"
    assert not list(tmp_path.rglob("escaped"))


def test_a_link_is_refused(home, tmp_path):
    member = tarfile.TarInfo("data/link")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    write_hostile(tmp_path / "b", home, member)
    assert code_of(restore_backup, tmp_path / "b", home.target, KEY, force=True) == "tampered"


def test_a_missing_program_is_told_with_its_cure(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackupError, match="apt install postgresql-client") as caught:
        find_program("pg_dump", package="postgresql-client")
    assert caught.value.code == "no_program"


def test_the_configuration_comes_back_alone_and_old_files_are_set_aside(home, tmp_path):
    place = tmp_path / "etc/muster.toml"
    place.parent.mkdir()
    place.write_text("# as it was\n")
    place.chmod(0o640)
    if os.geteuid() == 0:
        shutil.chown(place, "daemon", "games")
    make_backup(home.source._replace(configuration=(place,)), tmp_path / "b", KEY)
    root = tmp_path / "root"
    (written,) = restore_configuration(tmp_path / "b", KEY, root=root)
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("# as it was\n", 0o640)
    if os.geteuid() == 0:
        assert (written.owner(), written.group()) == ("daemon", "games")
    assert restore_configuration(tmp_path / "b", KEY, root=root) == []
    written.write_text("# another\n")
    assert code_of(restore_configuration, tmp_path / "b", KEY, root=root) == "not_empty"
    assert written.read_text() == "# another\n"
    restore_configuration(tmp_path / "b", KEY, root=root, force=True)
    assert sorted(path.read_text() for path in written.parent.iterdir()) == ["# another\n", "# as it was\n"]


def test_what_root_makes_belongs_to_the_user_of_the_data_directory(home, tmp_path):
    """The server runs as that user, and has to read and lock all of it."""
    if os.geteuid() != 0:
        return
    nobody = 65534
    for path in (home.data, *home.data.rglob("*")):
        os.chown(path, nobody, nobody)
    (home.data / "instance.lock").unlink()
    make_backup(home.source, tmp_path / "b", KEY)
    restore_backup(tmp_path / "b", home.target, KEY, force=True)
    assert [path for path in home.data.rglob("*") if path.stat().st_uid != nobody] == []
