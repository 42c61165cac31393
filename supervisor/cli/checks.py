"""What `muster doctor` looks at itself; each check says what it found and, when it is bad, how to mend it."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import queue
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from actors.storage.database import open_database
from actors.version import __version__
from supervisor.backup.contents import is_staying
from supervisor.server.config import Broker, Config, Tls, redact_url
from supervisor.server.embedded import find_mosquitto, has_amqtt
from supervisor.server.instance import InstanceError, read_id
from supervisor.server.values import broker_url

from .access import check_access
from .running import MORE_ROOM, Check, check_running, find_running
from .safety import check_anonymous, check_safety

_LIBRARIES = ("pykka", "paho-mqtt", "peewee", "msgspec", "bottle", "cheroot")
_DROPPED = "$SYS/broker/publish/messages/dropped"
_BROKER_VERSION = "$SYS/broker/version"
#: Seconds to wait for the broker's `$SYS` topics after connecting; they are retained and come at once.
_SYS_WAIT = 1.0
_REFUSED = "it refused the connection"
#: Seconds for which SQLite looks through a database, some hundred MB each.
_LOOK_THROUGH = 10.0
_RESTORE = "restore it, see docs/backup.md, or move it away to begin anew"
_LOW_DISK = 200 * 2**20
#: Days before the end of a certificate; the rule `certificates` of the alarms has the same.
_ENDS_SOON = 30


def run_checks(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield every finding: first what the running server says of itself, then what this configuration leads to."""
    yield check_versions()
    running, found = find_running(environ)
    yield found
    if running is not None:
        yield from check_running(running)
        yield from check_access(running)
    yield check_data_directory(config.data_path)
    yield check_database(config.database.url)
    yield from check_certificates(config)
    yield from check_safety(config, environ, Path.cwd(), running)
    is_open = not config.http.is_loopback
    if config.broker_given:
        for broker in config.brokers:
            yield from check_broker(broker)
            yield from check_nobody(broker, is_open=is_open)
    else:
        yield check_embedded_broker()
        if running is not None:
            # Its links have told how it is, with a user that may do more than whoever has this URL.
            yield from check_nobody(Broker(configured_url=running.broker_url), is_open=is_open)


def check_versions() -> Check:
    """Name the versions that bug reports should name."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    return Check("versions", "ok", f"muster {__version__}, {', '.join(versions)}")


def check_data_directory(path: Path) -> Check:
    """Look whether the data directory, or the place where it will be made, can be written and has room."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        mend = f"run `chown $USER {existing}` or choose another one with MUSTER_DATA_DIR"
        return Check("data directory", "failed", f"{existing} cannot be written", mend)
    try:
        read_id(path)
        stranger = _owned_by_another(path)
    except InstanceError as error:
        found, _, mend = str(error).rstrip(".").partition("; ")
        return Check("data directory", "failed", found, mend)
    except OSError as error:
        return Check("data directory", "failed", f"{error.filename or path}: {error.strerror}", "look who owns it")
    if stranger is not None:
        mend = f"run `chown -R --reference={path} {path}`; a command of Muster was run as another user"
        return Check("data directory", "failed", f"{stranger} belongs to another user than the directory", mend)
    free = shutil.disk_usage(existing).free
    if free < _LOW_DISK:
        return Check("data directory", "warning", f"only {free // 2**20} MB free in {existing}", "make room there")
    return Check("data directory", "ok", f"{path}, {free / 2**30:.1f} GB free")


def _owned_by_another(data_dir: Path) -> Path | None:
    """Return a file that the owner of the data directory does not own, None where there is none."""
    if not data_dir.is_dir():
        return None
    owner = data_dir.stat().st_uid
    places = (path for place in sorted(data_dir.iterdir()) if not is_staying(place.name) for path in _below(place))
    return next((path for path in places if path.lstat().st_uid != owner), None)


def _below(place: Path) -> Iterator[Path]:
    yield place
    if place.is_dir() and not place.is_symlink():
        yield from sorted(place.rglob("*"))


def check_database(url: str) -> Check:
    """Connect to the database and ask it something, without changing it."""
    path = Path(unquote(urlsplit(url).path)[1:]) if url.startswith("sqlite:") else None
    if path is not None and not path.exists():
        return Check("database", "ok", f"{path} will be made at the first start")
    shown = redact_url(url)
    # SQLite reads nothing of the file before it is asked for something that is in it.
    question = "SELECT 1" if path is None else "SELECT COUNT(*) FROM sqlite_master"
    damage = ""
    try:
        database: Any = open_database(url, read_only=True)
        database.connect()
        try:
            database.execute_sql(question).fetchone()
            damage = "" if path is None else _damage(database.connection())
        finally:
            database.close()
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own; here they are all the same finding
        reason = " ".join(str(error).split()) or type(error).__name__
        mend = _RESTORE if path else "start it, or correct MUSTER_DATABASE_URL"
        return Check("database", "failed", f"{shown}: {reason}", mend)
    if damage:
        return Check("database", "failed", f"{path} is damaged: {damage}", _RESTORE)
    return Check("database", "ok", shown if path is None else f"{path}, {_size_of(path)}")


def _damage(database: sqlite3.Connection) -> str:
    """Return what SQLite finds wrong in its pages; empty, too, where it is not through in time."""
    deadline = time.monotonic() + _LOOK_THROUGH
    database.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        ((verdict, *_),) = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        return "" if time.monotonic() > deadline else str(error)
    return "" if verdict == "ok" else " ".join(str(verdict).split())


