"""The sessions of the page are in a file that nobody else reads."""

from __future__ import annotations

from actors.runtime import ManualClock
from supervisor.server.session_file import FILE, open_sessions


def test_a_session_goes_on_behind_a_restart(tmp_path):
    clock = ManualClock()
    cookie = open_sessions(tmp_path / FILE, clock).open("key", "the-key", clock.monotonic())
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert open_sessions(tmp_path / FILE, clock).find(cookie, clock.monotonic()).source == "key"


def test_a_file_that_cannot_be_read_costs_a_login_and_nothing_else(tmp_path, caplog):
    clock = ManualClock()
    for content in (b"", b"{}", b'[["a", "root", "b", 1, 2]]', b"\xff"):
        (tmp_path / FILE).write_bytes(content)
        assert len(open_sessions(tmp_path / FILE, clock)) == 0
    assert caplog.text.count("sessions of the page begin anew") == 4


def test_a_disk_that_is_full_keeps_nobody_out(tmp_path, caplog):
    clock = ManualClock()
    store = open_sessions(tmp_path / "nowhere" / FILE, clock)
    cookie = store.open("key", "the-key", clock.monotonic())
    assert store.find(cookie, clock.monotonic()) is not None
    assert "not kept over a restart" in caplog.text
