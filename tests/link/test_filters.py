from __future__ import annotations

import logging

from actors.link.filters import FilterMemory


def test_what_is_remembered_is_recalled(tmp_path):
    memory = FilterMemory(tmp_path / "new" / "filters.json")
    assert memory.recall() == set()
    memory.remember(["b", "a"])
    assert FilterMemory(tmp_path / "new" / "filters.json").recall() == {"a", "b"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["filters.json"]


def test_a_damaged_file_counts_as_empty(tmp_path):
    for content in (b"\xff", b"{", b'{"a": 1}', b'[1, "a"]'):
        (tmp_path / "f").write_bytes(content)
        assert FilterMemory(tmp_path / "f").recall() <= {"a"}


def test_a_file_that_cannot_be_written_is_logged_and_harmless(tmp_path, caplog):
    (tmp_path / "plain").write_text("")
    with caplog.at_level(logging.WARNING):
        FilterMemory(tmp_path / "plain" / "f").remember(["a"])
    assert "cannot write the subscriptions" in caplog.text