def _size_of(path: Path) -> str:
    """Return the size of a SQLite database, what still lies in its log included."""
    files = (path, path.with_name(f"{path.name}-wal"))
    size = sum(file.stat().st_size for file in files if file.exists())
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{size / 2**10:.0f} KB"


def check_certificates(config: Config) -> Iterator[Check]:
    """Look how long each certificate is good that this configuration leads to, and who may read the keys beside."""
    from supervisor.server.certificate_files import certificate_files, first_end

    renew = "run `muster pki renew --due`, or `sudo muster install server` where that has made it"
    for path in certificate_files(config):
        name = f"certificate {path.name}"
        try:
            ends, pem = first_end(path), path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "there is no certificate in PEM in it"
            yield Check(name, "failed", f"{path}: {reason}", "put it back, or correct its path")
            continue
        days = (ends - dt.datetime.now(dt.UTC)).total_seconds() / 86_400
        told = f"{path}, good until {ends:%Y-%m-%d}"
        if b"PRIVATE KEY" in pem and path.stat().st_mode & 0o007:
            yield Check(name, "failed", f"{path} holds a key and may be read by all", f"run `chmod 600 {path}`")
        elif days <= 0:
            yield Check(name, "failed", f"{path} has ended on {ends:%Y-%m-%d}", renew)
        else:
            soon = days < _ENDS_SOON
            yield Check(name, "warning" if soon else "ok", told, renew if soon else "")


def check_embedded_broker() -> Check:
    """Look for the broker that `muster up` would bring along."""
    mosquitto = find_mosquitto()
    if mosquitto:
        return Check("embedded broker", "ok", _mosquitto_version(mosquitto))
    if has_amqtt():
        found = "amqtt, which keeps nothing for clients that are away"
        return Check("embedded broker", "warning", found, "run `apt install mosquitto`")
    mend = "run `apt install mosquitto`, or set MUSTER_BROKER_URL to a broker that you have"
    return Check("embedded broker", "failed", "no MQTT broker is installed", mend)


def _mosquitto_version(path: str) -> str:
    try:
        # `-h` prints the version and ends with code 3.
        told = subprocess.run([path, "-h"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return path
    return f"{told.partition(chr(10))[0].strip() or 'mosquitto'} ({path})"


def check_broker(broker: Broker) -> Iterator[Check]:
    """Connect to a broker as the server does and read what it says of dropped messages."""
    name = f"broker {broker.name}"
    told = _ask_broker(broker)
    if isinstance(told, str):
        mend = "start it, or correct MUSTER_BROKER_URL"
        yield Check(name, "failed", f"{redact_url(broker.url)}: {told}", mend)
        return
    yield Check(name, "ok", ", ".join(filter(None, (redact_url(broker.url), told.get(_BROKER_VERSION, "")))))
    # Mosquitto publishes a count only once it is no longer 0; the version shows that we may read such topics at all.
    dropped = told.get(_DROPPED, "0" if _BROKER_VERSION in told else None)
    if dropped is None:
        yield Check("dropped messages", "warning", "the broker does not tell", "let this user read $SYS/#")
    elif dropped.strip() not in ("", "0"):
        found = f"the broker has dropped {dropped}"
        yield Check("dropped messages", "warning", found, f"{MORE_ROOM}; the count is since its start")
    else:
        yield Check("dropped messages", "ok", "none")


def check_nobody(broker: Broker, *, is_open: bool) -> Iterator[Check]:
    """Try to connect to a broker without credentials.

    Args:
        broker: which one; nothing is said of one that does not answer.
        is_open: whether other machines reach this server.

    """
    bare = broker_url(broker.host, broker.port, tls=broker.uses_tls)
    answer = _ask_broker(msgspec.structs.replace(broker, configured_url=bare, tls=Tls(ca=broker.tls.ca)))
    refusal = answer if isinstance(answer, str) else ""
    if not refusal or refusal.startswith(_REFUSED) or not isinstance(_ask_broker(broker), str):
        yield check_anonymous(broker, refusal, is_open=is_open)


def _ask_broker(broker: Broker) -> dict[str, str] | str:
    """Return the `$SYS` values by topic, or the reason why there are none."""
    connected: queue.SimpleQueue[str] = queue.SimpleQueue()
    values: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    if broker.username:
        client.username_pw_set(broker.username, broker.password)

    def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        connected.put(str(reason) if reason.is_failure else "")

    def on_message(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        values.put((message.topic, message.payload.decode(errors="replace")))

    client.on_connect, client.on_message = on_connect, on_message
    client.connect_timeout = broker.timeout
    try:
        if broker.uses_tls:
            client.tls_set(broker.tls.ca or None, broker.tls.cert or None, broker.tls.key or None)
        client.connect(broker.host, broker.port, keepalive=10)
        client.loop_start()
        refusal = connected.get(timeout=broker.timeout)
        if refusal:
            return f"{_REFUSED} ({refusal})"
        client.subscribe([(_DROPPED, 0), (_BROKER_VERSION, 0)])
        return _collect(values)
    except queue.Empty:
        return "it did not answer the connection attempt"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    finally:
        client.disconnect()
        client.loop_stop()


def _collect(values: queue.SimpleQueue[tuple[str, str]]) -> dict[str, str]:
    told: dict[str, str] = {}
    while len(told) < 2:
        try:
            topic, value = values.get(timeout=_SYS_WAIT)
        except queue.Empty:
            break
        told[topic] = value
    return told
