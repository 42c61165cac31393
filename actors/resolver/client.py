"""`find`: ask a running Muster server where a device is. Standard library only, for use in any program."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from actors.resolver.resolution import Resolution

DEFAULT_URL = "http://127.0.0.1:5000"
#: Bytes of an answer that are read at most; a real one has some 300.
MAX_ANSWER = 65536


class ResolveError(Exception):
    """The device's address could not be learned; the subclasses tell why."""


class DeviceNotFoundError(ResolveError):
    """The server knows no device of this type, or the primary one answers nowhere."""


class ServerRefusedError(ResolveError):
    """The server refused the question (token, role) or its answer makes no sense."""


class ServerUnreachableError(ResolveError):
    """No server answered at this URL in time."""


def find(
    type: str = "raspberry_pi",  # noqa: A002 - the name it has in the HTTP API
    *,
    url: str | None = None,
    token: str | None = None,
    timeout: float = 10.0,
) -> Resolution:
    """Return the address of the primary device of a type, as the server knows or finds it.

    Args:
        type: The device's kind or announced type.
        url: The server, `http(s)://host:port`; by default `MUSTER_SERVER_URL`, else the server that runs here as the
            same user, else this machine at port 5000.
        token: A token with the role `read`; by default `MUSTER_API_TOKEN`, else the one that the server which runs
            here has left for programs of the same user; it is sent to no other server.
        timeout: Seconds to wait for the server, which itself searches for 9 s at most.

    Raises:
        DeviceNotFoundError: no such device, or it answers nowhere.
        ServerRefusedError: the server wants another token, or the answer cannot be read.
        ServerUnreachableError: no server there, or no answer in time.
        ValueError: the URL is no `http(s)://host[:port]`.

    """
    base, secret = _choose_server(url, token, os.environ)
    path = f"{urlsplit(base).path.rstrip('/')}/api/resolve?{urlencode({'type': type})}"
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
    connection = _connection(base, timeout)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        status, body = response.status, response.read(MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachableError(f"no answer from {_host_of(base)}: {error or error.__class__.__name__}") from error
    finally:
        connection.close()
    return _read(status, body, type)


class _Local(NamedTuple):
    """What the server of this user has left in its runtime directory."""

    url: str
    token: str


def _choose_server(url: str | None, token: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return URL and token: what was said, else what the environment says, else what the server here has left."""
    base = url or environ.get("MUSTER_SERVER_URL") or ""
    secret = token or environ.get("MUSTER_API_TOKEN") or ""
    local = None if base and secret else _find_local(environ)
    if local is not None:
        base = base or local.url
        if not secret and base.rstrip("/") == local.url.rstrip("/"):
            secret = local.token
    return base or DEFAULT_URL, secret


def _find_local(environ: Mapping[str, str]) -> _Local | None:
    """Return what the running server has left, None where none runs or the directory is not ours alone."""
    path = _runtime_directory(environ)
    try:
        if not _is_private(path) or not _is_held(path / "lock"):
            return None
        local = _Local(*((path / name).read_text(encoding="utf-8").strip() for name in _Local._fields))
    except (OSError, UnicodeDecodeError):
        return None
    return local if local.url else None


def _runtime_directory(environ: Mapping[str, str]) -> Path:
    """Return where the server leaves its files, by the rule of docs/configuration.md."""
    explicit = environ.get("MUSTER_RUNTIME_DIR", "")
    if explicit:
        return Path(explicit)
    xdg = environ.get("XDG_RUNTIME_DIR", "")
    # `sudo -E` keeps the variable of another user.
    if xdg.startswith("/") and Path(xdg).is_dir() and Path(xdg).stat().st_uid == os.geteuid():
        return Path(xdg) / "muster"
    return Path(f"/tmp/muster-{os.geteuid()}")  # noqa: S108 - owner and mode are checked before anything is read


def _is_private(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _is_held(path: Path) -> bool:
    """Tell whether a server lives: it locks this file. Without it the rest is left over, its port perhaps another's."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not http(s)://host[:port]")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=timeout)


def _host_of(url: str) -> str:
    """Return host and port only: a URL may hold a password, which belongs into no message."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _read(status: int, body: bytes, wanted: str) -> Resolution:
    if status == http.client.NOT_FOUND:
        raise DeviceNotFoundError(f"no {wanted} found: {_reason(body) or 'none known, or it answers nowhere'}")
    if status != http.client.OK:
        raise ServerRefusedError(f"the server answered {status}: {_reason(body) or 'no reason given'}")
    try:
        return Resolution.from_json(json.loads(body), checked_at=time.time())
    except ValueError as error:
        raise ServerRefusedError(f"the server's answer cannot be read: {error}") from error


def _reason(body: bytes) -> str:
    """Return the message of an error body, `{"error": {"code", "message", ...}}`, or empty text."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""
