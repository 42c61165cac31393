"""The log: text for people, JSON for machines; never a secret, never a device's line breaks."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import Any

import msgspec

from supervisor.process.redaction import redact

KEPT_DAYS = 7
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `time`, `level`, `logger`, `message`, `thread`, and `exception` where there is one."""
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            "thread": record.threadName,
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


class TextFormatter(logging.Formatter):
    """One line per record and indented lines for the rest; what a device has sent cannot pass for a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its traceback, without secrets."""
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the message with control characters escaped and further lines indented."""
        text = super().formatMessage(record)
        if text.isprintable():
            return text
        lines = text.split("\n")
        return "\n    ".join("".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines)


def configure_logging(form: str, file: str | None = None) -> None:
    """Log from INFO on, in the given form (`text` or `json`).

    Args:
        form: `text` or `json`.
        file: a file that is replaced at midnight and kept for `KEPT_DAYS` days; None logs to stderr.

    Raises:
        OSError: the file cannot be written.

    """
    handler = logging.StreamHandler(sys.stderr) if file is None else _daily(file)
    dates = "%H:%M:%S" if file is None else "%Y-%m-%d %H:%M:%S"
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(FORMAT, datefmt=dates))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("pykka").setLevel(logging.WARNING)
    # It warns of each datagram that a vanished interface refuses, with a traceback; who uses it notices by itself.
    logging.getLogger("zeroconf").setLevel(logging.ERROR)


def _daily(file: str) -> logging.Handler:
    from logging.handlers import TimedRotatingFileHandler  # only who logs to a file pays for it

    return TimedRotatingFileHandler(file, when="midnight", backupCount=KEPT_DAYS, encoding="utf-8")
