"""A real Muster in processes of its own: `muster server` beside a broker, or `muster up` with all of it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sqlite3
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import psutil
import psycopg

from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.started import Started
from tests.support.wait import eventually

TOKEN = "a-token-for-the-tests-0123456789"
READY_WITHIN = 30.0  # seconds; a second or two unless the machine is busy


class Answer(NamedTuple):
    status: int
    body: Any


class Api:
    """The HTTP API with a token; one connection for each request, so that a restart of the server is no surprise."""

    ca_file: str | Path = ""
    """Speaks https and trusts this."""

    def __init__(self, address: str, token: str = TOKEN, timeout: float = 15.0) -> None:
        self.address = address  # host:port
        self.token = token
        self._timeout = timeout

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        """One request; OSError when nobody answers. JSON is decoded, other answers are text."""
        connection = self._connect()
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        payload = None if body is None else json.dumps(body)
        if payload is not None:
            headers["Content-Type"] = "application/json"
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        try:
            connection.request(method, target, payload, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = "json" in (answer.getheader("Content-Type") or "")
            return Answer(answer.status, json.loads(text) if is_json and text else text)
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if not self.ca_file:
            return http.client.HTTPConnection(self.address, timeout=self._timeout)
        trust = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(self.address, timeout=self._timeout, context=trust)

    def get(self, path: str, **query: Any) -> Any:
        """The body of an answer that must be good."""
        status, body = self.call("GET", path, **query)
        assert status == 200, (path, status, body)
        return body

    def post(self, path: str, body: Any = None, *, expect: int = 202) -> Any:
        status, answer = self.call("POST", path, {} if body is None else body)
        assert status == expect, (path, status, answer)
        return answer

    def items(self, path: str, **query: Any) -> list[Any]:
        """Every item of a list, page after page."""
        found, cursor = [], None
        while True:
            page = self.get(path, limit=1000, **query, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["cursor"]
            if not cursor:
                return found

    # What the tests ask for

    def health(self) -> dict[str, Any]:
        """The body of `/api/health`, also of a server that cannot serve."""
        return self.call("GET", "/api/health").body

    def device(self, serial: str) -> dict[str, Any] | None:
        """The Device JSON; None while the serial is unknown."""
        status, body = self.call("GET", f"/api/devices/{serial}")
        assert status in (200, 404), (status, body)
        return body if status == 200 else None

    def presence(self, serial: str) -> str | None:
        device = self.device(serial)
        return device and device["presence"]

    def wait_presence(self, serial: str, presence: str, timeout: float = 20.0) -> dict[str, Any]:
        """The Device JSON once it has this presence."""

        def seen() -> dict[str, Any] | None:
            device = self.device(serial)
            return device if device and device["presence"] == presence else None

        return eventually(seen, timeout, f"{serial} is {presence}")

    def readings(self, serial: str) -> list[dict[str, Any]]:
        """Every reading, newest first; none of an unknown serial."""
        return self.items(f"/api/devices/{serial}/readings") if self.device(serial) else []

    def dead_letters(self) -> list[dict[str, Any]]:
        return self.items("/api/dead-letters")

    def metric(self, name: str, **labels: str) -> float:
        """One value of `/metrics`, 0 if it is not there."""
        wanted = "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""
        for line in self.get("/metrics").splitlines():
            if line.startswith(f"{name}{wanted} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def wait_settled(self, timeout: float = 30.0) -> None:
        """Wait until nothing that has reached the server is still on its way into the database."""

        def settled() -> bool:
            links = self.get("/api/links")["items"]
            return self.health()["database"]["pending"] == 0 and not any(link["unresolved"] for link in links)

        eventually(settled, timeout, "nothing is unresolved")

    def wait_recorded(self, serial: str, presence: str, timeout: float = 20.0) -> None:
        """Wait until the database says so too: a device is shown before its record is committed."""
        sql = f"SELECT presence FROM device WHERE serial = '{serial}'"
        eventually(lambda: query(self.database_url, sql) == [(presence,)], timeout, f"{serial} is stored as {presence}")

    # The tree

    def tree(self) -> dict[str, Any]:
        return self.get("/api/supervision")

    def node(self, path: str) -> dict[str, Any] | None:
        """The part of the tree at `path`, from below `server`; devices are listed only when they are in trouble."""
        return next((node for node in walk(self.tree()) if node["path"] == f"server/{path}"), None)

    def supervise(self, path: str, action: str, *, expect: int = 202) -> Any:
        return self.post(f"/api/supervision/{path}/{action}", expect=expect)


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of the tree and all below it."""
    yield node
    for child in node.get("children", ()):
        yield from walk(child)


