from __future__ import annotations

from actors.messages import StoreDeadLetter
from actors.storage.deadletters import STEP
from tests.storage.build import NOON


def letters(count: int, serial: str = "", reason: str = "not_json", start: int = 0) -> list[StoreDeadLetter]:
    return [StoreDeadLetter(reason, "", "a", "t", b"", NOON + start + n, serial) for n in range(count)]


def test_beyond_the_limit_the_oldest_go_in_small_steps(make_store, look):
    store = make_store(keep=1000, keep_each=5000)
    for start in range(0, 1500, 100):
        store.commit(letters(100, serial=f"S{start}", start=start))
        (count,) = look.column("SELECT COUNT(*) FROM dead_letter")
        assert count <= 1000
    assert look.column("SELECT MAX(rx_us) FROM dead_letter") == [NOON + 1499]
    assert look.column("SELECT MIN(rx_us) FROM dead_letter") == [NOON + 1500 - count]
    assert count >= 1000 - STEP
    assert store.dead_letters_deleted == 1500 - count


def test_a_noisy_device_pushes_out_only_its_own(make_store, look):
    store = make_store(keep=100_000, keep_each=50)
    store.commit(letters(40, serial="quiet") + letters(40, serial="noisy", reason="not_utf8"))
    for start in range(0, 300, 30):
        store.commit(letters(30, serial="noisy", start=start))
    rows = look.run("SELECT serial, reason, COUNT(*), MAX(rx_us) FROM dead_letter GROUP BY serial, reason")
    counts = {row[:2]: row[2] for row in rows}
    assert counts["quiet", "not_json"] == 40
    assert counts["noisy", "not_utf8"] == 40
    assert 40 <= counts["noisy", "not_json"] <= 50
    assert NOON + 299 in [row[3] for row in rows]


def test_the_limits_hold_across_restarts(make_store, look):
    for start in range(0, 100, 20):
        make_store(keep=1000, keep_each=30).commit(letters(20, serial="noisy", start=start))
    assert look.column("SELECT COUNT(*) FROM dead_letter")[0] <= 30


def test_letters_without_a_serial_share_a_tenth_of_all(make_store, look):
    store = make_store(keep=500, keep_each=10)
    store.commit(letters(200))
    assert 40 <= look.column("SELECT COUNT(*) FROM dead_letter")[0] <= 50
