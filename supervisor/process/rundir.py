"""The runtime directory: where a running server leaves what other programs of the same user need to reach it.

`MUSTER_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/muster`, else `/tmp/muster-{uid}`. The directory belongs to the user and to
nobody else (0700, checked, since `/tmp` is open to all); the files in it are 0600:

    url  ca-file  token  enrolment-key  broker-url  pid  lock

The server holds a kernel lock on `lock` as long as it lives. Files without that lock are left over from a server that
was killed, and nobody reads them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from supervisor.process.lock import FileLock, LockHeldError, is_locked
from supervisor.process.private_file import write_private

#: Field of `ServerFiles` -> name of its file.
_FILES = {
    "url": "url",
    "token": "token",
    "enrolment_key": "enrolment-key",
    "broker_url": "broker-url",
    "pid": "pid",
    "ca_file": "ca-file",
}
#: Readers test the lock for a moment; a server that meets one of them tries again for so many seconds.
_PATIENCE = 0.5


class RuntimeDirectoryError(Exception):
    """The runtime directory cannot be trusted or used; the message is one sentence."""


class ServerFiles(msgspec.Struct, frozen=True):
    """What a running server leaves for the commands and the edge of the same user."""

    url: str
    """Base URL of the API, for example `http://127.0.0.1:5000`."""
    token: str
    """An admin token."""
    enrolment_key: str
    broker_url: str
    """What devices on this machine connect to."""
    pid: int
    ca_file: str = ""
    """PEM to trust for https, empty for what the system trusts."""

    def __repr__(self) -> str:
        return f"ServerFiles(url={self.url}, pid={self.pid})"


def runtime_directory(environ: Mapping[str, str], *, uid: int | None = None) -> Path:
    """Return the path of the runtime directory; it need not exist."""
    user = os.geteuid() if uid is None else uid
    explicit = environ.get("MUSTER_RUNTIME_DIR", "")
    if explicit:
        return Path(explicit)
    xdg = environ.get("XDG_RUNTIME_DIR", "")
    # `sudo -E` keeps the variable of another user: a directory that is not ours is no place for our secrets.
    if xdg.startswith("/") and _is_owned(Path(xdg), user):
        return Path(xdg) / "muster"
    return Path(f"/tmp/muster-{user}")  # noqa: S108 - ownership and mode are checked before use


class RuntimeDirectory:
    """A running server's hold on the runtime directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FileLock | None = None

    def publish(self, files: ServerFiles) -> None:
        """Write the files and keep them alive until `withdraw`.

        Raises:
            RuntimeDirectoryError: if the directory is not ours alone, cannot be written, or serves another server.

        """
        _make_private(self._path)
        try:
            if self._lock is None:
                self._lock = self._hold()
            for field, name in _FILES.items():
                write_private(self._path / name, str(getattr(files, field)).encode())
        except OSError as error:
            raise RuntimeDirectoryError(f"The directory {self._path} cannot be used: {error.strerror}.") from None

    def withdraw(self) -> None:
        """Remove the files; harmless when repeated or when nothing was published."""
        if self._lock is None:
            return
        for name in _FILES.values():
            (self._path / name).unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _hold(self) -> FileLock:
        try:
            return FileLock(self._path / "lock", patience=_PATIENCE)
        except LockHeldError:
            raise RuntimeDirectoryError(
                f"Another Muster server of this user already uses {self._path};"
                " set MUSTER_RUNTIME_DIR to give this one a directory of its own."
            ) from None


def find_server(path: Path) -> ServerFiles | None:
    """Return the files of the running server, or None where there is none.

    Raises:
        RuntimeDirectoryError: if the directory belongs to another user or is open to others.

    """
    if not path.is_dir():
        return None
    _refuse_foreign(path)
    if not is_locked(path / "lock"):
        return None
    try:
        values = {field: _read(path / name, field) for field, name in _FILES.items()}
        return msgspec.convert(values, ServerFiles, strict=False)
    except (OSError, UnicodeDecodeError, msgspec.ValidationError):
        # The server is between taking the lock and writing the last file, or leaving.
        return None


def _read(path: Path, field: str) -> str:
    """Return a file of the server's; one of the release before has left nothing of certificates."""
    if field == "ca_file" and not path.exists():
        return ""
    return path.read_text(encoding="utf-8")


def _make_private(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RuntimeDirectoryError(f"The directory {path} cannot be made: {error.strerror}.") from None
    _refuse_foreign(path)


def _refuse_foreign(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise RuntimeDirectoryError(f"{path} is not a directory but a link or a file; remove it.")
    if status.st_uid != os.geteuid():
        raise RuntimeDirectoryError(f"The directory {path} belongs to another user; set MUSTER_RUNTIME_DIR.")
    if status.st_mode & 0o077:
        raise RuntimeDirectoryError(f"The directory {path} is open to other users; run `chmod 700 {path}`.")


def _is_owned(path: Path, uid: int) -> bool:
    try:
        return path.is_dir() and path.stat().st_uid == uid
    except OSError:
        return False
