"""The log of a process that has nobody to read its stderr."""

from __future__ import annotations

import json
import logging

import pytest

from supervisor.process.logs import KEPT_DAYS, configure_logging


@pytest.fixture
def log(tmp_path):
    """Configures the root logger, and puts it back as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level

    def configure(form):
        configure_logging(form, str(tmp_path / "edge.log"))
        (handler,) = root.handlers
        return handler

    yield configure
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:] = before
    root.setLevel(level)


def test_lines_of_a_file_bear_the_day(log, tmp_path):
    log("text")
    logging.getLogger("x").info("hello")
    assert (tmp_path / "edge.log").read_text().split(" ", 2)[2] == "INFO    x: hello\n"


def test_json_goes_into_a_file_too(log, tmp_path):
    log("json")
    logging.getLogger("x").warning("hello")
    line = json.loads((tmp_path / "edge.log").read_text())
    assert (line["level"], line["message"]) == ("warning", "hello")


def test_a_new_file_begins_at_midnight_and_a_week_is_kept(log, tmp_path):
    handler = log("text")
    for day in range(1, 10):
        (tmp_path / f"edge.log.2026-01-{day:02}").touch()
    handler.doRollover()
    kept = sorted(path.name for path in tmp_path.glob("edge.log.*"))
    assert len(kept) == KEPT_DAYS
    assert "edge.log.2026-01-09" in kept
    assert handler.when == "MIDNIGHT"


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(log, tmp_path):
    (tmp_path / "edge.log").mkdir()
    with pytest.raises(OSError, match=r"edge\.log"):
        log("text")


def test_what_a_device_sends_cannot_pass_for_a_line_of_the_log(log, tmp_path):
    log("text")
    logging.getLogger("x").warning("unknown topic %s", "a\n12:00:00 ERROR supervisor: all is lost\x1b[2J\r")
    lines = (tmp_path / "edge.log").read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("    12:00:00 ERROR")
    assert "\x1b" not in "".join(lines)
