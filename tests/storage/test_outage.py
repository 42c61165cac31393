"""The database goes away and comes back: real servers, stopped and killed."""

from __future__ import annotations

import socket
import threading

import pytest

from actors.messages import StoreDevice
from actors.storage.database import open_database
from actors.storage.errors import StoreSevered, StoreUnavailable
from actors.storage.store import Store
from tests.storage.build import Look, device, reading
from tests.support.wait import eventually


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    running = request.getfixturevalue(request.param)
    yield running
    if not running.running:
        running.start()


@pytest.fixture
def remote(server):
    """A store on a database server, and its URL."""
    url = server.fresh_database()
    store = Store(open_database(url))
    store.open()
    yield store, url
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_that_went_away_changes_nothing_and_is_used_again_when_it_is_back(server, remote, end):
    store, url = remote
    store.commit([device(), reading()])
    getattr(server, end)()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.commit([reading(), reading(at=1)])
    server.start()
    result = store.commit([reading(), reading(at=1)])
    assert (len(result.new), result.duplicates) == (1, 1)
    with Look(url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [2]


@pytest.mark.slow
def test_what_was_committed_survives_a_sigkill_of_the_server(server, remote):
    store, url = remote
    store.commit([device(), *(reading(at=at) for at in range(100))])
    server.kill()
    server.start()
    with Look(url) as look:
        assert look.column("SELECT COUNT(*) FROM reading") == [100]


def test_a_server_that_is_not_there_at_the_start_is_waited_for(server, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        scheme = server.url.split(":")[0]
        store = Store(open_database(f"{scheme}://muster@127.0.0.1:{nobody.getsockname()[1]}/muster"))
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                store.commit([device()])


def test_a_locked_table_is_waited_for_and_then_tried_again(server, remote, monkeypatch):
    store, url = remote
    store.commit([device()])
    short = "SET lock_timeout = '200ms'" if server.url.startswith("postgres") else "SET innodb_lock_wait_timeout = 1"
    store.run(lambda database: database.execute_sql(short))
    with Look(url) as look:
        look.database.connect()
        with look.database.atomic():
            look.run("UPDATE device SET site = 'other'")
            with pytest.raises(StoreUnavailable):
                store.commit([StoreDevice(device(site="mine").snapshot), reading()])
        assert len(store.commit([device(site="mine"), reading()]).new) == 1
        assert look.column("SELECT site FROM device") == ["mine"]


def test_a_severed_store_lets_go_of_a_hung_statement_and_commits_nothing_more(server, remote):
    store, url = remote
    sleep = "SELECT pg_sleep(30)" if server.url.startswith("postgres") else "SELECT SLEEP(30)"
    assert_severed_while(store, lambda database: database.execute_sql(sleep))
    with Look(url) as look:
        assert look.column("SELECT COUNT(*) FROM device") == [0]


def test_a_severed_sqlite_store_lets_go_of_a_hung_statement_and_commits_nothing_more(tmp_path):
    store = Store(open_database(f"sqlite:///{tmp_path}/a.db"))
    forever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c"
    assert_severed_while(store, lambda database: database.execute_sql(forever).fetchall())
    with Look(f"sqlite:///{tmp_path}/a.db") as look:
        assert look.column("SELECT COUNT(*) FROM device") == [0]


def assert_severed_while(store, hang):
    store.close()  # a connection belongs to the thread that opened it
    started = threading.Event()
    ended: list[Exception] = []

    def work(database):
        started.set()
        hang(database)

    def run():
        try:
            store.run(work)
        except StoreUnavailable as error:
            ended.append(error)
        try:
            store.commit([device()])
        except StoreSevered as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(5)
    eventually(lambda: store.sever() or not thread.is_alive(), 10, "the statement ends")
    thread.join(5)
    assert [type(error) for error in ended] == [StoreUnavailable, StoreSevered]


def test_a_busy_sqlite_file_is_tried_again(tmp_path):
    store = Store(open_database(f"sqlite:///{tmp_path}/a.db"))
    store.commit([device()])
    store.run(lambda database: setattr(database, "timeout", 0.05))
    with Look(f"sqlite:///{tmp_path}/a.db") as look:
        look.database.connect()
        with look.database.atomic(), pytest.raises(StoreUnavailable, match="locked"):
            store.commit([reading()])
        assert len(store.commit([reading()]).new) == 1
    store.close()


def test_a_full_disk_is_waited_for(tmp_path):
    store = Store(open_database(f"sqlite:///{tmp_path}/a.db"))
    store.commit([device()])
    pages = store.run(lambda database: database.pragma("page_count"))
    store.run(lambda database: database.pragma("max_page_count", pages))
    with pytest.raises(StoreUnavailable, match="full"):
        store.commit([reading(at=at, body='{"t":1}' + " " * 5000) for at in range(50)])
    # The limit belonged to the connection, which was given up.
    assert len(store.commit([reading(at=at) for at in range(50)]).new) == 50
    store.close()


def test_a_file_that_cannot_be_opened_is_waited_for(tmp_path):
    store = Store(open_database(f"sqlite:///{tmp_path}/missing/a.db"))
    with pytest.raises(StoreUnavailable):
        store.commit([device()])
    (tmp_path / "missing").mkdir()
    assert len(store.commit([device(), reading()]).new) == 1
    store.close()


def test_an_error_of_the_work_itself_reaches_the_caller_and_is_rolled_back(store, look):
    def work(database):
        database.execute_sql("DELETE FROM device")
        raise KeyError("mine")

    store.commit([device()])
    with pytest.raises(KeyError, match="mine"):
        store.run(work)
    assert look.column("SELECT COUNT(*) FROM device") == [1]
    assert len(store.commit([reading()]).new) == 1
