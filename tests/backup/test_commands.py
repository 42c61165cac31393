"""The commands, at a real server that takes readings from a real broker."""

from __future__ import annotations

import contextlib
import json

import pytest

from actors.storage.database import open_database
from actors.storage.models import Reading
from tests.backup.conftest import rows_of
from tests.support.muster import Muster
from tests.support.processes import Process
from tests.support.wait import eventually

PASSPHRASE = "correct horse battery staple"


def count(url):
    """Readings that are committed."""
    with contextlib.closing(open_database(url)) as database:
        database.connect()
        return Reading.select().count(database) if database.table_exists("reading") else 0


@pytest.fixture
def muster(mosquitto, database_url):
    options = {} if database_url.startswith("sqlite") else {"database_url": database_url}
    with Muster(mosquitto.url, **options) as server:
        yield server


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE)
    path.chmod(0o600)
    return f"--passphrase-file={path}"


def test_a_server_under_load_is_backed_up_and_restored(muster, mosquitto, passphrase, tmp_path):
    options = ("--first", "0", "--messages", "100000", "--rate", "400")
    with Process.module("tests.support.publisher", mosquitto.url, *options):
        eventually(lambda: count(muster.database_url) > 200, 30, "readings are stored")
        code, said = muster.run("backup", str(tmp_path / "b"), passphrase, "--json", timeout=60)
        assert code == 0, said
        meanwhile = count(muster.database_url)
        eventually(lambda: count(muster.database_url) > meanwhile, 30, "ingest has not noticed")
    muster.wait_settled()
    rows = rows_of(muster.database_url)["reading"]

    code, said = muster.run("restore", str(tmp_path / "b"), passphrase, "--force", timeout=60)
    assert code == 1
    assert "stop it first" in said
    muster.stop()
    code, said = muster.run("restore", str(tmp_path / "b"), passphrase, timeout=60)
    assert code == 1
    assert "--force" in said
    code, said = muster.run("restore", str(tmp_path / "b"), passphrase, "--force", timeout=60)
    assert code == 0, said

    restored = rows_of(muster.database_url)["reading"]
    assert 200 < len(restored) <= meanwhile < len(rows)
    assert sorted(restored) == sorted(rows)[: len(restored)], "the rows of one moment, each as it was"
    muster.restart()
    assert muster.health()["devices"]["total"] == len(rows_of(muster.database_url)["device"])


def test_what_went_wrong_is_one_sentence(muster, passphrase, tmp_path):
    other = tmp_path / "other"
    other.write_text("another passphrase entirely")
    other.chmod(0o600)
    assert muster.run("backup", str(tmp_path / "b"), passphrase, timeout=60)[0] == 0
    assert muster.run("backup", str(tmp_path / "b"), passphrase, "--verify", timeout=60)[0] == 0
    for arguments, sentence in [
        (("--verify", f"--passphrase-file={other}"), "not the one of this backup"),
        (("--verify", f"--passphrase-file={tmp_path}/none"), "cannot be read"),
        ((passphrase,), "never overwritten"),
        ((), "--passphrase-file or --key-file"),
    ]:
        code, said = muster.run("backup", str(tmp_path / "b"), *arguments, timeout=60)
        assert code != 0
        assert sentence in said
        assert "Traceback" not in said
        assert PASSPHRASE not in said


def test_a_key_file_serves_as_well(muster, tmp_path):
    key = f"--key-file={tmp_path}/key"
    assert muster.run("backup", "--new-key", str(tmp_path / "key"))[0] == 0
    assert muster.run("backup", str(tmp_path / "b"), key, timeout=60)[0] == 0
    code, said = muster.run("backup", "--verify", str(tmp_path / "b"), key, "--json", timeout=60)
    assert (code, json.loads(said)["left_out"]) == (0, [])
