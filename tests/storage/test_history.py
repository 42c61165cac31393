"""The questions about what was stored, analysed or not, on every database."""

from __future__ import annotations

import pytest

from actors.messages import DeleteDevice
from actors.storage import soil
from actors.storage.queries import BadCursor, FindReadings, RecentReadings
from actors.storage.soil import FindNewest, FindSoilHistory
from tests.storage.build import NOON, analysed, ask_all, device, reading, station

UNUSUAL = '[{"kind":"unusual","measure":"pH"}]'


def times(items):
    return [item["ts_us"] - NOON for item in items]


def test_a_reading_comes_with_its_analysis(store, readers):
    store.commit([station(), analysed(anomalies=UNUSUAL), reading("soil-1", at=1)])
    plain, found = readers.ask(FindReadings(serial="soil-1")).items
    assert (found["health_index"], found["status"]) == (81.5, "Excellent")
    assert found["anomalies"] == [{"kind": "unusual", "measure": "pH"}]
    assert (plain["health_index"], plain["status"], plain["anomalies"]) == (None, "", [])


def test_recent_readings_come_oldest_first(store, readers):
    store.commit([station(), *(analysed(at=at) for at in (5, 3, 9, 1)), device("other"), reading("other", at=20)])
    assert readers.ask(RecentReadings(serial="soil-1", limit=3)) == [
        (NOON + at, {"pH": 6.5, "N": at}) for at in (3, 5, 9)
    ]
    assert readers.ask(RecentReadings(serial="nobody")) == []


def test_the_history_of_the_fleet_is_newest_first_and_holds_only_what_has_an_index(store, readers):
    store.commit([station("s1"), station("s2", site="hill"), device("logger")])
    for at in range(10):
        store.commit([analysed(f"s{at % 2 + 1}", at=at), reading("logger", at=at), analysed("s1", at + 50, index=None)])
    found = ask_all(readers, FindSoilHistory(limit=3))
    assert times(found) == list(range(9, -1, -1))
    assert [(item["serial"], item["site"]) for item in found[:2]] == [("s2", "hill"), ("s1", "farm")]
    assert found[0]["measures"] == {"pH": 6.5, "N": 9}
    assert "analysed_id" not in found[0]


def test_the_history_of_one_station_follows_its_own_clock(store, readers):
    store.commit([station(), station("other"), *(analysed(at=at) for at in (4, 2, 8, 6)), analysed("other", at=5)])
    store.commit([analysed(at=3, index=None), analysed(at=7, index=0.0)])
    assert times(ask_all(readers, FindSoilHistory(serial="soil-1", limit=2))) == [8, 7, 6, 4, 2]
    assert readers.ask(FindSoilHistory(serial="nobody")).items == []
    assert readers.ask(FindSoilHistory(serial="soil-1", site="elsewhere")).items == []


def test_the_history_of_a_site_is_found_among_others_however_rare_it_is(store, readers, monkeypatch):
    monkeypatch.setattr(soil, "PIECE", 7)
    monkeypatch.setattr(soil, "MOST_PIECES", 2)
    store.commit([station("rare", site="hill"), station("often")])
    store.commit([analysed("rare" if at % 40 == 0 else "often", at=at) for at in range(100)])
    assert times(ask_all(readers, FindSoilHistory(site="hill", limit=5))) == [80, 40, 0]


def test_a_page_that_looks_in_vain_says_where_to_go_on(store, readers, monkeypatch):
    monkeypatch.setattr(soil, "PIECE", 5)
    monkeypatch.setattr(soil, "MOST_PIECES", 2)
    store.commit([station("rare", site="hill"), station("often"), analysed("rare")])
    store.commit([analysed("often", at=at) for at in range(50)])
    page = readers.ask(FindSoilHistory(site="hill", limit=5))
    assert page.items == []
    assert page.cursor is not None


def test_a_deleted_station_leaves_the_history_at_once(store, readers, look):
    store.commit([station("a"), station("b"), analysed("a"), analysed("b", at=1)])
    store.commit([DeleteDevice("b")])
    assert times(ask_all(readers, FindSoilHistory(limit=1))) == [0]
    store.commit([analysed("a", at=2)])
    while store.purge():
        pass
    assert times(ask_all(readers, FindSoilHistory())) == [2, 0]
    assert look.column("SELECT COUNT(*) FROM analysed") == [2]