class _Running(Started, Api):
    """What `muster server` and `muster up` have in common: a process, its directories, its end."""

    def __init__(self, *, env: Mapping[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="muster-e2e-"))
        self.data = self.directory / "data"
        self.database_url = f"sqlite:///{self.data}/muster.db"
        self.process: Process | None = None
        super().__init__(f"127.0.0.1:{free_port()}")
        blank = {name: "" for name in os.environ if name.startswith(("MUSTER_", "MQTT_"))}
        self.env = {
            **blank,
            "MUSTER_DATA_DIR": str(self.data),
            "MUSTER_RUNTIME_DIR": str(self.directory / "run"),
            "MUSTER_HTTP": self.address,
            "MUSTER_API_TOKEN": TOKEN,
            **(env or {}),
        }

    arguments: Sequence[str] = ()
    prefix: Sequence[str] = ()
    """Before the command: `ip netns exec NAME` for a host of its own."""

    @property
    def log(self) -> str:
        """Everything it has said, over all its starts."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def rows(self) -> list[Row]:
        """Every reading in the database, by a connection of our own."""
        return stored_rows(self.database_url)

    def launch(self) -> None:
        """Start the process and return at once."""
        assert self.process is None or not self.process.running
        command = (*self.prefix, sys.executable, "-m", "supervisor.cli", *self.arguments)
        self.process = Process(*command, env=self.env, cwd=self.directory, log=self.directory / "log")

    def start(self) -> None:
        """Start it; returns when every subscription is acknowledged."""
        self.launch()
        self.wait_connected()

    def wait_connected(self, timeout: float = READY_WITHIN) -> dict[str, Any]:
        """Its health, once it hears and its whole tree is up."""
        return self.wait_health(
            lambda health: health["broker"]["connected"] and health["status"] != "failing", timeout, "is connected"
        )

    def wait_health(self, good: Any, timeout: float = 20.0, what: str = "is as it should be") -> dict[str, Any]:
        """Its health, once `good(health)`; at once an AssertionError when the process ends."""

        def look() -> dict[str, Any] | None:
            assert self.process.running, self.process.describe()
            try:
                health = self.health()
                return health if isinstance(health, dict) and good(health) else None
            except OSError:
                return None

        return eventually(look, timeout, f"the server {what}")

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel or a power cut would do it."""
        self.process.kill()

    def stop(self, timeout: float = 20.0) -> None:
        """SIGINT; it must end in order, with nothing left running and nothing to complain about."""
        family = self.process.descendants()
        self.process.send(signal.SIGINT)
        code = self.process.wait(timeout)
        assert code == 0, self.process.describe()
        _, alive = psutil.wait_procs(family, timeout=1)
        assert not alive, f"still running: {alive}"
        assert "Traceback" not in self.log, self.log[-6000:]
        self.process.close()

    def restart(self) -> None:
        """Start again after `kill`, or stop and start."""
        if self.process.running:
            self.stop()
        self.process.close()
        self.start()

    def close(self) -> None:
        """Kill whatever is left, show the log (pytest shows it if the test has failed), remove the directory."""
        if self.process is not None:
            family = self.process.descendants()
            self.process.close()
            _, alive = psutil.wait_procs(family, timeout=5)
            for process in alive:
                process.kill()
        print(f"--- log of {type(self).__name__}\n{self.log[-12_000:]}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *arguments: str, timeout: float = 20.0) -> tuple[int, str]:
        """Run another `muster` command of the same user; its exit code and what it printed."""
        env = {name: value for name, value in self.env.items() if name != "MUSTER_HTTP"}
        env |= {"MUSTER_HTTP": "", "MUSTER_API_TOKEN": ""}
        with Process.module("supervisor.cli", *arguments, env=env, cwd=self.directory) as process:
            code = process.wait(timeout)
            return code, process.output


class Muster(_Running):
    """`muster server` with a broker and a database of the test; a context manager."""

    arguments = ("server",)

    def __init__(
        self,
        broker_url: str,
        *,
        database_url: str | None = None,
        offline_after: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(env=env)
        self.env["MUSTER_BROKER_URL"] = broker_url
        if database_url is not None:
            self.database_url = self.env["MUSTER_DATABASE_URL"] = database_url
        if offline_after is not None:
            self.env["MUSTER_OFFLINE_AFTER"] = str(offline_after)


class MusterUp(_Running):
    """`muster up` on free ports; a context manager."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__(env=env)
        self.broker_port = free_port()
        self.arguments = ("up", "--broker-port", str(self.broker_port), *arguments)

    @property
    def broker_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.broker_port}"

    def page_url(self, timeout: float = 10.0) -> str:
        """The URL that it prints for people."""
        return self.process.wait_for_line(r"^Muster: (http://\S+)$", timeout)[1]

    def interrupt(self, timeout: float = 20.0) -> str:
        """Ctrl-C in its terminal; everything ends. What it printed."""
        family = self.process.descendants()
        assert family
        self.process.interrupt_group()
        assert self.process.wait(timeout) == 0, self.process.describe()
        assert not [process for process in family if process.is_running()], "something was left running"
        return self.log


class Row(NamedTuple):
    """A reading as it is stored."""

    serial: str
    channel: str
    ts_us: int
    measures: dict[str, Any]


_ROWS = (
    "SELECT d.serial, r.channel, r.ts_us, r.measures FROM reading r JOIN device d ON d.id = r.device_id ORDER BY r.id"
)


def stored_rows(database_url: str) -> list[Row]:
    """Every reading, in the order of storage."""
    return [
        Row(serial, channel, ts_us, json.loads(measures))
        for serial, channel, ts_us, measures in query(database_url, _ROWS)
    ]


def query(database_url: str, sql: str) -> list[tuple[Any, ...]]:
    """Read from SQLite (without the right to write) or PostgreSQL."""
    parts = urlsplit(database_url)
    if parts.scheme == "postgresql":
        with psycopg.connect(database_url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()
    connection = sqlite3.connect(f"file:/{parts.path.lstrip('/')}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
