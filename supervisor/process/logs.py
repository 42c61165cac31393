"""The log: text for people, JSON for machines; never a secret, never a device's line breaks."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import Any

import msgspec

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
            "message": record.getMessage(),
            "thread": record.threadName,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class TextFormatter(logging.Formatter):
    """One line per record and indented lines for the rest; what a device has sent cannot pass for a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the message with control characters escaped and further lines indented."""
        text = super().formatMessage(record)
        if text.isprintable():
            return text
        lines = text.split("\n")
        return "\n    ".join("".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines)


def configure_logging(form: str) -> None:
    """Log to stderr from INFO on, in the given form (`text` or `json`)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(FORMAT, datefmt="%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("pykka").setLevel(logging.WARNING)