def test_an_analysed_reading_is_in_the_history_once_however_often_it_comes(store, readers):
    store.commit([station(), analysed(), analysed()])
    store.commit([analysed(), analysed(at=1)])
    assert times(readers.ask(FindSoilHistory()).items) == [1, 0]


def test_of_every_station_asked_for_the_newest_analysed_reading_is_found(store, readers):
    store.commit([station("b"), station("a", site="hill", label="Hill"), station("c"), device("logger")])
    store.commit([analysed("b", at=5), analysed("b", at=9), analysed("b", at=7), reading("b", at=20)])
    store.commit([analysed("a", at=1, index=12.0, status="Critical", anomalies=UNUSUAL)])
    found = readers.ask(FindNewest(("a", "b", "c", "nobody")))
    assert [item["serial"] for item in found] == ["a", "b", "c", "nobody"]
    hill, newest, silent, nobody = found
    assert nobody["ts_us"] is None
    assert (hill["status"], len(hill["anomalies"])) == ("Critical", 1)
    assert (newest["ts_us"], newest["health_index"], newest["measures"]["N"]) == (NOON + 9, 81.5, 9)
    assert (silent["ts_us"], silent["health_index"], silent["measures"], silent["anomalies"]) == (None, None, {}, [])


def test_who_has_no_analysed_reading_is_told_with_the_newest_of_all(store, readers):
    store.commit([station("weather"), *(reading("weather", at=at, body=f'{{"wind":{at}}}') for at in (3, 8, 5))])
    (weather,) = readers.ask(FindNewest(("weather",)))
    assert (weather["measures"], weather["health_index"], weather["status"]) == ({"wind": 8}, None, "")


def test_of_one_station_the_history_is_cut_by_time_and_to_what_is_odd(store, readers):
    store.commit([station(), *(analysed(at=at, anomalies=UNUSUAL if at % 3 == 0 else "") for at in range(10))])
    some = FindSoilHistory(serial="soil-1", since_us=NOON + 2, until_us=NOON + 9, limit=2)
    assert times(ask_all(readers, some)) == [8, 7, 6, 5, 4, 3, 2]
    odd = FindSoilHistory(serial="soil-1", since_us=NOON + 2, is_odd=True, limit=2)
    assert times(ask_all(readers, odd)) == [9, 6, 3]


def test_a_station_is_not_searched_for_ever_for_an_analysis(store, readers, monkeypatch):
    monkeypatch.setattr(soil, "LOOK_BACK", 10)
    store.commit([station(), analysed(), *(reading("soil-1", at=at) for at in range(1, 30))])
    assert readers.ask(FindNewest(("soil-1",)))[0]["health_index"] is None


@pytest.mark.parametrize("cursor", ["", "x y", "1-zz", "9" * 30 + "-00", "٣", "a\0b"])
def test_a_cursor_that_no_page_gave_is_refused(store, readers, cursor):
    store.commit([station(), analysed()])
    for query in (FindSoilHistory(after=cursor), FindSoilHistory(serial="soil-1", after=cursor)):
        with pytest.raises(BadCursor):
            readers.ask(query)


def test_the_questions_are_answered_from_indexes(tmp_path):
    """SQLite says how: no table is read from end to end, and nothing but a page is sorted."""
    from actors.storage.database import migrate, open_database

    database = open_database(f"sqlite:///{tmp_path}/a.db")
    database.connect()
    migrate(database)
    asked: list[str] = []
    execute = database.execute_sql

    def explain(sql, params=None, *rest):
        asked.extend(row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall())
        return execute(sql, params, *rest)

    execute(
        'INSERT INTO device (id, serial, kind, family, type, device_id, site, label, "group", presence, reason, '
        "since_us, ip_address, hostname, mac_address, first_seen_us, quarantined, pinned, services, system_info, "
        "metadata, device_token, session, broker) VALUES (1, 'a', 'sensor', '', '', '', '', '', '', '', '', 0, '', "
        "'', '', 0, 0, 0, '', '', '', '', '', '')"
    )
    database.execute_sql = explain
    for query in (FindSoilHistory(), FindSoilHistory(serial="a"), FindNewest(("a",)), RecentReadings(serial="a")):
        query.run(database)
    database.close()
    assert asked
    assert not [step for step in asked if step.startswith("SCAN") and step != "SCAN a"], asked
