"""The file with the keys; the actor that seals anew what is there, while the server runs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.registry import Execute
from actors.storage.commands import insert_commands
from actors.storage.database import open_database
from actors.storage.sealed import BEGINNING, Keyring, SealedError, keyring, use_keyring
from actors.storage.store import Store
from supervisor.server.sealing import KeyFile, SealerActor, SealingError, _Tick
from tests.storage.test_sealed import SECRET, command
from tests.support.muster import Muster
from tests.support.wait import eventually


@pytest.fixture(autouse=True)
def _own_keys():
    before = keyring()
    yield
    use_keyring(before)


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "sealing.key")


def test_the_key_is_made_at_the_first_start_and_is_nobody_elses(keys):
    keys.prepare()
    assert keys.path.stat().st_mode & 0o777 == 0o600
    first = keyring().current
    keys.prepare()
    assert keyring().current == first


def test_a_file_that_others_may_read_is_refused(keys):
    keys.prepare()
    keys.path.chmod(0o640)
    with pytest.raises(SealingError, match="chmod 600"):
        keys.prepare()


@pytest.mark.parametrize("content", ["", "nonsense", "muster-sealing-key 00000000 " + "ab" * 32])
def test_a_file_that_is_damaged_is_refused_and_kept(keys, content):
    keys.path.write_text(content)
    keys.path.chmod(0o600)
    with pytest.raises(SealingError, match="does not hold sealing keys"):
        keys.prepare()
    assert keys.path.read_text() == content


def test_a_key_stays_in_the_file_until_no_row_can_need_it(keys):
    keys.prepare()
    first, sealed = keyring().current, keyring().seal("x", "t.c")
    second = keys.rotate(first)
    assert keys.load().unseal(sealed, "t.c") == "x"
    keys.rotate(second)
    assert keys.load().unseal(sealed, "t.c") == "x", "a server that shares the database may have noticed late"
    keys.rotate(keys.load().current)
    with pytest.raises(SealedError, match="which is not in"):
        keys.load().unseal(sealed, "t.c")


@pytest.mark.parametrize("noted", ["first", "", None])
def test_rotations_that_follow_each_other_before_the_rows_are_sealed_anew_lose_no_key(keys, noted):
    """Also with a database that says nothing, or is away."""
    keys.prepare()
    sealed = keyring().seal("x", "t.c")
    noted = keyring().current if noted == "first" else noted
    for _ in range(5):
        keys.rotate(noted)
    assert keys.load().unseal(sealed, "t.c") == "x"


def test_two_rotations_at_a_time_keep_the_key_of_the_other(keys):
    keys.prepare()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: keys.rotate(None), range(8)))
    assert all(key in keys.load() for key in made)


def test_a_key_that_is_gone_is_never_made_anew_while_rows_need_it(keys):
    keys.prepare()
    noted = keyring().current
    content = keys.path.read_text()
    keys.path.unlink()
    with pytest.raises(SealingError, match=f"is gone.*{noted}.*restore"):
        keys.prepare(noted)
    assert not keys.path.exists()
    keys.prepare("")
    with pytest.raises(SealingError, match=f"The key {noted} is not in .*restore"):
        keys.prepare(noted)
    keys.path.write_text(content)
    keys.prepare(noted)


def test_a_rotation_by_root_leaves_the_file_to_the_user_of_the_server(keys):
    keys.prepare()
    if os.geteuid() == 0:
        os.chown(keys.path, 65534, 65534)
    before = keys.path.stat()
    keys.rotate(None)
    assert (keys.path.stat().st_uid, keys.path.stat().st_mode) == (before.st_uid, before.st_mode)


def test_a_running_server_seals_old_rows_and_notices_a_new_key(mosquitto, monkeypatch):
    with Muster(mosquitto.url) as server:
        server.stop()
        (server.data / "sealing.key").unlink()
        use_keyring(Keyring())
        store = Store(open_database(server.database_url))
        store.run(lambda database: insert_commands(database, [command(number, state="done") for number in range(500)]))
        store.run(lambda database: database.execute_sql("DELETE FROM setting WHERE \"key\" = 'sealing.key'"))
        store.close()
        assert stored(server, SECRET) == 500

        server.restart()
        eventually(lambda: stored(server, SECRET) == 0, 30, "every row is sealed")
        assert server.call("GET", "/api/commands", limit=1).body["items"][0]["args"] == {"psk": SECRET}
        code, said = server.run("sealing", "rotate")
        assert code == 0, said
        new = KeyFile(server.data / "sealing.key").load().current
        eventually(lambda: stored(server, f"{BEGINNING}{new}:") == 500, 90, "every row is sealed with the new key")
        assert server.call("GET", "/api/commands", limit=1).body["items"][0]["args"] == {"psk": SECRET}

        eventually(lambda: new in noted(server), 30, "that is noted")
        server.stop()
        (server.data / "sealing.key").rename(server.data / "elsewhere")
        code, said = server.run("server", timeout=60)
        assert code == 1
        assert "restore the file from a backup" in said
        assert "Traceback" not in said
        assert not (server.data / "sealing.key").exists()
        (server.data / "elsewhere").rename(server.data / "sealing.key")
        server.restart()


def noted(server):
    with contextlib.closing(sqlite3.connect(server.data / "muster.db")) as database:
        return str(database.execute("SELECT value FROM setting WHERE \"key\" = 'sealing.key'").fetchall())


def stored(server, text):
    with contextlib.closing(sqlite3.connect(server.data / "muster.db")) as database:
        return database.execute("SELECT COUNT(*) FROM command WHERE args LIKE ?", (f"%{text}%",)).fetchone()[0]


def test_a_database_that_is_away_is_asked_again(keys):
    """Whatever the writer says, the actor lives and comes again."""
    from actors.storage.errors import StoreUnavailable

    asked, later = [], []

    class Runtime:
        class timers:  # noqa: N801
            @staticmethod
            def after(seconds, _ref, _message):
                later.append(seconds)

    def ask(message):
        assert isinstance(message, Execute)
        asked.append(message)
        raise StoreUnavailable("away")

    keys.prepare()
    actor = SealerActor(ask, Runtime, keys)
    actor.on_receive(_Tick())
    actor.on_receive(_Tick())
    assert (len(asked), later) == (2, [5.0, 5.0])
