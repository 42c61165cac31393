"""A sink that hands every stored reading to InfluxDB 2 as line protocol, by HTTP or into a file.

The line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
Writing by HTTP: https://docs.influxdata.com/influxdb/v2/api/write/

In the `pyproject.toml` of the package that holds this module:

    [project.entry-points."muster.sinks"]
    influx = "influx_sink:InfluxSink"

and in `muster.toml`:

    [sinks.influx]
    url = "http://127.0.0.1:8086"      # or: file = "/var/lib/muster/readings.lp"
    org = "farm"
    bucket = "soil"
    token_file = "/etc/muster/influx.token"
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from actors.followers import FollowedReading

#: Seconds for a connection and for each answer.
TIMEOUT = 10.0
#: Backslash before what would end a name; the protocol knows no line breaks in names, so they become spaces.
_NAME = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\", "\n": " ", "\r": " "})


class InfluxSink:
    """Every reading becomes one point; a batch that is sent twice leaves each point once."""

    name = "influx"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Assign only; a missing key is a KeyError, and Muster goes on without this sink."""
        self._measurement = str(settings.get("measurement", "reading"))
        self._file = Path(settings["file"]) if "file" in settings else None
        self._connection: http.client.HTTPConnection | None = None
        if self._file is not None:
            return
        self._url = urlsplit(str(settings["url"]))
        query = {"org": settings["org"], "bucket": settings["bucket"], "precision": "ns"}
        self._path = f"{self._url.path.rstrip('/')}/api/v2/write?{urlencode(query)}"
        self._token_file = Path(settings["token_file"])

    def open(self) -> int | None:
        """Return None: InfluxDB does not know how far we are, so Muster keeps the place."""
        if self._file is None:
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT)
        return None

    def write(self, rows: Sequence[FollowedReading]) -> None:
        """Write all rows or raise; the same rows come again after an exception."""
        body = "".join(filter(None, (format_point(self._measurement, row) for row in rows))).encode()
        if self._file is None:
            self._post(body)
            return
        with self._file.open("ab") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _post(self, body: bytes) -> None:
        assert self._connection is not None
        headers = {"Authorization": f"Token {self._token_file.read_text().strip()}", "Content-Type": "text/plain"}
        try:
            self._connection.request("POST", self._path, body, headers)
            with self._connection.getresponse() as answer:
                text = answer.read(1000).decode("utf-8", "replace")
        finally:
            self._connection.close()  # the next request opens it again
        if answer.status not in (200, 204):
            raise OSError(f"InfluxDB answered {answer.status}: {text}")


def format_point(measurement: str, row: FollowedReading) -> str:
    """Return one line, or nothing for a reading without numbers.

    A point is told from others by its tags and its time alone, so the digits below the microsecond tell two readings
    of one time apart; they are made from the row's id and are the same when a batch is sent again. All numbers are
    floats, since a field keeps the type that it had first.
    """
    fields = {name: float(value) for name, value in json.loads(row.measures).items()}
    if row.health_index is not None:
        fields["health_index"] = row.health_index
    if not fields:
        return ""
    tags = {"publisher_id": row.serial, "site": row.site, "source": row.source}
    parts = [_escape_measurement(measurement), *(f"{key}={_escape(value)}" for key, value in tags.items() if value)]
    # A field may not be called `time`.
    numbers = [f"{_escape(name + '_' * (name == 'time'))}={value!r}" for name, value in fields.items() if name]
    if row.status:
        numbers.append(f'status="{row.status.translate(_TEXT)}"')
    return f"{','.join(parts)} {','.join(numbers)} {row.ts_us * 1000 + row.id % 1000}\n" if numbers else ""


def _escape_measurement(name: str) -> str:
    """Escape like any other name, but for the equals sign, which needs none in a measurement."""
    return _escape(name).replace(r"\=", "=")


def _escape(name: str) -> str:
    """Escape a tag's key or value, or a field's key; a backslash at its end would escape what follows."""
    escaped = name.translate(_NAME)
    return f"{escaped}\\ " if escaped.endswith("\\") else escaped
